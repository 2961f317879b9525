"""Atomic runs whose database holds the ledger: their work and their outcome are committed together."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from bots import PATIENCE_S, Ears, job, names_in, rows, write_jobs

from pinstripe_bot.bot import Bot
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.config import Config, LedgerConfig
from pinstripe_bot.control import RunControl
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_postgres import WRITER_LOCK
from pinstripe_bot.output import print_capture
from pinstripe_bot.project import Project

MakeBot = Callable[..., Bot]

OUTCOME = "SELECT state, reason, result, output, finished_at FROM runs"

HEAD = f"""
import os, signal
import psycopg
from pinstripe_bot import Secret

def look(workspace, query):
    url = workspace.config.database.url
    with psycopg.connect(url, options="-c search_path=pinstripe,public") as server:
        return server.execute(query).fetchall()

def after_commit(act):
    commit = psycopg.Connection.commit
    def committed(connection):
        psycopg.Connection.commit = commit
        commit(connection)
        act()
    psycopg.Connection.commit = committed

def take_away(workspace):
    url = workspace.config.database.url
    with psycopg.connect(url, options="-c search_path=pinstripe") as server:
        server.execute("SELECT pg_advisory_xact_lock({WRITER_LOCK[0]}, {WRITER_LOCK[1]})")
        server.execute("UPDATE runs SET state = 'interrupted', reason = 'bot_died'")
        begun.set()
        while not look(workspace, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            pass
"""

INSERT = "workspace.database.orders.insert(id=1)\n"


def atomic(body: str, *options: str) -> str:
    """A job that is run by hand, atomically."""
    return job(body, ", ".join(["atomic=True", *options]), head=HEAD)


@pytest.fixture
def shared(root: Path, fresh_postgres_url: str) -> Iterator[MakeBot]:
    """Make a bot whose ledger and database are one PostgreSQL database, which has a table."""
    with psycopg.connect(fresh_postgres_url, autocommit=True) as server:
        server.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    made: list[Bot] = []

    def make(services: dict[str, str] | None = None, **files: str) -> Bot:
        write_jobs(root, **files)
        write_services(root, services or {})
        project = Project.load(root, environ={}, overrides={"workers": 2, "database.url": fresh_postgres_url})
        place = ledger_place(Config(ledger=LedgerConfig(url=fresh_postgres_url)), root)
        bot = Bot(project, clock=SystemClock(), ledger=Ledger(place, locks=root / ".pinstripe" / "bots"))
        made.append(bot)
        return bot

    yield make
    for bot in made:
        bot.stop()


def write_services(root: Path, services: dict[str, str]) -> None:
    for name, text in services.items():
        path = root / "lib/services" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def orders(bot: Bot) -> list[tuple[Any, ...]]:
    return rows(bot.ledger, "SELECT id FROM public.orders")


def microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def test_with_the_commit_of_the_work_the_outcome_is_there(shared: MakeBot) -> None:
    body = f"print('done'); after_commit(lambda: calls.extend(look(workspace, {OUTCOME!r})))\nreturn {{'sold': 3}}"
    bot = shared(sell=atomic(INSERT + body))

    with Ears() as ears, print_capture():
        run = bot.run_background_job("sell")

    assert run.finished_at is not None
    finished_at = microseconds(run.finished_at.timestamp())
    assert names_in(bot, "sell")["calls"] == [("succeeded", None, '{"sold":3}', "done\n", finished_at)]
    assert rows(bot.ledger, OUTCOME) == names_in(bot, "sell")["calls"]
    assert (run.state, run.result, run.output, orders(bot)) == ("succeeded", {"sold": 3}, "done\n", [(1,)])
    assert ears.names("run_succeeded", "outcome_refused") == ["run_succeeded"]


def test_what_a_run_prints_after_its_commit_is_recorded_too(shared: MakeBot) -> None:
    bot = shared(sell=atomic(INSERT + "print('before'); after_commit(lambda: print('after'))"))

    with Ears(), print_capture():
        run = bot.run_background_job("sell")

    assert run.output == "before\nafter\n"
    assert rows(bot.ledger, "SELECT state, output FROM runs") == [("succeeded", run.output)]


def test_a_secret_is_in_no_outcome_that_is_committed_with_its_work(shared: MakeBot) -> None:
    body = "after_commit(lambda: calls.extend(look(workspace, 'SELECT result FROM runs')))\nreturn 'it is ' + token"
    bot = shared(sell=job(INSERT + body, "atomic=True", takes="token: Secret", head=HEAD))

    run = bot.run_background_job("sell", {"token": "opensesame"})

    assert names_in(bot, "sell")["calls"] == [('"it is redacted"',)]
    assert run.result == "it is redacted"


def test_a_run_that_is_taken_away_just_before_its_commit_commits_nothing(shared: MakeBot) -> None:
    body = "threading.Thread(target=take_away, args=(workspace,)).start(); assert begun.wait(10)"
    bot = shared(sell=atomic(INSERT + body))

    with Ears() as ears:
        bot.run_background_job("sell")
        ears.wait_for("outcome_refused")

    assert rows(bot.ledger, "SELECT state, reason FROM runs") == [("interrupted", "bot_died")]
    assert orders(bot) == []


def test_a_commit_whose_answer_is_lost_is_found_to_have_succeeded(shared: MakeBot) -> None:
    body = "after_commit(lambda: 1 / 0)\nreturn 4"
    bot = shared(sell=atomic(INSERT + body, "retries=2"))

    with Ears() as ears:
        run = bot.run_background_job("sell")

    assert (run.state, run.result, run.error, orders(bot)) == ("succeeded", 4, None, [(1,)])
    assert rows(bot.ledger, "SELECT state, attempt, result FROM runs") == [("succeeded", 1, "4")]
    assert ears.names("run_succeeded", "attempt_ended", "outcome_refused") == ["run_succeeded"]


def test_a_commit_that_fails_leaves_neither_work_nor_success(shared: MakeBot) -> None:
    rule = (
        "ALTER TABLE orders ADD CONSTRAINT odd UNIQUE (id) DEFERRABLE INITIALLY DEFERRED, DROP CONSTRAINT orders_pkey"
    )
    twice = "workspace.database.orders.insert(id=1)\n" * 2
    bot = shared(
        rule=job(f"workspace.database.execute(text({rule!r}))", "", head="from sqlalchemy import text"),
        sell=atomic(twice),
    )
    bot.run_background_job("rule")

    run = bot.run_background_job("sell")

    assert run.error is not None
    assert (run.state, run.error.type, orders(bot)) == ("failed", "DatabaseError", [])
    assert rows(bot.ledger, "SELECT state FROM runs WHERE job = 'sell'") == [("failed",)]


def test_a_run_that_has_not_used_the_database_is_recorded_as_any_other(shared: MakeBot) -> None:
    bot = shared(idle=atomic("return 1"))

    run = bot.run_background_job("idle")

    assert (run.state, rows(bot.ledger, "SELECT state, result FROM runs")) == ("succeeded", [("succeeded", "1")])


@pytest.mark.parametrize(
    ("settings", "inserts"),
    [
        ("SET LOCAL ROLE pinstripe_test_seller", True),
        ("SET LOCAL search_path TO public", True),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", True),
        ("SET TRANSACTION READ ONLY", False),
    ],
)
def test_whatever_a_job_sets_in_its_transaction_it_can_be_committed(
    shared: MakeBot, fresh_postgres_url: str, settings: str, inserts: bool
) -> None:
    with psycopg.connect(fresh_postgres_url, autocommit=True) as server:
        server.execute("DROP ROLE IF EXISTS pinstripe_test_seller")
        server.execute("CREATE ROLE pinstripe_test_seller")
        server.execute("GRANT USAGE ON SCHEMA public TO pinstripe_test_seller")
        server.execute("GRANT ALL ON orders TO pinstripe_test_seller")
    work = "workspace.database.unscoped.execute(__import__('sqlalchemy').text('INSERT INTO orders VALUES (1)'))\n"
    begin = f"workspace.database.execute(__import__('sqlalchemy').text({settings!r}))\n"
    bot = shared(sell=atomic(begin + (work if inserts else "")))

    run = bot.run_background_job("sell")

    assert (run.state, run.error, len(orders(bot))) == ("succeeded", None, int(inserts))
    with psycopg.connect(fresh_postgres_url, autocommit=True) as server:
        server.execute("DROP OWNED BY pinstripe_test_seller; DROP ROLE pinstripe_test_seller")


FAILS_TO_CLOSE = "def create(workspace):\n    yield []\n    raise ValueError('the letter is lost')\n"
CLOSING = "workspace.letters\n" + INSERT
"""A service that is older than the database closes after it."""


def test_a_service_that_fails_to_close_fails_the_run_and_nothing_is_committed(shared: MakeBot) -> None:
    bot = shared({"letters": FAILS_TO_CLOSE}, sell=atomic(CLOSING))

    run = bot.run_background_job("sell")

    assert (run.state, orders(bot)) == ("failed", [])
    assert rows(bot.ledger, "SELECT state FROM runs") == [("failed",)]


def test_on_sqlite_services_and_database_close_in_their_order_as_ever(make_bot: MakeBot, root: Path) -> None:
    with sqlite3.connect(root / "shop.db") as file:
        file.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    write_services(root, {"letters": FAILS_TO_CLOSE})
    bot = make_bot({"database.url": "sqlite:///shop.db"}, planned=False, sell=job(CLOSING, "atomic=True"))

    run = bot.run_background_job("sell")

    assert (run.state, rows(root / "shop.db", "SELECT id FROM orders")) == ("failed", [(1,)])


def test_a_called_job_commits_its_own_outcome_under_its_own_key(shared: MakeBot) -> None:
    caller = "workspace.run_background_job('sell')\nraise ValueError(workspace.occurrence_key)"
    bot = shared(caller=job(caller, ""), sell=atomic(INSERT + "return workspace.occurrence_key"))

    run = bot.run_background_job("caller")

    kept = rows(bot.ledger, "SELECT job, state, result FROM runs ORDER BY id")
    sold = kept[1][2].strip('"')
    assert [row[:2] for row in kept] == [("caller", "failed"), ("sell", "succeeded")]
    assert run.error is not None
    assert (run.error.message.split("/")[:2], sold.split("/")[:2]) == (["caller", "manual:1"], ["sell", "manual:2"])
    assert orders(bot) == [(1,)]


# In a process of its own


def test_a_run_in_a_process_commits_its_outcome_with_its_work(shared: MakeBot) -> None:
    act = f"lambda: print(look(workspace, {OUTCOME!r}))"
    body = f"print('done'); after_commit({act})\nreturn [workspace.occurrence_key, workspace.attempt]"
    bot = shared(sell=atomic(INSERT + body, "isolation='process'"))

    run = bot.run_background_job("sell")

    assert run.finished_at is not None
    assert (run.state, run.result[0].split("/")[:2], run.result[1]) == ("succeeded", ["sell", "manual:1"], 1)
    result = run.output.split("'", 4)[3]
    finished_at = microseconds(run.finished_at.timestamp())
    assert run.output == f"done\n[('succeeded', None, '{result}', 'done\\n', {finished_at})]\n"
    assert rows(bot.ledger, OUTCOME) == [("succeeded", None, result, run.output, finished_at)]
    assert orders(bot) == [(1,)]


def test_a_process_that_dies_after_its_commit_has_succeeded(shared: MakeBot) -> None:
    body = "after_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))\nreturn 4"
    bot = shared(sell=atomic(INSERT + body, "isolation='process'", "retries=1"))

    with Ears() as ears:
        run = bot.run_background_job("sell")

    assert (run.state, run.result, run.error, orders(bot)) == ("succeeded", 4, None, [(1,)])
    assert ears.names("run_succeeded", "run_failed", "outcome_refused") == ["run_succeeded"]


def test_a_run_in_a_process_that_is_taken_away_just_before_its_commit_commits_nothing(shared: MakeBot) -> None:
    body = "threading.Thread(target=take_away, args=(workspace,)).start(); assert begun.wait(10)"
    bot = shared(sell=atomic(INSERT + body, "isolation='process'"))

    with Ears() as ears:
        bot.run_background_job("sell")
        ears.wait_for("outcome_refused")

    assert orders(bot) == []
    assert rows(bot.ledger, "SELECT state, reason FROM runs") == [("interrupted", "bot_died")]


# Told to end meanwhile


def test_a_time_out_that_comes_while_a_run_commits_ends_nothing(shared: MakeBot) -> None:
    act = "lambda: (begun.set(), go.wait(10))"
    bot = shared(sell=atomic(INSERT + f"after_commit({act})"))
    bot.plan()
    [run] = bot.parts.by_hand._claim([bot.parts.by_hand._run(bot.project.job("sell"), {}, None)], force=False)
    with Ears() as ears:
        bot.dispatcher.dispatch([run])
        assert names_in(bot, "sell")["begun"].wait(PATIENCE_S)

        cut_off = bot.dispatcher.running.abandon_all()
        bot.dispatcher._drop_lost()
        names_in(bot, "sell")["go"].set()

        ears.wait_for("run_succeeded")
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert cut_off == []
    assert rows(bot.ledger, "SELECT state FROM runs") == [("succeeded",)]
    assert ears.names("outcome_refused", "run_interrupted") == []


def test_a_run_whose_end_is_recorded_may_not_begin_to_commit() -> None:
    control, now = RunControl(), SystemClock().now()

    assert control.end_early()
    assert not control.begin_commit(now)
    assert control.commits_at is None


def test_a_run_that_commits_its_end_is_ended_by_itself_alone() -> None:
    control, now = RunControl(), SystemClock().now() + timedelta(seconds=1)

    assert control.begin_commit(now)

    assert [control.end_early(), control.end(), control.end()] == [False, True, False]
    assert control.commits_at == now
