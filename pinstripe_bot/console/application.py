"""The application that the server serves: the console under /_pinstripe/, the project's own everywhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from pinstripe_bot.clock import Clock
from pinstripe_bot.console import PREFIX
from pinstripe_bot.console.access import Guard
from pinstripe_bot.console.addresses import to
from pinstripe_bot.console.api import Api
from pinstripe_bot.console.attempts import Attempts
from pinstripe_bot.console.callers import is_local
from pinstripe_bot.console.health import Health, health_routes
from pinstripe_bot.console.live import Live
from pinstripe_bot.console.login import Login
from pinstripe_bot.console.metrics import MetricsCollector, exposition, registry_of
from pinstripe_bot.console.pages import Pages
from pinstripe_bot.console.rendering import ASSETS, Rendering
from pinstripe_bot.console.sessions import Sessions
from pinstripe_bot.console.visit import LedgerDoor
from pinstripe_bot.desk import open_desk
from pinstripe_bot.ledger_audit import Person, write_audit
from pinstripe_bot.ledger_place import FOLDER
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.login_addresses import LoginAddresses, signing_key
from pinstripe_bot.metrics import Tally
from pinstripe_bot.project import Project
from pinstripe_bot.tick_clock import TickClock


@dataclass(frozen=True, slots=True)
class Served:
    """What a server serves: one application; `close` lets go of the ledger, `addresses` lets people in once."""

    application: ASGIApp
    addresses: LoginAddresses
    close: Callable[[], None]


def build_application(
    project: Project,
    health: Health | None,
    clock: Clock,
    own: ASGIApp | None,
    *,
    tally: Tally | None = None,
    ticks: TickClock | None = None,
) -> Served:
    """The console beside the project's `own` application, which gets its lifespan events; they share nothing.

    `health`, `tally` and `ticks` are those of the bot in this process; without one, whether the ledger can be read
    is all that there is to tell.
    """
    config, folder = project.config.console, project.root / FOLDER
    door, rendering = LedgerDoor(project, clock), Rendering(project.name)
    health = health or _LedgerHealth(door)
    addresses = LoginAddresses(folder, clock)
    sessions = Sessions(signing_key(folder), config.password_hash, clock)
    audit = _audit_of(project, door, clock)
    login = Login(config, sessions, addresses, Attempts(clock), render=rendering.page, audit=audit)
    pages = Pages(project, door, clock, rendering, is_read_only=config.read_only, readiness=health.reasons_not_ready)
    api = Api(project, door, clock, is_read_only=config.read_only)
    metrics = MetricsCollector(project, _store_of(door), tally, clock, ticks)
    routes = [
        *health_routes(health),
        *login.routes(),
        *Live(door).routes(),
        _metrics_route(metrics),
        Mount("/assets", StaticFiles(directory=ASSETS)),
        *api.routes(),
        *pages.routes(),
    ]

    ours = Starlette(routes=[Mount(PREFIX, routes=routes)], exception_handlers=_handlers(rendering))
    beside = own or Starlette(routes=[*health_routes(health), Route("/", _lead_in(project))])
    return Served(_Beside(Guard(ours, config, sessions), beside), addresses, door.close)


_SORRY: Final = {
    404: ("Not found", "There is no such page: the links above lead to those that there are."),
    405: ("Not so", "This address is not asked for in this way."),
    500: ("That went wrong", "The console could not answer: the reason is in the log of the server."),
}


def _handlers(rendering: Rendering) -> dict[Any, Callable[[Request, Exception], Awaitable[Response]]]:
    """What is answered where no route does: a page to people, and to programs JSON."""

    def saying(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
        async def say(request: Request, error: Exception) -> Response:
            headers = getattr(error, "headers", None)
            title, told = _SORRY[status]
            if request.url.path.startswith(f"{PREFIX}/api/"):
                return JSONResponse({"error": told}, status, headers)
            page = rendering.error(title, told, status_code=status, back=to())
            page.headers.update(headers or {})
            return page

        return say

    return {status: saying(status) for status in _SORRY}


class _LedgerHealth:
    """The health of a server without a bot."""

    def __init__(self, door: LedgerDoor) -> None:
        self._door = door

    def reasons_not_alive(self) -> list[str]:
        return []

    def reasons_not_ready(self) -> list[str]:
        return [] if (problem := self._door.problem()) is None else [problem]


def _lead_in(project: Project) -> Callable[[Request], Awaitable[Response]]:
    """To the console, where it is shown; else it says what is served here."""

    async def lead_in(request: Request) -> Response:
        if is_local(request.scope) or project.config.console.is_protected:
            return RedirectResponse(to(), 307)
        return PlainTextResponse(f"Pinstripe serves the project {project.name}.\n")

    return lead_in


def _store_of(door: LedgerDoor) -> Callable[[], LedgerStore | None]:
    def store() -> LedgerStore | None:
        history = door.history()
        return None if history is None else history.store

    return store


def _metrics_route(collector: MetricsCollector) -> Route:
    registry = registry_of(collector)

    async def metrics(request: Request) -> Response:
        text, content_type = await run_in_threadpool(exposition, registry, request.headers.get("accept"))
        return Response(text, headers={"Content-Type": content_type})

    return Route("/metrics", metrics, methods=["GET"])


def _audit_of(project: Project, door: LedgerDoor, clock: Clock) -> Callable[[Person, str], None]:
    """Writes into the ledger who came; no ledger is made for it."""

    def audit(person: Person, action: str) -> None:
        if door.history() is None:
            return
        with open_desk(project, person) as desk, desk.store.writing() as connection:
            write_audit(connection, person, clock.now(), action)

    return audit


class _Beside:
    """Two applications that share nothing but the port: requests below our prefix are ours."""

    def __init__(self, ours: ASGIApp, own: ASGIApp) -> None:
        self._ours = ours
        self._own = own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_ours = scope["type"] == "http" and (path == PREFIX or path.startswith(f"{PREFIX}/"))
        await (self._ours if is_ours else self._own)(scope, receive, send)
