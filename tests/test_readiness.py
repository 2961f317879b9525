from __future__ import annotations

from collections.abc import Callable

from bots import PATIENCE_S, WAITING, Ears, job, locked, names_in

from pinstripe_bot.bot import Bot
from pinstripe_bot.control import RunControl
from pinstripe_bot.occurrence import Reason
from pinstripe_bot.readiness import HELD_AFTER, Readiness
from pinstripe_bot.testing import TravelClock
from pinstripe_bot.tick_clock import STUCK_AFTER_S, TickClock

MakeBot = Callable[..., Bot]


def readiness_of(bot: Bot, clock: TravelClock) -> Readiness:
    """The readiness of a bot that has ticked just now."""
    ticks = TickClock(clock)
    ticks.read()
    return Readiness(ticks, bot.ledger.trouble, bot.dispatcher, clock)


def test_a_bot_that_can_work_is_alive_and_ready(make_bot: MakeBot, clock: TravelClock) -> None:
    readiness = readiness_of(make_bot(sweep=job()), clock)

    assert readiness.reasons_not_alive() == []
    assert readiness.reasons_not_ready() == []


def test_a_loop_that_stands_still_is_neither_alive_nor_ready(make_bot: MakeBot, clock: TravelClock) -> None:
    readiness = readiness_of(make_bot(sweep=job()), clock)

    clock.travel(seconds=STUCK_AFTER_S + 1)

    assert readiness.reasons_not_alive() == ["the last tick was 31 s ago"]
    assert readiness.reasons_not_ready() == ["the last tick was 31 s ago"]


def test_without_its_ledger_a_bot_is_alive_and_not_ready(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    readiness = readiness_of(bot, clock)

    bot.ledger.trouble.note("claim", "the ledger does not answer: the disk is full")

    assert readiness.reasons_not_alive() == []
    assert readiness.reasons_not_ready() == ["the ledger does not answer: the disk is full"]


def test_a_ledger_that_takes_no_heartbeat_makes_a_bot_with_nothing_to_do_not_ready(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job("return 1", "'0 4 * * *'"))
    readiness = readiness_of(bot, clock)

    with Ears() as ears, locked(bot.ledger):
        clock.travel(seconds=29)  # the next heartbeat is due
        ears.wait_for("ledger_lost")
        reasons = readiness.reasons_not_ready()
    with Ears() as ears:
        clock.travel(seconds=1)
        ears.wait_for("ledger_found")

    assert "does not answer" in reasons[0]
    assert readiness.reasons_not_ready() == []


def test_outcomes_that_wait_for_the_ledger_make_a_bot_not_ready(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING))
    readiness = readiness_of(bot, clock)
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)

    with Ears() as ears, locked(bot.ledger):
        names_in(bot, "sweep")["go"].set()
        ears.wait_for("ledger_lost")
        reasons = readiness.reasons_not_ready()

    assert "outcomes wait for the ledger" in reasons
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert "outcomes wait for the ledger" not in readiness.reasons_not_ready()


def test_workers_that_are_all_held_for_long_make_a_bot_not_ready(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot({"workers": 1}, sweep=job(WAITING))
    readiness = readiness_of(bot, clock)
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)
    before = readiness._of_workers()

    clock.travel(HELD_AFTER)
    held = readiness._of_workers()

    names_in(bot, "sweep")["go"].set()
    assert before == []
    assert held == ["all workers are held for more than a minute, by sweep"]


def test_a_job_that_holds_several_workers_is_named_once(make_bot: MakeBot, clock: TravelClock) -> None:
    overlapping = job(WAITING, "'* * * * *', overlap='allow'")
    bot = make_bot({"workers": 3}, hang=overlapping, sweep=job(WAITING))
    readiness = readiness_of(bot, clock)
    begun = names_in(bot, "hang")["begun"]
    for _ in range(2):
        clock.travel(minutes=1)
        bot.tick()
        assert begun.wait(PATIENCE_S)
        begun.clear()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)

    clock.travel(HELD_AFTER)
    held = readiness._of_workers()

    for name in ("hang", "sweep"):
        names_in(bot, name)["go"].set()
    assert held == ["all workers are held for more than a minute, by hang (2 runs), sweep"]


def test_a_free_worker_keeps_a_bot_ready(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot({"workers": 2}, sweep=job(WAITING))
    readiness = readiness_of(bot, clock)
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)

    clock.travel(HELD_AFTER)
    held = readiness._of_workers()

    names_in(bot, "sweep")["go"].set()
    assert held == []


def test_as_many_runs_that_do_not_end_as_there_may_be_make_a_bot_not_ready(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot({"workers": 1}, sweep=job(WAITING))
    readiness = readiness_of(bot, clock)
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)
    deaf = RunControl(*bot.dispatcher.running.runs)
    deaf.cancel(Reason.CANCELLED)

    bot.dispatcher.running.lingering.add(deaf, clock.now())

    names_in(bot, "sweep")["go"].set()
    assert readiness._of_workers() == ["1 runs do not end although their time is over, and no more can: sweep"]
