"""What the stop signals do to a bot in a process of its own."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import BotProcess, bots_of

StartBot = Callable[..., BotProcess]

JOB = """
import time
from pinstripe_bot import background_job


@background_job("* * * * * *")
def work(workspace):
    workspace.logger.info("job_begun")
    {body}
"""

SHORT = "time.sleep(1.5)"
LISTENING = "\n    while True: workspace.checkpoint(); time.sleep(0.01)"
DEAF = "time.sleep(60)"


@pytest.fixture
def start_bot(tmp_path: Path) -> Iterator[StartBot]:
    with bots_of(tmp_path) as start:
        yield start


@pytest.fixture
def write_job(tmp_path: Path) -> Callable[[str], None]:
    def write(body: str) -> None:
        folder = tmp_path / "lib" / "background_jobs"
        folder.mkdir(parents=True)
        folder.joinpath("sweep.py").write_text(JOB.format(body=body))

    return write


def runs(root: Path) -> list[tuple[str, str | None]]:
    connection = sqlite3.connect(root / ".pinstripe" / "ledger.db")
    try:
        return connection.execute("SELECT state, reason FROM runs ORDER BY id").fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_job_end_and_starts_no_other(
    tmp_path: Path, write_job: Callable[[str], None], start_bot: StartBot, number: signal.Signals
) -> None:
    write_job(SHORT)
    bot = start_bot()
    bot.wait_for("job_begun")

    code = bot.stop(number)

    assert code == 0
    assert runs(tmp_path) == [("succeeded", None)]


def test_a_job_that_outlives_the_shutdown_timeout_is_cut_off(
    tmp_path: Path, write_job: Callable[[str], None], start_bot: StartBot
) -> None:
    write_job(LISTENING)
    bot = start_bot("--shutdown-timeout", "100ms")
    bot.wait_for("job_begun")

    code = bot.stop()

    assert code == 143
    assert runs(tmp_path) == [("interrupted", "shutdown")]


def test_a_second_signal_cuts_off_at_once(
    tmp_path: Path, write_job: Callable[[str], None], start_bot: StartBot
) -> None:
    write_job(LISTENING)
    bot = start_bot()
    bot.wait_for("job_begun")
    bot.process.send_signal(signal.SIGINT)
    bot.wait_for("bot_stopping")

    code = bot.stop(signal.SIGTERM)

    assert code == 130
    assert runs(tmp_path) == [("interrupted", "shutdown")]


def test_a_deaf_job_does_not_keep_the_process(
    tmp_path: Path, write_job: Callable[[str], None], start_bot: StartBot
) -> None:
    write_job(DEAF)
    bot = start_bot("--shutdown-timeout", "100ms")
    bot.wait_for("job_begun")

    code = bot.stop()

    assert code == 143
    assert runs(tmp_path) == [("interrupted", "shutdown")]


def test_a_third_signal_exits_at_once_and_the_next_start_says_what_was_cut_off(
    tmp_path: Path, write_job: Callable[[str], None], start_bot: StartBot
) -> None:
    write_job(DEAF)
    bot = start_bot()
    bot.wait_for("job_begun")
    bot.process.send_signal(signal.SIGTERM)
    bot.wait_for("bot_stopping")
    bot.process.send_signal(signal.SIGTERM)
    bot.wait_for("runs_cancelled")

    code = bot.stop(signal.SIGTERM)

    assert code == 143
    start_bot().wait_for("run_interrupted")
    assert runs(tmp_path)[0] == ("interrupted", "bot_died")
