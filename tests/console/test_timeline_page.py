"""The page Timeline: its windows, its lanes, and what it says in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bots import job
from stored import FAR, ODD, minute, put_bot, put_passed, put_run

from pinstripe_bot.bot import Bot
from pinstripe_bot.console.standing import Standing
from pinstripe_bot.console.timeline_page import PAGE, WHOLE, timeline_facts
from pinstripe_bot.occurrence import RunError

from .drawn import parsed, titles
from .visits import NOON, visit_to

MakeBot = Callable[..., Bot]

NOWHERE = Standing(None, (), {})
YEARLY = job("return None", "'0 0 1 7 *'")


@pytest.fixture
def bot(make_bot: MakeBot) -> Bot:
    return make_bot(hourly=job("return None", "'0 * * * *'"), yearly=YEARLY)


def facts(bot: Bot, **query: str) -> dict[str, Any]:
    return timeline_facts(visit_to(bot, NOON, **query), NOWHERE)


@pytest.mark.parametrize(("window", "lanes"), [("6h", 1), ("24h", 1), ("7d", 1), ("nonsense", 1), (ODD, 1), ("", 1)])
def test_a_window_shows_what_comes_due_in_it(bot: Bot, window: str, lanes: int) -> None:
    found = facts(bot, window=window)

    assert found["lane_count"] == lanes
    assert [key for key, _, is_current in found["windows"] if is_current] == [
        {"6h": "6 h", "7d": "7 days"}.get(window, "24 h")
    ]
    assert found["told"].endswith("One job has nothing in this window: yearly.")


def test_a_project_without_a_ledger_shows_what_is_to_come(bot: Bot) -> None:
    found = timeline_facts(replace(visit_to(bot, NOON), history=None), NOWHERE)

    assert (found["lane_count"], found["words"]) == (1, [])
    parsed(found["picture"])


def test_where_nothing_happens_at_all_there_is_no_picture(make_bot: MakeBot) -> None:
    found = facts(make_bot(yearly=YEARLY, other=YEARLY))

    assert (found["picture"], found["lane_count"]) == ("", 0)
    assert found["told"].endswith("Two jobs have nothing in this window: other and yearly.")


def test_what_stands_out_is_told_beside_the_picture(bot: Bot) -> None:
    error = RunError("OSError", "out of paper", "", "")
    for number in (1, 2):
        put_run(bot.ledger, "hourly", due_at=minute(number), state="failed", error=error)
    put_passed(bot.ledger, "yearly", due_at=minute(9), until_at=minute(11), count=3)

    found = facts(bot)

    assert [(one["word"], one["job"], one["count"], one["why"]) for one in found["words"]] == [
        ("missed", "yearly", 3, "no bot was running"),
        ("failed", "hourly", 2, "OSError: out of paper"),
    ]
    assert found["words"][1]["href"] == "/_pinstripe/runs/2"
    assert found["lane_count"] == 2


def test_a_job_that_ran_often_is_a_band(bot: Bot) -> None:
    for number in range(WHOLE + 1):
        put_run(bot.ledger, "yearly", due_at=minute(number))

    found = facts(bot)

    assert found["lane_count"] == 2
    assert found["words"] == []
    parsed(found["picture"])


def test_a_time_without_a_bot_is_drawn(bot: Bot) -> None:
    put_bot(bot.ledger, "old", minute(-500), minute(-300))

    assert any("bot down 5 h 00 m" in title for title in titles(facts(bot)["picture"]))


def test_many_lanes_are_shown_page_by_page(make_bot: MakeBot) -> None:
    bot = make_bot(**{f"job_{number:02}": job("return None", "'0 13 * * *'") for number in range(PAGE + 1)})

    first, second = facts(bot), facts(bot, page="2", window="6h")

    assert (first["previous"], second["following"]) == ("", "")
    assert "page=2" in first["following"]
    assert "window=6h" in second["previous"]


def test_a_page_beyond_the_last_one_is_empty(bot: Bot) -> None:
    assert facts(bot, page="999")["picture"] == ""


def test_the_picture_bears_odd_names_the_far_future_and_a_clock_that_was_set_back(bot: Bot) -> None:
    put_run(
        bot.ledger,
        "hourly",
        due_at=NOON,
        started_at=NOON,
        finished_at=NOON - timedelta(days=2),
        tenant=ODD,
        state="failed",
    )
    put_run(bot.ledger, "hourly", due_at=FAR, claimed_at=NOON, state="queued", started_at=None)
    put_run(bot.ledger, ODD, state="failed")
    put_passed(bot.ledger, "yearly", until_at=FAR, count=2**31 - 1)

    found = facts(bot)

    parsed(found["picture"])
    assert {one["job"] for one in found["words"]} == {"hourly", "yearly", ODD}
