"""The API: all that the console shows and does, as JSON. Described in docs/api.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pinstripe_bot.clock import Clock
from pinstripe_bot.console.acting import Acting
from pinstripe_bot.console.api_reads import (
    read_acts,
    read_job,
    read_jobs,
    read_now,
    read_run,
    read_runs,
    read_system,
    read_timeline,
    tell_story,
)
from pinstripe_bot.console.pages import number_of
from pinstripe_bot.console.run_page import hidden
from pinstripe_bot.console.visit import LedgerDoor, Visit
from pinstripe_bot.errors import InvalidParams, LedgerError, PinstripeError, UnknownJob, UnknownRun, UnknownTenant
from pinstripe_bot.json_forms import (
    run_as_json,
)
from pinstripe_bot.ledger_history import find_run
from pinstripe_bot.project import Project


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
            self._read("/api/now", read_now),
            self._read("/api/jobs", read_jobs),
            self._read("/api/runs", read_runs),
            self._read("/api/runs/{number}", read_run),
            Route("/api/runs/{number}/output", self._output, methods=["GET"]),
            self._read("/api/timeline", read_timeline),
            self._read("/api/system", read_system),
            self._read("/api/audit", read_acts),
            self._read("/api/explain", tell_story),
            self._do("/api/pause", lambda acting, _path, asked: _pause(acting, "", asked)),
            self._do("/api/resume", lambda acting, _path, asked: _resume(acting, "", asked)),
            self._do("/api/runs/{number}/cancel", _cancel),
            self._do("/api/runs/{number}/retry", _retry),
            self._do("/api/jobs/{name:path}/run", _run_job),
            self._do("/api/jobs/{name:path}/pause", lambda acting, path, asked: _pause(acting, path["name"], asked)),
            self._do("/api/jobs/{name:path}/resume", lambda acting, path, asked: _resume(acting, path["name"], asked)),
            self._do("/api/jobs/{name:path}/skip", _skip),
            self._read("/api/jobs/{name:path}", read_job),
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
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidParams(f"the body is no JSON object: {error}") from error


def _text(asked: Mapping[str, Any], name: str, otherwise: str = "") -> str:
    """A text of the request's object. Raises InvalidParams for anything else."""
    value = asked.get(name, otherwise)
    if value is None:
        return otherwise
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise InvalidParams(f"{name} = {value!r} is no text: write it as a string")


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
