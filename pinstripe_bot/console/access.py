"""Who may use the console: every request to it passes here first, and is let through or refused in one sentence."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

import structlog
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pinstripe_bot.console import PREFIX
from pinstripe_bot.console.bodies import LIMIT, TIMEOUT_S, Gone, TooLarge, TooSlow, read_body, replay
from pinstripe_bot.console.callers import client_of, is_from, is_host_allowed, is_local, is_same_site
from pinstripe_bot.console.sealing import Sealed
from pinstripe_bot.console.sessions import COOKIE, Sessions
from pinstripe_bot.console_settings import ConsoleConfig
from pinstripe_bot.ledger_audit import Person

HEALTH = ("/livez", "/readyz")

OPEN = ("/login", "/logout")
"""Where people become somebody, and nobody again."""

_NOT_TEXT: Final = re.compile("[\0\ud800-\udfff]")
"""What no name has and not every ledger takes: a zero character, or half of one."""

log = structlog.get_logger("pinstripe")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: the path below our prefix, by which method."""

    scope: Scope
    path: str
    method: str

    @classmethod
    def of(cls, scope: Scope) -> Asked:
        path = scope["path"]
        is_below = path == PREFIX or path.startswith(f"{PREFIX}/")
        return cls(scope, path.removeprefix(PREFIX) if is_below else path, scope["method"].upper())

    @property
    def is_safe(self) -> bool:
        return self.method in ("GET", "HEAD", "OPTIONS")

    @property
    def has_readable_query(self) -> bool:
        try:
            self.scope.get("query_string", b"").decode()
        except UnicodeDecodeError:
            return False
        return True

    @property
    def is_asset(self) -> bool:
        return self.method in ("GET", "HEAD") and self.path.startswith("/assets/") and ".." not in self.path

    @property
    def is_page(self) -> bool:
        """Whether a person asks for something to read, not a program."""
        return self.method in ("GET", "HEAD") and not f"{self.path}/".startswith(("/api/", "/metrics/"))

    def refuse(self, status: int, sentence: str, **headers: str) -> Response:
        if self.is_page:
            return PlainTextResponse(f"{sentence}\n", status, headers)
        return JSONResponse({"error": sentence}, status, headers)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who asks, None for a stranger; and the answer to those who are not let through."""

    person: Person | None
    refusal: Response | None = None


class Guard:
    """Stands around the console's routes; what passes finds who asks in `request.state.person`, a Person or None.

    Works before a Mount at our prefix as well as inside of it. The server hands on the connection's own addresses
    (uvicorn: `proxy_headers=False`): whom a proxy asks for is read here.
    """

    def __init__(
        self, app: ASGIApp, config: ConsoleConfig, sessions: Sessions, *, body_timeout_s: float = TIMEOUT_S
    ) -> None:
        self._app = app
        self._config = config
        self._sessions = sessions
        self._proxies = config.proxies
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # the console has none
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Asked.of(scope)
        sealed = Sealed(send, may_be_kept=asked.is_asset)
        try:
            await self._answer(asked, receive, sealed)
        except Exception:  # a wall: whatever our routes raise, no traceback leaves the process
            log.exception("console_failed", method=asked.method, path=asked.path)
            if not sealed.has_started:
                sorry = asked.refuse(500, "the console could not answer: the reason is in the log of the server")
                await sorry(scope, receive, sealed)

    async def _answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        verdict = self._judge(asked)
        scope = {**asked.scope, "state": {**asked.scope.get("state", {}), "person": verdict.person}}
        if verdict.refusal is not None:
            await verdict.refusal(scope, receive, send)
            return
        if not asked.is_safe:
            body = await read_body(scope, receive, timeout_s=self._body_timeout_s)
            if isinstance(body, Gone):
                return
            if not isinstance(body, bytes):
                await _refuse_body(asked, body)(scope, receive, send)
                return
            receive = replay(body, receive)
        await self._app(scope, receive, send)

    def _judge(self, asked: Asked) -> Verdict:
        is_open = is_local(asked.scope) or self._config.is_protected
        is_ours = is_open and is_host_allowed(asked.scope, self._config.hosts)
        if asked.path in HEALTH:
            return Verdict(self._person(asked.scope) if is_ours else None)
        if not is_open or _NOT_TEXT.search(asked.path):
            return Verdict(None, asked.refuse(404, "Not Found"))
        if not asked.has_readable_query:
            return Verdict(None, asked.refuse(400, "what follows the question mark is not UTF-8: write it as %XX"))
        if not is_ours:
            return Verdict(None, asked.refuse(421, "the console is not known by this name: add it to console.hosts"))
        person = self._person(asked.scope)
        if person is None and not asked.is_asset and asked.path not in OPEN:
            return Verdict(None, _ask_to_log_in(asked))
        return Verdict(person, None if asked.is_safe else self._refuse_unsafe(asked))

    def _person(self, scope: Scope) -> Person | None:
        who = self._who(scope)
        return None if who is None else Person(who, f"console from {client_of(scope, self._proxies)}")

    def _who(self, scope: Scope) -> str | None:
        if self._has_token(scope):
            return "token"
        if (named := self._named_by_proxy(scope)) is not None:
            return named
        session = self._sessions.read(HTTPConnection({**scope, "type": "http"}).cookies.get(COOKIE))
        return None if session is None else session.who

    def _has_token(self, scope: Scope) -> bool:
        sent = Headers(scope=scope).getlist("authorization")
        if not self._config.token or len(sent) != 1:
            return False
        kind, _, token = sent[0].partition(" ")
        given = token.strip().encode("utf-8", "surrogatepass")
        return kind.lower() == "bearer" and hmac.compare_digest(given, self._config.token.encode())

    def _named_by_proxy(self, scope: Scope) -> str | None:
        """Whom the proxy says that it has let in; nobody where somebody else speaks, or two say something."""
        if not self._config.proxy_header or not is_from(scope, self._proxies):
            return None
        named = Headers(scope=scope).getlist(self._config.proxy_header)
        if len(named) != 1:
            return None
        name = named[0].encode("latin-1").decode("utf-8", "replace").strip()
        return name if name.isprintable() and 0 < len(name) <= 200 else None

    def _refuse_unsafe(self, asked: Asked) -> Response | None:
        if not is_same_site(asked.scope) and not self._has_token(asked.scope):
            return asked.refuse(403, "only a page of the console, or a script with its token, may change something")
        if self._config.read_only and asked.path not in OPEN:
            return asked.refuse(403, "this console only shows: console.read_only is set")
        return None


def _ask_to_log_in(asked: Asked) -> Response:
    if not asked.is_page:
        sentence = "log in first: send the token as 'Authorization: Bearer TOKEN', or the cookie of a login"
        return asked.refuse(401, sentence, **{"WWW-Authenticate": "Bearer"})
    wanted = quote(PREFIX + (asked.path or "/"), errors="replace")
    if query := asked.scope.get("query_string", b""):
        wanted += "?" + quote(query, safe="%&=+,;")
    return RedirectResponse(f"{PREFIX}/login?{urlencode({'next': wanted})}", 303)


def _refuse_body(asked: Asked, body: TooLarge | TooSlow) -> Response:
    if isinstance(body, TooLarge):
        return asked.refuse(413, f"the request is larger than {LIMIT // 1024} KiB", Connection="close")
    return asked.refuse(408, "the request did not come to its end in time", Connection="close")
