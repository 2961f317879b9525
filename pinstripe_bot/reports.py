"""The reports: what is logged of a claim, of runs that have ended, of the ledger, of schedules that misbehave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import structlog

from pinstripe_bot.ledger import Claim
from pinstripe_bot.logs import in_one_write
from pinstripe_bot.occurrence import Run, RunError, RunState
from pinstripe_bot.schedule import Schedule

log = structlog.get_logger("pinstripe")


def report_claim(claim: Claim) -> None:
    """Log what a claim decided, but for the runs, which log themselves."""
    for occurrence in claim.passed:
        log.info(
            f"occurrence_{occurrence.decision}",
            job=occurrence.job,
            schedule=occurrence.schedule,
            due_at=occurrence.due_at.isoformat(),
            reason=str(occurrence.reason),
            count=occurrence.count,
        )
    for schedule in claim.superseded:
        log.warning("schedule_superseded", job=schedule.job, schedule=schedule.name)
    report_quarantine(claim.failed)


def report_quarantine(failed: Mapping[Schedule, Exception]) -> None:
    """Log the schedules that raised, and are planned no more."""
    for schedule, error in failed.items():
        log.error("schedule_quarantined", job=schedule.job, schedule=schedule.name, error=str(error))


def report_ledger(before: str | None, error: str | None) -> str | None:
    """Say it once when the ledger goes away, and once when it is back; returns `error`."""
    if error is not None and before is None:
        log.error("ledger_lost", error=error)
    if error is None and before is not None:
        log.info("ledger_found")
    return error


def report_ended(runs: Iterable[Run]) -> None:
    """Log the one event that ends each of these runs."""
    with in_one_write():
        for run in runs:
            if run.error is not None:
                log.error("run_failed", **_facts(run), **_error_facts(run.error))
            elif run.state is RunState.INTERRUPTED:
                log.warning("run_interrupted", **_facts(run))
            else:
                log.info(f"run_{run.state}", **_facts(run))


def _facts(run: Run) -> dict[str, Any]:
    facts = {
        "job": run.job,
        "schedule": run.schedule,
        "run_id": run.id,
        "due_at": run.due_at.isoformat(),
        "lateness_ms": _ms(run.lateness),
        "attempt": run.attempt,
        "duration_ms": _ms(run.duration),
    }
    return facts if run.reason is None else {**facts, "reason": str(run.reason)}


def _error_facts(error: RunError) -> dict[str, str]:
    return {"error_type": error.type, "error": error.message, "place": error.place, "traceback": error.traceback}


def _ms(duration: timedelta | None) -> float:
    return round((duration or timedelta(0)).total_seconds() * 1000, 1)
