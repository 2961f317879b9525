"""A whole console: a real project, a ledger that a real bot has filled, and the application that serves both."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bots import PATIENCE_S, WAITING, job, names_in, path_of
from starlette.responses import Response

from pinstripe_bot.bot import Bot
from pinstripe_bot.console.acting import Acting
from pinstripe_bot.console.application import Served, build_application
from pinstripe_bot.console.health import Health
from pinstripe_bot.console.sessions import Sessions
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.ledger_place import FOLDER
from pinstripe_bot.login_addresses import signing_key
from pinstripe_bot.project import Project
from pinstripe_bot.testing import TravelClock

from .asking import SAME_SITE, Answer, ask, post

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=1>'
TEMPLATE = "{{7*7}}"
BIDI = "\u202egnirts\u2066"
CONTROLS = "\x1b[31m\x07\x7f"
HOSTILE = f"{SCRIPT} {IMAGE} {TEMPLATE} {BIDI} {CONTROLS}"

CODE = "Qz8-only-for-the-job"
"""The value of a secret parameter."""

YEARLY = "'0 0 1 1 *'"

TYPED = """
import enum
from datetime import date, datetime, timedelta
from typing import Literal
from pinstripe_bot import Secret, background_job

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"

@background_job("0 0 1 1 *", params={"days": 3})
def work(workspace, *, days: int, share: float = 0.5, dry: bool = False, day: date | None = None,
         at: datetime | None = None, wait: timedelta = timedelta(minutes=1), kind: Literal["all", "new"] = "all",
         colour: Colour = Colour.RED, note: str = "", numbers: list[int] | None = None, api_code: Secret | None = None):
    print("got", note, api_code)
    if note == "raise":
        raise ValueError(f"the code {api_code} is refused")
    return {"code": api_code}
"""

KEYED = f"""
import json
from pinstripe_bot import Secret, background_job

@background_job("0 */2 * * *", params={{"api_code": {CODE!r}, "password": {CODE!r}}}, retries=1, backoff="1h")
def work(workspace, *, api_code: Secret, password: str = ""):
    print("half of a line", api_code, end="")
    workspace.logger.info("asked", code=api_code, url=f"https://shop.example/?code={{api_code}}")
    print(json.dumps({{"code": api_code}}))
    raise KeyError({{"code": api_code}})
"""

TENANTS = f"""
from pinstripe_bot import Tenant

def tenants(workspace):
    yield Tenant("acme", "Acme")
    yield Tenant({SCRIPT!r}, {HOSTILE!r})
    yield Tenant({IMAGE!r}, {BIDI!r}, "Europe/Berlin")
"""

FOR_ALL = job(
    "if workspace.tenant.id == 'acme': raise LookupError(workspace.tenant.name)",
    "'*/10 * * * *', multi_tenant=True",
)

ODD_NAME = "it's 100%?a=b&c#d+e"
"""What a file may be called: its job has this name, dasherized."""

ODD_JOB = "it's-100%?a=b&c#d+e"

FILES = {
    "hello": job(f'"""{SCRIPT} {TEMPLATE}"""\nprint({HOSTILE!r})\nreturn {{"told": {HOSTILE!r}}}', "'*/5 * * * *'"),
    "failing": job(f"raise ValueError({HOSTILE!r})", "'*/5 * * * *', retries=1, backoff='1h'"),
    "often": job(WAITING, "'*/5 * * * *', timeout='1h'"),
    "slow": job(
        "begun.set()\nwhile True:\n    workspace.checkpoint()\n    time.sleep(0.005)",
        f"{YEARLY}, timeout='30s', on_interrupt='fail'",
    ),
    "typed": TYPED,
    "keyed": KEYED,
    "for_all": FOR_ALL,
    "apart": job("print('apart')", f"{YEARLY}, isolation='process', timeout='1m'"),
    "broken": f"raise RuntimeError({HOSTILE!r})",
    "reports/daily": job("return None", "'30 0 * * *', name='at night'"),
    "reports/run": job("return None", YEARLY),
    ODD_NAME: job("return None", f"'*/30 * * * *', {YEARLY}, name={IMAGE!r}".replace(", '0 0 1 1 *'", "")),
    "open": job("begun.set(); assert go.wait(300)", YEARLY),  # as long as the tests that share its console
    "waits": job("return None", YEARLY),
    "resting": job("return None", "'*/5 * * * *'"),
}

ADA = Person("ada", "console from 127.0.0.1")


class WholeConsole:
    """A console of a project of many kinds of jobs, and somebody who has logged in to it."""

    def __init__(self, root: Path, clock: TravelClock, *, settings: Mapping[str, Any] | None = None) -> None:
        self.clock = clock
        self.logged: Sequence[Mapping[str, Any]] = ()
        write_files(root)
        overrides = {"workers": 4, "timezone": "UTC", **(settings or {})}
        self.project = Project.load(root, environ={}, overrides=overrides)
        self.bot = Bot(self.project, clock=clock)
        self.acting = Acting(self.project, ADA, clock)
        self.served = self.serve(self.bot)
        self.cookie = cookie_of(root, self.project, clock)

    def serve(self, health: Health, project: Project | None = None) -> Served:
        return build_application(project or self.project, health, self.clock, None)

    def ask(self, path: str, **options: Any) -> Answer:
        options.setdefault("cookie", self.cookie)
        return ask(self.served.application, path, **options)

    def post(self, path: str, form: Mapping[str, str] | None = None, **options: Any) -> Answer:
        options.setdefault("cookie", self.cookie)
        return post(self.served.application, path, form, **options)

    def send_json(self, path: str, asked: Any = None, **options: Any) -> Answer:
        """An act by the API."""
        body = b"" if asked is None else json.dumps(asked).encode()
        headers = {**SAME_SITE, "content-type": "application/json"}
        return self.ask(f"/api{path}", method="POST", body=body, headers=headers, **options)

    def read_json(self, path: str, **options: Any) -> Any:
        answer = self.ask(f"/api{path}", **options)
        assert answer.status == 200, answer.text
        return json.loads(answer.body)

    @property
    def path(self) -> Path:
        return path_of(self.bot.ledger)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with looking_into(self.path) as connection:
            return connection.execute(query, values).fetchall()

    def dump(self) -> list[str]:
        """All that stands in the ledger; what a bot writes about itself every second is left out."""
        with looking_into(self.path) as connection:
            return [line for line in connection.iterdump() if 'INTO "bots"' not in line]

    def work_off(self) -> None:
        """Let all that waits in the ledger, and may run, run to its end; the job `open` goes on."""
        self.bot.parts.lister.list_now()
        self.bot.parts.intake.look()

    def run_of(self, job: str) -> int:
        """The number of the newest run of a job."""
        ((number,),) = self.rows("SELECT max(id) FROM runs WHERE job = ?", job)
        return int(number)

    def close(self) -> None:
        for name in ("often", "open"):
            names_in(self.bot, name)["go"].set()
        self.bot.cut_short()
        self.bot.stop()
        self.served.close()


def write_files(root: Path) -> None:
    """The project itself."""
    for name, text in FILES.items():
        file = root / f"lib/background_jobs/{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (root / "lib/tenants.py").write_text(TENANTS)


def cookie_of(root: Path, project: Project, clock: TravelClock) -> str:
    """The cookie of ada, who has logged in."""
    answer = Response()
    sessions = Sessions(signing_key(root / FOLDER), project.config.console.password_hash, clock)
    sessions.write(answer, "ada", "password", is_https=False)
    return answer.headers["set-cookie"].partition(";")[0]


def fill(whole: WholeConsole) -> None:
    """Let things happen: runs of every state, what did not run, pauses, and acts of people."""
    bot, clock, acting = whole.bot, whole.clock, whole.acting
    bot.plan()
    acting.pause("resting", reason=HOSTILE)
    acting.pause("for-all", reason=HOSTILE, tenant=IMAGE)
    clock.travel(minutes=10)
    bot.tick()
    whole.work_off()
    assert names_in(bot, "often")["begun"].wait(PATIENCE_S)
    clock.travel(minutes=5)
    bot.tick()  # while `often` runs: its instant is skipped
    names_in(bot, "often")["go"].set()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    acting.run("slow", {})
    whole.work_off()
    time_out(whole)
    clock.travel(hours=3)  # the instants of three hours are missed, the newest ones are late
    bot.tick()
    whole.work_off()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    acting.run("typed", {"days": 2, "note": HOSTILE, "api_code": CODE})
    acting.run("typed", {"days": 2, "note": "raise", "api_code": CODE})
    acting.cancel(acting.run("apart", {}).id)
    whole.work_off()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    acting.run("open", {})
    whole.work_off()
    assert names_in(bot, "open")["begun"].wait(PATIENCE_S)
    acting.run("waits", {"why": HOSTILE})
    acting.skip("hello", reason=HOSTILE)
    acting.pause("", until="2h", reason="a holiday")
    acting.resume("")


def time_out(whole: WholeConsole) -> None:
    """Let the run of `slow`, which runs alone, go over its time."""
    assert names_in(whole.bot, "slow")["begun"].wait(PATIENCE_S)
    whole.clock.travel(seconds=31)
    whole.bot.dispatcher._runner.deadlines.look()  # its thread waits by a clock that does not travel
    assert whole.bot.dispatcher.wait_until_idle(PATIENCE_S)


@contextmanager
def looking_into(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    try:
        yield connection
    finally:
        connection.close()
