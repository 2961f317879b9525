"""What the ledger tells, as JSON has it: one form for every command and for the API of the console."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pinstripe_bot.ledger_failures import TenantTrouble, Trouble
from pinstripe_bot.ledger_overview import Overview, Skip
from pinstripe_bot.ledger_skips import Pause
from pinstripe_bot.occurrence import Reason, Run, RunError
from pinstripe_bot.outlook import Coming, Outlook, is_well
from pinstripe_bot.project import Project
from pinstripe_bot.records import AttemptRecord, BotRecord, ListingRecord, PassedRecord, QueueRecord, RunRecord
from pinstripe_bot.redaction import redact, redact_text
from pinstripe_bot.shown import params_of


def milliseconds(span: timedelta | None) -> float | None:
    """A duration as JSON has it."""
    return None if span is None else round(span / timedelta(milliseconds=1), 1)


def run_as_json(run: Run) -> dict[str, Any]:
    """A run as every command's JSON has it."""
    return {
        "run": run.id,
        "job": run.job,
        "schedule": run.schedule,
        "tenant": run.tenant,
        "tenant_name": run.tenant_name,
        "due_at": run.due_at,
        "until_at": None,
        "count": 1,
        "state": run.state,
        "reason": run.reason,
        "attempt": run.attempt,
        "decided_at": run.claimed_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "lateness_ms": milliseconds(run.lateness),
        "duration_ms": milliseconds(run.duration),
        "error": error_as_json(run.error),
    }


def passed_as_json(passed: PassedRecord) -> dict[str, Any]:
    """Instants that did not run, in the same form."""
    occurrence = passed.occurrence
    empty = dict.fromkeys(("attempt", "started_at", "finished_at", "lateness_ms", "duration_ms", "error"))
    return empty | {
        "run": None,
        "job": occurrence.job,
        "schedule": occurrence.schedule,
        "tenant": "",
        "tenant_name": "",
        "due_at": occurrence.due_at,
        "until_at": occurrence.until_at,
        "count": occurrence.count,
        "state": occurrence.decision,
        "reason": occurrence.reason,
        "decided_at": passed.decided_at,
    }


def listing_as_json(listing: ListingRecord) -> dict[str, Any]:
    """How far it is with listing the tenants of an occurrence; `runs` is how many tenants have one."""
    return {
        "job": listing.job,
        "schedule": listing.schedule,
        "due_at": listing.due_at,
        "timezone": None if listing.zone is None else listing.zone.name,
        "state": listing.state,
        "attempt": listing.attempt,
        "available_at": listing.available_at,
        "finished_at": listing.finished_at,
        "error": redact_text(listing.error) or None,
        "runs": listing.runs,
    }


def error_as_json(error: RunError | None) -> dict[str, str] | None:
    """What a job raised, without its traceback and without secrets."""
    if error is None:
        return None
    return {"type": error.type, "message": redact_text(error.message), "place": error.place}


def bot_as_json(bot: BotRecord | None) -> dict[str, Any] | None:
    """A bot; `stats` are workers, busy, waiting, lingering."""
    if bot is None:
        return None
    return {
        "bot": bot.id,
        "kind": bot.kind,
        "host": bot.host,
        "pid": bot.pid,
        "version": bot.version,
        "is_alive": bot.is_alive,
        "has_died": bot.has_died,
        "started_at": bot.started_at,
        "heartbeat_at": bot.heartbeat_at,
        "stopped_at": bot.stopped_at,
        "stats": bot.stats,
    }


def queue_as_json(queue: QueueRecord) -> dict[str, Any]:
    """A queue of a cluster; `workers` serve it."""
    return {
        "queue": queue.name,
        "waiting": queue.waiting,
        "running": queue.running,
        "oldest_at": queue.oldest_at,
        "workers": queue.workers,
    }


def record_as_json(project: Project, record: RunRecord) -> dict[str, Any]:
    """The run as in every command's JSON, and all the rest."""
    run = record.run
    return open_as_json(record) | {
        "tenant_timezone": None if record.zone is None else record.zone.name,
        "params": params_of(project, run),
        "cancel_requested_at": record.cancel_requested_at,
        "cancelled_by": record.cancelled_by,
        "result": redact("", run.result),
        "traceback": _traceback_as_json(run.error),
        "output": run.output,
        "attempts": [_attempt_as_json(attempt) for attempt in record.attempts],
    }


def _attempt_as_json(attempt: AttemptRecord) -> dict[str, Any]:
    return {
        "attempt": attempt.attempt,
        "state": attempt.state,
        "reason": attempt.reason,
        "started_at": attempt.started_at,
        "finished_at": attempt.finished_at,
        "duration_ms": milliseconds(attempt.duration),
        "error": error_as_json(attempt.error),
        "traceback": _traceback_as_json(attempt.error),
        "output": attempt.output,
        "bot": bot_as_json(attempt.bot),
    }


def _traceback_as_json(error: RunError | None) -> str | None:
    return None if error is None else redact_text(error.traceback)


_LISTS = ("troubles", "listings", "passed", "paused", "paused_tenants", "skips", "running", "waiting", "bots", "queues")
"""What is empty in the JSON of a project without a ledger."""


def outlook_as_json(project: Project, outlook: Outlook) -> dict[str, Any]:
    """How a project stands; without a ledger every list but "next" and "problems" is empty."""
    overview, ground = outlook.overview, outlook.ground
    told: dict[str, Any] = {
        "project": project.name,
        "at": outlook.at,
        "is_well": is_well(project, overview),
        "problems": [{"place": str(problem.place), "message": problem.message} for problem in project.problems],
        "ledger": None if ground is None else {"place": ground.place, "covers": ground.covers, "bytes": ground.size},
    }
    told |= {name: [] for name in _LISTS} if overview is None else _overview_as_json(project, overview)
    return told | {"next": [coming_as_json(one) for one in outlook.coming]}


def coming_as_json(coming: Coming) -> dict[str, Any]:
    """A due instant to come; `local` is on the clock of its schedule's zone."""
    schedule = coming.schedule
    return {
        "due_at": coming.due_at,
        "job": schedule.job,
        "schedule": schedule.name,
        "timezone": schedule.zone.name,
        "local": coming.due_at.astimezone(schedule.zone.tzinfo),
        "paused": coming.fate is Reason.PAUSED,
        "skip": coming.fate is Reason.SKIP_ASKED,
    }


def _overview_as_json(project: Project, overview: Overview) -> dict[str, Any]:
    return {
        "since": overview.since,
        "troubles": [_trouble_as_json(project, one) for one in overview.troubles],
        "listings": [listing_as_json(one) for one in (*overview.listings, *overview.broken_off)],
        "passed": [
            passed_as_json(one.newest) | {"count": one.count, "first_due_at": one.first_due_at}
            for one in overview.passed
        ],
        "paused": [_pause_as_json(one) | {"count": overview.paused_counts[one.job]} for one in overview.pauses],
        "paused_tenants": [
            _pause_as_json(one) | {"tenant": one.tenant, "tenant_name": overview.tenant_names.get(one.tenant, "")}
            for one in overview.tenant_pauses
        ],
        "skips": [_skip_as_json(one) for one in overview.skips],
        "running": [open_as_json(one) for one in overview.running],
        "waiting": [open_as_json(one) for one in overview.waiting],
        "open_count": overview.open_count,
        "bots": [bot_as_json(one) for one in overview.bots],
        "queues": [queue_as_json(one) for one in overview.queues],
    }


def _trouble_as_json(project: Project, trouble: Trouble) -> dict[str, Any]:
    run = trouble.newest
    is_retriable = trouble.kind != "late" and run.job in project.jobs
    return {
        "kind": trouble.kind,
        "job": run.job,
        "count": trouble.count,
        "is_over": trouble.is_over,
        "tenant_count": trouble.tenant_count,
        "tenants": [_tenant_as_json(each) for each in trouble.tenants],
        "newest": run_as_json(run),
        "show": f"pinstripe show {run.id}",
        "retry": f"pinstripe retry {run.id}" if is_retriable else None,
    }


def _tenant_as_json(trouble: TenantTrouble) -> dict[str, Any]:
    run = trouble.newest
    facts = {"tenant": run.tenant, "tenant_name": run.tenant_name, "newest": run.id}
    return facts | {"count": trouble.count, "is_over": trouble.is_over}


def _pause_as_json(pause: Pause) -> dict[str, Any]:
    facts = {"job": pause.job or None, "since": pause.paused_at, "until": pause.until_at}
    return facts | {"who": pause.who, "why": pause.why}


def _skip_as_json(skip: Skip) -> dict[str, Any]:
    facts = {"job": skip.job, "schedule": skip.schedule or None, "timezone": skip.key or None}
    return facts | {"remaining": skip.remaining, "who": skip.who, "why": skip.why}


def open_as_json(record: RunRecord) -> dict[str, Any]:
    """A run that waits or is running."""
    return run_as_json(record.run) | {
        "available_at": record.available_at,
        "is_in_turn": record.is_in_turn,
        "lingers": record.lingers,
        "progress": None if record.progress is None else dict(zip(("done", "total"), record.progress, strict=True)),
        "bot": bot_as_json(record.bot),
        "queue": record.queue or None,
    }
