"""What a request brings along, read whole before it is acted upon: neither too much of it nor too slowly."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

LIMIT = 64 * 1024

TIMEOUT_S = 10.0


class TooLarge:
    """The body is above the limit, or says so."""


class TooSlow:
    """The body did not come in time."""


class Gone:
    """The client went away in the middle."""


async def read_body(scope: Scope, receive: Receive, *, timeout_s: float) -> bytes | TooLarge | TooSlow | Gone:
    """The whole body, or why there is none."""
    declared = Headers(scope=scope).get("content-length", "0").strip()
    if not (declared.isascii() and declared.isdigit()) or len(declared) > 10 or int(declared) > LIMIT:
        return TooLarge()
    try:
        async with asyncio.timeout(timeout_s):
            return await _collect(receive)
    except TimeoutError:
        return TooSlow()


async def _collect(receive: Receive) -> bytes | TooLarge | Gone:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return Gone()
        body += message.get("body", b"")
        if len(body) > LIMIT:
            return TooLarge()
        if not message.get("more_body", False):
            return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives this body first, and then whatever comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
