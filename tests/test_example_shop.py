"""The example shop: what a newcomer runs first has to work."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from bots import PATIENCE_S, Ears, rows

from pinstripe_bot.bot import Bot
from pinstripe_bot.occurrence import RunState
from pinstripe_bot.project import Project
from pinstripe_bot.testing import TravelClock

SHOP = Path(__file__).parent.parent / "docs/examples/shop"

OPEN_SESSIONS = "SELECT count(*) FROM sessions"


@pytest.fixture
def shop(tmp_path: Path, write_project: object) -> Iterator[Bot]:
    """A bot of a fresh copy of the shop; `write_project` forgets what it has imported."""
    unwanted = shutil.ignore_patterns(".pinstripe", "shop.db*", "__pycache__")
    root = Path(shutil.copytree(SHOP, tmp_path / "shop", ignore=unwanted))
    bot = Bot(Project.load(root, environ={"TZ": "UTC"}), clock=TravelClock(datetime.now(UTC)))
    yield bot
    bot.stop()


def test_every_job_is_sound_and_says_what_it_does(shop: Bot) -> None:
    assert shop.project.problems == ()
    assert list(shop.project.jobs) == ["cleanup", "daily-report", "flaky", "heartbeat", "opening", "slow", "takings"]
    assert [job.name for job in shop.project.jobs.values() if not job.summary] == []


def test_loading_the_shop_fills_its_database_once(shop: Bot) -> None:
    Project.load(shop.project.root)

    assert rows(shop.project.root / "shop.db", OPEN_SESSIONS) == [(30,)]


def test_a_heartbeat_brings_a_visitor_and_cleanup_lets_the_idle_ones_go(shop: Bot) -> None:
    database = shop.project.root / "shop.db"

    shop.run_background_job("heartbeat")
    shop.run_background_job("cleanup")

    (left,) = rows(database, OPEN_SESSIONS)
    assert 1 < left[0] <= 5
    shop.run_background_job("cleanup", at=shop.clock.now() + timedelta(hours=1))
    assert rows(database, OPEN_SESSIONS) == [(0,)]


def test_a_report_is_mailed_by_default_to_the_owner_or_to_whom_one_names(shop: Bot) -> None:
    to_owner = shop.run_background_job("daily-report")
    to_ada = shop.run_background_job("daily-report", {"to": "ada@shop.example"})

    assert [to_owner.state, to_ada.state] == [RunState.SUCCEEDED, RunState.SUCCEEDED]


def test_the_flaky_job_fails_often_enough_to_be_seen_within_ten_seconds(shop: Bot) -> None:
    midnight = datetime(2026, 1, 1, tzinfo=UTC)

    runs = [shop.run_background_job("flaky", at=midnight + timedelta(seconds=second)) for second in (4, 8, 12, 16)]

    assert [run.state is RunState.FAILED for run in runs] == [False, True, False, True]


def test_within_a_minute_the_takings_of_each_shop_are_compared_and_one_of_them_fails(shop: Bot) -> None:
    shop.project.jobs["slow"].author.run.__globals__["SECONDS"] = 0  # type: ignore[union-attr]
    shop.plan()
    shop.clock.travel(minutes=1)  # type: ignore[attr-defined]

    shop.tick()
    shop.parts.lister.list_now()
    shop.parts.look()
    assert shop.dispatcher.wait_until_idle(PATIENCE_S)

    runs = shop.ledger.history.runs("takings")
    assert {run.tenant_name: str(run.state) for run in runs} == {
        "Berlin": "succeeded",
        "Boston": "succeeded",
        "Bengaluru": "failed",
    }
    (error,) = [run.error for run in runs if run.error]
    assert (error.type, error.message) == ("NoGoal", "the shop in Bengaluru has no goal: fill in goal_cents")


def test_a_shop_that_is_given_a_goal_fails_no_more(shop: Bot) -> None:
    with sqlite3.connect(shop.project.root / "shop.db") as database:
        database.execute("UPDATE shops SET goal_cents = 30000 WHERE name = 'Bengaluru'")

    assert shop.run_for_tenants("takings").is_success


def test_each_shop_hears_at_nine_where_it_is_how_many_of_the_new_orders_are_its_own(shop: Bot) -> None:
    opening = next(one for one in shop.project.schedules if one.job == "opening")
    nine = datetime.now(ZoneInfo("America/New_York")).replace(hour=9, minute=0, second=0, microsecond=0)
    day = [_text(nine - timedelta(days=1)), _text(nine)]
    of_that_day = "SELECT shop_id FROM orders WHERE ordered_at >= ? AND ordered_at < ?"
    sold_in = [shop_id for (shop_id,) in rows(shop.project.root / "shop.db", of_that_day, *day)]

    with Ears() as ears:
        shop.run_for_tenants("opening", tenants=["2"], at=nine)

    assert (opening.in_tenant_zone, opening.cron.expression) == (True, "0 9 * * *")
    letter = ears.wait_for("letter_sent")
    told = f"{sold_in.count(2)} of the {len(sold_in)} new orders are yours"
    assert (letter["to"], letter["text"]) == ("boston@shop.example", told)


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def test_the_database_of_an_earlier_version_of_the_example_is_made_anew(shop: Bot) -> None:
    path = shop.project.root / "shop.db"
    with sqlite3.connect(path) as database:
        database.executescript(
            "DROP TABLE shops; DROP TABLE orders; PRAGMA user_version = 0;"
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER, cents INTEGER, ordered_at TIMESTAMP)"
        )

    bot = Bot(Project.load(shop.project.root, environ={"TZ": "UTC"}), clock=shop.clock)
    ran = bot.run_for_tenants("takings")
    bot.stop()

    assert ran.states == {RunState.SUCCEEDED: 2, RunState.FAILED: 1}
