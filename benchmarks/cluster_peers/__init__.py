"""What `dispatch.py` compares the cluster's dispatcher with: Procrastinate's periodic tasks, and Celery beat.

Each peer runs as its own command line starts it, in processes of its own, on sockets of this machine only. All its
schedules come due in the same second, every EVERY_S seconds. A run does nothing but note when it began.
"""
