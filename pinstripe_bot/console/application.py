"""The application that the server serves: ours under /_pinstripe/, the project's own everywhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pinstripe_bot.console.health import Health, health_routes

PREFIX = "/_pinstripe"


def build_application(health: Health, project: str, own: ASGIApp | None) -> ASGIApp:
    """One ASGI application from our routes and the project's `own` application, which gets its lifespan events."""
    ours = Mount(PREFIX, routes=list(health_routes(health)))
    if own is None:
        return Starlette(routes=[ours, *health_routes(health), Route("/", _greet(project))])
    return _Beside(Starlette(routes=[ours]), own)


def _greet(project: str) -> Callable[[Request], Awaitable[Response]]:
    async def greet(_request: Request) -> Response:
        return PlainTextResponse(
            f"Pinstripe serves the project {project}. Its health: {PREFIX}/livez and {PREFIX}/readyz.\n"
        )

    return greet


class _Beside:
    """Two applications that share nothing but the port: requests below our prefix are ours."""

    def __init__(self, ours: ASGIApp, own: ASGIApp) -> None:
        self._ours = ours
        self._own = own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_ours = scope["type"] == "http" and (path == PREFIX or path.startswith(f"{PREFIX}/"))
        await (self._ours if is_ours else self._own)(scope, receive, send)
