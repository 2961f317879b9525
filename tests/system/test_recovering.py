"""A damaged ledger stops a bot, until somebody says --recover."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import BotProcess, bots_of

JOB = """
from pinstripe_bot import background_job


@background_job("* * * * * *")
def work(workspace):
    return None
"""


@pytest.fixture
def start_bot(tmp_path: Path) -> Iterator[Callable[..., BotProcess]]:
    folder = tmp_path / "lib" / "background_jobs"
    folder.mkdir(parents=True)
    folder.joinpath("work.py").write_text(JOB)
    with bots_of(tmp_path) as start:
        yield start


def test_a_damaged_ledger_is_refused_and_with_recover_a_new_one_begins(
    start_bot: Callable[..., BotProcess], tmp_path: Path
) -> None:
    first = start_bot()
    first.wait_for("run_succeeded", times=2)
    assert first.stop() == 0
    ledger = tmp_path / ".pinstripe" / "ledger.db"
    sqlite3.connect(ledger).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()  # all is in the file itself
    with ledger.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 3 * 4096)
    damaged = ledger.read_bytes()

    refused = start_bot()
    assert refused.process.wait(20) == 4
    bot = start_bot("--recover")
    said = bot.wait_for("ledger_recovered")
    bot.wait_for("run_succeeded", times=2)

    assert said["level"] == "error"
    assert Path(said["moved_to"]).read_bytes() == damaged
    assert bot.stop() == 0
