"""Following: what a run prints, as it comes into the ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import click

from pinstripe_bot.clock import Clock
from pinstripe_bot.ledger_history import History
from pinstripe_bot.records import RunRecord

EVERY = timedelta(seconds=1)
"""A running run's output is written that often; looking more often would show nothing more."""

_SEEN_AGAIN = 200
"""How many characters of the end of what was shown have to be found again in a text whose beginning was cut."""


class Follower:
    """Looks into the ledger once a second, and hands on what is new; what it says itself goes to stderr."""

    def __init__(self, history: History, clock: Clock, write: Callable[[str], None]) -> None:
        self._history = history
        self._clock = clock
        self._write = write

    def follow_run(self, record: RunRecord) -> None:
        """Until the run has ended, in its last attempt."""
        attempt, shown = record.run.attempt, ""
        while True:
            if record.run.attempt != attempt:
                click.echo(f"run {record.run.id} is tried again: attempt {record.run.attempt}", err=True)
                attempt, shown = record.run.attempt, ""
            news = unseen(shown, record.run.output)
            shown = record.run.output or shown
            if news:
                self._write(news)
            if not record.run.state.is_open:
                return
            self._clock.sleep_until(self._clock.now() + EVERY)
            again = self._history.run(record.run.id, self._clock.now())
            if again is None:  # pruned
                return
            record = again

    def follow_job(self, job: str, record: RunRecord | None) -> None:
        """The newest run and each one that comes after it, without end."""
        last_id = 0
        while True:
            if record is None:
                self._clock.sleep_until(self._clock.now() + EVERY)
            else:
                last_id = record.run.id
                click.echo(f"run {last_id} of {job}:", err=True)
                self.follow_run(record)
            record = self._history.following(job, last_id, self._clock.now())


def unseen(shown: str, output: str) -> str:
    """What of `output` has not been shown; where its beginning has been cut, what follows the end of `shown`."""
    if output.startswith(shown):
        return output[len(shown) :]
    end = shown[-_SEEN_AGAIN:]
    _, found, news = output.rpartition(end)
    return news if found else output
