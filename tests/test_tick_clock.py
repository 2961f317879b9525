from __future__ import annotations

import pytest
from bots import Ears

from pinstripe_bot.occurrence import Reason
from pinstripe_bot.testing import TravelClock
from pinstripe_bot.tick_clock import STUCK_AFTER_S, TickClock


@pytest.fixture
def ticks(clock: TravelClock) -> TickClock:
    ticks = TickClock(clock)
    ticks.read()
    return ticks


def test_it_reads_the_wall_clock(ticks: TickClock, clock: TravelClock) -> None:
    clock.travel(seconds=7)

    assert ticks.read() == clock.now()


def test_before_the_first_tick_nothing_stands_still(clock: TravelClock) -> None:
    ticks = TickClock(clock)
    clock.travel(days=1)

    assert ticks.stuck_s() is None


@pytest.mark.parametrize(("passed_s", "stuck_s"), [(STUCK_AFTER_S, None), (STUCK_AFTER_S + 1, STUCK_AFTER_S + 1)])
def test_a_loop_stands_still_when_it_has_not_ticked_for_half_a_minute(
    ticks: TickClock, clock: TravelClock, passed_s: float, stuck_s: float | None
) -> None:
    clock.travel(seconds=passed_s)

    assert ticks.stuck_s() == stuck_s


def test_a_clock_that_is_set_does_not_make_the_loop_stand_still(ticks: TickClock, clock: TravelClock) -> None:
    clock.jump(days=1)

    assert ticks.stuck_s() is None


def test_a_tick_ends_the_standstill(ticks: TickClock, clock: TravelClock) -> None:
    clock.travel(minutes=5)

    ticks.read()

    assert ticks.stuck_s() is None


def test_a_loop_that_has_ended_does_not_stand_still(ticks: TickClock, clock: TravelClock) -> None:
    ticks.stop()
    clock.travel(minutes=5)

    assert ticks.stuck_s() is None


def test_a_downtime_is_why_instants_are_missed(ticks: TickClock, clock: TravelClock) -> None:
    clock.travel(minutes=5)

    ticks.read()

    assert ticks.cause is Reason.BOT_DOWN


def test_a_jump_ahead_is_why_instants_are_missed_until_they_are_decided(ticks: TickClock, clock: TravelClock) -> None:
    clock.jump(minutes=5)

    ticks.read()
    ticks.read()  # of the tick before, the ledger did not answer
    before = ticks.cause
    ticks.forget_cause()

    assert (before, ticks.cause) == (Reason.CLOCK_JUMP, Reason.BOT_DOWN)


def test_a_jump_back_makes_nobody_miss_anything(ticks: TickClock, clock: TravelClock) -> None:
    clock.jump(minutes=-5)

    with Ears() as ears:
        ticks.read()

    assert ears.wait_for("clock_jumped")["direction"] == "backwards"
    assert ticks.cause is Reason.BOT_DOWN


def test_what_happens_to_the_clock_between_two_loops_is_no_jump(ticks: TickClock, clock: TravelClock) -> None:
    ticks.stop()
    clock.jump(hours=1)

    with Ears() as ears:
        ticks.read()

    assert ears.names() == []
    assert ticks.cause is Reason.BOT_DOWN
