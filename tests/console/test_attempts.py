from __future__ import annotations

from pinstripe_bot.console.attempts import REMEMBERED, Attempts
from pinstripe_bot.testing import TravelClock


def test_five_attempts_in_a_minute_are_let_through(clock: TravelClock) -> None:
    attempts = Attempts(clock)

    waits = [attempts.begin("10.4.0.17") for _ in range(7)]

    assert waits == [0, 0, 0, 0, 0, 60, 60]


def test_the_window_slides(clock: TravelClock) -> None:
    attempts = Attempts(clock)
    for _ in range(5):
        attempts.begin("10.4.0.17")
        clock.travel(seconds=10)

    assert attempts.begin("10.4.0.17") == 10
    clock.travel(seconds=10)
    assert attempts.begin("10.4.0.17") == 0
    assert attempts.begin("10.4.0.17") == 10


def test_the_wall_clock_does_not_matter(clock: TravelClock) -> None:
    attempts = Attempts(clock)
    for _ in range(5):
        attempts.begin("10.4.0.17")

    clock.jump(days=1)

    assert attempts.begin("10.4.0.17") == 60


def test_a_success_forgets_the_failures(clock: TravelClock) -> None:
    attempts = Attempts(clock)
    for _ in range(5):
        attempts.begin("10.4.0.17")

    attempts.succeed("10.4.0.17")

    assert attempts.begin("10.4.0.17") == 0


def test_the_addresses_of_one_ipv6_network_count_as_one(clock: TravelClock) -> None:
    attempts = Attempts(clock)

    waits = [attempts.begin(f"2001:db8::{number}") for number in range(6)]

    assert waits == [0, 0, 0, 0, 0, 60]
    assert attempts.begin("2001:db8:0:1::1") == 0


def test_only_so_many_addresses_are_remembered(clock: TravelClock) -> None:
    attempts = Attempts(clock)
    for number in range(REMEMBERED + 500):
        attempts.begin(f"client {number}")

    assert len(attempts._begun) == REMEMBERED
