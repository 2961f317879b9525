"""The Celery app whose worker and beat `celery_beat.py` starts; its settings come in the environment."""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import Any

from celery import Celery
from celery.schedules import BaseSchedule, crontab
from celery.signals import after_task_publish, before_task_publish

from cluster_peers.measured import EVERY_S
from cluster_peers.notes import NotePad

begun = NotePad(os.environ["BEGUN"])
handed_over = NotePad(os.environ["HANDED_OVER"])


class Every(BaseSchedule):
    """Due whenever the seconds since the epoch divide by EVERY_S: what a `crontab` would be, were it not for minutes.

    Celery's own schedule of seconds counts from when it ran last: a herd would disperse. A type of one's own is
    something that Celery documents.
    """

    def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
        now_s = time.time()
        is_due = now_s // EVERY_S > last_run_at.timestamp() // EVERY_S
        return is_due, EVERY_S - now_s % EVERY_S


app = Celery("cluster_peers", broker=os.environ["URL"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
if os.environ["SCHEDULE"] == "every":
    # 128 messages fetched ahead, where Celery fetches 32
    app.conf.update(worker_prefetch_multiplier=16, worker_disable_rate_limits=True)


@app.task(name="noop")
def noop(schedule: int) -> None:
    begun.note(schedule)


@before_task_publish.connect
@after_task_publish.connect
def note_hand_over(body: Any, **_more: Any) -> None:
    """Once before each message is sent, once after."""
    (arguments, *_) = body
    handed_over.note(arguments[0])


# One for all entries: in every tick, beat compares the schedule of each with what it was. That costs a crontab most.
every = crontab(app=app) if os.environ["SCHEDULE"] == "crontab" else Every(app=app)
app.conf.beat_schedule = {
    str(number): {"task": "noop", "schedule": every, "args": (number,)}
    for number in range(int(os.environ["SCHEDULES"]))
}
