"""The retries: whether and when a run that did not succeed is tried again."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from pinstripe_bot.clock import Clock
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.policies import OnInterrupt
from pinstripe_bot.project import Project

MOST_ATTEMPTS_AFTER_INTERRUPTS = 10
"""A run that takes its bot down with it each time must not come back for ever."""


class Retries:
    """Asks the policies of a run's job; the jitter is drawn here."""

    def __init__(self, project: Project, clock: Clock) -> None:
        self._project = project
        self._clock = clock

    def retry_at(self, ended: Run) -> datetime | None:
        """When the next attempt of an ended run may start, or None if this was the last one."""
        job = self._project.jobs.get(ended.job)
        if job is None:
            return None
        if ended.state is RunState.INTERRUPTED:
            wants = job.options["on_interrupt"] is OnInterrupt.RETRY
            return self._clock.now() if wants and ended.attempt < MOST_ATTEMPTS_AFTER_INTERRUPTS else None
        if ended.state not in (RunState.FAILED, RunState.TIMED_OUT) or not job.retry.retries:
            return None
        delay_s = job.retry.delay_s(ended.attempt, random.random())
        return None if delay_s is None else self._clock.now() + timedelta(seconds=delay_s)
