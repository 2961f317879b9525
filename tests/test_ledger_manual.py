from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from bots import claim_only, job, rows
from msgspec.structs import replace

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger_manual import record_manual
from pinstripe_bot.occurrence import MANUAL, Run, RunState
from pinstripe_bot.params import encode_params, params_key
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


def ask(
    bot: Bot,
    *,
    params: dict[str, Any] | None = None,
    state: RunState = RunState.QUEUED,
    is_forced: bool = False,
    owner: str | None = None,
    available_at: datetime | None = None,
    waits_in_turn: bool = False,
) -> Run:
    now, encoded = bot.clock.now(), encode_params(params or {})
    run = Run(id=0, job="sweep", schedule=MANUAL, due_at=now, state=state, claimed_at=now, params=params or {})
    with bot.ledger.store.writing() as connection:
        return record_manual(
            connection,
            replace(run, started_at=None if state is RunState.QUEUED else now),
            encoded,
            params_key(encoded),
            bot=bot.ledger.bot,
            owner=owner,
            ignore_overlap=is_forced,
            available_at=available_at,
            waits_in_turn=waits_in_turn,
        )


def take(bot: Bot) -> list[int]:
    return [run.id for run in bot.ledger.waiting.take_available(bot.project.jobs, bot.clock.now(), most=10)]


def test_a_run_that_nobody_has_waits_for_a_bot(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job())

    run = ask(bot)

    assert rows(bot.ledger, "SELECT owner FROM runs") == [(None,)]
    assert [take(bot), take(bot)] == [[run.id], []]
    assert rows(bot.ledger, "SELECT owner FROM runs") == [(bot.ledger.bot,)]


def test_a_run_with_an_owner_is_nobody_elses(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job())

    ask(bot, owner=bot.ledger.bot)

    assert take(bot) == []


def test_a_delayed_run_waits_for_its_time(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    run = ask(bot, available_at=clock.now() + timedelta(minutes=5))
    clock.travel(minutes=4, seconds=59)
    early = take(bot)

    clock.travel(seconds=1)

    assert [early, take(bot)] == [[], [run.id]]


def test_of_two_bots_one_takes_it(make_bot: MakeBot) -> None:
    one, other = make_bot(sweep=job()), make_bot()
    run = ask(one)

    assert [take(other), take(one)] == [[run.id], []]


def test_no_more_are_taken_than_asked_for_and_the_longest_waiting_first(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return shop", takes="shop=0"))
    asked = [ask(bot, params={"shop": shop}, available_at=clock.now() + timedelta(seconds=5 - shop)) for shop in (1, 2)]
    clock.travel(minutes=1)

    (taken,) = bot.ledger.waiting.take_available(bot.project.jobs, clock.now(), most=1)

    assert taken.id == asked[1].id


def test_a_run_of_a_job_that_the_bot_does_not_know_is_left_alone(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    ask(bot)

    assert bot.ledger.waiting.take_available(["other"], clock.now(), most=10) == []


def test_parameters_come_back_as_they_went(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", takes="what=None"))
    params = {"what": ["it's", None, 1.5, {"ü": "\0 %s :now"}]}

    ask(bot, params=params)

    (run,) = bot.ledger.waiting.take_available(bot.project.jobs, clock.now(), most=10)
    assert run.params == params


def test_an_overlap_is_skipped_and_recorded(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claim_only(bot)

    run = ask(bot, state=RunState.RUNNING, owner=bot.ledger.bot)

    assert (run.state, run.reason, run.started_at, run.finished_at) == ("skipped", "overlap", None, clock.now())
    assert rows(bot.ledger, "SELECT decision, reason FROM occurrences WHERE schedule = 'manual'") == [
        ("skipped", "overlap")
    ]
    assert bot.ledger.history.runs()[0] == run


def test_a_forced_overlap_runs(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claim_only(bot)

    assert ask(bot, is_forced=True).state == "queued"


def test_a_run_that_waits_in_turn_waits_for_the_earlier_ones(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claimed = claim_only(bot)
    run = ask(bot, waits_in_turn=True)
    waiting = take(bot)

    bot.dispatcher.perform(claimed)

    assert (run.state, waiting, take(bot)) == ("queued", [], [run.id])


def test_of_runs_that_wait_in_turn_there_is_one(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claim_only(bot)

    assert [ask(bot, waits_in_turn=True).reason for _ in range(2)] == [None, "overlap"]


def test_a_queued_run_by_hand_is_an_overlap_for_what_comes_due(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    ask(bot)
    clock.travel(minutes=1)

    assert claim_only(bot) == []


def test_a_bot_performs_what_waits(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return shop", takes="shop=0"))
    ask(bot, params={"shop": 7})

    bot.parts.look()

    bot.dispatcher.wait_until_idle()
    assert [(run.state, run.result) for run in bot.ledger.history.runs()] == [("succeeded", 7)]
