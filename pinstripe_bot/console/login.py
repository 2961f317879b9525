"""Logging in to the console, with a password or by an address that works once, and logging out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pinstripe_bot.console import PREFIX
from pinstripe_bot.console.attempts import Attempts
from pinstripe_bot.console.callers import client_of, is_https
from pinstripe_bot.console.sessions import Sessions
from pinstripe_bot.console_settings import ConsoleConfig
from pinstripe_bot.errors import LedgerError
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.login_addresses import LoginAddresses
from pinstripe_bot.passwords import matches

Audit = Callable[[Person, str], None]
"""Writes into the ledger who did what. Raises LedgerError."""

HOME = f"{PREFIX}/"

AT_ONCE = 2
"""How many passwords are hashed at the same time: each takes 32 MiB for as long as it lasts."""

USED_UP = "This address has been used, or is older than 10 minutes."
WRONG_PASSWORD = "That is not the password."
TOO_OFTEN = "Too many attempts: try again in {wait_s} seconds."

log = structlog.get_logger("pinstripe")


class Render(Protocol):
    """Makes a page from the template of this name."""

    def __call__(self, name: str, /, *, status_code: int = 200, **facts: Any) -> Response: ...


class Login:
    """The routes `login` and `logout`; the Guard lets strangers come here."""

    def __init__(
        self,
        config: ConsoleConfig,
        sessions: Sessions,
        addresses: LoginAddresses,
        attempts: Attempts,
        *,
        render: Render,
        audit: Audit,
    ) -> None:
        self._config = config
        self._proxies = config.proxies
        self._sessions = sessions
        self._addresses = addresses
        self._attempts = attempts
        self._render = render
        self._audit = audit
        self._hashing = asyncio.Semaphore(AT_ONCE)

    def routes(self) -> list[Route]:
        """GET and POST /login, POST /logout."""
        return [
            Route("/login", self._show, methods=["GET"]),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        """The page with the form. An address is only looked at: a preview that fetches it must not use it up."""
        key = request.query_params.get("key", "")
        if request.state.person is not None and not key:
            # Whoever comes by a link on a foreign page brings no cookie, and is sent here; the next click brings it.
            return RedirectResponse(safe_next(request.query_params.get("next", "")), 303)
        if key and not self._addresses.is_valid(key):
            return self._page(request.query_params, problem=USED_UP, status_code=403)
        return self._page(request.query_params, key=key)

    async def _log_in(self, request: Request) -> Response:
        try:
            form = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), max_num_fields=10))
        except ValueError:
            return self._page({}, problem="That form is not ours.", status_code=400)
        way = "login address" if "key" in form else "password"
        address = client_of(request.scope, self._proxies)
        if wait_s := self._attempts.begin(address):
            log.warning("console_login_refused", way=way, address=address, reason="too_often")
            page = self._page(form, problem=TOO_OFTEN.format(wait_s=wait_s), status_code=429)
            page.headers["Retry-After"] = str(wait_s)
            return page
        if not await self._is_right(form):
            log.warning("console_login_refused", way=way, address=address, reason="wrong")
            return self._page(form, problem=USED_UP if "key" in form else WRONG_PASSWORD, status_code=403)
        self._attempts.succeed(address)
        return await self._let_in(request, form, way, address)

    async def _is_right(self, form: Mapping[str, str]) -> bool:
        if "key" in form:
            return await run_in_threadpool(self._addresses.spend, form["key"])
        if not self._config.password_hash or "password" not in form:
            return False
        async with self._hashing:
            return await run_in_threadpool(matches, form["password"], self._config.password_hash)

    async def _let_in(self, request: Request, form: Mapping[str, str], way: str, address: str) -> Response:
        log.info("console_login", who=way, way=way, address=address)
        try:
            await run_in_threadpool(self._audit, Person(way, f"console from {address}"), "login")
        except LedgerError as error:  # who comes to look why the ledger does not answer must get in
            log.warning("console_login_unrecorded", who=way, address=address, error=str(error))
        answer = RedirectResponse(safe_next(form.get("next", "")), 303)
        self._sessions.write(answer, way, way, is_https=is_https(request.scope, self._proxies))
        return answer

    async def _log_out(self, request: Request) -> Response:
        answer = RedirectResponse(f"{PREFIX}/login", 303)
        self._sessions.forget(answer, is_https=is_https(request.scope, self._proxies))
        return answer

    def _page(self, asked: Mapping[str, str], *, key: str = "", problem: str = "", status_code: int = 200) -> Response:
        return self._render(
            "login.html",
            status_code=status_code,
            key=key,
            next=safe_next(asked.get("next", "")),
            has_password=self._config.password_hash is not None,
            problem=problem,
        )


def safe_next(wanted: str) -> str:
    """Where to go after the login: a page of the console, whatever the address said."""
    is_ours = wanted.startswith(HOME) and len(wanted) <= 2000 and re.fullmatch(r"[!-\[\]-~]+", wanted) is not None
    return wanted if is_ours and "//" not in wanted else HOME
