"""Runs for tenants in processes of their own: whose they are is known there, and on the way back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bots import Ears, job, rows, write_jobs

from pinstripe_bot.bot import Bot
from pinstripe_bot.occurrence import RunState
from pinstripe_bot.project import Project

BotOf = Callable[..., Bot]

IN_A_PROCESS = "isolation='process', timeout=20"
FOR_EACH = f"{IN_A_PROCESS}, multi_tenant=True"
INVOICE = job(
    "print('for', workspace.tenant.name)\n"
    "workspace.logger.info('counted')\n"
    "workspace.database.orders.update(total=1)\n"
    "return workspace.database.orders.count()",
    FOR_EACH,
)
CALLER = "ran = workspace.run_background_job('invoice')\nreturn {}"


@pytest.fixture
def bot_of(root: Path) -> Iterator[BotOf]:
    """Give a bot of these jobs, in a project whose shops Acme and Beta have one and two orders."""
    with sqlite3.connect(root / "shop.db") as database:
        database.executescript("""
            CREATE TABLE shops (id TEXT PRIMARY KEY, name TEXT);
            CREATE TABLE orders (id INTEGER PRIMARY KEY, tenant_id TEXT, total INTEGER DEFAULT 0);
            INSERT INTO shops VALUES ('a', 'Acme'), ('b', 'Beta');
            INSERT INTO orders (tenant_id) VALUES ('a'), ('b'), ('b');
        """)
    (root / "pinstripe.toml").write_text("[database]\nurl = 'sqlite:///shop.db'\n[tenants]\ntable = 'shops'\n")
    made: list[Bot] = []

    def make(**files: str) -> Bot:
        write_jobs(root, **files)
        project = Project.load(root, environ={"TZ": "UTC"}, overrides={"workers": 2})
        assert not project.problems, project.problems
        made.append(Bot(project))
        return made[0]

    yield make
    for bot in made:
        bot.stop()


def found(bot: Bot, columns: str) -> list[tuple[object, ...]]:
    return rows(bot.ledger, f"SELECT tenant, {columns} FROM runs WHERE job = 'invoice' ORDER BY tenant")


def test_each_has_its_tenants_rows_and_tells_whose_it_is(bot_of: BotOf, root: Path) -> None:
    bot = bot_of(invoice=INVOICE)

    with Ears() as ears:
        ran = bot.run_for_tenants("invoice", tenants=["b"])

    assert ran.states == {RunState.SUCCEEDED: 1}
    assert found(bot, "tenant_name, result") == [("b", "Beta", "2")]
    assert "for Beta\n" in str(found(bot, "output")[0][1]).replace("\\n", "\n")
    assert {event["tenant"] for event in ears.heard if event["event"] in ("counted", "run_printed")} == {"b"}
    assert rows(root / "shop.db", "SELECT tenant_id, sum(total) FROM orders GROUP BY 1") == [("a", 0), ("b", 2)]


def test_one_tenants_crash_touches_no_other(bot_of: BotOf) -> None:
    bot = bot_of(invoice=job("import os\nif workspace.tenant.id == 'a': os._exit(3)\nreturn 'well'", FOR_EACH))

    ran = bot.run_for_tenants("invoice")

    assert ran.states == {RunState.FAILED: 1, RunState.SUCCEEDED: 1}
    assert found(bot, "state") == [("a", "failed"), ("b", "succeeded")]


def test_one_tenants_time_out_touches_no_other(bot_of: BotOf) -> None:
    body = "if workspace.tenant.id == 'a':\n    time.sleep(60)\nreturn 'well'"
    bot = bot_of(invoice=job(body, FOR_EACH.replace("timeout=20", "timeout=1")))

    bot.run_for_tenants("invoice")

    assert found(bot, "state") == [("a", "timed_out"), ("b", "succeeded")]


def test_what_a_tenants_run_calls_is_for_that_tenant(bot_of: BotOf) -> None:
    bot = bot_of(invoice=INVOICE, caller=job(CALLER.format("ran.tenant"), FOR_EACH))

    called = bot.run_for_tenants("caller", tenants=["a"])

    assert called.is_success
    assert found(bot, "result") == [("a", "1")]


def test_what_a_run_without_a_tenant_calls_is_for_all_of_them(bot_of: BotOf) -> None:
    told = "[ran.count, ran.is_success, dict(ran.states)]"
    bot = bot_of(invoice=INVOICE, caller=job(CALLER.format(told), IN_A_PROCESS))

    called = bot.run_background_job("caller")

    assert called.result == [2, True, {"succeeded": 2}]
    assert found(bot, "result") == [("a", "1"), ("b", "2")]


def test_where_one_of_them_fails_the_caller_hears_of_it(bot_of: BotOf) -> None:
    failing = job("assert workspace.tenant.id == 'a', 'no paper'", FOR_EACH)
    bot = bot_of(invoice=failing, caller=job(CALLER.format("ran.count"), IN_A_PROCESS))

    called = bot.run_background_job("caller")

    assert called.state is RunState.FAILED
    assert called.error is not None
    assert "no paper" in called.error.message
    assert found(bot, "state") == [("a", "succeeded"), ("b", "failed")]
