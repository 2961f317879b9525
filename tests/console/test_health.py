"""The health routes, asked as a server asks an application."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bots import PATIENCE_S, job, locked
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pinstripe_bot.bot import Bot
from pinstripe_bot.console.application import Served, build_application
from pinstripe_bot.console.health import Health
from pinstripe_bot.console.sessions import Sessions
from pinstripe_bot.ledger_place import FOLDER
from pinstripe_bot.login_addresses import signing_key
from pinstripe_bot.project import Project
from pinstripe_bot.testing import TravelClock
from pinstripe_bot.tick_clock import STUCK_AFTER_S

OK = (200, {"status": "ok"})
FAILING = (503, {"status": "failing"})


class Ill:
    """A health with something to say."""

    def reasons_not_alive(self) -> list[str]:
        return ["the last tick was 40 s ago"]

    def reasons_not_ready(self) -> list[str]:
        return ["the last tick was 40 s ago", "the ledger does not answer"]


def get(
    application: ASGIApp, path: str, *, method: str = "GET", cookie: str = ""
) -> tuple[int, bytes, dict[bytes, bytes]]:
    """Ask the application for a path: (status, body, headers)."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"cookie", cookie.encode())],
        "server": ("127.0.0.1", 3000),
        "client": ("127.0.0.1", 50000),
    }
    asyncio.run(application(scope, receive, send))  # type: ignore[arg-type]
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], body, dict(sent[0]["headers"])


def health(application: ASGIApp, path: str, *, cookie: str = "") -> tuple[int, Any]:
    """(status, JSON) of a health route."""
    status, body, _ = get(application, path, cookie=cookie)
    return status, json.loads(body)


Serve = Callable[..., ASGIApp]


@pytest.fixture
def serve(root: Path) -> Iterator[Serve]:
    """Give the application of a project of this health, and with `own` as its own application."""
    project = Project.load(root, environ={})
    made: list[Served] = []

    def serve(health: Health | None, own: ASGIApp | None = None) -> ASGIApp:
        made.append(build_application(project, health, TravelClock(), own))
        return made[-1].application

    yield serve
    for served in made:
        served.close()


@pytest.fixture
def cookie(root: Path) -> str:
    """The cookie of somebody who has logged in to the console."""
    answer = Response()
    Sessions(signing_key(root / FOLDER), None, TravelClock()).write(answer, "someone", "password", is_https=False)
    return answer.headers["set-cookie"].partition(";")[0]


def reasons(application: ASGIApp, path: str, cookie: str) -> list[str]:
    """What somebody who has logged in is told at the route below our prefix."""
    status, told = health(application, f"/_pinstripe{path}", cookie=cookie)
    assert (status, told["status"]) == (503, "failing")
    found: list[str] = told["reasons"]
    return found


async def own_application(scope: Scope, receive: Receive, send: Send) -> None:
    """A project's own application: it answers with the path that it was asked for."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"own {scope['path']}".encode()})


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/_pinstripe/livez", "/_pinstripe/readyz"])
def test_what_is_well_answers_200(serve: Serve, path: str) -> None:
    assert health(serve(None), path) == OK


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/_pinstripe/livez", "/_pinstripe/readyz"])
def test_what_is_not_well_answers_503_and_tells_a_stranger_no_reason(serve: Serve, path: str) -> None:
    assert health(serve(Ill()), path) == FAILING


def test_who_has_logged_in_is_told_the_reasons(serve: Serve, cookie: str) -> None:
    application = serve(Ill())

    assert reasons(application, "/livez", cookie) == Ill().reasons_not_alive()
    assert reasons(application, "/readyz", cookie) == Ill().reasons_not_ready()


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_outside_of_the_console_nobody_is_told_the_reasons(serve: Serve, cookie: str, path: str) -> None:
    assert health(serve(Ill()), path, cookie=cookie) == FAILING


def test_an_answer_is_never_kept(serve: Serve) -> None:
    _, _, headers = get(serve(None), "/livez")

    assert headers[b"cache-control"] == b"no-store"


def test_a_project_without_an_application_leads_to_the_console(serve: Serve) -> None:
    status, _, headers = get(serve(None), "/")

    assert (status, headers[b"location"]) == (307, b"/_pinstripe/")


def test_a_health_route_cannot_be_posted_to(serve: Serve) -> None:
    assert get(serve(None), "/livez", method="POST")[0] == 405


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/orders", "/_pinstripes", "/_pinstripe2/livez"])
def test_a_project_that_serves_itself_has_every_path_but_ours(serve: Serve, path: str) -> None:
    assert get(serve(None, own_application), path)[1] == f"own {path}".encode()


@pytest.mark.parametrize("path", ["/_pinstripe/livez", "/_pinstripe/readyz"])
def test_beside_a_projects_application_health_is_below_our_prefix(serve: Serve, path: str) -> None:
    assert health(serve(None, own_application), path) == OK


@pytest.mark.parametrize(("path", "status"), [("/_pinstripe", 307), ("/_pinstripe/nothing", 404)])
def test_an_unknown_path_below_our_prefix_is_not_the_projects(
    serve: Serve, cookie: str, path: str, status: int
) -> None:
    application = serve(None, own_application)

    assert get(application, path)[0] == 303
    assert get(application, path, cookie=cookie)[0] == status


# With a real bot


class LoopClock(TravelClock):
    """A clock that tells when the bot's loop has gone to sleep: then its tick is over."""

    def __init__(self) -> None:
        super().__init__()
        self._ticks = threading.Semaphore(0)

    def sleep_to_next_second(self) -> None:
        self._ticks.release()
        super().sleep_to_next_second()

    def await_tick(self) -> None:
        assert self._ticks.acquire(timeout=PATIENCE_S)


@pytest.fixture
def clock() -> LoopClock:
    return LoopClock()


@pytest.fixture
def bot(make_bot: Callable[..., Bot]) -> Bot:
    return make_bot(planned=False, sweep=job())


@pytest.fixture
def running(bot: Bot, clock: LoopClock) -> Bot:
    """A bot whose loop has ticked once and sleeps."""
    bot.start()
    clock.await_tick()
    return bot


def test_a_bot_that_has_not_started_is_alive_and_not_ready(serve: Serve, bot: Bot, cookie: str) -> None:
    assert health(serve(bot), "/livez") == OK
    assert reasons(serve(bot), "/readyz", cookie) == ["the bot has not started"]


def test_a_bot_is_ready_from_its_first_tick_on(serve: Serve, running: Bot) -> None:
    assert health(serve(running), "/livez") == OK
    assert health(serve(running), "/readyz") == OK


def test_a_bot_that_stops_is_alive_and_not_ready(serve: Serve, running: Bot, cookie: str) -> None:
    with running._changing:  # nor closed meanwhile
        running.request_stop()

        assert health(serve(running), "/livez") == OK
        assert reasons(serve(running), "/readyz", cookie) == ["the bot is stopping"]


def test_a_loop_that_stands_still_is_neither_alive_nor_ready(
    serve: Serve, running: Bot, clock: LoopClock, cookie: str
) -> None:
    running.ticks.last_tick_s = clock.monotonic() - STUCK_AFTER_S - 10

    assert reasons(serve(running), "/livez", cookie) == ["the last tick was 40 s ago"]
    assert reasons(serve(running), "/readyz", cookie) == ["the last tick was 40 s ago"]


def test_a_bot_is_not_ready_while_its_ledger_does_not_answer(
    serve: Serve, running: Bot, clock: LoopClock, cookie: str
) -> None:
    with locked(running.ledger):
        clock.travel(minutes=1)
        clock.await_tick()
        told = reasons(serve(running), "/readyz", cookie)
    clock.travel(seconds=1)
    clock.await_tick()

    assert [running.ledger.store.place in reason for reason in told] == [True]
    assert health(serve(running), "/readyz") == OK


def test_a_server_without_a_bot_is_not_ready_while_its_ledger_cannot_be_read(serve: Serve, root: Path) -> None:
    application = serve(None)
    before = health(application, "/readyz")

    (root / ".pinstripe" / "ledger.db").write_bytes(b"no ledger" * 1000)

    assert before == OK
    assert health(application, "/readyz") == (503, {"status": "failing"})
