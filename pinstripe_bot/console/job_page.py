"""The page of one job: its days, how long it lasted, how late it was, its settings, and what can be done with it."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import Any, Final

from pinstripe_bot.console.addresses import to, to_job
from pinstripe_bot.console.fields import fields_of
from pinstripe_bot.console.job_history import history_facts
from pinstripe_bot.console.schedule_words import schedule_words
from pinstripe_bot.console.standing import Standing
from pinstripe_bot.console.visit import Visit
from pinstripe_bot.console.words import at_clock
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.durations import format_duration
from pinstripe_bot.errors import InvalidSchedule, UnknownJob
from pinstripe_bot.job import dasherize
from pinstripe_bot.ledger_overview import Overview, fates
from pinstripe_bot.ledger_skips import EVERY_JOB
from pinstripe_bot.occurrence import Reason
from pinstripe_bot.project import Project
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.shown import show_json
from pinstripe_bot.spans import show_span
from pinstripe_bot.upcoming import Upcoming, upcoming

MOST_DUE: Final = 20
SHOWN_DUE: Final = 10


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
    due = [] if job is None else _next_due(visit, standing, job)
    settings = [] if job is None else _settings(visit.project, job)
    facts: dict[str, Any] = {
        "name": name,
        "job": job,
        "problem": None if problem is None else {"place": str(problem.place), "message": problem.message},
        "schedules": [] if job is None else [(*schedule_words(one), one.timezone) for one in job.schedules],
        "summary": "" if job is None else job.summary,
        "pause": pause,
        "tenant_pauses": [] if standing.overview is None else _tenant_pauses(visit, standing.overview, name),
        "pause_until": pause and pause.until_at and at_clock(pause.until_at, visit.now, visit.zone),
        "is_own_pause": pause is not None and pause.job == name,
        "skips": 0 if standing.overview is None else sum(s.remaining for s in standing.overview.skips if s.job == name),
        "due": due[:SHOWN_DUE],
        "later": due[SHOWN_DUE:],
        "soonest": due[0] if due else None,
        "fields": [] if job is None else fields_of(job),
        "is_for_tenants": job is not None and bool(job.options["multi_tenant"]),
        "settings": [one for one in settings if one["origin"] != "default"],
        "defaults": [one for one in settings if one["origin"] == "default"],
        "actions": {act: to_job(name, act) for act in ("run", "pause", "resume", "skip")},
        "runs_href": to("runs", job=name),
        "matters": [one for one in standing.matters if one.job == name],
    }
    return facts | history_facts(visit, name, job)


def _tenant_pauses(visit: Visit, overview: Overview, name: str) -> list[dict[str, Any]]:
    """The pauses of single tenants in this job."""
    return [
        {
            "tenant": one.tenant,
            "name": overview.tenant_names.get(one.tenant) or one.tenant,
            "who": one.who,
            "why": one.why,
            "until": "" if one.until_at is None else at_clock(one.until_at, visit.now, visit.zone),
            "is_own": one.job == name,
        }
        for one in overview.tenant_pauses
        if one.job in (name, EVERY_JOB)
    ]


def _next_due(visit: Visit, standing: Standing, job: JobDefinition) -> list[dict[str, Any]]:
    """The next due instants of all its schedules, soonest first, with what the clocks have to do with them."""
    found: list[tuple[Upcoming, Schedule]] = []
    for schedule in visit.planned(job):
        try:
            coming = upcoming(schedule.cron, schedule.zone, visit.now, dst=schedule.dst, offset_s=schedule.offset_s)
            found += [(one, schedule) for one in islice(coming, MOST_DUE)]
        except InvalidSchedule:  # nothing in the next fifty years
            continue
    found = sorted(found, key=lambda one: one[0].due_at)[:MOST_DUE]
    overview = standing.overview
    fate = [None] * len(found) if overview is None else fates(overview, [(one.due_at, its) for one, its in found])
    return [_due(visit, one, its, reason) for (one, its), reason in zip(found, fate, strict=True)]


_FATES: Final = {Reason.PAUSED: "paused: it will not run", Reason.SKIP_ASKED: "will be skipped, as somebody asked"}


def _due(visit: Visit, one: Upcoming, schedule: Schedule, fate: Reason | None) -> dict[str, Any]:
    local = one.local
    year = "" if local.year == visit.now.year else f" {local.year}"
    return {
        "at": one.due_at,
        "day": f"{local:%a} {local.day} {local:%b}{year}",
        "clock": f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}",
        "zone": f"{local:%Z}",
        "utc": f"{one.due_at:%H:%M:%S} UTC" if one.due_at.second else f"{one.due_at:%H:%M} UTC",
        "note": "; ".join(filter(None, (_FATES.get(fate, "") if fate else "", one.note))),
        "is_warning": fate is not None or "twice" in one.note or "gap" in one.note,
        "schedule": schedule.name,
        "where": schedule.key,
        "in": show_span(one.due_at - visit.now),
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
