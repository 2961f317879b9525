"""A bot that is killed and comes back minutes later decides what each schedule's policy says, and no more."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from processes import PATIENCE_S, BotProcess, bots_of, soaking

from pinstripe_bot.cron import parse

SECOND = 1_000_000
DOWN_S = soaking(5, 180)

pytestmark = pytest.mark.timeout(soaking(120, 400))

Instants = list[int]
Verdicts = dict[int, tuple[str, str | None]]
"""{instant, UTC seconds: (decision, reason)}"""

JOB = """
import os
from pinstripe_bot import background_job


@background_job({expression!r}, overlap="allow", {options})
def work(workspace):
    note = f"{{workspace.job_name}} {{int(workspace.due_at.timestamp())}}\\n"
    descriptor = os.open(workspace.project.root / "notes.txt", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(descriptor, note.encode())
    os.close(descriptor)
"""


def latest(instants: Instants, _now_s: float) -> Verdicts:
    return dict.fromkeys(instants[:-1], ("missed", "coalesced")) | dict.fromkeys(instants[-1:], ("run", None))


def newest_three(instants: Instants, _now_s: float) -> Verdicts:
    return dict.fromkeys(instants[:-3], ("missed", "bot_down")) | dict.fromkeys(instants[-3:], ("run", None))


def not_later_than(limit_s: float) -> Callable[[Instants, float], Verdicts]:
    """What is later than `limit_s` does not run; of the others the newest."""

    def policy(instants: Instants, now_s: float) -> Verdicts:
        too_late = [one for one in instants if now_s - one > limit_s]
        return dict.fromkeys(too_late, ("missed", "too_late")) | latest(instants[len(too_late) :], now_s)

    return policy


JOBS: dict[str, tuple[str, str, Callable[[Instants, float], Verdicts]]] = {
    "newest": ("* * * * * *", "", latest),
    "newest_of_ten": ("*/10 * * * * *", "", latest),
    "three": ("* * * * * *", "catch_up='all', catch_up_max=3", newest_three),
    "three_of_two": ("*/2 * * * * *", "catch_up='all', catch_up_max=3, catch_up_spacing='1s'", newest_three),
    "none": ("* * * * * *", "catch_up='none', late_after='2s'", not_later_than(2)),
    "none_of_ten": ("*/10 * * * * *", "catch_up='none', late_after='2s'", not_later_than(2)),
    "limited": ("* * * * * *", "max_lateness='3s'", not_later_than(3)),
}
"""{job: (expression, options, what becomes of its instants)}"""


@pytest.fixture
def start_bot(tmp_path: Path) -> Iterator[Callable[..., BotProcess]]:
    folder = tmp_path / "lib" / "background_jobs"
    folder.mkdir(parents=True)
    for name, (expression, options, _) in JOBS.items():
        folder.joinpath(f"{name}.py").write_text(JOB.format(expression=expression, options=options))
    (tmp_path / "pinstripe.toml").write_text('timezone = "UTC"\n')
    with bots_of(tmp_path) as start:
        yield start


class Record:
    """What the ledger of a project says, read past our own code."""

    def __init__(self, root: Path) -> None:
        self._path = root / ".pinstripe" / "ledger.db"

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self._path)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def bots(self) -> list[str]:
        return [bot for (bot,) in self.rows("SELECT id FROM bots ORDER BY started_at")]

    def decided(self, job: str, bot: str | None = None) -> list[tuple[int, int, str, str | None, int, float]]:
        """(first, last, decision, reason, count, decided at), in seconds, oldest first; of one bot, if it is named."""
        query = (
            "SELECT due_at, coalesce(until_at, due_at), decision, reason, count, claimed_at FROM occurrences"
            " WHERE job = ? AND bot = coalesce(?, bot) ORDER BY due_at"
        )
        found = self.rows(query, job.replace("_", "-"), bot)
        return [(first // SECOND, last // SECOND, *rest, at / SECOND) for first, last, *rest, at in found]

    def mark(self, job: str) -> tuple[int, int]:
        """(since when it counts, until when it is decided), UTC seconds."""
        query = "SELECT effective_from, planned_to FROM schedules WHERE job = ?"
        ((since, until),) = self.rows(query, job.replace("_", "-"))
        return since // SECOND, until // SECOND


def instants_of(expression: str, after_s: int, until_s: int) -> Instants:
    """When the schedule itself says that it comes due."""
    cron, found = parse(expression), []
    instant = cron.next_after(datetime.fromtimestamp(after_s, UTC), "UTC")
    while instant.timestamp() <= until_s:
        found.append(int(instant.timestamp()))
        instant = cron.next_after(instant, "UTC")
    return found


def test_after_a_downtime_every_instant_is_decided_once_as_its_policy_says(
    tmp_path: Path, start_bot: Callable[..., BotProcess]
) -> None:
    first = start_bot()
    first.wait_for("run_succeeded", times=4 * len(JOBS))
    first.kill()
    time.sleep(DOWN_S)

    second = start_bot()
    second.wait_for("bot_started")
    second.wait_for("run_succeeded", times=4 * len(JOBS))
    deadline_s = time.monotonic() + PATIENCE_S
    record = Record(tmp_path)
    while record.rows("SELECT count(*) FROM runs WHERE state = 'queued' AND in_turn = 1") != [(0,)]:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    code = second.stop()

    assert code == 0
    for job, (expression, _, policy) in JOBS.items():
        check_every_instant(record, job, expression)
        check_the_first_decision(record, job, expression, policy)
    check_what_ran(record, tmp_path)


def check_every_instant(record: Record, job: str, expression: str) -> None:
    """The schedule's own instants, each in exactly one decision, and the counts of the stretches."""
    decided = record.decided(job)
    instants = instants_of(expression, *record.mark(job))
    for one in instants:
        assert sum(begin <= one <= end for begin, end, *_ in decided) == 1, (job, one)
    for begin, end, _, _, count, _ in decided:
        assert count == sum(begin <= one <= end for one in instants), (job, begin)


def check_the_first_decision(
    record: Record, job: str, expression: str, policy: Callable[[Instants, float], Verdicts]
) -> None:
    """What the second bot made of the downtime at its first tick."""
    dead, back = record.bots()
    before = [end for _, end, *_ in record.decided(job, dead)]
    decided = record.decided(job, back)
    first_at = min(at for *_, at in decided)
    found = [row for row in decided if row[-1] == first_at]
    after_s = max(before, default=record.mark(job)[0])
    waiting = instants_of(expression, after_s, int(first_at))
    expected = policy(waiting, first_at)
    told = {
        one: (decision, reason)
        for begin, end, decision, reason, _, _ in found
        for one in waiting
        if begin <= one <= end
    }
    assert told == expected, job


def check_what_ran(record: Record, root: Path) -> None:
    noted = [line.split() for line in (root / "notes.txt").read_text().splitlines()]
    work = {(job, int(due_ts)) for job, due_ts in noted}
    started = record.rows("SELECT job, due_at FROM runs WHERE started_at IS NOT NULL")
    assert len(work) == len(noted), "a run was started twice"
    assert work <= {(job, due_at // SECOND) for job, due_at in started}, "an unrecorded run has started"
    states = dict(record.rows("SELECT state, count(*) FROM runs GROUP BY state"))
    assert states.keys() <= {"succeeded", "interrupted", "queued"}
    cut_off = record.rows("SELECT DISTINCT owner FROM runs WHERE state = 'interrupted'")
    assert all(owner == record.bots()[0] for (owner,) in cut_off)
