"""The live stream: what it says at first and when something changes, how many may listen, and who has left."""

from __future__ import annotations

import asyncio
from typing import Any

from bots import locked
from starlette.applications import Starlette
from starlette.types import Message

from pinstripe_bot.console.live import Live
from pinstripe_bot.console.visit import LedgerDoor

from .asking import scope_of
from .whole import WholeConsole

PATIENCE_S = 10.0


class Listener:
    """Somebody who listens to the stream of an application, until `leave`."""

    def __init__(self, application: Any) -> None:
        self.status = 0
        self._events: asyncio.Queue[str] = asyncio.Queue()
        self._has_left = asyncio.Event()
        self._task = asyncio.create_task(application(scope_of("/live"), self._receive, self._send))

    async def event(self) -> str:
        """The next event; comments and settings are passed over."""
        while True:
            text = await asyncio.wait_for(self._events.get(), PATIENCE_S)
            if text.startswith("event:"):
                return text

    async def mark(self) -> str:
        return (await self.event()).partition("data: ")[2].strip()

    async def leave(self) -> None:
        self._has_left.set()
        await asyncio.wait_for(self._task, PATIENCE_S)

    async def end(self) -> None:
        await asyncio.wait_for(self._task, PATIENCE_S)

    async def _receive(self) -> Message:
        await self._has_left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif text := message.get("body", b"").decode():
            self._events.put_nowait(text)


def stream_of(whole: WholeConsole, *, most: int = 100) -> Starlette:
    """The stream of a console alone, which looks more often than once a second: it has the event loop's clock only."""
    live = Live(LedgerDoor(whole.project, whole.clock), look_s=0.02, most=most)
    return Starlette(routes=live.routes())


def test_it_says_at_first_how_the_ledger_is_and_then_what_has_changed(whole: WholeConsole) -> None:
    stream = stream_of(whole)

    async def listen() -> tuple[str, str]:
        listener = Listener(stream)
        first = await listener.mark()
        await asyncio.to_thread(whole.acting.run, "apart", {})
        then = await listener.mark()
        await listener.leave()
        return first, then

    first, then = asyncio.run(listen())

    assert first not in ("", "lost", "none")
    assert then not in (first, "lost", "none")


def test_without_a_ledger_it_says_none_until_there_is_one(empty: WholeConsole) -> None:
    stream = stream_of(empty)

    async def listen() -> list[str]:
        listener = Listener(stream)
        marks = [await listener.mark()]
        await asyncio.to_thread(empty.acting.run, "hello", {})
        marks.append(await listener.mark())
        await listener.leave()
        return marks

    first, then = asyncio.run(listen())

    assert (first, then == "none") == ("none", False)


def test_while_the_ledger_cannot_be_read_it_says_lost(empty: WholeConsole) -> None:
    file = empty.project.root / ".pinstripe/ledger.db"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"no database at all" * 100)

    stream = stream_of(empty)

    async def listen() -> str:
        listener = Listener(stream)
        mark = await listener.mark()
        await listener.leave()
        return mark

    assert asyncio.run(listen()) == "lost"


def test_a_locked_ledger_is_read_all_the_same(whole: WholeConsole) -> None:
    stream = stream_of(whole)

    async def listen() -> str:
        listener = Listener(stream)
        mark = await listener.mark()
        await listener.leave()
        return mark

    with locked(whole.bot.ledger):
        assert asyncio.run(listen()) not in ("lost", "none")


def test_no_more_than_so_many_listen_and_who_leaves_makes_room(empty: WholeConsole) -> None:
    stream = stream_of(empty, most=3)

    async def listen() -> list[int]:
        many = [Listener(stream) for _ in range(3)]
        for one in many:
            await one.event()
        refused = Listener(stream)
        await refused.end()
        await many[0].leave()
        next_one = Listener(stream)
        await next_one.event()
        for one in (*many[1:], next_one):
            await one.leave()
        return [many[0].status, refused.status, next_one.status]

    assert asyncio.run(listen()) == [200, 503, 200]


def test_however_they_leave_nobody_is_counted_any_more(empty: WholeConsole) -> None:
    live = Live(LedgerDoor(empty.project, empty.clock), look_s=0.02)
    (route,) = live.routes()

    async def listen() -> None:
        many = [Listener(route.app) for _ in range(20)]
        for one in many:
            await one.event()
        assert live._listeners == 20
        for one in many[:10]:
            await one.leave()
        for one in many[10:]:
            one._task.cancel()
        await asyncio.gather(*(one._task for one in many[10:]), return_exceptions=True)

    asyncio.run(listen())

    assert live._listeners == 0


def test_a_herd_that_comes_at_once_is_not_let_in_whole(empty: WholeConsole) -> None:
    """Each is counted when it is let in, not when its first event is sent."""
    stream = stream_of(empty, most=5)

    async def listen() -> list[int]:
        many = [Listener(stream) for _ in range(20)]
        await asyncio.sleep(0.2)
        for one in many:
            await one.leave()
        return [one.status for one in many]

    statuses = asyncio.run(listen())

    assert (statuses.count(200), statuses.count(503)) == (5, 15)
