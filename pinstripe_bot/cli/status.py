"""status."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import click

from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.cli.pages import Page
from pinstripe_bot.cli.shown import bot_as_json, listing_as_json, passed_as_json, run_as_json
from pinstripe_bot.cli.status_page import Ground, draw_overview
from pinstripe_bot.cli.status_trouble import is_well
from pinstripe_bot.cli.tables import print_json
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.errors import InvalidSchedule
from pinstripe_bot.ledger_failures import TenantTrouble, Trouble
from pinstripe_bot.ledger_history import open_history
from pinstripe_bot.ledger_overview import Overview, Skip, fates, read_overview
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_skips import Pause
from pinstripe_bot.occurrence import Reason
from pinstripe_bot.project import Project
from pinstripe_bot.records import RunRecord
from pinstripe_bot.schedule import Schedule, in_zones

_LISTS = ("troubles", "listings", "passed", "paused", "paused_tenants", "skips", "running", "waiting", "bots")
"""What is empty in the JSON of a project without a ledger."""

LATELY = timedelta(hours=24)
NEXT = 5


@project_command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(invocation: Invocation, as_json: bool) -> None:
    """Show what went wrong lately, what runs, what comes.

    First what failed, was missed or late in the last 24 hours, with the commands to see it and to retry it.
    """
    project, now = invocation.load_project(), SystemClock().now()
    with open_history(ledger_place(project.config, project.root)) as history:
        overview = ground = None
        in_use: set[str] = set()
        if history is not None:
            in_use = history.zones()
            overview = read_overview(history.store, project.schedules, since=now - LATELY, now=now)
            ground = Ground(history.store.place, history.store.covers, _size(history.store.path))
    due = next_due(project, in_use, now)
    if as_json:
        print_json(_as_json(project, overview, ground, due, now))
    else:
        draw_overview(Page(), project, overview, ground, due, now)


def _size(path: Path | None) -> int | None:
    """How many bytes a ledger's file has, with what SQLite keeps beside it."""
    if path is None:
        return None
    parts = (path, path.with_name(f"{path.name}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def next_due(project: Project, in_use: Collection[str], now: datetime) -> list[tuple[datetime, Schedule]]:
    """The next due instants of all schedules, soonest first; `in_use` are the zones of tenants."""
    planned = in_zones([one for one in project.schedules if one.enabled], lambda _: in_use)
    each = (_upcoming(schedule, now) for schedule in planned)
    return list(islice(heapq.merge(*each, key=lambda due: due[0]), NEXT))


def _upcoming(schedule: Schedule, now: datetime) -> list[tuple[datetime, Schedule]]:
    found: list[tuple[datetime, Schedule]] = []
    with contextlib.suppress(InvalidSchedule):  # nothing in the next fifty years
        found.extend((due_at, schedule) for due_at in islice(schedule.upcoming(now), NEXT))
    return found


def _as_json(
    project: Project,
    overview: Overview | None,
    ground: Ground | None,
    due: list[tuple[datetime, Schedule]],
    now: datetime,
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "project": project.name,
        "at": now,
        "is_well": is_well(project, overview),
        "problems": [{"place": str(problem.place), "message": problem.message} for problem in project.problems],
        "ledger": None if ground is None else {"place": ground.place, "covers": ground.covers, "bytes": ground.size},
    }
    told |= {name: [] for name in _LISTS}
    reasons: list[Reason | None] = [None] * len(due)
    if overview is not None:
        reasons = fates(overview, due)
        told |= _overview_as_json(project, overview)
    return told | {
        "next": [
            {
                "due_at": at,
                "job": one.job,
                "schedule": one.name,
                "timezone": one.zone.name,
                "local": at.astimezone(one.zone.tzinfo),
                "paused": reason is Reason.PAUSED,
                "skip": reason is Reason.SKIP_ASKED,
            }
            for (at, one), reason in zip(due, reasons, strict=True)
        ]
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
        "running": [_open_as_json(one) for one in overview.running],
        "waiting": [_open_as_json(one) for one in overview.waiting],
        "open_count": overview.open_count,
        "bots": [bot_as_json(one) for one in overview.bots],
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


def _open_as_json(record: RunRecord) -> dict[str, Any]:
    return run_as_json(record.run) | {
        "available_at": record.available_at,
        "is_in_turn": record.is_in_turn,
        "lingers": record.lingers,
        "progress": None if record.progress is None else dict(zip(("done", "total"), record.progress, strict=True)),
        "bot": bot_as_json(record.bot),
    }
