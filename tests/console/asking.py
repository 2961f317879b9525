"""How tests ask the console: whole requests to an ASGI application, and what came back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.types import ASGIApp, Message, Scope

LOCAL = ("127.0.0.1", 3000)
AFAR = ("10.0.0.5", 3000)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def error(self) -> Any:
        return json.loads(self.body)["error"]

    @property
    def cookie(self) -> str:
        """The cookie that it sets, as the browser sends it back."""
        return (self.header("set-cookie") or "").partition(";")[0]


def scope_of(
    path: str,
    *,
    method: str = "GET",
    query: str = "",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    host: str | None = "localhost:3000",
    cookie: str = "",
    server: tuple[str, int] | None = LOCAL,
    client: tuple[str, int] | None = ("127.0.0.1", 50000),
    scheme: str = "http",
) -> Scope:
    """A request as a server hands it on."""
    pairs = [*(headers.items() if isinstance(headers, Mapping) else headers)]
    pairs += [("host", host)] if host is not None else []
    pairs += [("cookie", cookie)] if cookie else []
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": path,
        "raw_path": path.encode("utf-8", "replace"),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode("latin-1"), value.encode("utf-8")) for name, value in pairs],
        "server": server,
        "client": client,
        "state": {},
    }


def messages(*parts: bytes) -> list[Message]:
    """A body that comes in these parts."""
    parts = parts or (b"",)
    last = len(parts) - 1
    return [{"type": "http.request", "body": part, "more_body": at < last} for at, part in enumerate(parts)]


def send(application: ASGIApp, scope: Scope, incoming: list[Message] | None = None) -> Answer | None:
    """The answer, None where there is none. After what is `incoming` the client says no more."""
    left = list(messages() if incoming is None else incoming)
    sent: list[Message] = []

    async def receive() -> Message:
        if left:
            return left.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def collect(message: Message) -> None:
        sent.append(message)

    asyncio.run(application(scope, receive, collect))  # type: ignore[arg-type]
    if not sent:
        return None
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent[0]["headers"]]
    return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent))


def ask(application: ASGIApp, path: str, *, body: bytes = b"", **options: Any) -> Answer:
    """The answer to a request for a path below our prefix."""
    answer = send(application, scope_of(f"/_pinstripe{path}", **options), messages(body))
    assert answer is not None
    return answer


SAME_SITE = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}


def post(application: ASGIApp, path: str, form: Mapping[str, str] | None = None, **options: Any) -> Answer:
    """The answer to a form that a page of the console sends."""
    options.setdefault("headers", SAME_SITE)
    return ask(application, path, method="POST", body=urlencode(form or {}).encode(), **options)
