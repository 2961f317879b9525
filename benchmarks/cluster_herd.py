"""10,000 runs of a cluster due in one tick: how long their claim takes, with one bot, and with three that race.

Everything is committed: occurrences, runs, marks, and a job of Procrastinate for each run that carries it. The floor is
Procrastinate's own batch of 10,000 jobs on the same server, with nothing else in the transaction. No worker runs: what
they cost is measured by dispatch.py. Each bot is a process of its own; their clocks are moved to the same due instant
at the same moment. PostgreSQL is an embedded one with the settings that it ships with.

Run: python benchmarks/cluster_herd.py
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psycopg
from cluster_peers.postgres import postgres
from cluster_peers.processes import python_command
from procrastinate import App, SyncPsycopgConnector

from pinstripe_bot import Bot, Project
from pinstripe_bot.logs import configure_logs
from pinstripe_bot.testing import TravelClock

JOBS, SCHEDULES = 100, 100  # and schedules of each
RUNS = JOBS * SCHEDULES
RACING = 3
ROUNDS = 3
MOST_S = 2.0
MOST_TIMES_ALONE = 2.0  # three bots and the server share two cores
PATIENCE_S = 120.0

JOB = """
from pinstripe_bot import BackgroundJob


class Noop(BackgroundJob):
    @classmethod
    def meta(cls):
        for number in range({schedules}):
            cls.schedule("*/10 * * * *", name=f"number-{{number}}", params={{"number": number}})

    def run(self, *, number): ...
"""


def main() -> int:
    """Print the medians; 1 if a target is missed."""
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        root = _write_project(Path(folder, "project"), url)
        floor_s = statistics.median(_batch_s(root, url) for _ in range(ROUNDS))
        alone = [_race(root, url, bots=1) for _ in range(ROUNDS)]
        racing = [_race(root, url, bots=RACING) for _ in range(ROUNDS)]
    alone_s, racing_s = (statistics.median(seconds for seconds, _ in rounds) for rounds in (alone, racing))
    deadlocks = sum(count for _, count in racing)
    print(f"{RUNS} runs due in one tick; medians of {ROUNDS} rounds")
    print(f"  Procrastinate's jobs alone   {floor_s:6.2f} s")
    print(f"  claimed by one bot           {alone_s:6.2f} s   {alone_s / floor_s:5.1f} times as long")
    print(f"  claimed by {RACING} that race       {racing_s:6.2f} s   {racing_s / floor_s:5.1f} times as long")
    targets = [
        (f"one bot takes at most {MOST_S:.0f} s", alone_s <= MOST_S),
        (f"{RACING} bots take at most {MOST_TIMES_ALONE} times as long as one", racing_s <= MOST_TIMES_ALONE * alone_s),
        (f"{deadlocks} deadlocks (target: none)", deadlocks == 0),
    ]
    for text, is_met in targets:
        print(f"  {'met   ' if is_met else 'MISSED'}  {text}")
    return 0 if all(is_met for _, is_met in targets) else 1


def _write_project(root: Path, url: str) -> Path:
    jobs = root / "lib/background_jobs"
    jobs.mkdir(parents=True)
    (root / "pinstripe.toml").write_text(f'dispatcher = "cluster"\n[ledger]\nurl = "{url}"\n')
    for number in range(JOBS):
        (jobs / f"noop_{number}.py").write_text(JOB.format(schedules=SCHEDULES))
    return root


def _make_tables(root: Path, url: str) -> None:
    """An empty ledger and cluster."""
    with psycopg.connect(url, autocommit=True) as server:
        for schema in ("pinstripe", "pinstripe_cluster"):
            server.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    shutil.rmtree(root / ".pinstripe", ignore_errors=True)
    subprocess.run([python_command("pinstripe"), f"--project={root}", "init-cluster"], check=True, capture_output=True)


def _batch_s(root: Path, url: str) -> float:
    """How long Procrastinate takes for as many jobs, in one transaction."""
    _make_tables(root, url)
    app = App(connector=SyncPsycopgConnector(), import_paths=[])
    with psycopg.connect(url, options="-c search_path=pinstripe_cluster") as connection:
        began_s = time.perf_counter()
        deferrer = app.configure_task("noop", connection=connection)
        deferrer.batch_defer(*({"run": number, "attempt": 1} for number in range(RUNS)))
        connection.commit()
        return time.perf_counter() - began_s


def _race(root: Path, url: str, *, bots: int) -> tuple[float, int]:
    """(From the tick of the first to the end of the last of so many bots, how many deadlocks there were.)"""
    _make_tables(root, url)
    before = _deadlocks(url)
    context = get_context("spawn")
    barrier, seconds = context.Barrier(bots), context.SimpleQueue()
    processes = [context.Process(target=_tick, args=(str(root), barrier, seconds)) for _ in range(bots)]
    for process in processes:
        process.start()
    times = [seconds.get() for _ in processes]
    for process in processes:
        process.join(PATIENCE_S)
    with psycopg.connect(url) as server:
        found = server.execute("SELECT count(*), count(carrier) FROM pinstripe.runs").fetchone()
        assert found == (RUNS, RUNS), f"{found} instead of {RUNS} runs, all carried"
    return max(end for _, end in times) - min(begin for begin, _ in times), _deadlocks(url) - before


def _tick(root: str, barrier: Barrier, seconds: object) -> None:
    """One bot: planned, then at the barrier, then one tick; when it began and when it had ended, of one clock."""
    configure_logs("json", "error")
    clock = TravelClock(datetime(2026, 11, 28, 12, 0, 1, tzinfo=UTC))
    bot = Bot(Project.load(Path(root)), clock=clock)
    bot.plan()
    clock.travel(minutes=10)
    barrier.wait(PATIENCE_S)
    began_s = time.monotonic()
    bot.tick()
    seconds.put((began_s, time.monotonic()))  # type: ignore[attr-defined]
    barrier.wait(PATIENCE_S)
    bot.stop()


def _deadlocks(url: str) -> int:
    with psycopg.connect(url) as server:
        row = server.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])


if __name__ == "__main__":
    sys.exit(main())
