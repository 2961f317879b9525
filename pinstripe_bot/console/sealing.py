"""What every answer of the console tells the browser: what the page may load and do, and that it is not kept."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Sealed:
    """A `send` that adds our headers to whatever is answered; only assets may be kept by the browser."""

    def __init__(self, send: Send, *, may_be_kept: bool) -> None:
        self._send = send
        self._may_be_kept = may_be_kept
        self.has_started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_started = True
            message = {**message, "headers": list(message.get("headers", ()))}
            headers = MutableHeaders(raw=message["headers"])
            for name, value in HEADERS.items():
                headers[name] = value
            if not self._may_be_kept or message["status"] >= 400:
                headers["Cache-Control"] = "no-store"
        await self._send(message)
