"""10,000 jobs due in the same second: how late they start and how fast they are done, ours against APScheduler's.

Ours is the product as it ships: claim, starts and outcomes in a SQLite ledger on disk, a workspace for each run
and one JSON log line per finished run. APScheduler keeps its jobs in memory, records nothing and logs nothing.
Both have the same number of worker threads, the same daily cron schedule and the same job, which notes when it
begins. (What APScheduler needs depends on its trigger: docs/performance.md.)

Writing 10,000 job files would measure the file system: one file is loaded, and its definition copied under
10,000 names before anything is measured. Every round runs in a new process.

Run: python benchmarks/herd.py
"""

from __future__ import annotations

import dataclasses
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from pinstripe_bot import Bot, Project
from pinstripe_bot.logs import configure_logs

JOBS = 10_000
WORKERS = 8
ROUNDS = 5
LEAD_S = 8  # from planning to the due instant: time for both to take in 10,000 schedules
LEAST_TIMES_FASTER = 4.0
MOST_OF_THEIR_P99 = 0.25

JOB_FILE = """
import time
from pinstripe_bot import background_job

begun = []

@background_job("{expression}")
def noop(workspace):
    begun.append(time.time())
"""


@dataclasses.dataclass(frozen=True)
class Round:
    """One herd: seconds of lateness at which runs began, and from the due instant to the last one's end."""

    p50_s: float
    p99_s: float
    runs_per_s: float
    lost: int = 0
    doubled: int = 0

    @classmethod
    def of(cls, begun: list[float], due_ts: int, ended_ts: float, *, lost: int, doubled: int) -> Round:
        cuts = statistics.quantiles((at - due_ts for at in begun), n=100)
        return cls(cuts[49], cuts[98], JOBS / (ended_ts - due_ts), lost, doubled)


def main() -> int:
    """Print both sides and their ratios; 1 if a target is missed."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_in_new_process(our_round))
        theirs.append(_in_new_process(their_round))
    lost, doubled = sum(one.lost for one in ours), sum(one.doubled for one in ours)
    print(f"{JOBS} jobs due in one second, {WORKERS} workers, medians of {ROUNDS} rounds")
    print(f"{'':14}{'p50 late':>10}{'p99 late':>10}{'runs/s':>10}")
    for name, rounds in (("pinstripe", ours), ("APScheduler", theirs)):
        print(f"  {name:12}{_median(rounds, 'p50_s'):8.2f} s{_median(rounds, 'p99_s'):8.2f} s", end="")
        print(f"{_median(rounds, 'runs_per_s'):10.0f}")
    share = _median(ours, "p99_s") / _median(theirs, "p99_s")
    faster = _median(ours, "runs_per_s") / _median(theirs, "runs_per_s")
    targets = [
        (f"lost {lost}, doubled {doubled} in {ROUNDS * JOBS} runs (target: none)", lost == doubled == 0),
        (f"p99 of lateness {share:.2f} of theirs (target: {MOST_OF_THEIR_P99})", share <= MOST_OF_THEIR_P99),
        (f"{faster:.1f} times their runs per second (target: {LEAST_TIMES_FASTER})", faster >= LEAST_TIMES_FASTER),
    ]
    for text, is_met in targets:
        print(f"  {'met   ' if is_met else 'MISSED'}  {text}")
    return 0 if all(is_met for _, is_met in targets) else 1


def our_round() -> Round:
    """A herd through a whole bot, checked in its ledger afterwards."""
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "log.json"), "w") as log:
        configure_logs("json", stream=log)
        due_ts, expression = _due_instant()
        jobs = Path(folder, "lib/background_jobs")
        jobs.mkdir(parents=True)
        jobs.joinpath("noop.py").write_text(JOB_FILE.format(expression=expression))
        project = _multiplied(Project.load(folder, overrides={"workers": WORKERS}))
        begun: list[float] = project.jobs["noop-0"].author.__globals__["begun"]
        bot = Bot(project)
        bot.start()
        assert time.time() < due_ts, "planning took longer than LEAD_S"
        while not begun:
            time.sleep(0.005)
        bot.dispatcher.wait_until_idle()
        ended_ts = time.time()
        bot.stop()
        lost, doubled = _compare_with_ledger(bot.ledger.store.path, due_ts, len(begun))
        return Round.of(begun, due_ts, ended_ts, lost=lost, doubled=doubled)


def _multiplied(project: Project) -> Project:
    """The project with JOBS jobs made of its one."""
    (definition,) = project.jobs.values()
    (schedule,) = definition.schedules
    jobs = {}
    for number in range(JOBS):
        name = f"noop-{number}"
        own = dataclasses.replace(schedule, job=name)
        jobs[name] = dataclasses.replace(definition, name=name, schedules=(own,))
    return dataclasses.replace(project, jobs=jobs)


def _compare_with_ledger(path: Path, due_ts: int, begun: int) -> tuple[int, int]:
    """(how many jobs have no finished run of that instant, how many runs there are beyond one each)."""
    where = "WHERE state = 'succeeded' AND finished_at >= started_at AND started_at >= due_at AND due_at = ?"
    with sqlite3.connect(path) as ledger:
        query = f"SELECT count(DISTINCT job), count(*) FROM runs {where}"
        jobs, runs = ledger.execute(query, (due_ts * 1_000_000,)).fetchone()
    return JOBS - jobs, max(runs, begun) - jobs


def their_round() -> Round:
    """The same herd through APScheduler; it ends, for it, when its last job has begun."""
    begun: list[float] = []
    due_ts, expression = _due_instant()
    second, minute, hour = expression.split()[:3]
    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(WORKERS)},
        job_defaults={"misfire_grace_time": None},
        timezone=UTC,
    )
    trigger = CronTrigger(second=second, minute=minute, hour=hour, timezone=UTC)
    for _ in range(JOBS):
        scheduler.add_job(lambda: begun.append(time.time()), trigger)
    scheduler.start()
    assert time.time() < due_ts, "planning took longer than LEAD_S"
    while len(begun) < JOBS:
        time.sleep(0.005)
    scheduler.shutdown()
    return Round.of(begun, due_ts, max(begun), lost=JOBS - len(begun), doubled=0)


def _due_instant() -> tuple[int, str]:
    """A second soon to come, and the expression (UTC, seconds first) that is due at it once a day."""
    due_ts = int(time.time()) + LEAD_S
    due_at = datetime.fromtimestamp(due_ts, UTC)
    return due_ts, f"{due_at.second} {due_at.minute} {due_at.hour} * * *"


def _median(rounds: list[Round], figure: str) -> float:
    return statistics.median(getattr(one, figure) for one in rounds)


def _in_new_process(call: Callable[[], Round]) -> Round:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(call).result()


if __name__ == "__main__":
    sys.exit(main())
