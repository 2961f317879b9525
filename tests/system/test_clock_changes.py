"""What a bot in a process of its own does when the machine's clock is set: libfaketime gives it one that we can set."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from processes import BotProcess, bots_of

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))

pytestmark = pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not here: apt-get install libfaketime")

HOUR_S = 3600

JOB = """
from pathlib import Path
from pinstripe_bot import background_job

RAN = Path(__file__).parents[2] / "ran.txt"


@background_job("* * * * * *", overlap="allow", catch_up="all", catch_up_max=30)  # a late tick misses nothing
def sweep(workspace):
    with RAN.open("a") as ran:
        ran.write(f"{workspace.due_at.isoformat()}\\n")
"""

StartBot = Callable[..., BotProcess]
SetClock = Callable[[int], None]


@pytest.fixture
def set_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Let the wall clock of the bots that start from now on be so many seconds ahead of the machine's."""
    path = tmp_path / "clock.txt"

    def set_clock(ahead_s: int) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_text(f"{ahead_s:+d}")
        fresh.replace(path)  # at once: the bot reads it at every look at the clock

    set_clock(0)
    monkeypatch.setenv("LD_PRELOAD", str(LIBRARIES[0]))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(path))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("DONT_FAKE_MONOTONIC", "1")
    monkeypatch.setenv("NO_FAKE_STAT", "1")
    return set_clock


@pytest.fixture
def start_bot(tmp_path: Path, set_clock: SetClock) -> Iterator[StartBot]:
    folder = tmp_path / "lib" / "background_jobs"
    folder.mkdir(parents=True)
    folder.joinpath("sweep.py").write_text(JOB)
    with bots_of(tmp_path) as start:
        yield start


@pytest.fixture
def bot(start_bot: StartBot) -> BotProcess:
    """A bot that has run its job each second for a moment."""
    bot = start_bot()
    bot.wait_for("run_succeeded", 2)
    return bot


def occurrences(root: Path) -> list[tuple[datetime, datetime, str, str | None, int]]:
    """(first instant, last instant, decision, reason, count) of what was decided, in order of the instants."""
    connection = sqlite3.connect(root / ".pinstripe" / "ledger.db")
    try:
        query = "SELECT due_at, coalesce(until_at, due_at), decision, reason, count FROM occurrences ORDER BY due_at"
        rows = connection.execute(query).fetchall()
    finally:
        connection.close()
    return [(_instant(first), _instant(last), *rest) for first, last, *rest in rows]


def _instant(column: int) -> datetime:
    return datetime.fromtimestamp(column / 1_000_000, UTC)


def assert_every_second_was_decided_once(root: Path) -> None:
    decided = occurrences(root)
    second = timedelta(seconds=1)
    assert [first - second for first, *_ in decided[1:]] == [last for _, last, *_ in decided[:-1]]
    assert all(count == (last - first) / second + 1 for first, last, _, _, count in decided)


def assert_nothing_ran_twice(root: Path) -> None:
    ran = (root / "ran.txt").read_text().split()
    assert len(ran) == len(set(ran))


def jumped(said: dict[str, Any]) -> tuple[str, int]:
    return said["direction"], round(said["seconds"])


def test_set_back_by_an_hour_it_says_so_runs_nothing_again_and_goes_on_when_the_time_has_come(
    tmp_path: Path, set_clock: SetClock, bot: BotProcess
) -> None:
    set_clock(-HOUR_S)
    back = bot.wait_for("clock_jumped")
    before = occurrences(tmp_path)
    ran = bot.heard["run_succeeded"]
    set_clock(0)  # the hour is over
    ahead = bot.wait_for("clock_jumped", 2)
    bot.wait_for("run_succeeded", ran + 2)

    code = bot.stop()

    assert code == 0
    assert [jumped(back), jumped(ahead)] == [("backwards", HOUR_S), ("forwards", HOUR_S)]
    assert before[-1][1] <= datetime.fromisoformat(back["decided_until"])
    assert_every_second_was_decided_once(tmp_path)
    assert_nothing_ran_twice(tmp_path)


def test_set_back_by_seconds_it_waits_for_the_next_new_due_instant_and_no_longer(
    tmp_path: Path, set_clock: SetClock, bot: BotProcess
) -> None:
    set_clock(-5)
    back = bot.wait_for("clock_jumped")
    ran = bot.heard["run_succeeded"]
    bot.wait_for("run_succeeded", ran + 3)

    bot.stop()

    assert jumped(back) == ("backwards", 5)
    assert {decision for _, _, decision, _, _ in occurrences(tmp_path)} == {"run"}
    assert_every_second_was_decided_once(tmp_path)
    assert_nothing_ran_twice(tmp_path)


def test_set_ahead_by_an_hour_it_says_so_and_treats_the_hour_as_a_downtime(
    tmp_path: Path, set_clock: SetClock, bot: BotProcess
) -> None:
    set_clock(HOUR_S)
    ahead = bot.wait_for("clock_jumped")
    ran = bot.heard["run_succeeded"]
    bot.wait_for("run_succeeded", ran + 2)

    bot.stop()

    missed = [(reason, count) for _, _, decision, reason, count in occurrences(tmp_path) if decision == "missed"]
    assert jumped(ahead) == ("forwards", HOUR_S)
    assert [reason for reason, _ in missed] == ["clock_jump"]
    assert HOUR_S - 60 <= missed[0][1] <= HOUR_S
    assert_every_second_was_decided_once(tmp_path)
    assert_nothing_ran_twice(tmp_path)
