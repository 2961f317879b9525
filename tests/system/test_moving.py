"""A move of the ledger that is killed goes on where it was: nothing is lost, nothing doubled."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import insert, make_url

from pinstripe_bot.ledger_schema import occurrences, runs
from pinstripe_bot.ledger_sqlite import SqliteStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 4000

MOVE = [sys.executable, "-m", "pinstripe_bot", "move-ledger"]

KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from pinstripe_bot.config import Config
from pinstripe_bot.ledger_move import LedgerMove

left, url = int(sys.argv[1]), sys.argv[2]


def progress(done, total):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)


LedgerMove(Config(), Path.cwd(), "shop", url).run(datetime.now(UTC), progress)
"""
"""A move that ends as by `kill -9` when it has told its progress so many times."""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with a ledger of some thousand rows."""
    root = tmp_path / "shop"
    (root / "lib" / "background_jobs").mkdir(parents=True)
    (root / "pinstripe.toml").write_text("")
    store = SqliteStore(root / ".pinstripe" / "ledger.db")
    store.open("shop", NOW)
    instants = {"due_at": 5, "claimed_at": 6}
    decided = {"schedule": "s", "decision": "run", "bot": "b"} | instants
    ran = {"schedule": "s", "state": "failed", "params": "{}", "params_key": "", "available_at": 0} | instants
    numbers = range(1, ROWS + 1)
    with store.writing() as connection:
        connection.execute(insert(occurrences), [decided | {"id": one * 3, "job": f"job {one}"} for one in numbers])
        own = [ran | {"id": one, "occurrence_id": one * 3, "job": f"job {one}", "output": "x" * one} for one in numbers]
        connection.execute(insert(runs), own)
    store.close()
    return root


def call(root: Path, command: list[str], url: str) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PINSTRIPE_")}
    return subprocess.run(
        [*command, url], cwd=root, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def killed_after(root: Path, progress: int, url: str) -> subprocess.CompletedProcess[str]:
    return call(root, [sys.executable, "-c", KILLED, str(progress)], url)


def content(source: Any) -> list[tuple[Any, ...]]:
    query = (
        "SELECT runs.id, occurrence_id, occurrences.job, length(output) FROM runs"
        " JOIN occurrences ON occurrences.id = occurrence_id ORDER BY runs.id"
    )
    return [tuple(row) for row in source.execute(query).fetchall()]


def test_a_move_that_is_killed_at_random_goes_on_to_the_end(shop: Path, fresh_postgres_url: str) -> None:
    url = fresh_postgres_url
    with sqlite3.connect(shop / ".pinstripe" / "ledger.db") as source:
        before = content(source)
    source.close()

    kills = [killed_after(shop, progress, url) for progress in random.sample(range(12), 4)]
    ended = call(shop, MOVE, url)

    assert {killed.returncode for killed in kills} == {-9}, [killed.stderr for killed in kills]
    assert ended.returncode == 0, ended.stderr
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn, options="-c search_path=pinstripe") as target:
        assert content(target) == before
        next_id = target.execute("SELECT nextval(pg_get_serial_sequence('runs', 'id'))").fetchone()
    assert next_id == (ROWS + 1,)


def test_after_a_kill_no_bot_starts_on_either_until_it_is_finished_or_given_up(
    shop: Path, fresh_postgres_url: str
) -> None:
    killed_after(shop, 3, fresh_postgres_url)

    refused = call(shop, [*MOVE[:3]], "start-bot")
    given_up = call(shop, MOVE, "--give-up")

    assert (refused.returncode, "is being moved to" in refused.stderr) == (4, True)
    assert (given_up.returncode, given_up.stdout[:8]) == (0, "The move")
    with sqlite3.connect(shop / ".pinstripe" / "ledger.db") as source:
        assert len(content(source)) == ROWS
    source.close()
