"""Recovery: what becomes of the runs that other bots have left behind."""

from __future__ import annotations

from datetime import datetime

import structlog
from msgspec.structs import replace

from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.occurrence import Reason, Run, RunError, RunState
from pinstripe_bot.project import Project
from pinstripe_bot.reports import report_ended

log = structlog.get_logger("pinstripe")


def bury_dead_bots(ledger: Ledger, now: datetime) -> None:
    """Record what died with its bot as interrupted, so that it keeps nothing from running any more."""
    report_ended(ledger.bury(now))


def recover(project: Project, ledger: Ledger, now: datetime) -> list[Run]:
    """Take over the runs that were claimed and never started; those that can start, with parameters cast again.

    Runs of a job that this project does not have, or whose file is broken, are left to a bot that can run them.
    """
    adopted = [_fitted(run, project, now) for run in ledger.adopt(lambda job: job in project.jobs)]
    _refuse(ledger, [run for run in adopted if not run.state.is_open])
    startable = [run for run in adopted if run.state.is_open]
    if startable:
        log.info("runs_taken_over", runs=len(startable))
    return startable


def recover_orphans(project: Project, ledger: Ledger, now: datetime) -> list[Run]:
    """As `recover`, beside other bots: what one of them left that has died, or stopped, since this one started."""
    if not ledger.has_orphans(jobs=project.jobs):
        return []
    bury_dead_bots(ledger, now)
    return recover(project, ledger, now)


def forget_removed_jobs(project: Project, ledger: Ledger, now: datetime) -> None:
    """End the runs that wait for a job which is no longer in the project.

    Only at a start, which makes this the project of today: a bot that has run for long does not know new jobs.
    """
    known = project.jobs.keys() | project.broken_jobs
    removed = ledger.adopt(lambda job: job not in known)
    ended = {"state": RunState.SKIPPED, "reason": Reason.JOB_REMOVED, "finished_at": now}
    _refuse(ledger, [replace(run, **ended) for run in removed])


def _fitted(run: Run, project: Project, now: datetime) -> Run:
    """The run as its job wants it today; failed where its parameters fit no more."""
    job = project.jobs[run.job]
    try:
        return replace(run, params=job.params.cast(run.params))
    except InvalidParams as error:
        told = RunError(type(error).__name__, str(error), str(job.place), "")
        return replace(run, state=RunState.FAILED, error=told, finished_at=now)


def _refuse(ledger: Ledger, ended: list[Run]) -> None:
    ledger.refuse(ended)
    for run in ended:
        why = run.reason or (run.error and run.error.message)
        log.warning("run_refused", job=run.job, run_id=run.id, state=str(run.state), reason=str(why))
