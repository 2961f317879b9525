"""The history of one job: its days, how long its runs took, how late they began, how its tenants fare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from pinstripe_bot.console.addresses import to, to_run
from pinstripe_bot.console.calendars import DayPatch, calendar
from pinstripe_bot.console.jobs_page import stripe_of
from pinstripe_bot.console.scatters import Percentile, Point, duration_scatter, lateness_scatter
from pinstripe_bot.console.strips import Stripe, mini_strip
from pinstripe_bot.console.visit import Visit, late_after
from pinstripe_bot.console.words import STATE_TONES, ago, at_clock, state_word, took
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.ledger_failures import LATE_AFTER
from pinstripe_bot.ledger_strips import Stretch, Wanted, read_strips
from pinstripe_bot.ledger_tenant_strips import TenantStrip, read_tenants
from pinstripe_bot.ledger_trends import (
    Quantiles,
    RunPoint,
    Slot,
    SummedDay,
    quantiles,
    read_points,
    read_slots,
    read_summed,
)
from pinstripe_bot.shown import count_of
from pinstripe_bot.zones import Zone

DAYS: Final = 90
TWELFTHS: Final = 12
MOST_TENANTS: Final = 50
_WEEK: Final = timedelta(days=7)
_WORST_FIRST: Final = ("failed", "timed_out", "interrupted", "missed", "running", "cancelled", "skipped", "succeeded")


def history_facts(visit: Visit, name: str, job: JobDefinition | None) -> dict[str, Any]:
    """What the template shows of them."""
    if visit.history is None:
        facts: dict[str, Any] = {
            "last": None,
            "calendar": "",
            "duration": "",
            "lateness": "",
            "tenants": [],
            "points": 0,
        }
        return facts | {"is_by_tenant": False}
    since = visit.now - timedelta(days=DAYS)
    is_for_tenants = job is not None and bool(job.options["multi_tenant"])
    limit = LATE_AFTER if job is None else late_after(job)
    with visit.history.store.reading() as connection:
        slots = read_slots(connection, name, since)
        summed = read_summed(connection, name, since)
        points = read_points(connection, name, since)
        strips = read_strips(connection, [Wanted(name, is_for_tenants, limit)])[name]
        tenants = read_tenants(connection, name, most=MOST_TENANTS) if is_for_tenants else []
    ended = [one for one in strips if one.run is not None]
    return {
        "last": _last(visit, ended[-1]) if ended else None,
        "strip": [stripe_of(visit, one) for one in strips],
        "points": len(points),
        "calendar": _calendar(visit, slots, summed, name, _patches_of_tenants(visit, points, limit) if tenants else {}),
        "is_by_tenant": bool(tenants),
        **_scatters(visit, name, job, points),
        "tenants": [_tenant(visit, one) for one in tenants],
        "tenants_bad": sum(one.state in ("failed", "timed_out", "interrupted") for one in tenants),
    }


def _scatters(visit: Visit, name: str, job: JobDefinition | None, points: Sequence[RunPoint]) -> dict[str, str]:
    """How long the runs took, and how late they began."""
    limit = LATE_AFTER if job is None else late_after(job)
    timeout = None if job is None or job.options["timeout"] is None else job.options["timeout"].total_seconds()
    begins_at = min((one.due_at for one in points), default=visit.now - _WEEK)
    step = _WEEK if visit.now - begins_at > 3 * _WEEK else max((visit.now - begins_at) / 6, timedelta(minutes=10))
    lasted = [(one.due_at, one.took) for one in points if one.took is not None and one.state == "succeeded"]
    late = [(one.due_at, one.lateness) for one in points if one.lateness is not None]
    return {
        "duration": duration_scatter(
            [_point(one, one.took) for one in points if one.took is not None],
            _line(quantiles(lasted, begins_at, visit.now, step=step)),
            begins_at,
            visit.now,
            visit.zone,
            label=f"how long {count_of(len(lasted), 'run')} of {name} took",
            limit_s=timeout,
        ),
        "lateness": lateness_scatter(
            [_point(one, one.lateness, limit) for one in points if one.lateness is not None],
            _line(quantiles(late, begins_at, visit.now, step=step)),
            begins_at,
            visit.now,
            visit.zone,
            label=f"how late {count_of(len(late), 'run')} of {name} began",
            late_after_s=limit.total_seconds(),
        ),
    }


def _last(visit: Visit, newest: Stretch) -> dict[str, Any]:
    told = state_word(newest.state)
    if newest.count > 1:
        told += f" for {newest.bad:,} of {newest.count:,} tenants" if newest.bad else f" for {newest.count:,} tenants"
    return {
        "state": newest.state,
        "told": told,
        "tone": STATE_TONES.get(newest.state, ""),
        "href": to_run(newest.run or 0),
        "at": at_clock(newest.due_at, visit.now, visit.zone),
        "ago": ago(newest.due_at, visit.now),
    }


def _point(one: RunPoint, span: timedelta, limit: timedelta | None = None) -> Point:
    return Point(one.due_at, span.total_seconds(), one.state, limit is not None and span > limit)


def _line(found: Sequence[Quantiles]) -> list[Percentile]:
    return [Percentile(one.middle_at, one.p50.total_seconds(), one.p95.total_seconds()) for one in found]


def _calendar(
    visit: Visit,
    slots: Sequence[Slot],
    summed: Sequence[SummedDay],
    name: str,
    by_tenant: Mapping[date, tuple[Stripe, ...]],
) -> str:
    """The days of the zone's calendar; those whose rows are gone are days in UTC."""
    days: dict[date, list[Slot]] = {}
    for slot in slots:
        days.setdefault(slot.begins_at.astimezone(visit.zone.tzinfo).date(), []).append(slot)
    patches = {day: _patch(visit.zone, day, its) for day, its in days.items()}
    for day in patches.keys() & by_tenant.keys():
        patches[day] = replace(patches[day], stripes=by_tenant[day])
    for one in summed:
        patches.setdefault(date.fromisoformat(one.day), _summed_patch(one))
    today = visit.now.astimezone(visit.zone.tzinfo).date()
    return calendar(patches, today, label=f"the last {DAYS} days of {name}")


def _patches_of_tenants(visit: Visit, points: Sequence[RunPoint], limit: timedelta) -> dict[date, tuple[Stripe, ...]]:
    """{day: a stripe for each tenant's run}, of the days with one instant."""
    days: dict[date, list[RunPoint]] = {}
    for one in points:
        days.setdefault(one.due_at.astimezone(visit.zone.tzinfo).date(), []).append(one)
    return {
        day: tuple(_stripe(one, limit) for one in its)
        for day, its in days.items()
        if len({one.due_at for one in its}) == 1
    }


def _stripe(one: RunPoint, limit: timedelta) -> Stripe:
    is_late = one.lateness is not None and one.lateness > limit
    return Stripe(one.state, None if one.took is None else one.took.total_seconds(), is_late=is_late)


def _patch(where: Zone, day: date, slots: Sequence[Slot]) -> DayPatch:
    """At most twelve stripes: the instants of the day where there are few, else its twelfths, the worst first."""
    begins_at = datetime(day.year, day.month, day.day, tzinfo=where.tzinfo).astimezone(UTC)
    parts: list[list[Slot]] = [[] for _ in range(TWELFTHS)]
    for slot in slots:
        place = (slot.begins_at - begins_at) * TWELFTHS // timedelta(days=1)
        parts[min(max(place, 0), TWELFTHS - 1)].append(slot)
    counts: dict[str, int] = {}
    for slot in slots:
        counts[slot.state] = counts.get(slot.state, 0) + slot.count
    told = ", ".join(f"{count:,} {state_word(state)}" for state, count in sorted(counts.items()))
    return DayPatch(tuple(_worst(each) for each in parts), f"{day:%a} {day.day} {day:%b}: {told}")


def _worst(slots: Sequence[Slot]) -> Stripe | None:
    if not slots:
        return None
    ranks = {state: rank for rank, state in enumerate(_WORST_FIRST)}
    worst = min(slots, key=lambda one: ranks.get(one.state, len(ranks)))
    longest = max((one.longest for one in slots if one.longest is not None), default=None)
    return Stripe(worst.state, None if longest is None else longest.total_seconds(), count=worst.count)


def _summed_patch(one: SummedDay) -> DayPatch:
    seconds = None if one.p50 is None else one.p50.total_seconds()
    stripes = tuple(None if state is None else Stripe(state, seconds) for state in one.worst)
    return DayPatch(stripes, f"{one.day} UTC, as it was summed up")


def _tenant(visit: Visit, one: TenantStrip) -> dict[str, Any]:
    stripes = [Stripe(state, None if lasted is None else lasted.total_seconds()) for state, lasted in one.runs]
    return {
        "tenant": one.tenant,
        "name": one.name or one.tenant,
        "state": one.state,
        "href": to("runs", tenant=one.tenant),
        "run_href": to_run(one.newest),
        "took": took(one.took),
        "strip": mini_strip(stripes, label=f"the last runs for {one.name or one.tenant}"),
    }
