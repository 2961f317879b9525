"""Recovery: what becomes of the runs that earlier bots have left behind."""

from __future__ import annotations

from datetime import datetime

import structlog
from msgspec.structs import replace

from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.occurrence import Reason, Run, RunError, RunState
from pinstripe_bot.project import Project

log = structlog.get_logger("pinstripe")


def bury_dead_bots(ledger: Ledger, now: datetime) -> None:
    """Record what died with its bot as interrupted, so that it keeps nothing from running any more."""
    for run in ledger.bury(now):
        log.warning("run_interrupted", job=run.job, run_id=run.id, reason=str(run.reason))


def recover(project: Project, ledger: Ledger, now: datetime) -> list[Run]:
    """Take over the runs that were claimed and never started; those that can start, with parameters cast again.

    Runs of a job whose file is broken wait for a start at which it is sound. A run whose job is gone, or whose
    parameters fit it no more, is ended with that reason.
    """
    adopted = [_fitted(run, project, now) for run in ledger.adopt(leave=project.broken_jobs)]
    startable = [run for run in adopted if run.state.is_open]
    refused = [run for run in adopted if not run.state.is_open]
    ledger.refuse(refused)
    for run in refused:
        why = run.reason or (run.error and run.error.message)
        log.warning("run_refused", job=run.job, run_id=run.id, state=str(run.state), reason=str(why))
    if startable:
        log.info("runs_taken_over", runs=len(startable))
    return startable


def _fitted(run: Run, project: Project, now: datetime) -> Run:
    """The run as its job wants it today, or ended because there is no such job."""
    job = project.jobs.get(run.job)
    if job is None:
        return replace(run, state=RunState.SKIPPED, reason=Reason.JOB_REMOVED, finished_at=now)
    try:
        return replace(run, params=job.params.cast(run.params))
    except InvalidParams as error:
        told = RunError(type(error).__name__, str(error), str(job.place), "")
        return replace(run, state=RunState.FAILED, error=told, finished_at=now)
