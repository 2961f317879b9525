"""The live stream: server-sent events that say when something has changed; one look a second, however many listen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pinstripe_bot.console.visit import LedgerDoor

LOOK_S: Final = 1.0
QUIET_S: Final = 15.0
"""After so long without news a sign is sent: whoever has gone is noticed, and so is a server that stands still."""

MOST_STREAMS: Final = 100
"""How many may listen at once: each keeps a connection."""


class _Stream(StreamingResponse):
    """Events to one client; `on_end` is called once, however it ends, also where nothing was sent."""

    def __init__(self, events: AsyncIterator[str], on_end: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_end()


class Live:
    """The stream of one project's console."""

    def __init__(self, door: LedgerDoor, *, look_s: float = LOOK_S, most: int = MOST_STREAMS) -> None:
        self._door = door
        self._look_s = look_s
        self._most = most
        self._listeners = 0
        self._mark = ""
        self._looked_at = -look_s
        self._looking = asyncio.Lock()

    def routes(self) -> list[Route]:
        return [Route("/live", self._listen, methods=["GET"])]

    async def _listen(self, _request: Request) -> Response:
        if self._listeners >= self._most:
            return PlainTextResponse("too many listen already\n", 503, headers={"Retry-After": "30"})
        self._listeners += 1  # here and not at the first event: a herd that comes at once is counted before that
        return _Stream(self._events(), self._forget)

    def _forget(self) -> None:
        self._listeners -= 1

    async def _events(self) -> AsyncIterator[str]:
        """The mark at first and whenever it is another one; who has a page with an older one looks again at it."""
        known, told_at = "", asyncio.get_running_loop().time()
        yield "retry: 2000\n\n"
        while True:
            mark = await self._current()
            now = asyncio.get_running_loop().time()
            if mark != known:
                known, told_at = mark, now
                yield f"event: changed\ndata: {mark}\n\n"
            elif now - told_at >= QUIET_S:
                told_at = now
                yield "event: quiet\ndata: .\n\n"
            await asyncio.sleep(self._look_s)

    async def _current(self) -> str:
        """The mark of the ledger, not older than a second; `lost` while it does not answer."""
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if now - self._looked_at >= self._look_s:
                self._mark, self._looked_at = await run_in_threadpool(self._door.mark), now
            return self._mark
