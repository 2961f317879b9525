"""The reports: what the bot's loop logs of a claim, of its ledger, and of schedules that misbehave."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from pinstripe_bot.ledger import Claim
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
