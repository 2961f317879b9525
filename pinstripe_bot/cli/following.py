"""Following: what a run prints, as it comes into the ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import click

from pinstripe_bot.cli.run_page import traceback_of
from pinstripe_bot.clock import Clock
from pinstripe_bot.ledger_history import History
from pinstripe_bot.occurrence import RunState
from pinstripe_bot.records import RunRecord
from pinstripe_bot.story_words import GONE

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
        """Until the run has ended, in its last attempt, or its bot is gone."""
        attempt, shown = record.run.attempt, ""
        self._say_who_is_missing(record)
        while True:
            if record.run.attempt != attempt:
                click.echo(f"run {record.run.id} is tried again: attempt {record.run.attempt}", err=True)
                attempt, shown = record.run.attempt, ""
            news = unseen(shown, record.run.output)
            shown = record.run.output or shown
            if news:
                self._write(news)
            if not record.run.state.is_open:
                if record.run.error is not None:
                    self._write(f"{traceback_of(record.run.error)}\n")
                return
            self._clock.sleep_until(self._clock.now() + EVERY)
            again = self._history.run(record.run.id, self._clock.now())
            if again is None:  # pruned
                return
            # Twice: a bot that stops may have gone between the looks at the run and at its lock.
            if record.lost_its_bot and again.lost_its_bot:
                click.echo(f"run {record.run.id} does not go on, {GONE}", err=True)
                return
            record = again

    def _say_who_is_missing(self, record: RunRecord) -> None:
        if record.queue and not record.is_served and record.run.state is RunState.QUEUED:
            told = f"run {record.run.id} waits for a worker of the queue {record.queue}, and none serves it"
            click.echo(f"{told}: `pinstripe start-worker` starts one", err=True)
        elif record.run.state is RunState.QUEUED and not record.queue and not self._history.has_bot(self._clock.now()):
            told = f"run {record.run.id} waits for a bot, and none is running: `pinstripe start-server` starts one"
            click.echo(told, err=True)

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
