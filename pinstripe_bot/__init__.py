"""Pinstripe: a project's background jobs, on cron schedules."""

__version__ = "0.1.0"
