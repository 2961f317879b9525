from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pinstripe_bot.testing import TravelClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> TravelClock:
    return TravelClock(NOON)


def test_the_clock_stands_still(clock):
    assert clock.now() == clock.now() == NOON


def test_the_clock_shows_utc():
    clock = TravelClock(datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1))))

    assert clock.now().isoformat() == "2026-03-01T12:00:00+00:00"


def test_travelling_moves_both_clocks(clock):
    clock.travel(minutes=5)

    assert (clock.now(), clock.monotonic()) == (NOON + timedelta(minutes=5), 300)


def test_travelling_takes_a_duration_too(clock):
    clock.travel(timedelta(minutes=5), seconds=1)

    assert clock.now() == NOON + timedelta(seconds=301)


def test_a_jump_moves_the_wall_clock_alone(clock):
    clock.jump(hours=-1)

    assert (clock.now(), clock.monotonic()) == (NOON - timedelta(hours=1), 0)


def test_nobody_sleeps_until_a_moment_that_is_past(clock):
    clock.sleep_until(NOON)

    assert clock.now() == NOON


def test_a_wake_ends_the_next_sleep(clock):
    clock.wake()

    clock.sleep_until(NOON + timedelta(days=1))

    assert clock.now() == NOON
