"""The outlook: how a project stands, what went wrong in it lately, and what comes due next; in one look."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from pinstripe_bot.errors import InvalidSchedule
from pinstripe_bot.ledger_history import History
from pinstripe_bot.ledger_overview import Overview, fates, read_overview
from pinstripe_bot.occurrence import Decision, Reason
from pinstripe_bot.project import Project
from pinstripe_bot.schedule import Schedule, in_zones

LATELY = timedelta(hours=24)
"""How long trouble is told of."""

NEXT = 5


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a ledger is, who may share it, and how many bytes its file has, if it is one."""

    place: str
    covers: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Coming:
    """A due instant to come, and for which wish of a person it will not run."""

    due_at: datetime
    schedule: Schedule
    fate: Reason | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a project stands at `at`; `overview` and `ground` are None where there is no ledger yet."""

    at: datetime
    overview: Overview | None
    ground: Ground | None
    coming: tuple[Coming, ...]


def look_out(project: Project, history: History | None, now: datetime, *, count: int = NEXT) -> Outlook:
    """Look at the ledger, and at so many of the next due instants."""
    if history is None:
        return Outlook(now, None, None, tuple(Coming(*one) for one in next_due(project, (), now, count)))
    overview = read_overview(history.store, project.schedules, since=now - LATELY, now=now, queue_of=queue_of(project))
    due = next_due(project, history.zones(), now, count)
    coming = tuple(Coming(*one, fate) for one, fate in zip(due, fates(overview, due), strict=True))
    return Outlook(now, overview, Ground(history.store.place, history.store.covers, history.store.size), coming)


def is_well(project: Project, overview: Overview | None) -> bool:
    """Whether nothing failed, was missed or late, no file is broken, a bot is there, and no clock is off.

    In a cluster also whether there is a worker, and each queue in which runs wait is served.
    """
    if project.problems or overview is None or overview.troubles or not overview.has_bot:
        return False
    if overview.failing_listings or any(bot.is_off for bot in overview.bots):
        return False
    if lacks_workers(project, overview) or any(queue.is_unserved for queue in overview.queues):
        return False
    return not any(group.newest.occurrence.decision is Decision.MISSED for group in overview.passed)


def queue_of(project: Project) -> dict[str, str]:
    """{job: its queue} of a project whose jobs are run by a cluster; empty elsewhere."""
    if project.config.dispatcher != "cluster":
        return {}
    return {name: job.options["queue"] for name, job in project.jobs.items()}


def lacks_workers(project: Project, overview: Overview) -> bool:
    """Whether a cluster has no living worker at all."""
    return project.config.dispatcher == "cluster" and not overview.workers


def next_due(
    project: Project, in_use: Collection[str], now: datetime, count: int = NEXT
) -> list[tuple[datetime, Schedule]]:
    """So many of the next due instants of all schedules, soonest first; `in_use` are the zones of tenants."""
    planned = in_zones([one for one in project.schedules if one.enabled], lambda _: in_use)
    each = (_upcoming(schedule, now) for schedule in planned)
    return list(islice(heapq.merge(*each, key=lambda due: due[0]), count))


def _upcoming(schedule: Schedule, now: datetime) -> Iterator[tuple[datetime, Schedule]]:
    """One after another: of most schedules only the first is looked at."""
    with contextlib.suppress(InvalidSchedule):  # nothing in the next fifty years
        for due_at in schedule.upcoming(now):
            yield due_at, schedule
