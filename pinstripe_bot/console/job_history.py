"""The history of one job: its days, how long its runs took, how late they began, how its tenants fare."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from pinstripe_bot.console.addresses import to, to_run
from pinstripe_bot.console.calendars import calendar
from pinstripe_bot.console.job_days import day_patches
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
    quantiles,
    read_points,
    read_slots,
    read_summed,
)
from pinstripe_bot.occurrence import BAD_ENDS
from pinstripe_bot.shown import count_of

DAYS: Final = 90
MOST_TENANTS: Final = 50
_WEEK: Final = timedelta(days=7)


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
        return facts | {"is_by_tenant": False, "is_by_run": False}
    since = visit.now - timedelta(days=DAYS)
    is_for_tenants = job is not None and bool(job.options["multi_tenant"])
    limit = LATE_AFTER if job is None else late_after(job)
    with visit.history.store.reading() as connection:
        slots = read_slots(connection, name, since)
        summed = read_summed(connection, name, since)
        points, is_whole = read_points(connection, name, since)
        strips = read_strips(connection, [Wanted(name, is_for_tenants, limit)])[name]
        tenants = read_tenants(connection, name, most=MOST_TENANTS) if is_for_tenants else []
    ended = [one for one in strips if one.run is not None]
    patches = day_patches(slots, points, summed, visit.zone, is_whole=is_whole, late_after=limit)
    today = visit.now.astimezone(visit.zone.tzinfo).date()
    return {
        "last": _last(visit, ended[-1]) if ended else None,
        "strip": [stripe_of(visit, one) for one in strips],
        "points": len(points),
        "calendar": calendar(patches, today, label=f"the last {DAYS} days of {name}"),
        "is_by_run": is_whole,
        "is_by_tenant": bool(tenants),
        **_scatters(visit, name, job, points),
        "tenants": [_tenant(visit, one) for one in tenants],
        "tenants_bad": sum(one.state in BAD_ENDS for one in tenants),
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
