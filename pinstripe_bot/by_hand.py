"""Runs by hand: the same road through ledger and runner, with the schedule `manual`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from pinstripe_bot.clock import Clock
from pinstripe_bot.database import Database
from pinstripe_bot.database_connections import database_url
from pinstripe_bot.dispatcher import Dispatcher
from pinstripe_bot.enqueueing import Delay, wish_of
from pinstripe_bot.errors import RunFailed
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_queue import is_same_database, join
from pinstripe_bot.occurrence import MANUAL, Run, RunState
from pinstripe_bot.params import encode_params, params_key
from pinstripe_bot.policies import Overlap
from pinstripe_bot.project import Project
from pinstripe_bot.runner import Runner
from pinstripe_bot.workspace import Workspace


class ByHand:
    """Claims and performs runs that no schedule asked for."""

    def __init__(self, project: Project, ledger: Ledger, runner: Runner, dispatcher: Dispatcher, clock: Clock) -> None:
        self._project = project
        self._ledger = ledger
        self._runner = runner
        self._dispatcher = dispatcher
        self._clock = clock

    def run_due(self, instant_ts: int) -> list[Run]:
        """Run the jobs whose schedules are due at exactly this second, on worker threads, and wait."""
        self._dispatcher.check_may_wait()
        due = [one for one in self._project.schedules if one.enabled and one.is_due_ts(instant_ts)]
        return self._dispatcher.perform(self._ledger.claim_second(due, instant_ts, self._clock.now()))

    def run(self, name: str, params: Mapping[str, Any], *, at: datetime | None, force: bool) -> Run:
        """Run on a worker thread and wait; an overlap gives the run as skipped, unless forced."""
        self._dispatcher.check_may_wait()
        claimed = self._claim(self._run(name, params, at), force=force)
        if claimed.state is RunState.SKIPPED:
            return claimed
        performed = self._dispatcher.perform([claimed])
        return performed[0] if performed else claimed

    def run_inside(self, workspace: Workspace, name: str, params: Mapping[str, Any]) -> Run:
        """Run on this thread, which performs a run already. Raises RunFailed from the job's own error."""
        workspace.checkpoint()
        asked = self._run(name, params, None)
        # Claimed and started in one transaction: a queued run that nobody starts would block the job's next ones.
        claimed = self._claim(replace(asked, state=RunState.RUNNING, started_at=asked.claimed_at), force=False)
        if claimed.state is RunState.SKIPPED:
            return claimed
        try:
            ended, error, control = self._runner.run(claimed, workspace.bot, parent=workspace.control)
        finally:
            self._runner.close_foreign_loop()
        if control.end():
            self._dispatcher.record_now(ended)
        else:
            self._dispatcher.came_back(control)
        workspace.checkpoint()
        if ended.state is not RunState.SUCCEEDED:
            told = f": {ended.error.type}: {ended.error.message}" if ended.error else ""
            raise RunFailed(f"the job {ended.job!r} {ended.state}{told}", ended) from error
        return ended

    def enqueue(
        self,
        name: str,
        params: Mapping[str, Any],
        *,
        delay: Delay,
        joining: Database | None = None,
        then: Callable[[], None],
    ) -> Run:
        """Put a run into the ledger: in the transaction of `joining` where both are one database, else at once.

        `then` is called as soon as it is committed.
        """
        wish = wish_of(self._project, name, params, delay, self._clock.now())
        if joining is not None and self._is_in_ledger(self._project.config.database.url):
            return join(joining, wish, bot=self._ledger.bot, then=then)
        with self._ledger.store.writing() as connection:
            run = wish.write(connection, bot=self._ledger.bot)
        then()
        return run

    def _is_in_ledger(self, url: str | None) -> bool:
        return url is not None and is_same_database(self._ledger.place.url, database_url(url, self._project.root))

    def _run(self, name: str, params: Mapping[str, Any], at: datetime | None) -> Run:
        """The run as it is asked for; nothing is claimed yet."""
        job = self._project.job(name)
        now = self._clock.now()
        return Run(
            id=0,
            job=job.name,
            schedule=MANUAL,
            due_at=(at or now).astimezone(UTC).replace(microsecond=0),
            state=RunState.QUEUED,
            claimed_at=now,
            params=job.manual_params(params),
        )

    def _claim(self, run: Run, *, force: bool) -> Run:
        encoded = encode_params(run.params)
        ignore = force or self._project.jobs[run.job].options["overlap"] is Overlap.ALLOW
        return self._ledger.claim_manual(run, encoded, params_key(encoded), ignore_overlap=ignore)
