"""A bot that stood still, and was taken for dead meanwhile, can neither commit nor record what it had begun."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from bots import rows
from processes import BotProcess, bots_of

StartBot = Callable[..., BotProcess]

JOB = """
import os, time
from pinstripe_bot import background_job


@background_job("* * * * * *", on_interrupt="retry", atomic={is_atomic})
def work(workspace):
    workspace.logger.info("job_begun")
    if {is_atomic}:
        workspace.database.notes.insert(run=workspace.run_id, attempt=workspace.attempt, bot=os.getpid())
    workspace.logger.info("job_in_the_middle")
    time.sleep(0.8)
"""

FREE = """
from pinstripe_bot import background_job


@background_job("* * * * * *", overlap="allow")
def work(workspace):
    pass
"""

TABLE = "CREATE TABLE notes (run bigint, attempt bigint, bot bigint)"


@dataclass(frozen=True)
class Shop:
    """A project with its ledger in PostgreSQL, two jobs, and a table into which one of them, `guarded`, writes."""

    root: Path
    ledger_url: str
    database_url: str

    @property
    def is_on_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    def write(self) -> None:
        folder = self.root / "lib" / "background_jobs"
        folder.mkdir(parents=True)
        folder.joinpath("guarded.py").write_text(JOB.format(is_atomic=True))
        folder.joinpath("plain.py").write_text(JOB.format(is_atomic=False))
        urls = f'database.url = "{self.database_url}"\nledger.url = "{self.ledger_url}"\n'
        self.root.joinpath("pinstripe.toml").write_text(f'{urls}ledger.lease = "2s"\n')
        if self.is_on_sqlite:
            sqlite3.connect(self.root / "shop.db").execute(TABLE).connection.close()
        else:
            with psycopg.connect(self.database_url) as server:
                server.execute(TABLE)

    def notes_of(self, run_id: int) -> list[tuple[Any, ...]]:
        """(attempt, pid of the bot) of what was committed for a run."""
        query = f"SELECT attempt, bot FROM notes WHERE run = {run_id}"
        if self.is_on_sqlite:
            return rows(self.root / "shop.db", query)
        with psycopg.connect(self.database_url) as server:
            return server.execute(query).fetchall()

    def ledger(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.ledger_url, options="-c search_path=pinstripe") as server:
            return server.execute(query, values).fetchall()

    def story_of(self, run_id: int) -> list[tuple[Any, ...]]:
        """(attempt, state, reason, pid of the bot) of a run's attempts."""
        columns = "attempt, state, reason, pid FROM {} JOIN bots ON bots.id = owner WHERE {} = %s"
        earlier = f"SELECT {columns.format('attempts', 'run_id')} ORDER BY attempt"
        return self.ledger(earlier, run_id) + self.ledger(f"SELECT {columns.format('runs', 'runs.id')}", run_id)

    def is_being_written(self) -> bool:
        """Whether a bot holds the lock of who decides, a moment after what it has sent has come to the server."""
        self.ledger("SELECT pg_sleep(0.1)")
        return self.ledger("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted") != [(0,)]

    def make_foreign(self, bot: BotProcess) -> None:
        """Let a bot look like one of another machine: its lock file is not to be seen."""
        ((lock,),) = self.ledger("SELECT lock FROM bots WHERE pid = %s", bot.process.pid)
        Path(lock).unlink()

    def wait_until_expired(self, bot: BotProcess) -> None:
        """Wait until a bot's lease has run out, by the database's clock."""
        left = "lease_until / 1000000.0 - extract(epoch FROM clock_timestamp())"
        self.ledger(f"SELECT pg_sleep(greatest({left}, 0)) FROM bots WHERE pid = %s", bot.process.pid)


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, fresh_postgres_url: str) -> Shop:
    shop = Shop(
        tmp_path, fresh_postgres_url, fresh_postgres_url if request.param == "postgres" else "sqlite:///shop.db"
    )
    shop.write()
    return shop


@pytest.fixture
def shop_on_postgres(tmp_path: Path, fresh_postgres_url: str) -> Shop:
    """The same, and a third job, `free`, that each bot may run whatever the others do."""
    shop = Shop(tmp_path, fresh_postgres_url, fresh_postgres_url)
    shop.write()
    (tmp_path / "lib/background_jobs/free.py").write_text(FREE)
    return shop


@pytest.fixture
def start_bot(shop: Shop) -> Iterator[StartBot]:
    with bots_of(shop.root) as start:
        yield start


def stop_in_the_middle(shop: Shop, bot: BotProcess, *, is_foreign: bool = True) -> dict[str, int]:
    """Let a bot stand still in the middle of both jobs, as one of another machine; {job: its run}."""
    said = {job: bot.wait_for_one("job_in_the_middle", job=job) for job in ("guarded", "plain")}
    bot.process.send_signal(signal.SIGSTOP)
    while shop.is_being_written():  # a bot that stands still while it decides holds the others up for five seconds
        bot.process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
        bot.process.send_signal(signal.SIGSTOP)
    if is_foreign:
        shop.make_foreign(bot)
    return {job: one["run_id"] for job, one in said.items()}


def test_a_bot_that_wakes_after_it_was_taken_for_dead_commits_nothing_records_nothing_and_goes_on(
    shop: Shop, start_bot: StartBot
) -> None:
    asleep = start_bot()
    runs = stop_in_the_middle(shop, asleep)
    if shop.is_on_sqlite:
        shop.wait_until_expired(asleep)  # then the heir finds it at its start, else at a look of its poller
    heir = start_bot()
    for run_id in runs.values():
        heir.wait_for_one("job_begun", run_id=run_id, attempt=2)
    if not shop.is_on_sqlite:  # there the sleeper holds the one write lock, and the heir waits for it
        for run_id in runs.values():
            heir.wait_for_one("run_succeeded", run_id=run_id, attempt=2)

    asleep.process.send_signal(signal.SIGCONT)
    for run_id in runs.values():  # at its next heartbeat, or at the run's end, whichever comes first
        asleep.wait_for_one("outcome_refused", run_id=run_id)
    asleep.wait_for_one("bot_presumed_dead")
    for run_id in runs.values():
        heir.wait_for_one("run_succeeded", run_id=run_id, attempt=2)
    code = heir.stop()
    goes_on = asleep.heard["run_succeeded"]
    asleep.wait_for("run_succeeded", times=goes_on + 2)

    assert [code, asleep.stop()] == [0, 0]
    pids = [asleep.process.pid, heir.process.pid]
    for run_id in runs.values():
        assert shop.story_of(run_id) == [(1, "interrupted", "bot_died", pids[0]), (2, "succeeded", None, pids[1])]
    assert shop.notes_of(runs["guarded"]) == [(2, pids[1])]


def test_a_bot_that_stands_still_on_this_machine_holds_its_lock_file_and_yet_nobody_waits_for_it(
    shop_on_postgres: Shop,
) -> None:
    shop = shop_on_postgres
    with bots_of(shop.root) as start:
        asleep, heir = start(), start()
        heir.wait_for("bot_started")
        runs = stop_in_the_middle(shop, asleep, is_foreign=False)
        ((stopped_at,),) = shop.ledger("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")
        for run_id in runs.values():
            heir.wait_for_one("run_succeeded", run_id=run_id, attempt=2)

        asleep.process.send_signal(signal.SIGCONT)
        for run_id in runs.values():
            asleep.wait_for_one("outcome_refused", run_id=run_id)
        asleep.wait_for_one("bot_presumed_dead")
        asleep.wait_for("run_succeeded", times=asleep.heard["run_succeeded"] + 1)

        pids = [asleep.process.pid, heir.process.pid]
        meanwhile = shop.ledger(
            "SELECT count(*), max(runs.started_at - due_at) FROM runs JOIN bots ON bots.id = runs.owner"
            " WHERE job = 'free' AND pid = %s AND due_at > %s",
            *(pids[1], stopped_at),
        )
        signed_in = shop.ledger("SELECT count(*) FROM bots WHERE stopped_at IS NULL")
        assert [asleep.stop(), heir.stop()] == [0, 0]
    for run_id in runs.values():
        assert shop.story_of(run_id) == [(1, "interrupted", "bot_died", pids[0]), (2, "succeeded", None, pids[1])]
    ((count, latest_us),) = meanwhile
    assert count >= 2
    assert latest_us < 4_000_000, "while a bot stood still, another one's runs began late"
    assert signed_in == [(2,)]
