"""The API: all that the console shows and does, as JSON. Described in docs/api.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pinstripe_bot.answers import Question
from pinstripe_bot.clock import Clock
from pinstripe_bot.config import describe
from pinstripe_bot.console.acting import Acting
from pinstripe_bot.console.job_page import find_job
from pinstripe_bot.console.jobs_page import Row, rows_of
from pinstripe_bot.console.lanes import words_of
from pinstripe_bot.console.matters import Matter
from pinstripe_bot.console.pages import number_of
from pinstripe_bot.console.run_page import hidden
from pinstripe_bot.console.runs_page import read_wanted
from pinstripe_bot.console.standing import Standing, stand
from pinstripe_bot.console.visit import LedgerDoor, Visit, late_after
from pinstripe_bot.cron_words import in_words
from pinstripe_bot.errors import InvalidParams, LedgerError, PinstripeError, UnknownJob, UnknownRun, UnknownTenant
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
from pinstripe_bot.ledger_timeline import read_marks, read_passed
from pinstripe_bot.occurrence import Run
from pinstripe_bot.outlook import LATELY, Coming, look_out
from pinstripe_bot.project import Project
from pinstripe_bot.story_words import story_sentences

MOST: Final = 1000


class Api:
    """The JSON routes of one project's console."""

    def __init__(self, project: Project, door: LedgerDoor, clock: Clock, *, is_read_only: bool) -> None:
        self._project = project
        self._door = door
        self._clock = clock
        self._is_read_only = is_read_only

    def routes(self) -> list[Route]:
        """Reads with GET, acts with POST; longer paths first, for the name of a job may have slashes."""
        return [
            self._read("/api/now", _now),
            self._read("/api/jobs", _jobs),
            self._read("/api/runs", _runs),
            self._read("/api/runs/{number}", _run),
            Route("/api/runs/{number}/output", self._output, methods=["GET"]),
            self._read("/api/timeline", _timeline),
            self._read("/api/system", _system),
            self._read("/api/audit", _audit),
            self._read("/api/explain", _explain),
            self._do("/api/pause", lambda acting, _path, asked: _pause(acting, "", asked)),
            self._do("/api/resume", lambda acting, _path, asked: _resume(acting, "", asked)),
            self._do("/api/runs/{number}/cancel", _cancel),
            self._do("/api/runs/{number}/retry", _retry),
            self._do("/api/jobs/{name:path}/run", _run_job),
            self._do("/api/jobs/{name:path}/pause", lambda acting, path, asked: _pause(acting, path["name"], asked)),
            self._do("/api/jobs/{name:path}/resume", lambda acting, path, asked: _resume(acting, path["name"], asked)),
            self._do("/api/jobs/{name:path}/skip", _skip),
            self._read("/api/jobs/{name:path}", _job),
        ]

    def _visit(self, request: Request) -> Visit:
        person = getattr(request.state, "person", None)
        query = dict(request.query_params)
        return Visit(self._project, self._clock.now(), self._door.history(), person, self._is_read_only, query)

    def _read(self, path: str, read: Callable[[Visit, Mapping[str, Any]], Any]) -> Route:
        async def answer(request: Request) -> Response:
            return await run_in_threadpool(_told, lambda: read(self._visit(request), request.path_params))

        return Route(path, answer, methods=["GET"])

    def _do(self, path: str, act: Callable[[Acting, Mapping[str, Any], Mapping[str, Any]], Any]) -> Route:
        async def answer(request: Request) -> Response:
            body = await request.body()

            def done() -> Any:
                asked = _read_object(body)
                return act(Acting(self._project, request.state.person, self._clock), request.path_params, asked)

            return await run_in_threadpool(_told, done)

        return Route(path, answer, methods=["POST"])

    async def _output(self, request: Request) -> Response:
        """What a run has printed, as text."""

        def read() -> Response:
            try:
                visit = self._visit(request)
                record = find_run(visit.history, request.path_params["number"], visit.now)
                return PlainTextResponse(hidden(visit, record, record.run.output))
            except PinstripeError as error:
                return _refused(error)

        return await run_in_threadpool(read)


def _told(read: Callable[[], Any]) -> Response:
    """The answer as JSON, or what is wrong in one sentence."""
    try:
        return _json(read())
    except PinstripeError as error:
        return _refused(error)


def _refused(error: PinstripeError) -> Response:
    status = 404 if isinstance(error, UnknownJob | UnknownRun | UnknownTenant) else 400
    return _json({"error": str(error)}, 503 if isinstance(error, LedgerError) else status)


def _json(value: Any, status_code: int = 200) -> Response:
    return Response(msgspec.json.encode(value, enc_hook=str), status_code, media_type="application/json")


def _read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a request; nothing for no body. Raises InvalidParams."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any]) if body.strip() else {}
    except msgspec.MsgspecError as error:
        raise InvalidParams(f"the body is no JSON object: {error}") from error


def _text(asked: Mapping[str, Any], name: str, otherwise: str = "") -> str:
    """A text of the request's object. Raises InvalidParams for anything else."""
    value = asked.get(name, otherwise)
    if value is None:
        return otherwise
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise InvalidParams(f"{name} = {value!r} is no text: write it as a string")


def _now(visit: Visit, _path: Mapping[str, Any]) -> Any:
    standing = stand(visit)
    outlook = look_out(visit.project, visit.history, visit.now, count=20)
    told = outlook_as_json(visit.project, outlook)
    return told | {"is_well": standing.is_well, "matters": [_matter(one) for one in standing.matters]}


def _matter(matter: Matter) -> dict[str, Any]:
    why = matter.why.replace("|", matter.code)
    facts = {"kind": matter.kind, "subject": matter.subject, "told": matter.told, "why": why, "at": matter.at}
    return facts | {"job": matter.job, "run": matter.run}


def _jobs(visit: Visit, _path: Mapping[str, Any]) -> Any:
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
        "paused": None if row.pause is None else {"who": row.pause.who, "until": row.pause.until_at, "why": row.pause.why},
    }


def _schedule(schedule: Any) -> dict[str, Any]:
    return {
        "schedule": schedule.name,
        "expression": schedule.cron.expression,
        "in_words": in_words(schedule.cron.normalized),
        "timezone": schedule.timezone,
        "enabled": schedule.enabled,
    }


def _job(visit: Visit, path: Mapping[str, Any]) -> Any:
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
        "params": {} if job is None else {key: str(wanted) for key, wanted in job.params.types.items()},
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
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _runs(visit: Visit, _path: Mapping[str, Any]) -> Any:
    wanted = read_wanted(visit)
    limit = min(max(visit.number("limit", 100), 1), MOST)
    if visit.history is None:
        return {"runs": [], "before": None}
    with visit.history.store.reading() as connection:
        page = read_page(connection, wanted, Cursor.read(visit.asked("before")), most=limit)
    rows = [run_as_json(one) if isinstance(one, Run) else passed_as_json(one) for one in page.rows]
    return {"runs": rows, "before": None if page.following is None else str(page.following)}


def _run(visit: Visit, path: Mapping[str, Any]) -> Any:
    record = find_run(visit.history, path["number"], visit.now)
    told = record_as_json(visit.project, record)
    shown = {name: hidden(visit, record, told[name]) for name in ("output", "traceback") if told[name]}
    attempts = [one | {"output": hidden(visit, record, one["output"])} for one in told["attempts"]]
    return told | shown | {"attempts": attempts}


def _timeline(visit: Visit, _path: Mapping[str, Any]) -> Any:
    since = read_since(visit.asked("since", "24h"), visit.project.config.timezone, visit.now)
    late = {name: late_after(job) for name, job in visit.project.jobs.items()}
    outlook = look_out(visit.project, None, visit.now, count=min(max(visit.number("limit", 200), 1), MOST))
    coming = [coming_as_json(one) for one in outlook.coming if one.due_at <= visit.now + LATELY]
    if visit.history is None:
        return {"since": since, "marks": [], "next": coming}
    with visit.history.store.reading() as connection:
        marks = words_of(read_marks(connection, late, since, whole=()), read_passed(connection, since))
    return {"since": since, "marks": marks[:MOST], "next": coming}


def _system(visit: Visit, _path: Mapping[str, Any]) -> Any:
    overview = stand(visit).overview
    bots = () if overview is None else overview.bots
    store = None if visit.history is None else visit.history.store
    places = visit.project.settings.places
    return {
        "bots": [bot_as_json(one) for one in bots],
        "ledger": None if store is None else {"place": store.place, "covers": store.covers, "bytes": store.size},
        "settings": [{"key": s.key, "value": s.value, "origin": places[s.key]} for s in describe(visit.project.settings)],
        "timezone": visit.zone.name,
        "now": visit.now,
    }


def _audit(visit: Visit, _path: Mapping[str, Any]) -> Any:
    limit = min(max(visit.number("limit", 100), 1), MOST)
    if visit.history is None:
        return []
    with visit.history.store.reading() as connection:
        return read_audit(connection, before=visit.number("before", 0) or None, most=limit)


def _explain(visit: Visit, _path: Mapping[str, Any]) -> Any:
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


def _run_job(acting: Acting, path: Mapping[str, Any], asked: Mapping[str, Any]) -> Any:
    params = asked.get("params") or {}
    if not isinstance(params, dict):
        raise InvalidParams("params is no object: write it as {...}")
    return run_as_json(acting.run(path["name"], params, tenant=_text(asked, "tenant")))


def _pause(acting: Acting, name: str, asked: Mapping[str, Any]) -> Any:
    words = {key: _text(asked, key) for key in ("until", "reason", "tenant")}
    pause = acting.pause(name, **words)
    return {"job": pause.job or None, "since": pause.paused_at, "until": pause.until_at, "who": pause.who}


def _resume(acting: Acting, name: str, asked: Mapping[str, Any]) -> Any:
    resumed = acting.resume(name, tenant=_text(asked, "tenant"))
    return {"was_paused": resumed.pause is not None, "passed": resumed.passed}


def _skip(acting: Acting, path: Mapping[str, Any], asked: Mapping[str, Any]) -> Any:
    facts = {key: _text(asked, key) for key in ("schedule", "reason")}
    return {"skips": acting.skip(path["name"], count=_text(asked, "count", "1"), **facts)}


def _cancel(acting: Acting, path: Mapping[str, Any], _asked: Mapping[str, Any]) -> Any:
    return run_as_json(acting.cancel(number_of(path["number"])))


def _retry(acting: Acting, path: Mapping[str, Any], asked: Mapping[str, Any]) -> Any:
    return run_as_json(acting.retry(number_of(path["number"]), force=asked.get("force") is True))
