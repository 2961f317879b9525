"""The health routes, asked as a server asks an application."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from bots import PATIENCE_S, job, locked
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pinstripe_bot.bot import Bot
from pinstripe_bot.console.application import build_application
from pinstripe_bot.console.health import AlwaysWell, Health
from pinstripe_bot.testing import TravelClock
from pinstripe_bot.tick_clock import STUCK_AFTER_S

OK = (200, {"status": "ok"})


class Ill:
    """A health with something to say."""

    def reasons_not_alive(self) -> list[str]:
        return ["the last tick was 40 s ago"]

    def reasons_not_ready(self) -> list[str]:
        return ["the last tick was 40 s ago", "the ledger does not answer"]


def get(application: ASGIApp, path: str, *, method: str = "GET") -> tuple[int, bytes, dict[bytes, bytes]]:
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
        "headers": [],
    }
    asyncio.run(application(scope, receive, send))  # type: ignore[arg-type]
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], body, dict(sent[0]["headers"])


def health(application: ASGIApp, path: str) -> tuple[int, Any]:
    """(status, JSON) of a health route."""
    status, body, _ = get(application, path)
    return status, json.loads(body)


def served(health: Health, own: ASGIApp | None = None) -> ASGIApp:
    return build_application(health, "shop", own)


async def own_application(scope: Scope, receive: Receive, send: Send) -> None:
    """A project's own application: it answers with the path that it was asked for."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"own {scope['path']}".encode()})


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/_pinstripe/livez", "/_pinstripe/readyz"])
def test_what_is_well_answers_200(path: str) -> None:
    assert health(served(AlwaysWell()), path) == OK


@pytest.mark.parametrize("prefix", ["", "/_pinstripe"])
def test_what_is_not_well_answers_503_with_the_reasons(prefix: str) -> None:
    application = served(Ill())

    assert health(application, f"{prefix}/livez") == (503, {"status": "failing", "reasons": Ill().reasons_not_alive()})
    assert health(application, f"{prefix}/readyz") == (503, {"status": "failing", "reasons": Ill().reasons_not_ready()})


def test_an_answer_is_never_kept() -> None:
    _, _, headers = get(served(AlwaysWell()), "/livez")

    assert headers[b"cache-control"] == b"no-store"


def test_a_project_without_an_application_greets() -> None:
    status, body, _ = get(served(AlwaysWell()), "/")

    assert status == 200
    assert b"serves the project shop" in body


def test_a_health_route_cannot_be_posted_to() -> None:
    assert get(served(AlwaysWell()), "/livez", method="POST")[0] == 405


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/orders", "/_pinstripes", "/_pinstripe2/livez"])
def test_a_project_that_serves_itself_has_every_path_but_ours(path: str) -> None:
    assert get(served(AlwaysWell(), own_application), path)[1] == f"own {path}".encode()


@pytest.mark.parametrize("path", ["/_pinstripe/livez", "/_pinstripe/readyz"])
def test_beside_a_projects_application_health_is_below_our_prefix(path: str) -> None:
    assert health(served(AlwaysWell(), own_application), path) == OK


@pytest.mark.parametrize("path", ["/_pinstripe", "/_pinstripe/nothing"])
def test_an_unknown_path_below_our_prefix_is_not_the_projects(path: str) -> None:
    assert get(served(AlwaysWell(), own_application), path)[0] in (307, 404)


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


def failing(*reasons: str) -> tuple[int, Any]:
    return 503, {"status": "failing", "reasons": list(reasons)}


def test_a_bot_that_has_not_started_is_alive_and_not_ready(bot: Bot) -> None:
    assert health(served(bot), "/livez") == OK
    assert health(served(bot), "/readyz") == failing("the bot has not started")


def test_a_bot_is_ready_from_its_first_tick_on(running: Bot) -> None:
    assert health(served(running), "/livez") == OK
    assert health(served(running), "/readyz") == OK


def test_a_bot_that_stops_is_alive_and_not_ready(running: Bot) -> None:
    running.request_stop()

    assert health(served(running), "/livez") == OK
    assert health(served(running), "/readyz") == failing("the bot is stopping")


def test_a_loop_that_stands_still_is_neither_alive_nor_ready(running: Bot, clock: LoopClock) -> None:
    running.ticks.last_tick_s = clock.monotonic() - STUCK_AFTER_S - 10

    assert health(served(running), "/livez") == failing("the last tick was 40 s ago")
    assert health(served(running), "/readyz") == failing("the last tick was 40 s ago")


def test_a_bot_is_not_ready_while_its_ledger_does_not_answer(running: Bot, clock: LoopClock) -> None:
    with locked(running.ledger):
        clock.travel(minutes=1)
        clock.await_tick()
        status, told = health(served(running), "/readyz")
    clock.travel(seconds=1)
    clock.await_tick()

    assert status == 503
    assert [running.ledger.store.place in reason for reason in told["reasons"]] == [True]
    assert health(served(running), "/readyz") == OK
