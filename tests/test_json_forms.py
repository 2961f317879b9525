"""What the ledger tells, as JSON has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from bots import job
from stored import DAWN, FAR, ODD, minute, put_attempt, put_passed, put_run

from pinstripe_bot.bot import Bot
from pinstripe_bot.json_forms import (
    error_as_json,
    milliseconds,
    open_as_json,
    outlook_as_json,
    passed_as_json,
    record_as_json,
    run_as_json,
)
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.occurrence import RunError
from pinstripe_bot.outlook import look_out
from pinstripe_bot.records import RunRecord
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


@pytest.fixture
def bot(make_bot: MakeBot) -> Bot:
    return make_bot(sweep=job())


def record(bot: Bot, run: int) -> RunRecord:
    found = bot.ledger.history.run(run, DAWN)
    assert found is not None
    return found


def as_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def outlook(bot: Bot, clock: TravelClock) -> dict[str, Any]:
    told: dict[str, Any] = as_json(
        outlook_as_json(bot.project, look_out(bot.project, bot.ledger.history, clock.now(), count=2))
    )
    return told


@pytest.mark.parametrize(
    ("span", "number"),
    [(None, None), (timedelta(0), 0.0), (timedelta(microseconds=1250), 1.2), (timedelta(days=-1), -86_400_000.0)],
)
def test_a_duration_is_milliseconds(span: timedelta | None, number: float | None) -> None:
    assert milliseconds(span) == number


def test_an_error_is_told_without_its_traceback_and_secrets() -> None:
    error = RunError("OSError", "postgresql://me:hush@db", "a.py:1 in run", "hush")

    assert error_as_json(error) == {"type": "OSError", "message": "postgresql://me:***@db", "place": "a.py:1 in run"}
    assert error_as_json(None) is None


def test_a_run_and_an_instant_that_did_not_run_have_the_same_keys(bot: Bot) -> None:
    put_run(bot.ledger)
    put_passed(bot.ledger)
    (passed,) = bot.ledger.history.passed()

    run, instant = run_as_json(record(bot, 1).run), passed_as_json(passed)

    assert run.keys() == instant.keys()
    assert (run["run"], run["state"], run["duration_ms"], run["lateness_ms"]) == (1, "succeeded", 1000.0, 0.0)
    assert (instant["run"], instant["state"], instant["reason"]) == (None, "missed", "bot_down")


def test_a_run_is_told_with_all_that_surrounds_it_and_without_secrets(bot: Bot) -> None:
    error = RunError("OSError", "token=hush", "", "raise OSError('token=hush')")
    facts = {"params": '{"token":"hush","days":3}', "result": '{"password":"hush"}', "attempt": 2}
    put_run(bot.ledger, state="failed", error=error, progress_done=3, **facts)
    put_attempt(bot.ledger, 1, 1, minute(0), 2)

    told = as_json(record_as_json(bot.project, record(bot, 1)))

    assert "hush" not in repr(told)
    assert (told["params"], told["progress"]) == ({"token": "redacted", "days": 3}, {"done": 3, "total": None})
    assert [(one["attempt"], one["duration_ms"], one["error"], one["bot"]) for one in told["attempts"]] == [
        (1, 2000.0, None, None)
    ]


def test_odd_rows_are_json_too(bot: Bot) -> None:
    put_run(bot.ledger, ODD, due_at=FAR, tenant=ODD, tenant_name=ODD, schedule=ODD, took=None, output=f"{ODD}\n")
    put_run(bot.ledger, started_at=minute(9), finished_at=minute(1), progress_done=2**63 - 1, progress_total=-1)
    put_run(bot.ledger, state="queued", started_at=None)
    put_passed(bot.ledger, until_at=FAR, count=2**31 - 1, reason=None)

    odd, back, waits = (as_json(record_as_json(bot.project, record(bot, run))) for run in (1, 2, 3))

    assert (odd["job"], odd["tenant"], odd["due_at"]) == (ODD, ODD, "9999-12-31T23:59:59Z")
    assert back["duration_ms"] == -480_000.0
    assert (waits["started_at"], waits["duration_ms"], waits["lateness_ms"]) == (None, None, None)


def test_a_run_that_waits_is_told_from_when_on(bot: Bot) -> None:
    put_run(bot.ledger, state="queued", started_at=None, available_at=minute(5), in_turn=1)

    told = open_as_json(record(bot, 1))

    assert (told["available_at"], told["is_in_turn"], told["progress"]) == (minute(5), True, None)


def test_a_run_that_a_cluster_carries_names_its_queue(bot: Bot) -> None:
    put_run(bot.ledger, state="queued", started_at=None, carrier=7, queue="reports")
    put_run(bot.ledger, state="queued", started_at=None, queue="default")

    carried, waits = (open_as_json(record(bot, run)) for run in (1, 2))

    assert (carried["queue"], waits["queue"]) == ("reports", None)


def test_without_a_ledger_every_list_is_empty(bot: Bot, clock: TravelClock) -> None:
    told = as_json(outlook_as_json(bot.project, look_out(bot.project, None, clock.now(), count=2)))

    assert (told["ledger"], told["is_well"], len(told["next"])) == (None, False, 2)
    assert told["troubles"] == told["bots"] == told["skips"] == []


def test_the_outlook_has_the_same_lists_with_and_without_a_ledger(bot: Bot, clock: TravelClock) -> None:
    without = outlook_as_json(bot.project, look_out(bot.project, None, clock.now()))

    assert without.keys() <= outlook(bot, clock).keys()


def test_what_is_in_trouble_is_told_with_what_to_type(bot: Bot, clock: TravelClock) -> None:
    put_run(bot.ledger, state="failed")
    put_run(bot.ledger, ODD, state="failed", tenant="7", tenant_name="Acme")

    gone, sweep = outlook(bot, clock)["troubles"]

    assert (sweep["kind"], sweep["show"], sweep["retry"]) == ("failed", "pinstripe show 1", "pinstripe retry 1")
    assert (gone["retry"], [one["tenant_name"] for one in gone["tenants"]]) == (None, ["Acme"])


def test_wishes_of_people_are_told(bot: Bot, clock: TravelClock) -> None:
    acts = Acts(bot.ledger.store, bot.project, Person("ada", "here"))
    acts.skip("sweep", 1, clock.now(), why="holiday")
    acts.pause("", clock.now(), until_at=FAR, why=ODD)
    acts.pause("sweep", clock.now(), tenant="7")

    told = outlook(bot, clock)

    assert [(one["job"], one["until"], one["why"]) for one in told["paused"]] == [(None, "9999-12-31T23:59:59Z", ODD)]
    assert [(one["job"], one["remaining"], one["why"]) for one in told["skips"]] == [("sweep", 1, "holiday")]
    assert [(one["tenant"], one["tenant_name"]) for one in told["paused_tenants"]] == [("7", "")]
    assert [one["paused"] for one in told["next"]] == [True, True]


def test_what_comes_due_is_told_on_the_clock_of_its_schedule(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return None", "'0 9 * * *', timezone='America/New_York'"))

    (first, _) = outlook(bot, clock)["next"]

    assert (first["due_at"], first["local"]) == ("2026-01-01T14:00:00Z", "2026-01-01T09:00:00-05:00")
    assert (first["timezone"], first["skip"]) == ("America/New_York", False)
