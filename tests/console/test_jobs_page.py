"""The page Jobs: its rows, their order, and what is looked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bots import job
from stored import DAWN, FAR, ODD, minute, put_passed, put_run

from pinstripe_bot.bot import Bot
from pinstripe_bot.console.jobs_page import PAGE, jobs_facts, stripe_of
from pinstripe_bot.console.schedule_words import schedule_words
from pinstripe_bot.console.standing import stand
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.ledger_strips import Stretch

from .visits import NOON, visit_to

MakeBot = Callable[..., Bot]

FILES = {
    "hourly": job("return None", "'0 * * * *'"),
    "daily": job("return None", "'30 2 * * *'"),
    "hand": job("return None", ""),
    "tenants": job("return None", "'0 0 1 1 *', multi_tenant=True"),
    "broken": "def (",
}


@pytest.fixture
def bot(make_bot: MakeBot) -> Bot:
    return make_bot(**FILES)


def facts(bot: Bot, **query: str) -> dict[str, Any]:
    visit = visit_to(bot, NOON, **query)
    return jobs_facts(visit, stand(visit))


def names(bot: Bot, **query: str) -> list[str]:
    return [row["name"] for row in facts(bot, **query)["rows"]]


def row(bot: Bot, name: str = "hourly") -> dict[str, Any]:
    return next(dict(row) for row in facts(bot)["rows"] if row["name"] == name)


def test_all_jobs_are_shown_also_those_that_do_not_load(bot: Bot) -> None:
    assert sorted(names(bot)) == ["broken", "daily", "hand", "hourly", "tenants"]


def test_a_project_without_a_ledger_shows_its_jobs(bot: Bot) -> None:
    visit = replace(visit_to(bot, NOON), history=None)

    found = jobs_facts(visit, stand(visit))

    assert (found["total"], found["found"]) == (5, 5)
    assert {one["result"] for one in found["rows"]} == {"no runs yet", "does not load"}


# Order


def test_what_is_due_first_stands_first_and_what_never_is_last(bot: Bot) -> None:
    assert names(bot) == ["hourly", "daily", "tenants", "broken", "hand"]


def test_jobs_are_sorted_by_name(bot: Bot) -> None:
    assert names(bot, sort="name") == ["broken", "daily", "hand", "hourly", "tenants"]


def test_jobs_are_sorted_by_their_last_result_the_worst_first(bot: Bot) -> None:
    put_run(bot.ledger, "daily", state="succeeded")
    put_run(bot.ledger, "hourly", state="cancelled")

    assert names(bot, sort="result") == ["broken", "hourly", "hand", "tenants", "daily"]


def test_jobs_are_sorted_by_duration_the_longest_first(bot: Bot) -> None:
    put_run(bot.ledger, "hourly", took=5)
    put_run(bot.ledger, "daily", took=90)
    put_run(bot.ledger, "tenants", started_at=minute(9), finished_at=minute(1))

    assert names(bot, sort="duration") == ["daily", "hourly", "tenants", "broken", "hand"]


def test_a_paused_job_is_due_after_all_others(bot: Bot) -> None:
    Acts(bot.ledger.store, bot.project, Person("ada", "here")).pause("hourly", NOON, until_at=FAR)

    assert names(bot)[-1] == "hourly"
    assert row(bot)["due"] == "paused"
    assert row(bot)["clock"] == "by ada, until 31 Dec 9999 23:59"


@pytest.mark.parametrize(
    "query", [{"sort": "nonsense"}, {"show": ODD}, {"page": "-1"}, {"page": "9" * 9}, {"page": "x"}]
)
def test_what_cannot_be_read_is_not_asked_for(bot: Bot, query: dict[str, str]) -> None:
    assert names(bot, **query) == names(bot)


# What is looked for


@pytest.mark.parametrize(
    ("show", "shown"),
    [("trouble", ["broken"]), ("running", []), ("paused", []), ("tenants", ["tenants"])],
)
def test_jobs_of_a_kind_are_shown(bot: Bot, show: str, shown: list[str]) -> None:
    assert names(bot, show=show) == shown


def test_a_job_in_a_process_of_its_own_is_shown_as_such(make_bot: MakeBot) -> None:
    bot = make_bot(**FILES, apart=job("return None", "'0 0 1 1 *', isolation='process'"))

    assert names(bot, show="process") == ["apart"]
    assert row(bot, "apart")["kind"] == "process"


def test_a_job_in_trouble_is_shown_as_such(bot: Bot) -> None:
    put_run(bot.ledger, "hourly", state="failed", due_at=NOON - timedelta(hours=1))
    put_run(bot.ledger, "daily", state="running", took=None)

    assert set(names(bot, show="trouble")) >= {"broken", "hourly"}
    assert names(bot, show="running") == ["daily"]
    assert {one["name"]: one["count"] for one in facts(bot)["filters"]}["All"] == 5


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("HOURLY", ["hourly"]),
        ("30 2", ["daily"]),
        ("at 02:30", ["daily"]),
        ("dai ly", ["daily"]),
        ("nothing of that", []),
        ("", ["hourly", "daily", "tenants", "broken", "hand"]),
        ("[", []),
        (ODD, []),
    ],
)
def test_jobs_are_found_by_words_of_their_names_and_schedules(bot: Bot, words: str, shown: list[str]) -> None:
    assert names(bot, q=words) == shown


def test_many_jobs_are_shown_page_by_page(make_bot: MakeBot) -> None:
    bot = make_bot(**{f"job_{number:03}": job("return None", "'0 0 1 1 *'") for number in range(PAGE + 3)})

    first, second, beyond = (facts(bot, page=page, q="job") for page in ("1", "2", "7"))

    assert [len(first["rows"]), len(second["rows"])] == [PAGE, 3]
    assert (first["previous"], second["following"]) == ("", "")
    assert "page=2" in first["following"]
    assert "q=job" in first["following"]
    assert (second["first"], second["last"]) == (PAGE + 1, PAGE + 3)
    assert beyond["rows"] == second["rows"]


# A row


def test_a_row_says_when_it_is_due_next(bot: Bot) -> None:
    assert (row(bot)["due"], row(bot)["clock"]) == ("in 1 h 00 m", "13:00")
    assert (row(bot, "hand")["due"], row(bot, "hand")["clock"]) == ("never", "no schedule comes due")
    assert row(bot, "broken")["due"] == "unknown"


def test_a_row_says_what_it_is(bot: Bot) -> None:
    assert row(bot, "tenants")["kind"] == "per tenant"
    assert row(bot)["kind"] == ""


@pytest.mark.parametrize(
    ("run", "result", "detail"),
    [
        ({}, "succeeded", "00:00 · 1.0 s"),
        ({"state": "timed_out", "took": 90}, "timed out", "00:00 · 1 m 30 s"),
        ({"state": "running", "took": None}, "running", "for 12 h 00 m"),
        ({"state": "running", "took": None, "started_at": FAR}, "running", "for 0 s"),
        ({"state": "queued", "started_at": None}, "queued", "00:00"),
        ({"finished_at": minute(-9)}, "succeeded", "00:00 · 0 s"),
    ],
)
def test_a_row_says_how_the_last_run_ended(bot: Bot, run: dict[str, Any], result: str, detail: str) -> None:
    put_run(bot.ledger, "hourly", **run)

    assert (row(bot)["result"], row(bot)["detail"]) == (result, detail)


def test_a_job_that_never_ran_says_so(bot: Bot) -> None:
    assert (row(bot)["result"], row(bot)["run_href"], row(bot)["has_run"]) == ("no runs yet", "", False)


def test_a_job_with_tenants_says_for_how_many_it_went_wrong(bot: Bot) -> None:
    first = put_run(bot.ledger, "tenants", tenant="a")
    with bot.ledger.store.reading() as connection:
        occurrence = connection.exec_driver_sql(f"SELECT occurrence_id FROM runs WHERE id = {first}").scalar_one()
    put_run(bot.ledger, "tenants", tenant="b", state="failed", occurrence=occurrence)

    found = row(bot, "tenants")

    assert (found["result"], found["detail"]) == ("failed", "1 of 2 tenants · 00:00")


def test_a_file_that_does_not_load_is_told_with_its_place(bot: Bot) -> None:
    found = row(bot, "broken")

    assert (found["result"], found["glyph"]) == ("does not load", "broken")
    assert found["schedules"] == [("not planned", "broken.py:1")]


def test_schedules_are_told_in_words(make_bot: MakeBot) -> None:
    expressions = ("'30 2 * * *'", "'*/5 * * * *'", "'0 9 * * mon', enabled=False")
    bot = make_bot(sweep=job("return None", *expressions), hand=job("return None", ""))
    words = [schedule_words(one)[0] for one in bot.project.job("sweep").schedules]

    assert words == ["every day at 02:30", "every 5 minutes", "Monday at 09:00, disabled"]


# A stripe


@pytest.mark.parametrize(
    ("stretch", "told"),
    [
        (Stretch("s", DAWN, "succeeded", run=1, took=timedelta(seconds=2)), "00:00: succeeded, 2.0 s"),
        (Stretch("s", DAWN, "running", run=1, started_at=NOON - timedelta(seconds=9)), "00:00: running, 9.0 s"),
        (
            Stretch("s", DAWN, "missed", count=2000, reason="bot_down"),
            "00:00: missed 2,000 times, because no bot was running",
        ),
        (Stretch("s", DAWN, "failed", run=1, count=5, bad=2, is_late=True), "00:00: failed for 2 of 5 tenants, late"),
        (Stretch("s", FAR, "timed_out", run=1), "31 Dec 9999 23:59: timed out"),
    ],
)
def test_a_stripe_tells_of_itself(bot: Bot, stretch: Stretch, told: str) -> None:
    assert stripe_of(visit_to(bot, NOON), stretch).told == told


def test_rows_bear_what_did_not_run_for_long(bot: Bot) -> None:
    put_passed(bot.ledger, "hourly", until_at=FAR, count=2**31 - 1)

    assert row(bot)["strip"]
