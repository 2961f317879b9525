"""The page of one job: its days, how long it took, how late it was, its settings, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, Final

from pinstripe_bot.console.addresses import to, to_job, to_run
from pinstripe_bot.console.calendars import DayPatch, calendar
from pinstripe_bot.console.fields import fields_of
from pinstripe_bot.console.jobs_page import schedule_words, stripe_of
from pinstripe_bot.console.scatters import Percentile, Point, duration_scatter, lateness_scatter
from pinstripe_bot.console.standing import Standing
from pinstripe_bot.console.strips import Stripe, mini_strip
from pinstripe_bot.console.visit import Visit, late_after
from pinstripe_bot.console.words import STATE_TONES, ago, at_clock, state_word
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.durations import format_duration
from pinstripe_bot.errors import InvalidSchedule, UnknownJob
from pinstripe_bot.job import dasherize
from pinstripe_bot.ledger_skips import EVERY_JOB
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
from pinstripe_bot.project import Project
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.shown import count_of, show_json
from pinstripe_bot.spans import show_duration, show_span
from pinstripe_bot.upcoming import Upcoming, upcoming
from pinstripe_bot.zones import Zone

DAYS: Final = 90
MOST_DUE: Final = 20
SHOWN_DUE: Final = 10
TWELFTHS: Final = 12
MOST_TENANTS: Final = 50
_WEEK: Final = timedelta(days=7)
_WORST_FIRST: Final = ("failed", "timed_out", "interrupted", "missed", "running", "cancelled", "skipped", "succeeded")


def find_job(visit: Visit, name: str) -> str:
    """The name of a job of the project, of a broken file, or of one that only the ledger knows. Raises UnknownJob."""
    known = dasherize(name)
    if known in visit.project.jobs or known in visit.project.broken_jobs:
        return known
    if visit.history is not None and visit.history.knows(known):
        return known
    raise UnknownJob(f"there is no job {name!r}: the list of jobs has them all")


def job_facts(visit: Visit, standing: Standing, name: str) -> dict[str, Any]:
    """What the template shows."""
    job = visit.project.jobs.get(name)
    problem = next((one for one in visit.project.problems if one.job == name), None)
    pauses = () if standing.overview is None else standing.overview.pauses
    pause = next((one for one in pauses if one.job in (name, EVERY_JOB)), None)
    due = [] if job is None else _next_due(visit, job)
    facts: dict[str, Any] = {
        "name": name,
        "job": job,
        "problem": None if problem is None else {"place": str(problem.place), "message": problem.message},
        "schedules": [] if job is None else [(*schedule_words(one), one.timezone) for one in job.schedules],
        "summary": "" if job is None else job.summary,
        "pause": pause,
        "pause_until": pause and pause.until_at and at_clock(pause.until_at, visit.now, visit.zone),
        "is_own_pause": pause is not None and pause.job == name,
        "skips": 0 if standing.overview is None else sum(s.remaining for s in standing.overview.skips if s.job == name),
        "due": due[:SHOWN_DUE],
        "later": due[SHOWN_DUE:],
        "soonest": due[0] if due else None,
        "fields": [] if job is None else fields_of(job),
        "is_for_tenants": job is not None and bool(job.options["multi_tenant"]),
        "settings": [] if job is None else _settings(visit.project, job),
        "actions": {act: to_job(name, act) for act in ("run", "pause", "resume", "skip")},
        "runs_href": to("runs", job=name),
        "matters": [one for one in standing.matters if one.job == name],
    }
    return facts | _history(visit, name, job)


def _history(visit: Visit, name: str, job: JobDefinition | None) -> dict[str, Any]:
    """The pictures, the last result, and its tenants."""
    if visit.history is None:
        return {"last": None, "calendar": "", "duration": "", "lateness": "", "tenants": [], "points": 0}
    since = visit.now - timedelta(days=DAYS)
    is_for_tenants = job is not None and bool(job.options["multi_tenant"])
    limit = timedelta(seconds=60) if job is None else late_after(job)
    with visit.history.store.reading() as connection:
        slots = read_slots(connection, name, since)
        summed = read_summed(connection, name, since)
        points = read_points(connection, name, since)
        strips = read_strips(connection, [Wanted(name, is_for_tenants, limit)])[name]
        tenants = read_tenants(connection, name, most=MOST_TENANTS) if is_for_tenants else []
    begins_at = min((one.due_at for one in points), default=visit.now - _WEEK)
    step = _WEEK if visit.now - begins_at > 3 * _WEEK else max((visit.now - begins_at) / 6, timedelta(minutes=10))
    took = [(one.due_at, one.took) for one in points if one.took is not None and one.state == "succeeded"]
    late = [(one.due_at, one.lateness) for one in points if one.lateness is not None]
    span = (begins_at, visit.now, visit.zone)
    timeout = None if job is None or job.options["timeout"] is None else job.options["timeout"].total_seconds()
    ended = [one for one in strips if one.run is not None]
    return {
        "last": _last(visit, ended[-1]) if ended else None,
        "strip": [stripe_of(visit, one) for one in strips],
        "points": len(points),
        "calendar": _calendar(visit, slots, summed, name),
        "duration": duration_scatter(
            [_point(one, one.took) for one in points if one.took is not None],
            _line(quantiles(took, begins_at, visit.now, step=step)),
            *span,
            label=f"how long {count_of(len(took), 'run')} of {name} took",
            limit_s=timeout,
        ),
        "lateness": lateness_scatter(
            [_point(one, one.lateness, limit) for one in points if one.lateness is not None],
            _line(quantiles(late, begins_at, visit.now, step=step)),
            *span,
            label=f"how late {count_of(len(late), 'run')} of {name} began",
            late_after_s=limit.total_seconds(),
        ),
        "tenants": [_tenant(visit, one) for one in tenants],
        "tenants_bad": sum(one.state in ("failed", "timed_out", "interrupted") for one in tenants),
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


def _calendar(visit: Visit, slots: Sequence[Slot], summed: Sequence[SummedDay], name: str) -> str:
    """The days of the zone's calendar; those whose rows are gone are days in UTC."""
    days: dict[date, list[Slot]] = {}
    for slot in slots:
        days.setdefault(slot.begins_at.astimezone(visit.zone.tzinfo).date(), []).append(slot)
    patches = {day: _patch(visit.zone, day, its) for day, its in days.items()}
    for one in summed:
        patches.setdefault(date.fromisoformat(one.day), _summed_patch(one))
    today = visit.now.astimezone(visit.zone.tzinfo).date()
    return calendar(patches, today, label=f"the last {DAYS} days of {name}")


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


def _next_due(visit: Visit, job: JobDefinition) -> list[dict[str, Any]]:
    """The next due instants of all its schedules, soonest first, with what the clocks have to do with them."""
    found: list[tuple[Upcoming, Schedule]] = []
    for schedule in visit.planned(job):
        try:
            coming = upcoming(schedule.cron, schedule.zone, visit.now, dst=schedule.dst, offset_s=schedule.offset_s)
            found += [(one, schedule) for one in islice(coming, MOST_DUE)]
        except InvalidSchedule:  # nothing in the next fifty years
            continue
    found.sort(key=lambda one: one[0].due_at)
    return [_due(visit, one, schedule) for one, schedule in found[:MOST_DUE]]


def _due(visit: Visit, one: Upcoming, schedule: Schedule) -> dict[str, Any]:
    local = one.local
    year = "" if local.year == visit.now.year else f" {local.year}"
    return {
        "at": one.due_at,
        "day": f"{local:%a} {local.day} {local:%b}{year}",
        "clock": f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}",
        "zone": f"{local:%Z}",
        "utc": f"{one.due_at:%H:%M} UTC",
        "note": one.note,
        "is_warning": "twice" in one.note or "gap" in one.note,
        "schedule": schedule.name,
        "where": schedule.key,
        "in": show_span(one.due_at - visit.now),
    }


def _tenant(visit: Visit, one: TenantStrip) -> dict[str, Any]:
    stripes = [Stripe(state, None if took is None else took.total_seconds()) for state, took in one.runs]
    return {
        "tenant": one.tenant,
        "name": one.name or one.tenant,
        "state": one.state,
        "href": to("runs", tenant=one.tenant),
        "run_href": to_run(one.newest),
        "took": show_duration(one.took),
        "strip": mini_strip(stripes, label=f"the last runs for {one.name or one.tenant}"),
    }


def _settings(project: Project, job: JobDefinition) -> list[dict[str, str]]:
    """(name, value, origin) of each option, the author's own first."""
    rows = [
        {"name": "schedule", "value": one.cron.expression, "told": schedule_words(one)[0], "origin": str(one.place)}
        for one in job.schedules
    ]
    defaults = project.settings.places
    options = sorted(job.options.items(), key=lambda one: one[0] not in job.places)
    for name, value in options:
        if name in ("name", "params") and not value:
            continue
        origin = str(job.places.get(name) or defaults.get(f"job_defaults.{name}") or "default")
        if name == "timezone" and name not in job.places:
            origin = defaults.get("timezone", "default")
        shown = show_json(job.params.shown(value)) if name == "params" else _value(value)
        rows.append({"name": name, "value": shown, "told": "", "origin": origin.replace(", line ", ":")})
    return rows


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, timedelta):
        return format_duration(value)
    return getattr(value, "__name__", None) or str(value)
