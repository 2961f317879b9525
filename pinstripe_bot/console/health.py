"""The health routes: is the process alive, and is it ready to work."""

from __future__ import annotations

from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class Health(Protocol):
    """Who knows how the process is."""

    def reasons_not_alive(self) -> list[str]:
        """Why the process should be started again; empty while it lives."""

    def reasons_not_ready(self) -> list[str]:
        """Why the process cannot do its work now; empty while it can."""


def health_routes(health: Health) -> list[Route]:
    """GET /livez and /readyz: 200 with `{"status": "ok"}`, or 503; with the reasons for who may use the console."""

    async def livez(request: Request) -> Response:
        return _answer(request, await run_in_threadpool(health.reasons_not_alive))

    async def readyz(request: Request) -> Response:
        return _answer(request, await run_in_threadpool(health.reasons_not_ready))

    return [Route("/livez", livez), Route("/readyz", readyz)]


def _answer(request: Request, reasons: list[str]) -> Response:
    headers = {"Cache-Control": "no-store"}
    if reasons:
        is_known = getattr(request.state, "person", None) is not None
        told = {"status": "failing"} | ({"reasons": reasons} if is_known else {})
        return JSONResponse(told, status_code=503, headers=headers)
    return JSONResponse({"status": "ok"}, headers=headers)
