"""The page of one run: its way, its facts, its output without secrets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bots import job
from stored import DAWN, FAR, ODD, minute, put_attempt, put_run

from pinstripe_bot.bot import Bot
from pinstripe_bot.console.run_page import _steps, hidden, run_facts
from pinstripe_bot.console.standing import Standing
from pinstripe_bot.errors import UnknownRun
from pinstripe_bot.occurrence import RunError
from pinstripe_bot.records import AttemptRecord, RunRecord

from .visits import NOON, a_bot, a_record, a_run, visit_to

MakeBot = Callable[..., Bot]

NOWHERE = Standing(None, (), {})
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)

SECRET_JOB = job(
    "return None",
    takes="code: Secret = Secret(''), longer: Secret = Secret(''), pin: Secret = Secret(''), codes: list[Secret] = ()",
    head="from pinstripe_bot import Secret",
)


@pytest.fixture
def bot(make_bot: MakeBot) -> Bot:
    return make_bot(sweep=job(), secret=SECRET_JOB)


def facts(bot: Bot, number: int = 1, **query: str) -> dict[str, Any]:
    return run_facts(visit_to(bot, NOON, **query), NOWHERE, str(number))


def told(bot: Bot) -> dict[str, str]:
    return {name: value for name, value, _ in facts(bot)["facts"]}


# The steps of its way


def attempt(number: int, at: float, took: float = 1) -> AttemptRecord:
    return AttemptRecord(number, a_run().state, None, NOON + at * SECOND, NOON + (at + took) * SECOND, None, "", None)


def steps(record: RunRecord) -> list[tuple[Any, ...]]:
    """(name, seconds after it was due, until when, its kind) of each step."""
    return [(one.name, _after(one.begins_at), _after(one.ends_at), one.state) for one in _steps(record)]


def _after(instant: Any) -> Any:
    return None if instant is None else (instant - NOON).total_seconds()


def test_a_run_is_due_claimed_started_and_finished() -> None:
    run = a_run(
        state="succeeded", claimed_at=NOON + SECOND, started_at=NOON + 2 * SECOND, finished_at=NOON + 5 * SECOND
    )

    assert steps(a_record(run)) == [
        ("due", 0, 0, "due"),
        ("claimed", 0, 1, "queued"),
        ("started", 1, 2, "queued"),
        ("attempt", 2, 5, "succeeded"),
        ("finished", 5, 5, "succeeded"),
    ]


def test_a_run_by_hand_begins_when_it_was_asked_for() -> None:
    run = a_run(state="running", schedule="manual", claimed_at=NOON + MINUTE, started_at=NOON + MINUTE)

    assert steps(a_record(run)) == [
        ("asked", 60, 60, "due"),
        ("claimed", 60, 60, "queued"),
        ("started", 60, 60, "queued"),
        ("attempt", 60, None, "running"),
    ]


def test_a_run_that_waits_has_no_end_of_waiting() -> None:
    assert steps(a_record(a_run(state="queued", started_at=None)))[-1] == ("waits", 0, None, "queued")


def test_a_run_that_never_started_waited_until_its_end() -> None:
    run = a_run(state="cancelled", started_at=None, finished_at=NOON + MINUTE)

    assert steps(a_record(run))[-2:] == [("waits", 0, 60, "queued"), ("finished", 60, 60, "cancelled")]


def test_between_two_attempts_there_is_a_backoff() -> None:
    run = a_run(state="succeeded", attempt=3, started_at=NOON + 30 * SECOND, finished_at=NOON + 31 * SECOND)
    record = a_record(run, attempts=(attempt(1, 0), attempt(2, 10)))

    assert [one[:3] for one in steps(record)[2:]] == [
        ("started", 0, 0),
        ("attempt 1", 0, 1),
        ("backoff", 1, 10),
        ("attempt 2", 10, 11),
        ("backoff", 11, 30),
        ("attempt 3", 30, 31),
        ("finished", 31, 31),
    ]


def test_a_run_that_waits_for_another_attempt_shows_what_it_waits_for() -> None:
    record = a_record(a_run(state="queued", attempt=2, started_at=None), attempts=(attempt(1, 0),))

    assert steps(record)[-1] == ("waits", 1, None, "queued")


def test_a_clock_that_was_set_back_claims_nothing_before_it_was_due() -> None:
    run = a_run(claimed_at=NOON - MINUTE, started_at=NOON - MINUTE, finished_at=NOON - 2 * MINUTE)

    assert steps(a_record(run))[1] == ("claimed", 0, 0, "queued")


# Secrets


def a_secret_record(**params: Any) -> RunRecord:
    return a_record(a_run("secret", params=params))


@pytest.mark.parametrize(
    ("params", "text", "shown"),
    [
        ({"code": "hush"}, "the code is hush, hush", "the code is redacted, redacted"),
        ({"code": "a.*b"}, "a.*b aXXb", "redacted aXXb"),
        ({"pin": "7"}, "7 of 77", "7 of 77"),
        ({"code": "hush", "longer": "hush-hush"}, "hush-hush", "redacted"),
        ({"codes": ["hush", "psst"]}, "hush psst", "redacted redacted"),
        ({"code": None, "codes": 7}, "7", "7"),
        ({}, "postgresql://me:hush@db", "postgresql://me:***@db"),
    ],
)
def test_secret_values_are_hidden_in_texts(bot: Bot, params: Any, text: str, shown: str) -> None:
    assert hidden(visit_to(bot), a_secret_record(**params), text) == shown


def test_of_a_job_that_is_no_more_only_passwords_of_urls_are_hidden(bot: Bot) -> None:
    assert (
        hidden(visit_to(bot), a_record(a_run("gone", params={"code": "hush"})), "hush amqp://a:b@c")
        == "hush amqp://a:***@c"
    )


def test_no_secret_stands_anywhere_on_the_page(bot: Bot) -> None:
    error = RunError("OSError", "hush does not open", "", 'Traceback\n  File "a.py", line 1, in run\nOSError: hush')
    run = put_run(bot.ledger, "secret", state="failed", params='{"code":"hush"}', output="hush", attempt=2, error=error)
    put_attempt(bot.ledger, run, 1, minute(0))

    assert "hush" not in repr({name: value for name, value in facts(bot).items() if name not in ("record", "run")})


# The page


def test_a_run_that_is_not_there_is_refused(bot: Bot) -> None:
    for number in ("7", "x", "", "-1", "9" * 30, ODD):
        with pytest.raises(UnknownRun):
            run_facts(visit_to(bot), NOWHERE, number)


@pytest.mark.parametrize(
    ("run", "heading"),
    [
        ({}, "sweep succeeded"),
        ({"state": "timed_out", "tenant": "7", "tenant_name": "Acme"}, "sweep for Acme timed out"),
        ({"state": "queued", "started_at": None}, "sweep is queued"),
        ({"state": "skipped", "started_at": None, "tenant": "7"}, "sweep for 7 was skipped"),
        ({"state": "running", "took": None}, "sweep lost its bot"),
    ],
)
def test_the_heading_says_how_it_ended(bot: Bot, run: dict[str, Any], heading: str) -> None:
    put_run(bot.ledger, **run)

    assert facts(bot)["heading"] == heading


@pytest.mark.parametrize(
    ("run", "acts"),
    [
        ({}, {"can_repeat"}),
        ({"state": "failed"}, {"can_retry"}),
        ({"state": "queued", "started_at": None}, {"can_cancel"}),
        ({"state": "queued", "started_at": None, "cancel_requested_at": 0}, set()),
        ({"state": "running", "took": None}, set()),
        ({"job": "gone", "state": "failed"}, set()),
    ],
)
def test_what_can_be_done_with_it(bot: Bot, run: dict[str, Any], acts: set[str]) -> None:
    put_run(bot.ledger, **run)

    assert {name for name in ("can_cancel", "can_retry", "can_repeat") if facts(bot)[name]} == acts


def test_its_facts_are_told_with_all_their_words(bot: Bot) -> None:
    put_run(
        bot.ledger,
        **{"started_at": minute(2), "tenant": "7", "tenant_name": "Acme", "params": '{"days":3,"token":"hush"}'},
        **{"progress_done": 5_000, "progress_total": 10_000, "cancel_requested_at": 0, "cancelled_by": ODD},
    )

    found = told(bot)

    assert (found["Tenant"], found["Parameters"]) == ("7 (Acme)", "days=3 token=redacted")
    assert (found["Started"], found["Progress"]) == ("00:02:00, 2 m 00 s late", "5,000 of 10,000")
    assert found["Cancelled"].startswith(f"by {ODD}")


def test_its_output_is_searched(bot: Bot) -> None:
    put_run(bot.ledger, output="paper\nink <b>\nPAPER\n")

    found = facts(bot, find="paper")

    assert (found["found"], found["output_lines"], found["output_size"]) == (2, "3 lines", "20 B")


def test_the_files_of_the_project_are_its_own_in_a_traceback(bot: Bot) -> None:
    trace = f'Traceback (most recent call last):\n  File "{bot.project.root}/lib/a.py", line 1, in run\nOSError: x'
    put_run(bot.ledger, state="failed", error=RunError("OSError", "x", "", trace))

    ((frame,),) = [part.frames for part in facts(bot)["traceback"]]

    assert (frame.place, frame.is_own) == ("lib/a.py:1", True)


def test_its_neighbours_and_attempts_are_shown(bot: Bot) -> None:
    for number in range(3):
        put_run(bot.ledger, due_at=minute(number), attempt=2)
    put_attempt(bot.ledger, 2, 1, minute(0), 3)

    found = facts(bot, 2)

    assert (found["previous"], found["following"]) == ("/_pinstripe/runs/1", "/_pinstripe/runs/3")
    assert [(one["number"], one["state"], one["took"]) for one in found["attempts"]] == [
        (1, "failed", "3.0 s"),
        (2, "succeeded", "1.0 s"),
    ]


def test_the_runs_of_its_instant_are_shown(bot: Bot) -> None:
    first = put_run(bot.ledger, tenant="a")
    with bot.ledger.store.reading() as connection:
        occurrence = connection.exec_driver_sql(f"SELECT occurrence_id FROM runs WHERE id = {first}").scalar_one()
    put_run(bot.ledger, tenant=ODD, state="failed", occurrence=occurrence)

    same = facts(bot)["same"]

    assert (same["count"], [one["name"] for one in same["bad"]]) == (2, [ODD])


def test_the_page_bears_odd_names_the_far_future_and_a_clock_that_was_set_back(bot: Bot) -> None:
    odd = {
        "tenant": ODD,
        "tenant_name": ODD,
        "schedule": ODD,
        "result": '{"password": "hush"}',
        "progress_done": 2**63 - 1,
    }
    put_run(bot.ledger, ODD, due_at=FAR, claimed_at=DAWN, finished_at=minute(-9), available_at=FAR, **odd)

    found = facts(bot)

    assert "hush" not in found["result"]
    assert found["sum"].endswith("running")


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({"started_at": minute(1), "took": 60}, "2 m 00 s, of which 1 m 00 s running"),
        ({"state": "queued", "started_at": None}, "it has not started yet"),
        ({"state": "running", "took": None, "started_at": NOON - MINUTE}, "1 m 00 s running so far"),
        ({"schedule": "manual"}, "1.0 s running"),
    ],
)
def test_its_time_is_summed_up(bot: Bot, run: dict[str, Any], words: str) -> None:
    put_run(bot.ledger, **run)

    assert facts(bot)["sum"] == words


def test_a_living_bot_is_named() -> None:
    assert a_record(a_run(state="running"), bot=a_bot()).lost_its_bot is False
