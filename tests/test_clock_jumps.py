from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from pinstripe_bot.clock_jumps import READING_S, THRESHOLD_S, ClockJumps, Direction, Jump
from pinstripe_bot.testing import TravelClock

HOUR_S = 3600.0

Look = Callable[[], Jump | None]


@pytest.fixture
def look(clock: TravelClock) -> Look:
    """What one more tick sees; there has been one."""
    jumps = ClockJumps()

    def look() -> Jump | None:
        return jumps.between(clock.monotonic(), clock.now(), clock.monotonic())

    look()
    return look


def test_the_first_reading_has_nothing_to_compare_with(clock: TravelClock) -> None:
    assert ClockJumps().between(0.0, clock.now(), 0.0) is None


def test_time_that_passes_is_no_jump(clock: TravelClock, look: Look) -> None:
    clock.travel(seconds=1)

    assert look() is None


def test_a_slow_tick_is_no_jump(clock: TravelClock, look: Look) -> None:
    clock.travel(hours=1)

    assert look() is None


def test_a_clock_that_is_set_back_has_jumped_backwards(clock: TravelClock, look: Look) -> None:
    clock.travel(seconds=1)
    clock.jump(hours=-1)

    jump = look()

    assert jump is not None
    assert (jump.seconds, jump.direction, jump.jumped_over) == (HOUR_S, Direction.BACKWARDS, None)


def test_a_clock_that_is_set_ahead_has_jumped_forwards_over_what_lies_between(clock: TravelClock, look: Look) -> None:
    start = clock.now()
    clock.travel(seconds=1)
    clock.jump(hours=1)

    jump = look()

    assert jump is not None
    assert (jump.seconds, jump.direction) == (HOUR_S, Direction.FORWARDS)
    assert jump.jumped_over == (start, start + timedelta(hours=1, seconds=1))


def test_a_suspended_machine_shows_as_a_jump_forwards(clock: TravelClock, look: Look) -> None:
    clock.jump(hours=8)  # the monotonic clock stood still

    jump = look()

    assert jump is not None
    assert jump.direction is Direction.FORWARDS


def test_a_jump_is_told_once(clock: TravelClock, look: Look) -> None:
    clock.jump(hours=-1)
    look()
    clock.travel(seconds=1)

    assert look() is None


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_less_than_the_threshold_is_no_jump(clock: TravelClock, look: Look, sign: int) -> None:
    clock.jump(seconds=sign * (THRESHOLD_S - 0.001))

    assert look() is None


@pytest.mark.parametrize("sign", [1, -1])
def test_the_threshold_itself_is_a_jump(clock: TravelClock, look: Look, sign: int) -> None:
    clock.jump(seconds=sign * THRESHOLD_S)

    assert look() is not None


def test_slewing_never_adds_up_to_a_jump(clock: TravelClock, look: Look) -> None:
    start = clock.now()

    jumps = []
    for _ in range(20_000):
        clock.travel(seconds=1)
        clock.jump(milliseconds=-0.5)
        jumps.append(look())

    assert set(jumps) == {None}
    assert clock.now() - start == timedelta(seconds=20_000 - 10)


def test_a_reading_that_was_interrupted_tells_nothing_and_the_next_one_is_compared(clock: TravelClock) -> None:
    jumps, now = ClockJumps(), clock.now()
    jumps.between(0.0, now, 0.0)

    interrupted = jumps.between(1.0, now + timedelta(seconds=1), 1.0 + READING_S + HOUR_S)
    after = jumps.between(HOUR_S + 3, now + timedelta(seconds=HOUR_S + 3), HOUR_S + 3)

    assert (interrupted, after) == (None, None)


def test_a_jump_at_an_interrupted_reading_is_told_by_the_next_one(clock: TravelClock) -> None:
    jumps, now = ClockJumps(), clock.now()
    jumps.between(0.0, now, 0.0)

    jumps.between(1.0, now - timedelta(hours=1), 10.0)
    jump = jumps.between(11.0, now - timedelta(hours=1) + timedelta(seconds=11), 11.0)

    assert jump is not None
    assert (jump.seconds, jump.direction) == (HOUR_S, Direction.BACKWARDS)


def test_the_facts_of_a_jump_forwards(clock: TravelClock, look: Look) -> None:
    clock.jump(seconds=90.04)

    jump = look()

    assert jump is not None
    assert jump.facts() == {"seconds": 90.0, "direction": "forwards"}


def test_the_facts_of_a_jump_backwards_say_up_to_when_nothing_runs_again(clock: TravelClock, look: Look) -> None:
    until = clock.now()
    clock.jump(hours=-1)

    jump = look()

    assert jump is not None
    assert jump.facts() == {"seconds": HOUR_S, "direction": "backwards", "decided_until": until.isoformat()}


def test_after_several_jumps_backwards_the_newest_instant_of_all_counts(clock: TravelClock, look: Look) -> None:
    until = clock.now()
    clock.jump(hours=-1)
    look()
    clock.jump(hours=-1)

    jump = look()

    assert jump is not None
    assert datetime.fromisoformat(jump.facts()["decided_until"]) == until
