from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from types import FrameType

from bots import PATIENCE_S

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.testing import TravelClock

LONG = timedelta(hours=1)


def test_now_is_aware_and_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_the_monotonic_clock_never_goes_back() -> None:
    clock = SystemClock()

    moments = [clock.monotonic() for _ in range(1000)]

    assert moments == sorted(moments)


def test_sleeping_until_a_past_instant_returns_at_once() -> None:
    clock = SystemClock()

    clock.sleep_until(clock.now() - LONG)


def test_sleeping_ends_at_the_instant() -> None:
    clock = SystemClock()
    instant = clock.now() + timedelta(milliseconds=20)

    clock.sleep_until(instant)

    assert clock.now() >= instant - timedelta(milliseconds=1)


class SetBack(SystemClock):
    """A clock that is set back by an hour after the first look at it."""

    looks = 0

    def now(self) -> datetime:
        self.looks += 1
        return super().now() - LONG * (self.looks > 1)


def test_a_clock_that_is_set_back_lets_nobody_sleep_past_the_next_second() -> None:
    clock = SetBack()
    start_s = clock.monotonic()

    clock.sleep_to_next_second()

    assert clock.monotonic() - start_s < PATIENCE_S


def test_a_wake_ends_the_sleep_to_the_next_second() -> None:
    clock = TravelClock()

    clock.wake()
    clock.sleep_to_next_second()

    assert clock.monotonic() == 0


def test_a_wake_ends_the_sleep_of_another_thread() -> None:
    clock = SystemClock()
    sleeper = threading.Thread(target=clock.sleep_until, args=[clock.now() + LONG])
    sleeper.start()

    clock.wake()

    sleeper.join(PATIENCE_S)
    assert not sleeper.is_alive()


def test_a_wake_before_the_sleep_is_not_lost() -> None:
    clock = SystemClock()

    clock.wake()
    clock.sleep_until(clock.now() + LONG)


def test_many_wakes_end_one_sleep_and_never_block() -> None:
    clock = SystemClock()

    for _ in range(100_000):  # more than a pipe holds
        clock.wake()

    clock.sleep_until(clock.now() + LONG)


def test_a_signal_handler_may_wake_the_sleep_that_it_interrupts() -> None:
    clock = SystemClock()

    def wake(_number: int, _frame: FrameType | None) -> None:
        clock.wake()

    before = signal.signal(signal.SIGUSR1, wake)
    main = threading.main_thread().ident
    assert main is not None
    other = threading.Thread(target=signal.pthread_kill, args=[main, signal.SIGUSR1])

    other.start()
    clock.sleep_until(clock.now() + LONG)

    other.join()
    signal.signal(signal.SIGUSR1, before)


def test_a_clock_that_is_forgotten_closes_its_pipe() -> None:
    opened = set(os.listdir("/proc/self/fd"))
    clock = SystemClock()

    del clock

    assert set(os.listdir("/proc/self/fd")) <= opened


def test_a_travel_clock_stands_still() -> None:
    clock = TravelClock()

    moments = {clock.now() for _ in range(1000)}

    assert len(moments) == 1


def test_travelling_moves_both_clocks() -> None:
    clock = TravelClock()
    start = clock.now()

    clock.travel(minutes=5)

    assert clock.now() - start == timedelta(minutes=5)
    assert clock.monotonic() == 300


def test_a_jump_moves_the_wall_clock_alone() -> None:
    clock = TravelClock()
    start = clock.now()

    clock.jump(hours=-1)

    assert clock.now() - start == timedelta(hours=-1)
    assert clock.monotonic() == 0


def test_a_sleeper_wakes_when_a_test_travels_there() -> None:
    clock = TravelClock()
    sleeper = threading.Thread(target=clock.sleep_until, args=[clock.now() + LONG])
    sleeper.start()

    clock.travel(hours=1)

    sleeper.join(PATIENCE_S)
    assert not sleeper.is_alive()
