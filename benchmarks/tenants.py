"""One job for 10,000 tenants: how many runs a second of one core's work gives, and how much memory they take.

Ours is the product as it ships: the runs wait in a SQLite ledger on disk and nobody has them; a bot takes them over,
starts, performs and finishes each in a workspace of its own, with one JSON log line, `tenant_concurrency` at a time.
The floor is SQLite alone: the same rows are inserted, marked as started and as ended, in transactions of 500.

A core's work is what the process took of the processor, in all its threads, divided by the runs: a machine that is
busy with something else changes it little. Every round runs in a new process: the peak of its memory is its own.

Run: python benchmarks/tenants.py
"""

from __future__ import annotations

import dataclasses
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from pinstripe_bot import Bot, Project
from pinstripe_bot.logs import configure_logs

TENANTS = 10_000
CROWDS = (1_000, 10_000, 100_000)
WORKERS = 8
ROUNDS = 5
GROUP = 500
LEAST_RUNS_PER_CORE_S = 5_000
MOST_MORE_MB = 24  # that a hundred times as many tenants may take

JOB_FILE = """
from pinstripe_bot import background_job

ended = []

@background_job("0 0 1 1 *", multi_tenant=True)
def noop(workspace):
    ended.append(None)
"""

OCCURRENCE = """
INSERT INTO occurrences (id, job, schedule, due_at, decision, claimed_at, bot)
VALUES (1, 'noop', 'manual', ?, 'run', ?, 'benchmark')
"""

RUNS = """
INSERT INTO runs (occurrence_id, tenant, job, schedule, due_at, state, params, params_key, available_at, claimed_at)
VALUES (1, ?, 'noop', 'manual', ?, 'queued', '{}', '', ?, ?)
"""


@dataclasses.dataclass(frozen=True)
class Round:
    """So many runs: seconds of the processor's work and of the clock, and the peak of the memory."""

    runs: int
    cpu_s: float
    wall_s: float
    peak_mb: float
    not_succeeded: int = 0

    @property
    def per_core_s(self) -> float:
        return self.runs / self.cpu_s


def main() -> int:
    """Print what a run costs, beside the floor, and the memory of each crowd; 1 if a target is missed."""
    ours, floor = [], []
    for _ in range(ROUNDS):
        ours.append(_in_new_process(our_round, TENANTS))
        floor.append(_in_new_process(floor_round, TENANTS))
    crowds = {tenants: _in_new_process(our_round, tenants) for tenants in CROWDS}
    per_core_s = statistics.median(one.per_core_s for one in ours)
    floor_per_core_s = statistics.median(one.per_core_s for one in floor)
    print(f"{TENANTS} tenants of a job that does nothing, {WORKERS} workers, medians of {ROUNDS} rounds")
    for name, rounds in (("pinstripe", ours), ("SQLite alone", floor)):
        per_s = statistics.median(one.runs / one.wall_s for one in rounds)
        cpu = statistics.median(one.per_core_s for one in rounds)
        print(f"  {name:14}{cpu:10.0f} runs per second of one core's work{per_s:10.0f} runs/s")
    print(f"  a run costs {floor_per_core_s / per_core_s:.1f} times its three writes")
    for tenants, one in crowds.items():
        print(f"  {tenants:7} tenants: {one.peak_mb:6.0f} MB at most, {one.per_core_s:6.0f} runs per core-second")
    lost = sum(one.not_succeeded for one in [*ours, *crowds.values()])
    more_mb = crowds[CROWDS[-1]].peak_mb - crowds[CROWDS[0]].peak_mb
    targets = [
        (f"{lost} runs did not succeed (target: none)", lost == 0),
        (
            f"{per_core_s:.0f} runs per second of one core's work (target: {LEAST_RUNS_PER_CORE_S})",
            per_core_s >= LEAST_RUNS_PER_CORE_S,
        ),
        (
            f"{more_mb:.0f} MB more for {CROWDS[-1]} tenants than for {CROWDS[0]} (target: {MOST_MORE_MB})",
            more_mb <= MOST_MORE_MB,
        ),
    ]
    for text, is_met in targets:
        print(f"  {'met   ' if is_met else 'MISSED'}  {text}")
    return 0 if all(is_met for _, is_met in targets) else 1


def our_round(tenants: int) -> Round:
    """A crowd that waits in the ledger, worked off by a whole bot."""
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "log.json"), "w") as log:
        configure_logs("json", stream=log)
        jobs = Path(folder, "lib/background_jobs")
        jobs.mkdir(parents=True)
        jobs.joinpath("noop.py").write_text(JOB_FILE)
        Path(folder, "lib/tenants.py").write_text("def tenants(workspace):\n    return []\n")  # they wait already
        project = Project.load(folder, overrides={"workers": WORKERS})
        bot = Bot(project)
        bot.open()
        path = bot.ledger.store.path
        assert path is not None
        _seed(path, tenants)
        ended: list[None] = project.jobs["noop"].author.__globals__["ended"]
        begun = _now()
        bot.start()
        while len(ended) < tenants:
            time.sleep(0.02)
        bot.dispatcher.wait_until_idle()
        measured = _since(begun, tenants)
        bot.stop()
        with sqlite3.connect(path) as ledger:
            (succeeded,) = ledger.execute("SELECT count(*) FROM runs WHERE state = 'succeeded'").fetchone()
        return dataclasses.replace(measured, not_succeeded=tenants - succeeded)


def _seed(path: Path, tenants: int) -> None:
    """An occurrence with a run for each tenant, which waits for whichever bot comes."""
    now = int(datetime.now(UTC).timestamp()) * 1_000_000
    with sqlite3.connect(path) as ledger:
        ledger.execute(OCCURRENCE, (now, now))
        ledger.executemany(RUNS, ((f"t{number}", now, now, now) for number in range(tenants)))


def floor_round(tenants: int) -> Round:
    """The least that any ledger in SQLite has to do: one insert and two updates for each run, in groups."""
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder, "floor.db"), isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, tenant TEXT, state TEXT, at INTEGER)")
        begun = _now()
        for first in range(0, tenants, GROUP):
            numbers = range(first, min(first + GROUP, tenants))
            _write(database, "INSERT INTO runs VALUES (?, ?, 'queued', 0)", ((one, f"t{one}") for one in numbers))
            _write(database, "UPDATE runs SET state = 'running', at = 1 WHERE id = ?", ((one,) for one in numbers))
            _write(database, "UPDATE runs SET state = 'succeeded', at = 2 WHERE id = ?", ((one,) for one in numbers))
        measured = _since(begun, tenants)
        database.close()
        return measured


def _write(database: sqlite3.Connection, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
    database.execute("BEGIN IMMEDIATE")
    database.executemany(statement, rows)
    database.execute("COMMIT")


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def _since(begun: tuple[float, float], runs: int) -> Round:
    cpu_s, wall_s = (after - before for before, after in zip(begun, _now(), strict=True))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Round(runs, cpu_s, wall_s, peak_mb)


def _in_new_process(call: Callable[[int], Round], tenants: int) -> Round:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(call, tenants).result()


if __name__ == "__main__":
    sys.exit(main())
