"""The reports: what is logged and counted of a claim, of runs that have ended, of the ledger, of odd schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog

from pinstripe_bot.clock_jumps import Jump
from pinstripe_bot.hook_calls import Hooks
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_claim import Claim
from pinstripe_bot.ledger_marks import Registration, TakenBack
from pinstripe_bot.ledger_store import Opened
from pinstripe_bot.logs import in_one_write
from pinstripe_bot.metrics import Tally
from pinstripe_bot.occurrence import Occurrence, Run, RunError, RunState
from pinstripe_bot.schedule import Schedule

log = structlog.get_logger("pinstripe")


def report_claim(claim: Claim, hooks: Hooks, tally: Tally) -> None:
    """Count, log and tell the hooks what a claim decided, but for the runs, which tell of themselves."""
    tally.claimed(claim.to_run, claim.passed, windows=claim.windows)
    report_passed(claim.passed, hooks, tally)
    for schedule, by in claim.superseded.items():
        log.warning("schedule_superseded", job=schedule.job, schedule=schedule.name, form=schedule.fingerprint, by=by)
    report_quarantine(claim.failed)


def report_passed(passed: Sequence[Occurrence], hooks: Hooks, tally: Tally) -> None:
    """Count, log and tell the hooks what was decided and does not run."""
    tally.passed(passed)
    hooks.passed(passed)
    for occurrence in passed:
        log.info(
            f"occurrence_{occurrence.decision}",
            job=occurrence.job,
            schedule=occurrence.schedule,
            due_at=occurrence.due_at.isoformat(),
            reason=str(occurrence.reason),
            count=occurrence.count,
        )


def report_edited(registration: Registration, hooks: Hooks, tally: Tally) -> None:
    """Log what came due by former forms, and the schedules whose form is another one than the ledger knew.

    Loudly where another bot knows another zone.
    """
    report_passed(registration.passed, hooks, tally)
    for schedule, before in registration.edited.items():
        form = schedule.fingerprint
        log.info("schedule_edited", job=schedule.job, schedule=schedule.name, form=form, before=before)
        zone_before = before.rsplit(" | ", 3)[1]
        if registration.has_others and zone_before != schedule.zone.name:
            log.warning(
                "zones_disagree", job=schedule.job, schedule=schedule.name, here=schedule.zone.name, there=zone_before
            )


def report_taken_back(taken: TakenBack, hooks: Hooks, tally: Tally) -> None:
    """Log the schedules that this bot plans again, and what came due by the forms that nobody planned any more."""
    report_passed(taken.passed, hooks, tally)
    for schedule in taken.marks:
        log.warning(
            "schedule_taken_back",
            job=schedule.job,
            schedule=schedule.name,
            form=schedule.fingerprint,
            starts_from_now=schedule in taken.announced,
        )


def report_jump(jump: Jump) -> None:
    """Log that the wall clock was set, or that the machine slept."""
    log.warning("clock_jumped", **jump.facts())


def report_quarantine(failed: Mapping[Schedule, Exception]) -> None:
    """Log the schedules that raised, and are planned no more."""
    for schedule, error in failed.items():
        log.error("schedule_quarantined", job=schedule.job, schedule=schedule.name, error=str(error))


def report_opened(ledger: Ledger, opened: Opened, *, is_watched: bool) -> None:
    """Log which ledger this is, whom it covers, and what a person should know of it."""
    place, covers = ledger.store.place, ledger.store.covers
    if opened.is_new:
        log.info("ledger_created", place=place, covers=covers)
    elif opened.is_migrated:
        log.info("ledger_migrated", place=place, covers=covers)
    elif is_watched:
        log.info("ledger_opened", place=place, covers=covers)
    else:
        log.debug("ledger_opened", place=place, covers=covers)
    for warning in opened.warnings:
        log.warning("ledger_unsafe", problem=warning)
    if is_watched and ledger.place.moves_to is not None:
        log.info("ledger_may_move", place=place, to=ledger.place.moves_to, command="pinstripe move-ledger")


def report_ended(runs: Sequence[Run], hooks: Hooks, tally: Tally) -> None:
    """Count, log the one event that ends each of these runs, or their attempts, and tell the hooks."""
    tally.runs_ended(runs)
    bound = log.bind()  # once for all: a lazy logger is made anew at each word
    with in_one_write():
        for run in runs:
            hooks.run_ended(run, is_last_attempt=run.retry_at is None)
            _report_end(run, bound)


def _report_end(run: Run, log: Any) -> None:
    if run.retry_at is not None:
        state, retry_at = str(run.state), run.retry_at.isoformat()
        log.warning("attempt_ended", state=state, retry_at=retry_at, **_facts(run), **_error_facts(run.error))
        return
    match run.state:
        case RunState.SUCCEEDED:
            log.info("run_succeeded", **_facts(run))
        case RunState.FAILED:
            log.error("run_failed", **_facts(run), **_error_facts(run.error))
        case RunState.TIMED_OUT:
            log.error("run_timed_out", **_facts(run), **_error_facts(run.error))
        case RunState.CANCELLED:
            log.warning("run_cancelled", **_facts(run))
        case _:
            log.warning("run_interrupted", **_facts(run))


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
    if run.tenant:
        facts["tenant"] = run.tenant
    return facts if run.reason is None else {**facts, "reason": str(run.reason)}


def _error_facts(error: RunError | None) -> dict[str, str]:
    if error is None:
        return {}
    return {"error_type": error.type, "error": error.message, "place": error.place, "traceback": error.traceback}


def _ms(duration: timedelta | None) -> float:
    return round((duration or timedelta(0)).total_seconds() * 1000, 1)
