"""What the API tells: the console's facts as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from pinstripe_bot.answers import Question
from pinstripe_bot.config import describe
from pinstripe_bot.console.fields import fields_of
from pinstripe_bot.console.job_page import find_job
from pinstripe_bot.console.jobs_page import Row, rows_of
from pinstripe_bot.console.lanes import words_of
from pinstripe_bot.console.matters import Matter
from pinstripe_bot.console.run_page import hidden
from pinstripe_bot.console.runs_page import read_wanted
from pinstripe_bot.console.standing import Standing, stand
from pinstripe_bot.console.visit import Visit, late_after
from pinstripe_bot.cron_words import in_words
from pinstripe_bot.durations import format_duration
from pinstripe_bot.errors import InvalidParams, PinstripeError
from pinstripe_bot.instants import read_since
from pinstripe_bot.json_forms import (
    bot_as_json,
    coming_as_json,
    outlook_as_json,
    passed_as_json,
    record_as_json,
    run_as_json,
)
from pinstripe_bot.ledger_audit import read_audit
from pinstripe_bot.ledger_history import find_run
from pinstripe_bot.ledger_pages import Cursor, read_page
from pinstripe_bot.ledger_skips import Pause
from pinstripe_bot.ledger_timeline import read_marks, read_passed
from pinstripe_bot.occurrence import Run
from pinstripe_bot.outlook import LATELY, Coming, look_out
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.story_words import story_sentences

MOST: Final = 1000
"""How many rows one answer has at most."""


def read_now(visit: Visit, _path: Mapping[str, Any]) -> Any:
    """How the project stands, and what needs attention."""
    standing = stand(visit)
    outlook = look_out(visit.project, visit.history, visit.now, count=20)
    told = outlook_as_json(visit.project, outlook)
    return told | {"is_well": standing.is_well, "matters": [_matter(one) for one in standing.matters]}


def _matter(matter: Matter) -> dict[str, Any]:
    facts = {"kind": matter.kind, "subject": matter.subject, "told": matter.told, "why": matter.reason, "at": matter.at}
    return facts | {"job": matter.job, "run": matter.run}


def read_jobs(visit: Visit, _path: Mapping[str, Any]) -> Any:
    """All jobs."""
    return [_row(one) for one in rows_of(visit, stand(visit))]


def _row(row: Row) -> dict[str, Any]:
    job = row.job
    return {
        "name": row.name,
        "summary": "" if job is None else job.summary,
        "state": row.glyph,
        "schedules": [] if job is None else [_schedule(one) for one in job.schedules],
        "next_due_at": row.due_at,
        "last_run": None if row.last is None else run_as_json(row.last),
        "trouble": row.trouble or None,
        "problem": row.problem or None,
        "place": row.place,
        "paused": None
        if row.pause is None
        else {"who": row.pause.who, "until": row.pause.until_at, "why": row.pause.why},
    }


def _pause(pause: Pause) -> dict[str, Any]:
    return {"who": pause.who, "until": pause.until_at, "why": pause.why}


def _schedule(schedule: Schedule) -> dict[str, Any]:
    return {
        "schedule": schedule.name,
        "expression": schedule.cron.expression,
        "in_words": in_words(schedule.cron.normalized),
        "timezone": schedule.timezone,
        "enabled": schedule.enabled,
    }


def read_job(visit: Visit, path: Mapping[str, Any]) -> Any:
    """One job, with its options and its next due instants."""
    standing: Standing = stand(visit)
    name = find_job(visit, path["name"])
    row = next((one for one in rows_of(visit, standing) if one.name == name), None)
    job = visit.project.jobs.get(name)
    planned = [] if job is None else visit.planned(job)
    coming = sorted(
        (Coming(at, one) for one in planned for at in _first(one.upcoming(visit.now), 20)), key=lambda one: one.due_at
    )
    return {
        **(_row(row) if row is not None else {"name": name, "problem": "it is no longer in the project"}),
        "options": {} if job is None else {key: _plain(value) for key, value in job.options.items() if key != "params"},
        "params": {} if job is None else {one.name: one.told for one in fields_of(job) if one.name in job.params.types},
        "next": [coming_as_json(one) for one in coming[:20]],
    }


def _first(instants: Any, count: int) -> list[Any]:
    found: list[Any] = []
    try:
        for at in instants:
            found.append(at)
            if len(found) == count:
                break
    except PinstripeError:  # nothing in the next fifty years
        pass
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return format_duration(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def read_runs(visit: Visit, _path: Mapping[str, Any]) -> Any:
    """A page of runs and of what did not run."""
    wanted = read_wanted(visit)
    limit = min(max(visit.number("limit", 100), 1), MOST)
    if visit.history is None:
        return {"runs": [], "before": None}
    with visit.history.store.reading() as connection:
        page = read_page(connection, wanted, Cursor.read(visit.asked("before")), most=limit)
    rows = [run_as_json(one) if isinstance(one, Run) else passed_as_json(one) for one in page.rows]
    return {"runs": rows, "before": None if page.following is None else str(page.following)}


def read_run(visit: Visit, path: Mapping[str, Any]) -> Any:
    """One run, with all that surrounds it."""
    record = find_run(visit.history, path["number"], visit.now)
    told = record_as_json(visit.project, record)
    shown = {name: hidden(visit, record, told[name]) for name in ("output", "traceback") if told[name]}
    attempts = [one | {"output": hidden(visit, record, one["output"])} for one in told["attempts"]]
    return told | shown | {"attempts": attempts}


def read_timeline(visit: Visit, _path: Mapping[str, Any]) -> Any:
    """What stands out in a time, and what is to come."""
    since = read_since(visit.asked("since", "24h"), visit.project.config.timezone, visit.now)
    late = {name: late_after(job) for name, job in visit.project.jobs.items()}
    outlook = look_out(visit.project, None, visit.now, count=min(max(visit.number("limit", 200), 1), MOST))
    coming = [coming_as_json(one) for one in outlook.coming if one.due_at <= visit.now + LATELY]
    if visit.history is None:
        return {"since": since, "marks": [], "next": coming}
    with visit.history.store.reading() as connection:
        marks = words_of(read_marks(connection, late, since), read_passed(connection, since))
    return {"since": since, "marks": marks[:MOST], "next": coming}


def read_system(visit: Visit, _path: Mapping[str, Any]) -> Any:
    """Bots, ledger, settings, clock."""
    overview = stand(visit).overview
    bots = () if overview is None else overview.bots
    store = None if visit.history is None else visit.history.store
    places = visit.project.settings.places
    return {
        "bots": [bot_as_json(one) for one in bots],
        "ledger": None if store is None else {"place": store.place, "covers": store.covers, "bytes": store.size},
        "settings": [
            {"key": s.key, "value": s.value, "origin": places[s.key]} for s in describe(visit.project.settings)
        ],
        "timezone": visit.zone.name,
        "now": visit.now,
    }


def read_acts(visit: Visit, _path: Mapping[str, Any]) -> Any:
    """Who did what, newest first."""
    limit = min(max(visit.number("limit", 100), 1), MOST)
    if visit.history is None:
        return []
    with visit.history.store.reading() as connection:
        return read_audit(connection, before=visit.number("before", 0) or None, most=limit)


def tell_story(visit: Visit, _path: Mapping[str, Any]) -> Any:
    """What became of a job at an instant, and why."""
    name = find_job(visit, visit.asked("job"))
    job = visit.project.jobs.get(name)
    if not visit.asked("at"):
        raise InvalidParams("at is missing: write when, such as 02:30 or 2026-03-29T02:30")
    schedules = () if job is None else job.schedules
    question = Question(visit.project, name, schedules, visit.asked("at"), visit.now, tenant=visit.asked("tenant"))
    return [
        {
            "schedule": None if one.schedule is None else one.schedule.name,
            "timezone": one.zone.name,
            "sentences": one.sentences,
            "instants": [
                {"due_at": story.due_at, "sentences": story_sentences(story, one.zone, visit.now)}
                for story in one.stories
            ],
        }
        for one in question.answers(visit.history)
    ]
