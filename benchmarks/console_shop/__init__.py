"""What `console.py` measures on: a project of 500 jobs, and a ledger with their history."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

JOBS, TENANTS, KEPT = 500, 200, 60
SECOND = 1_000_000

KINDS = ((8, 60, "* * * * *"), (48, 300, "*/5 * * * *"), (108, 900, "*/15 * * * *"), (300, 3600, "0 * * * *"))
"""Up to which number a job is due how often; the others are due daily."""

JOB_FILE = """
from pinstripe_bot import background_job

@background_job("{expression}"{more})
def job(workspace):
    \"\"\"Does what number {number} has to do.\"\"\"
"""
SETTINGS = '[database]\nurl = "sqlite:///shop.db"\n[tenants]\ntable = "tenants"\n[job_defaults]\ntimezone = "UTC"\n'
BIG, CROWD = "job-000", "job-200"
ERROR = json.dumps(
    {"type": "ValueError", "message": "the shop does not answer", "place": "job.py:6 in job", "traceback": "x\n" * 600}
)


def kind_of(number: int) -> tuple[int, str]:
    """How many seconds lie between the instants of a job, and its expression."""
    for below, period_s, expression in KINDS:
        if number < below:
            return period_s, expression
    return 86_400, f"0 {number % 24} * * *"


def write_project(root: Path) -> None:
    folder = root / "lib/background_jobs"
    folder.mkdir(parents=True)
    root.joinpath("pinstripe.toml").write_text(SETTINGS)
    with sqlite3.connect(root / "shop.db") as database:
        database.execute("CREATE TABLE tenants (id TEXT PRIMARY KEY, name TEXT)")
        database.executemany("INSERT INTO tenants VALUES (?, ?)", ((str(one), f"Shop {one}") for one in range(TENANTS)))
    for number in range(JOBS):
        more = ", multi_tenant=True" if f"job-{number:03}" == CROWD else ", retries=2" if number % 3 == 0 else ""
        more += ', isolation="process"' if number % 10 == 5 else ""
        text = JOB_FILE.format(expression=kind_of(number)[1], more=more, number=number)
        folder.joinpath(f"job_{number:03}.py").write_text(text)


class Filling:
    """Writes a history into a ledger, the oldest first."""

    def __init__(self, path: Path, runs: int, bot: str) -> None:
        self._path, self._runs, self._bot = path, runs, bot
        self._now_s = int(time.time()) - 60
        self._dice = random.Random(1)

    def fill(self) -> None:
        ledger = sqlite3.connect(self._path, isolation_level=None)
        ledger.execute("PRAGMA synchronous = OFF")
        ledger.execute("BEGIN IMMEDIATE")
        (first,) = ledger.execute("SELECT coalesce(max(id), 0) + 1 FROM occurrences").fetchone()
        instants = sorted(self._instants())
        passed = {at for at in range(len(instants)) if self._dice.random() < 0.02}
        ledger.executemany(
            "INSERT INTO occurrences (id, job, schedule, due_at, decision, reason, claimed_at, bot)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self._occurrence(first + at, *one, is_passed=at in passed) for at, one in enumerate(instants)),
        )
        ledger.executemany(
            "INSERT INTO runs (occurrence_id, job, schedule, tenant, tenant_name, due_at, state, params, params_key,"
            " available_at, owner, claimed_at, started_at, finished_at, error, output)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, '{}', '', ?, ?, ?, ?, ?, ?, ?)",
            (row for at, one in enumerate(instants) if at not in passed for row in self._of(first + at, *one)),
        )
        self._add_acts(ledger)
        ledger.execute("COMMIT")
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ledger.close()

    def _instants(self) -> Iterator[tuple[int, str, str, int]]:
        """(second, job, schedule, how many tenants): the newest 60 of each job, and more of the frequent ones."""
        periods = {f"job-{number:03}": kind_of(number) for number in range(JOBS)}
        counts = {BIG: self._runs * 4 // 10, CROWD: self._runs * 15 // 100 // TENANTS}
        others = {job: period_s for job, (period_s, _) in periods.items() if job not in counts}
        hours, left = 0, self._runs - counts[BIG] - counts[CROWD] * TENANTS
        while sum(max(KEPT, hours * 3600 // period_s) for period_s in others.values()) < left:
            hours += 1
        counts |= {job: max(KEPT, hours * 3600 // period_s) for job, period_s in others.items()}
        for job, count in counts.items():
            period_s, schedule = periods[job]
            last_s = self._now_s - self._now_s % period_s
            yield from ((last_s - at * period_s, job, schedule, TENANTS * (job == CROWD)) for at in range(count))

    def _occurrence(self, number: int, at_s: int, job: str, schedule: str, _tenants: int, *, is_passed: bool) -> Any:
        decision, reason = self._dice.choice((("skipped", "overlap"), ("missed", "bot_down")))
        decision, reason = (decision, reason) if is_passed else ("run", None)
        return number, job, schedule, at_s * SECOND, decision, reason, at_s * SECOND + 5000, self._bot

    def _of(self, occurrence: int, at_s: int, job: str, schedule: str, tenants: int) -> Iterator[Any]:
        for tenant in range(max(tenants, 1)):
            chance = self._dice.random()
            state = "failed" if chance < 0.02 else "timed_out" if chance < 0.03 else "succeeded"
            is_open = at_s > self._now_s - 60 and chance > 0.9
            begun = at_s * SECOND + (90 * SECOND if 0.5 < chance < 0.51 else 8000)
            ended = begun + int(self._dice.lognormvariate(14, 1))
            named = (str(tenant), f"Shop {tenant}") if tenants else ("", "")
            due, output = at_s * SECOND, f"{job} did its work\n" * (12 if chance < 0.1 else 1)
            state, ended, error = (
                ("running", None, None) if is_open else (state, ended, ERROR * (chance < 0.03) or None)
            )
            yield occurrence, job, schedule, *named, due, state, due, self._bot, due + 5000, begun, ended, error, output

    def _add_acts(self, ledger: sqlite3.Connection) -> None:
        """Three pauses, two hundred acts of people, and days that have been summed up."""
        now = self._now_s * SECOND
        pauses = (("job-100", "", now - 10 * 86_400 * SECOND), ("job-101", "", now), (CROWD, "7", now))
        ledger.executemany("INSERT INTO pauses (job, tenant, paused_at, who) VALUES (?, ?, ?, 'ada')", pauses)
        acts = ((now - at * 3600 * SECOND, f"job-{at:03}") for at in range(200, 0, -1))
        ledger.executemany("INSERT INTO audit (at, who, origin, action, job) VALUES (?, 'ada', '::1', 'run', ?)", acts)
        days = [time.strftime("%Y-%m-%d", time.gmtime(self._now_s - at * 86_400)) for at in range(30, 120)]
        worst = json.dumps(["succeeded"] * 12)
        rows = ((f"job-{number:03}", day, worst) for number in range(JOBS) for day in days)
        ledger.executemany(
            "INSERT INTO days (job, day, worst, counts, duration_p50_ms) VALUES (?, ?, ?, '{}', 900)", rows
        )
