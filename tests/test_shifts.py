"""Where the clocks of real zones skip and repeat wall times."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinstripe_bot.shifts import Shift, last_shift, passes, shift_at
from pinstripe_bot.zones import zone

HOUR_S = 3600
ODD_ZONES = ("Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "Antarctica/Troll", "Pacific/Apia", "UTC")


def second(written: str) -> int:
    """A wall second, or the UTC second of the same name."""
    return int(datetime.fromisoformat(written).replace(tzinfo=UTC).timestamp())


def test_most_wall_times_are_shown_once():
    noon = second("2026-07-01T12:00")

    assert passes(zone("Europe/Berlin"), noon, noon + 60) == (range(noon - 2 * HOUR_S, noon - 2 * HOUR_S + 60),)


def test_a_skipped_wall_time_is_never_shown():
    wall = second("2026-03-29T02:30")

    assert passes(zone("Europe/Berlin"), wall, wall + 60) == ()


def test_a_repeated_wall_time_is_shown_twice():
    wall = second("2026-10-25T02:30")

    first, again = passes(zone("Europe/Berlin"), wall, wall + 1)

    assert (first.start, again.start) == (second("2026-10-25T00:30"), second("2026-10-25T01:30"))


def test_a_minute_that_begins_in_a_gap_and_ends_behind_it_is_shown_in_part():
    wall = second("1972-01-07T00:44")

    (shown,) = passes(zone("Africa/Monrovia"), wall, wall + 60)

    assert len(shown) == 30


def test_a_shift_says_what_the_clocks_showed():
    wall = second("2026-10-04T02:15")

    shift = shift_at(zone("Australia/Lord_Howe"), wall, wall + 60)

    assert shift is not None
    assert (shift.from_wall, shift.to_wall) == (second("2026-10-04T02:00"), second("2026-10-04T02:30"))


@pytest.mark.parametrize("written", ["2026-03-29T01:59", "2026-03-29T03:00", "2026-10-25T03:00", "2026-07-01T12:00"])
def test_no_shift_touches_a_time_that_is_shown_once(written):
    wall = second(written)

    assert shift_at(zone("Europe/Berlin"), wall, wall + 60) is None


def test_a_skipped_day_is_a_correction_and_summer_time_is_none():
    skipped, summer = second("2011-12-30T12:00"), second("2026-03-29T02:30")

    correction = shift_at(zone("Pacific/Apia"), skipped, skipped + 1)
    shift = shift_at(zone("Europe/Berlin"), summer, summer + 1)

    assert correction is not None
    assert correction.is_correction
    assert shift is not None
    assert not shift.is_correction


def test_the_last_shift_is_the_one_that_made_the_offset():
    shift = last_shift(zone("Europe/Berlin"), second("2026-03-29T01:00"))

    assert shift == Shift(second("2026-03-29T01:00"), HOUR_S, 2 * HOUR_S)
    assert last_shift(zone("UTC"), 0) is None


@settings(derandomize=True, deadline=None)
@given(name=st.sampled_from(ODD_ZONES), ts=st.integers(0, 2_100_000_000))
def test_every_instant_is_in_one_pass_of_its_own_wall_time(name: str, ts: int) -> None:
    wall = ts + zone(name).offset_at(ts)

    shown = passes(zone(name), wall, wall + 1)

    assert [each for each in shown if ts in each] == [range(ts, ts + 1)]
    assert all(each.start + zone(name).offset_at(each.start) == wall for each in shown)
