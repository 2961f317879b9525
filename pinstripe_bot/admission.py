"""The admission: queued runs of ours go to the worker threads, but for those that the project of today cannot run."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from msgspec.structs import replace

from pinstripe_bot.clock import Clock
from pinstripe_bot.dispatcher import Dispatcher
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.metrics import Tally
from pinstripe_bot.occurrence import Reason, Run, RunError, RunState
from pinstripe_bot.project import Project

log = structlog.get_logger("pinstripe")


class Admission:
    """Looks at runs that were written by somebody else, or long ago, before they are dispatched here."""

    def __init__(self, project: Project, ledger: Ledger, dispatcher: Dispatcher, clock: Clock, tally: Tally) -> None:
        self._project = project
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._clock = clock
        self._tally = tally

    @property
    def known(self) -> set[str]:
        """The jobs of the project, also those whose files are broken."""
        return self._project.jobs.keys() | self._project.broken_jobs

    def admit(self, runs: Sequence[Run]) -> list[Run]:
        """Dispatch these queued runs of ours; those that fit their jobs no more fail instead, and are absent."""
        fitted = [self._fitted(run) for run in runs]
        self.refuse([run for run in fitted if not run.state.is_open])
        startable = [run for run in fitted if run.state.is_open]
        self._dispatcher.dispatch(startable)
        return startable

    def _fitted(self, run: Run) -> Run:
        """The run as its job wants it today; failed where its parameters fit no more."""
        job = self._project.jobs[run.job]
        try:
            return replace(run, params=job.params.cast(run.params))
        except InvalidParams as error:
            told = RunError(type(error).__name__, str(error), str(job.place), "")
            return replace(run, state=RunState.FAILED, error=told, finished_at=self._clock.now())

    def refuse_removed(self, removed: Sequence[Run]) -> None:
        """End queued runs whose jobs are no more."""
        ended = {"state": RunState.SKIPPED, "reason": Reason.JOB_REMOVED, "finished_at": self._clock.now()}
        self.refuse([replace(run, **ended) for run in removed])

    def refuse(self, ended: Sequence[Run]) -> None:
        """Record the end of queued runs that cannot be started."""
        if not ended:
            return
        self._ledger.refuse(ended)
        self._tally.runs_ended(ended)
        for run in ended:
            why = run.reason or (run.error and run.error.message)
            log.warning("run_refused", job=run.job, run_id=run.id, state=str(run.state), reason=str(why))
