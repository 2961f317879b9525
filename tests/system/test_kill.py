"""A bot that is killed loses nothing and starts nothing twice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from processes import BotProcess, bots_of

StartBot = Callable[..., BotProcess]
SECOND = 1_000_000

HERD = """
import os
import time
from pinstripe_bot import background_job


@background_job("* * * * * *", overlap="allow")
def work(workspace):
    line = f"{workspace.job_name} {int(workspace.due_at.timestamp())}\\n"
    descriptor = os.open(workspace.project.root / "notes.txt", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(descriptor, line.encode())
    os.close(descriptor)
    while (workspace.project.root / f"hold-{workspace.job_name}").exists():
        time.sleep(0.01)
"""
"""A job that comes due every second, notes what it did, in one write, and may be held there."""


@pytest.fixture
def start_bot(tmp_path: Path) -> Iterator[StartBot]:
    with bots_of(tmp_path) as start:
        yield start


@pytest.fixture
def write_herd(tmp_path: Path) -> Callable[[int], None]:
    """Write so many jobs into the project, all of them due every second."""

    def write(number: int) -> None:
        folder = tmp_path / "lib" / "background_jobs"
        folder.mkdir(parents=True)
        for one in range(number):
            folder.joinpath(f"herd_{one:03}.py").write_text(HERD)

    return write


def ledger_rows(root: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(root / ".pinstripe" / "ledger.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def noted(root: Path) -> Counter[tuple[str, int]]:
    """How often each job did its work for each due instant."""
    lines = (line.split() for line in (root / "notes.txt").read_text().splitlines())
    return Counter((job, int(due_ts)) for job, due_ts in lines)


def run_what_is_left(root: Path, start_bot: StartBot) -> None:
    """Nothing comes due any more, and one more bot runs what the others have released."""
    for path in (root / "lib" / "background_jobs").iterdir():
        path.write_text(path.read_text().replace("* * * * * *", "0 0 1 1 *"))
    ((left,),) = ledger_rows(root, "SELECT count(*) FROM runs WHERE state = 'queued'")
    bot = start_bot()
    bot.wait_for("bot_started")
    bot.wait_for("run_succeeded", times=left)
    assert bot.stop() == 0


def check_that_nothing_is_lost_or_doubled(root: Path) -> None:
    """Compare what the jobs did with what the ledger says of them."""
    work = noted(root)
    runs = {
        (job, due_at // SECOND): state
        for job, due_at, state in ledger_rows(root, "SELECT job, due_at, state FROM runs")
    }
    succeeded = {key for key, state in runs.items() if state == "succeeded"}
    cut_off = {key for key, state in runs.items() if state == "interrupted"}
    assert max(work.values()) == 1, "a run was started twice"
    assert succeeded <= work.keys(), "a run that is said to have succeeded did nothing"
    assert work.keys() <= succeeded | cut_off, "work was done of which the ledger knows nothing"
    assert succeeded | cut_off == runs.keys(), "a run was left behind"
    assert ledger_rows(root, "SELECT count(*) FROM occurrences WHERE decision = 'run'") == [(len(runs),)]


def check_that_every_instant_is_decided(root: Path) -> None:
    """Each job's occurrences and stretches follow one another without a hole, second by second."""
    query = "SELECT job, due_at, coalesce(until_at, due_at), count FROM occurrences ORDER BY job, due_at"
    spans: dict[str, list[tuple[int, int]]] = {}
    for job, first, last, count in ledger_rows(root, query):
        assert count == (last - first) // SECOND + 1
        spans.setdefault(job, []).append((first // SECOND, last // SECOND))
    for job, found in spans.items():
        assert all(after[0] == before[1] + 1 for before, after in pairwise(found)), job


def test_a_kill_in_the_middle_of_a_busy_tick_loses_nothing_and_doubles_nothing(
    tmp_path: Path, write_herd: Callable[[int], None], start_bot: StartBot
) -> None:
    write_herd(300)
    # These keep the four workers: the rest of their tick is queued whenever the bot is killed.
    held = [tmp_path / f"hold-herd-{number}" for number in range(150, 154)]
    for path in held:
        path.touch()
    first = start_bot("--workers", "4")
    first.wait_for("run_succeeded", times=40)

    first.kill()
    for path in held:
        path.unlink()
    left = ledger_rows(tmp_path, "SELECT count(*) FROM runs WHERE state = 'queued'")
    second = start_bot("--workers", "4")
    taken_over = second.wait_for("runs_taken_over")
    second.wait_for("run_succeeded", times=600)
    code = second.stop()

    assert code == 0
    assert [(taken_over["runs"],)] == left
    run_what_is_left(tmp_path, start_bot)
    check_that_nothing_is_lost_or_doubled(tmp_path)
    check_that_every_instant_is_decided(tmp_path)


@pytest.mark.parametrize("seed", [1, 2])
def test_after_several_kills_at_any_moment_nothing_is_lost_and_nothing_doubled(
    tmp_path: Path, write_herd: Callable[[int], None], start_bot: StartBot, seed: int
) -> None:
    write_herd(40)
    chance = random.Random(seed)
    for _ in range(4):
        bot = start_bot("--workers", "3")
        bot.wait_for("run_succeeded", times=chance.randrange(1, 80))
        bot.kill()

    run_what_is_left(tmp_path, start_bot)

    check_that_nothing_is_lost_or_doubled(tmp_path)
    check_that_every_instant_is_decided(tmp_path)


def test_two_bots_on_one_ledger_run_every_instant_once(
    tmp_path: Path, write_herd: Callable[[int], None], start_bot: StartBot
) -> None:
    write_herd(40)
    bots = [start_bot("--workers", "3") for _ in range(2)]
    for bot in bots:
        bot.wait_for("run_succeeded", times=80)

    codes = [bot.stop() for bot in bots]

    assert codes == [0, 0]
    owners = ledger_rows(tmp_path, "SELECT count(DISTINCT owner) FROM runs WHERE state = 'succeeded'")
    assert owners == [(2,)]
    run_what_is_left(tmp_path, start_bot)
    check_that_nothing_is_lost_or_doubled(tmp_path)
    check_that_every_instant_is_decided(tmp_path)


FORKING = """
import os, signal, time
from pinstripe_bot import background_job


@background_job("* * * * * *")
def work(workspace):
    note = workspace.project.root / "child"
    if note.exists():
        return
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # should nobody kill it
        signal.pause()
    note.write_text(str(child))
    workspace.logger.info("forked")
    time.sleep(60)
"""


def test_a_process_that_a_job_forked_does_not_keep_a_dead_bot_alive(tmp_path: Path, start_bot: StartBot) -> None:
    folder = tmp_path / "lib" / "background_jobs"
    folder.mkdir(parents=True)
    folder.joinpath("forking.py").write_text(FORKING)
    first = start_bot()
    first.wait_for("forked")
    first.process.kill()

    second = start_bot()

    try:
        interrupted = second.wait_for("run_interrupted")
    finally:
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
    assert interrupted["reason"] == "bot_died"
