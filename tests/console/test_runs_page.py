"""The page Runs: what it is asked for, and its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from bots import job
from stored import DAWN, FAR, ODD, minute, put_passed, put_run

from pinstripe_bot.bot import Bot
from pinstripe_bot.console.runs_page import FILTERS, PAGE, read_wanted, runs_facts
from pinstripe_bot.console.standing import Standing
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.occurrence import Decision, RunError, RunState

from .visits import NOON, visit_to

MakeBot = Callable[..., Bot]

NOWHERE = Standing(None, (), {})


@pytest.fixture
def bot(make_bot: MakeBot) -> Bot:
    return make_bot(sweep=job())


def facts(bot: Bot, **query: str) -> dict[str, Any]:
    return runs_facts(visit_to(bot, NOON, **query), NOWHERE)


def row(bot: Bot) -> dict[str, Any]:
    (found,) = facts(bot)["rows"]
    return dict(found)


# What it is asked for


def test_nothing_asked_for_is_everything(bot: Bot) -> None:
    wanted = read_wanted(visit_to(bot))

    assert (wanted.job, wanted.tenant, wanted.states, wanted.decisions, wanted.since) == (None, None, (), (), None)
    assert wanted.has_runs
    assert wanted.has_passed


@pytest.mark.parametrize(
    ("state", "states", "decisions"),
    [
        ("failed", (RunState.FAILED, RunState.TIMED_OUT, RunState.INTERRUPTED), ()),
        ("running", (RunState.RUNNING, RunState.QUEUED), ()),
        ("skipped", (RunState.SKIPPED,), (Decision.SKIPPED,)),
        ("missed", (), (Decision.MISSED,)),
        ("timed-out", (RunState.TIMED_OUT,), ()),
        ("TIMED_OUT", (RunState.TIMED_OUT,), ()),
        (" cancelled ", (RunState.CANCELLED,), ()),
    ],
)
def test_a_state_is_read(bot: Bot, state: str, states: Any, decisions: Any) -> None:
    wanted = read_wanted(visit_to(bot, state=state))

    assert (wanted.states, wanted.decisions) == (states, decisions)


def test_late_and_by_hand_are_asked_for_like_states(bot: Bot) -> None:
    assert read_wanted(visit_to(bot, state="late")).is_late
    assert read_wanted(visit_to(bot, state="manual")).is_by_hand


@pytest.mark.parametrize("state", ["paused", "nonsense", ODD, "failed,late"])
def test_a_state_that_there_is_not_is_refused(bot: Bot, state: str) -> None:
    with pytest.raises(InvalidParams, match="is no state of a run: choose one of cancelled, failed"):
        read_wanted(visit_to(bot, state=state))


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize("written", ["soon", "9999-99-99", "999999d"])
def test_a_time_that_cannot_be_read_is_refused(bot: Bot, name: str, written: str) -> None:
    with pytest.raises(InvalidParams):
        read_wanted(visit_to(bot, **{name: written}))


def test_a_time_is_read_on_the_clock_of_the_project(make_bot: MakeBot) -> None:
    bot = make_bot({"timezone": "Europe/Berlin"}, sweep=job())

    wanted = read_wanted(visit_to(bot, NOON, since="2026-01-01T02:00", until="2h"))

    assert (wanted.since, wanted.until) == (minute(60), NOON - timedelta(hours=2))


@pytest.mark.parametrize("name", ["Purge Old", "purge_old", "PurgeOld"])
def test_a_job_may_be_written_as_it_is_called(bot: Bot, name: str) -> None:
    assert read_wanted(visit_to(bot, job=name)).job == "purge-old"


def test_any_name_of_a_job_or_a_tenant_is_asked_for(bot: Bot) -> None:
    assert facts(bot, job=ODD, tenant=ODD)["rows"] == []


# The page


def test_a_project_without_a_ledger_has_no_runs(bot: Bot) -> None:
    found = runs_facts(replace(visit_to(bot), history=None), NOWHERE)

    assert (found["rows"], found["following"], found["empty"]) == ([], "", "No runs yet.")


def test_where_nothing_is_found_it_says_for_what_was_looked(bot: Bot) -> None:
    assert (
        facts(bot, state="failed", job="sweep", since="2h")["empty"] == "Nothing matches failed, job sweep, since 2h."
    )


def test_the_next_page_keeps_what_is_asked_for(bot: Bot) -> None:
    for number in range(PAGE + 2):
        put_run(bot.ledger, due_at=minute(number), state="failed")

    first = facts(bot, state="failed", job="sweep")
    query = {name: values[0] for name, values in parse_qs(urlsplit(first["following"]).query).items()}
    second = facts(bot, **query)

    assert (query["state"], query["job"]) == ("failed", "sweep")
    assert [len(first["rows"]), len(second["rows"])] == [PAGE, 2]
    assert (first["is_first"], second["is_first"], second["following"]) == (True, False, "")


@pytest.mark.parametrize("before", ["nonsense", "9" * 30 + "-1", "-1--1", ODD])
def test_a_cursor_that_cannot_be_read_is_the_first_page(bot: Bot, before: str) -> None:
    put_run(bot.ledger)

    assert len(facts(bot, before=before)["rows"]) == 1


def test_one_filter_is_current_and_each_leads_to_its_own(bot: Bot) -> None:
    filters = facts(bot, state="late", job="sweep")["filters"]

    assert [one["name"] for one in filters if one["is_current"]] == ["Late"]
    assert [one["name"] for one in filters] == [name for name, _ in FILTERS.values()]
    assert all("job=sweep" in one["href"] for one in filters)


# A row


def test_a_run_tells_how_it_ended(bot: Bot) -> None:
    error = RunError("OSError", "token=hush", "", "")
    put_run(bot.ledger, state="timed_out", tenant="7", tenant_name="Acme", attempt=3, schedule="manual", error=error)

    found = row(bot)

    assert (found["word"], found["tone"], found["took"]) == ("timed out", "t-bad", "1.0 s")
    assert found["reason"] == "Acme · by hand · attempt 3 · OSError: token=***"


def test_a_reason_stands_where_there_is_no_error(bot: Bot) -> None:
    put_run(bot.ledger, state="skipped", reason="paused", tenant="7")

    assert row(bot)["reason"] == "7 · the tenant was paused"


def test_a_run_tells_how_late_it_began(bot: Bot) -> None:
    put_run(bot.ledger, started_at=minute(2))

    assert (row(bot)["late"], row(bot)["is_late"]) == ("+2 m 00 s", True)


def test_each_job_says_itself_from_when_on_a_run_is_late(make_bot: MakeBot) -> None:
    bot = make_bot(calm=job("return None", "'* * * * *', late_after='1h'"), sweep=job())
    put_run(bot.ledger, "calm", started_at=minute(2))
    put_run(bot.ledger, "sweep", started_at=minute(2))

    assert [(one["job"], one["is_late"]) for one in facts(bot)["rows"]] == [("sweep", True), ("calm", False)]
    assert [one["job"] for one in facts(bot, state="late")["rows"]] == ["sweep"]


def test_a_retry_is_not_late(bot: Bot) -> None:
    put_run(bot.ledger, started_at=minute(2), attempt=2)

    assert (row(bot)["late"], row(bot)["is_late"]) == ("", False)


def test_a_running_run_shows_how_long_it_runs(bot: Bot) -> None:
    put_run(bot.ledger, state="running", due_at=NOON - timedelta(seconds=90), took=None)

    assert (row(bot)["took"], row(bot)["is_running"]) == ("1 m 30 s", True)


def test_a_run_that_waits_has_taken_no_time(bot: Bot) -> None:
    put_run(bot.ledger, state="queued", started_at=None)

    assert (row(bot)["took"], row(bot)["late"], row(bot)["started_at"]) == ("", "", None)


def test_seconds_are_told_where_there_are_any(bot: Bot) -> None:
    put_run(bot.ledger, due_at=minute(1))
    put_run(bot.ledger, due_at=minute(1) + timedelta(seconds=7))

    assert [one["due"] for one in facts(bot)["rows"]] == ["00:01:07", "00:01"]


def test_a_stretch_tells_how_many_and_until_when(bot: Bot) -> None:
    put_passed(bot.ledger, due_at=DAWN, until_at=minute(59), count=60)

    found = row(bot)

    assert found["reason"] == "60 instants, the last at 00:59: no bot was running"
    assert found["href"] == "/_pinstripe/jobs/sweep"


def test_rows_bear_odd_names_the_far_future_and_a_clock_that_was_set_back(bot: Bot) -> None:
    put_run(bot.ledger, ODD, due_at=FAR, claimed_at=DAWN, tenant=ODD)
    put_run(bot.ledger, started_at=minute(9), finished_at=minute(1))
    put_passed(bot.ledger, ODD, reason=None, until_at=FAR, count=2**31 - 1)

    found = facts(bot)["rows"]

    assert len(found) == 3
    assert {one["took"] for one in found} == {"", "1.0 s", "0 s"}
