"""A guarded console with a few routes of every kind, and a login to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import WriteProject
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from structlog.testing import capture_logs

from pinstripe_bot.console import PREFIX
from pinstripe_bot.console.access import Guard
from pinstripe_bot.console.attempts import Attempts
from pinstripe_bot.console.login import Login
from pinstripe_bot.console.rendering import Rendering
from pinstripe_bot.console.sessions import Sessions
from pinstripe_bot.console_settings import ConsoleConfig
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.login_addresses import LoginAddresses, signing_key
from pinstripe_bot.output import print_capture
from pinstripe_bot.testing import TravelClock

from .asking import SAME_SITE, Answer, ask, post
from .whole import WholeConsole, fill

HASH = "scrypt:16384:1:1:7iskWheWXw9-cOQWx9VsxQ:7bUjgbN7Tr2E6CpC_OIb0CtE5qXkD5a347XHWZgCXwY"
"""Of PASSWORD, cheap."""

PASSWORD = "open sesame"

TOKEN = "correct-horse-battery-staple"

SECRET = "the reason is a secret"

render = Rendering("shop").page


async def whoami(request: Request) -> Response:
    """Who asks, from where, and what came along."""
    person = request.state.person
    told = "nobody" if person is None else f"{person.who}, {person.origin}"
    return PlainTextResponse(f"{told} {(await request.body()).decode('latin-1')}".strip())


async def broken(_request: Request) -> Response:
    raise RuntimeError(SECRET)


class Console:
    """A console as the server builds it; `audited` is what it has written down."""

    def __init__(self, folder: Path, clock: TravelClock, **settings: Any) -> None:
        self.config = ConsoleConfig(**settings)
        self.clock = clock
        self.addresses = LoginAddresses(folder, clock)
        self.sessions = Sessions(signing_key(folder), self.config.password_hash, clock)
        self.is_ledger_away = False
        self.audited: list[tuple[Person, str]] = []
        login = Login(self.config, self.sessions, self.addresses, Attempts(clock), render=render, audit=self.audit)
        every = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        paths = ("/", "/jobs/{name}", "/api/jobs", "/metrics", "/livez", "/readyz", "/assets/{name:path}")
        routes = [*login.routes(), Route("/broken", broken, methods=every)]
        routes += [Route(path, whoami, methods=every) for path in paths]
        self.application = Guard(
            Starlette(routes=[Mount(PREFIX, routes=routes)]), self.config, self.sessions, body_timeout_s=0
        )

    def audit(self, person: Person, action: str) -> None:
        if self.is_ledger_away:
            raise LedgerUnavailable("the ledger does not answer")
        self.audited.append((person, action))

    def ask(self, path: str, **options: Any) -> Answer:
        return ask(self.application, path, **options)

    def post(self, path: str, form: dict[str, str] | None = None, **options: Any) -> Answer:
        return post(self.application, path, form, **options)

    def log_in(self, **options: Any) -> str:
        """The cookie of somebody who has logged in by an address."""
        answer = self.post("/login", {"key": self.addresses.issue()}, headers=SAME_SITE, **options)
        assert answer.status == 303
        return answer.cookie


MakeConsole = Callable[..., Console]


@pytest.fixture
def make_console(tmp_path: Path, clock: TravelClock) -> MakeConsole:
    """Give a console with these settings; all share one folder, as the processes of a project do."""
    return lambda **settings: Console(tmp_path / ".pinstripe", clock, **settings)


@pytest.fixture
def console(make_console: MakeConsole) -> Console:
    """A console without settings."""
    return make_console()


@pytest.fixture
def whole(write_project: WriteProject, clock: TravelClock) -> Iterator[WholeConsole]:
    """A console over a ledger in which everything has happened."""
    console = WholeConsole(write_project({}, "shop"), clock)
    with capture_logs() as console.logged, print_capture():  # a log line to stdout would be captured in its turn
        fill(console)
        yield console
        console.close()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeConsole]:
    """The same, shared by the tests of a file that only look at it, or that ask for what is refused."""
    root = tmp_path_factory.mktemp("standing") / "shop"
    root.mkdir()
    console = WholeConsole(root, TravelClock())
    with capture_logs(), print_capture():
        fill(console)
    yield console
    console.close()


@pytest.fixture
def empty(write_project: WriteProject, clock: TravelClock) -> Iterator[WholeConsole]:
    """The same project before its first bot: there is no ledger yet."""
    console = WholeConsole(write_project({}, "shop"), clock)
    yield console
    console.close()
