"""The history of a job: its last result, its days, its scatters, its tenants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from bots import job
from sqlalchemy import insert
from stored import FAR, ODD, minute, put_passed, put_run

from pinstripe_bot.bot import Bot
from pinstripe_bot.console.job_days import MOST, _patch
from pinstripe_bot.console.job_history import history_facts
from pinstripe_bot.ledger_schema import days
from pinstripe_bot.ledger_trends import Slot
from pinstripe_bot.zones import zone

from .drawn import parsed
from .visits import NOON, visit_to

MINUTE = timedelta(minutes=1)

MakeBot = Callable[..., Bot]

BERLIN = zone("Europe/Berlin")


@pytest.fixture
def bot(make_bot: MakeBot) -> Bot:
    return make_bot(
        sweep=job("return None", "'* * * * *', timeout='5m'"),
        tenants=job("return None", "'* * * * *', multi_tenant=True"),
    )


def facts(bot: Bot, name: str = "sweep") -> dict[str, Any]:
    return history_facts(visit_to(bot, NOON), name, bot.project.jobs.get(name))


# A day


def slot(hour: float, state: str = "succeeded", *, day: int = 1, count: int = 1, longest_s: float | None = 1) -> Slot:
    """Half an hour of a day in Berlin's winter."""
    begins_at = datetime(2026, 2, day, tzinfo=UTC) + timedelta(hours=hour - 1)
    return Slot(begins_at, state, count, None if longest_s is None else timedelta(seconds=longest_s))


def states(*slots: Slot, day: date = date(2026, 2, 1)) -> list[str | None]:
    return [None if one is None else one.state for one in _patch(day, slots, [], BERLIN, MINUTE).stripes]


def test_a_day_is_cut_into_twelfths_of_the_zones_own_day() -> None:
    found = states(slot(0), slot(2, "failed"), slot(23.5, "missed"))

    assert len(found) == MOST
    assert (found[0], found[1], found[11]) == ("succeeded", "failed", "missed")
    assert found[2:11] == [None] * 9


def test_the_worst_of_a_twelfth_stands_for_it() -> None:
    assert states(slot(0), slot(0.5, "skipped"), slot(1, "failed"), slot(1.5, "missed"))[0] == "failed"


def test_a_state_of_a_later_version_is_no_worse_than_any() -> None:
    assert states(slot(0, "pondering"), slot(0.5))[0] == "succeeded"
    assert states(slot(0, "pondering"))[0] == "pondering"


def test_a_day_tells_what_happened_how_often() -> None:
    slots = [slot(0, count=1_000), slot(5, count=1), slot(9, "timed_out", count=2**40)]

    patch = _patch(date(2026, 2, 1), slots, [], BERLIN, MINUTE)

    assert patch.told == "Sun 1 Feb: 1,001 succeeded, 1,099,511,627,776 timed out"


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_a_shorter_and_a_longer_day_lose_no_half_hour(day: date) -> None:
    begins_at = datetime(day.year, day.month, day.day, tzinfo=BERLIN.tzinfo).astimezone(UTC)
    hours = 23 if day.month == 3 else 25
    slots = [Slot(begins_at + timedelta(minutes=30 * place), "failed", 1, None) for place in range(2 * hours)]

    found = _patch(day, slots, [], BERLIN, MINUTE)

    assert sum(one is not None for one in found.stripes) == MOST
    assert f"{2 * hours} failed" in found.told


# All of it


def test_a_job_that_never_ran_has_empty_pictures(bot: Bot) -> None:
    found = facts(bot)

    assert (found["last"], found["points"], found["tenants"]) == (None, 0, [])
    for picture in ("calendar", "duration", "lateness"):
        parsed(found[picture])


def test_a_project_without_a_ledger_has_no_history(bot: Bot) -> None:
    visit = replace(visit_to(bot, NOON), history=None)

    assert history_facts(visit, "sweep", bot.project.jobs["sweep"])["last"] is None


def test_the_last_result_is_told(bot: Bot) -> None:
    put_run(bot.ledger, state="timed_out", due_at=NOON - timedelta(minutes=8))

    last = facts(bot)["last"]

    assert (last["told"], last["tone"], last["at"], last["ago"]) == ("timed out", "t-bad", "11:52", "8 m ago")
    assert last["href"] == "/_pinstripe/runs/1"


def test_the_last_result_for_tenants_counts_them(bot: Bot) -> None:
    first = put_run(bot.ledger, "tenants", tenant="a", tenant_name="Acme")
    with bot.ledger.store.reading() as connection:
        occurrence = connection.exec_driver_sql(f"SELECT occurrence_id FROM runs WHERE id = {first}").scalar_one()
    put_run(bot.ledger, "tenants", tenant="b", state="failed", occurrence=occurrence)

    found = facts(bot, "tenants")

    assert found["last"]["told"] == "failed for 1 of 2 tenants"
    assert [(one["name"], one["state"]) for one in found["tenants"]] == [("b", "failed"), ("Acme", "succeeded")]
    assert found["tenants_bad"] == 1


def test_a_day_that_is_only_summed_up_stands_in_the_calendar(bot: Bot) -> None:
    day = {"job": "sweep", "day": "2025-12-20", "worst": '["failed",null]', "counts": "{}", "duration_p50_ms": 5}
    with bot.ledger.store.writing() as connection:
        connection.execute(insert(days).values(day))

    assert "2025-12-20 UTC, as it was summed up" in facts(bot)["calendar"]


def test_a_job_that_is_no_more_has_its_history(bot: Bot) -> None:
    put_run(bot.ledger, ODD, state="failed")

    found = facts(bot, ODD)

    assert found["last"]["told"] == "failed"
    assert found["points"] == 1


def test_the_history_bears_the_far_future_and_a_clock_that_was_set_back(bot: Bot) -> None:
    put_run(bot.ledger, due_at=FAR, claimed_at=NOON)
    put_run(bot.ledger, started_at=minute(9), finished_at=minute(-1))
    put_run(bot.ledger, started_at=NOON, took=10**8)
    put_passed(bot.ledger, count=2**31 - 1, until_at=FAR)

    found = facts(bot)

    for picture in ("calendar", "duration", "lateness"):
        parsed(found[picture])
