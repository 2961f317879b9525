"""What the tests of the running rooms share: projects of a few lines, a look into the ledger, a crash."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent, indent
from threading import Condition
from typing import Any, NoReturn

import psycopg
import structlog
from sqlalchemy import insert
from structlog.typing import EventDict

from pinstripe_bot.bot import Bot
from pinstripe_bot.clock import Clock, SystemClock
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_postgres import WRITER_LOCK, PostgresStore
from pinstripe_bot.ledger_schema import occurrences, runs
from pinstripe_bot.occurrence import Due, Run
from pinstripe_bot.schedule import Schedule

EVERY_MINUTE = "* * * * *"

PATIENCE_S = 10.0
"""How long a test waits for an event that has to come."""


def job(body: str = "return None", *schedules: str, takes: str = "", head: str = "") -> str:
    """The file of a function job; each of `schedules` is what stands in its `@background_job(...)`."""
    keyword = "async def" if "await " in body else "def"
    decorators = "\n".join(f"@background_job({schedule})" for schedule in schedules or [repr(EVERY_MINUTE)])
    return "\n".join(
        [
            "import asyncio, sys, threading, time",
            "from pinstripe_bot import background_job",
            "begun, go, calls = threading.Event(), threading.Event(), []",
            dedent(head),
            decorators,
            f"{keyword} work(workspace{', *, ' + takes if takes else ''}):",
            indent(dedent(body).strip(), "    "),
        ]
    )


WAITING = f"begun.set(); assert go.wait({PATIENCE_S})"
"""The body of a job that runs until its `go` is set; it does not listen when it is told to end."""


def write_jobs(root: Path, **files: str) -> None:
    """Write job files into the project in `root`; an empty text removes one."""
    folder = root / "lib/background_jobs"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / f"{name}.py"
        if text:
            path.write_text(text)
        else:
            path.unlink()


TENANTS = """
from pinstripe_bot import Tenant

def tenants(workspace):
    yield Tenant("acme", "Acme", "Europe/Berlin")
    yield Tenant("beta", "Beta", "America/New_York")
    yield Tenant("coro", "Coro")
"""


def write_tenants(root: Path, text: str = TENANTS) -> None:
    """Let the project in `root` have tenants."""
    (root / "lib").mkdir(exist_ok=True)
    (root / "lib/tenants.py").write_text(text)


def names_in(bot: Bot, name: str) -> dict[str, Any]:
    """The global names of a job's file: its `begun`, `go` and `calls`."""
    names: dict[str, Any] = bot.project.jobs[name].author.__globals__
    return names


def rows(ledger: Ledger | Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """What a query finds in a ledger, past our own code; values stand in it as `?`."""
    if isinstance(ledger, Ledger) and isinstance(ledger.store, PostgresStore):
        with psycopg.connect(postgres_dsn(ledger), options="-c search_path=pinstripe") as server:
            return server.execute(query.replace("?", "%s"), values or None).fetchall()
    connection = sqlite3.connect(path_of(ledger))
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def path_of(ledger: Ledger | Path) -> Path:
    """The file of a ledger in SQLite."""
    path = ledger if isinstance(ledger, Path) else ledger.store.path
    assert path is not None
    return path


def postgres_dsn(ledger: Ledger) -> str:
    return ledger.place.url.set(drivername="postgresql").render_as_string(hide_password=False)


def decisions(bot: Bot) -> list[tuple[str, str, str | None, int]]:
    """(schedule, decision, reason, count) of all occurrences, in order of their due instants."""
    query = "SELECT schedule, decision, reason, count FROM occurrences ORDER BY due_at, id"
    return rows(bot.ledger, query)


def states(bot: Bot) -> list[tuple[str, str | None]]:
    """(state, reason) of all runs, oldest first."""
    return rows(bot.ledger, "SELECT state, reason FROM runs ORDER BY id")


CROWD = job(
    """
    with lock:
        going.append(workspace.run_id)
        peaks.append(len(going))
    entered.release()
    passed = go.acquire(timeout=10)
    with lock:
        going.remove(workspace.run_id)
    assert passed
    """,
    "'0 0 1 1 *', multi_tenant=True, tenant_concurrency=4",
    head="""
    entered, go, lock = threading.Semaphore(0), threading.Semaphore(0), threading.Lock()
    going, peaks = [], []
    """,
)
"""A job for many tenants: each run says `entered`, and waits until it may `go`; `peaks` has how many ran at once."""


def leave_crowd(ledger: Ledger, job: str, size: int) -> None:
    """Write so many runs of one occurrence into the ledger, one per tenant, which wait for whichever bot comes."""
    facts = {"job": job, "schedule": "manual", "due_at": 0, "claimed_at": 0}
    with ledger.store.writing() as connection:
        decided = connection.execute(insert(occurrences).values(**facts, decision="run", bot="")).inserted_primary_key
        assert decided is not None
        run = {**facts, "occurrence_id": decided[0], "state": "queued", "params": "{}", "params_key": ""}
        tenants = [{**run, "tenant": f"t{one}", "available_at": 0} for one in range(size)]
        connection.execute(insert(runs), tenants)


def seconds_since(ledger: Ledger, clock: Clock, at: int) -> float:
    """How long ago an instant in a bot's row was, by the clock that the bots of this ledger share."""
    if isinstance(ledger.store, PostgresStore):
        clock = SystemClock()  # the server is on this machine
    return clock.now().timestamp() - at / 1_000_000


def claim_only(bot: Bot) -> list[Run]:
    """The first half of a tick: what is due is claimed, and nothing dispatched."""
    now = bot.clock.now()
    dues: list[Due[Schedule]] = bot.timetable.due(int(now.timestamp()))
    claim = bot.ledger.claim(dues, now)
    bot.timetable.advance(dues)
    return claim.runs


def crash(ledger: Ledger) -> None:
    """Let go of a bot's lock and files as the kernel does when its process is killed; nothing is written."""
    let_go(ledger)
    ledger.store.close()


def let_go(ledger: Ledger) -> None:
    """Let go of a bot's lock alone: the others take it for dead, and it lives on."""
    lock = ledger._lock
    assert lock is not None
    assert lock._descriptor is not None
    os.close(lock._descriptor)
    lock._descriptor = None


@contextmanager
def locked(ledger: Ledger | Path) -> Iterator[None]:
    """Another program lets nobody write into the ledger; it can be read."""
    if isinstance(ledger, Ledger) and isinstance(ledger.store, PostgresStore):
        with psycopg.connect(postgres_dsn(ledger)) as server:
            server.execute("SELECT pg_advisory_xact_lock({}, {})".format(*WRITER_LOCK))
            server.execute("LOCK TABLE pinstripe.runs, pinstripe.bots IN EXCLUSIVE MODE")
            yield
        return
    connection = sqlite3.connect(path_of(ledger), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


class Ears:
    """Hears what is logged while it is entered, from every thread."""

    def __init__(self) -> None:
        self.heard: list[EventDict] = []
        self._said = Condition()

    def __enter__(self) -> Ears:
        self._processors = structlog.get_config()["processors"]
        self._before = list(self._processors)
        self._processors[:] = [structlog.contextvars.merge_contextvars, self._hear]
        return self

    def __exit__(self, *_error: object) -> None:
        self._processors[:] = self._before

    def _hear(self, _logger: object, _method: str, event: EventDict) -> NoReturn:
        with self._said:
            self.heard.append(event)
            self._said.notify_all()
        raise structlog.DropEvent

    def names(self, *wanted: str) -> list[str]:
        """The events so far, in order; of these names only, if any are given."""
        with self._said:
            return [event["event"] for event in self.heard if not wanted or event["event"] in wanted]

    def wait_for(self, name: str) -> EventDict:
        """The first event of this name, as soon as it has been logged."""
        with self._said:
            assert self._said.wait_for(lambda: any(event["event"] == name for event in self.heard), PATIENCE_S), name
            return next(event for event in self.heard if event["event"] == name)
