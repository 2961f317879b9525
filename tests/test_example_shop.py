"""The example shop: what a newcomer runs first has to work."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bots import rows

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


def test_the_takings_are_compared_for_each_shop_and_one_of_them_fails(shop: Bot) -> None:
    ran = shop.run_for_tenants("takings")

    assert ran.states == {RunState.SUCCEEDED: 2, RunState.FAILED: 1}
    (failed,) = ran.unsuccessful
    assert failed.error is not None
    assert (failed.tenant_name, failed.error.message) == (
        "Bengaluru",
        "the shop in Bengaluru has no goal: fill in goal_cents",
    )


def test_a_shop_that_is_given_a_goal_fails_no_more(shop: Bot) -> None:
    with sqlite3.connect(shop.project.root / "shop.db") as database:
        database.execute("UPDATE shops SET goal_cents = 30000 WHERE name = 'Bengaluru'")

    assert shop.run_for_tenants("takings").is_success


def test_each_shop_hears_at_nine_where_it_is_what_was_ordered(shop: Bot) -> None:
    opening = next(one for one in shop.project.schedules if one.job == "opening")

    ran = shop.run_for_tenants("opening", tenants=["1", "3"])

    assert opening.in_tenant_zone
    assert ran.states == {RunState.SUCCEEDED: 2}


def test_the_database_of_an_earlier_version_of_the_example_is_made_anew(shop: Bot) -> None:
    path = shop.project.root / "shop.db"
    with sqlite3.connect(path) as database:
        database.executescript("DROP TABLE shops; PRAGMA user_version = 0")

    Project.load(shop.project.root)

    assert rows(path, "SELECT count(*) FROM shops") == [(3,)]
