"""Scales and ticks."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console import scales
from pinstripe_bot.zones import zone

from .drawn import at

BERLIN = zone("Europe/Berlin")
ANY_TIME = st.integers(0, 3_000_000_000).map(lambda ts: datetime.fromtimestamp(ts, UTC))


@given(st.floats(), st.floats(), st.floats())
def test_a_scale_never_leaves_its_edges(value: float, low: float, high: float) -> None:
    assert 10 <= scales.Linear(low, high, 10, 90)(value) <= 90
    assert 10 <= scales.Logarithmic(0.5, 240, 10, 90)(value) <= 90


def test_a_logarithmic_scale_takes_equal_steps_for_equal_factors() -> None:
    scale = scales.Logarithmic(1, 100, 0, 100)

    assert [scale(1), round(scale(10), 9), scale(100)] == [0, 50, 100]


def test_a_time_scale_knows_what_it_holds() -> None:
    scale = scales.TimeScale(at(22), at(23), 0, 240)

    assert scale(at(22, 6)) == 60
    assert [scale(at(1)), scale(at(30))] == [0, 240]
    assert scale.holds(at(21), at(22, 1))
    assert not scale.holds(at(21))
    assert not scale.holds(at(24), at(25))


@pytest.mark.parametrize(
    ("top_s", "ticks"),
    [
        (378, (0, 120, 240, 360, 480)),
        (0, (0, 0.2, 0.4, 0.6, 0.8, 1)),
        (0.3, (0, 0.1, 0.2, 0.3)),
        (3600, (0, 900, 1800, 2700, 3600)),
    ],
)
def test_durations_have_round_ticks(top_s: float, ticks: tuple[float, ...]) -> None:
    assert scales.duration_ticks(top_s) == ticks


@given(st.floats())
def test_duration_ticks_are_few_and_reach_the_top(top_s: float) -> None:
    ticks = scales.duration_ticks(top_s)

    assert 2 <= len(ticks) <= 7
    assert ticks[0] == 0
    assert not 0 < top_s < 1e11 or ticks[-1] >= top_s * (1 - 1e-8)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_logarithmic_ticks_rise(low_s: float, high_s: float) -> None:
    ticks = scales.log_ticks(low_s, max(low_s, high_s))

    assert len(ticks) >= 2
    assert list(ticks) == sorted(set(ticks))


def test_an_axis_has_whole_hours_of_the_zone() -> None:
    axis = scales.time_axis(at(21, 12, 32), at(23, 12, 32), BERLIN, 18)

    assert axis.step_minutes == 180
    assert [f"{tick.wall:%H}" for tick in axis.ticks][:5] == ["15", "18", "21", "00", "03"]
    assert len(axis.ticks) == 16


def test_a_repeated_hour_stands_twice_on_an_axis_of_hours() -> None:
    axis = scales.time_axis(at(24, 22), at(25, 4), BERLIN, 8)

    assert [f"{tick.wall:%H}" for tick in axis.ticks] == ["00", "01", "02", "02", "03", "04", "05"]


def test_a_skipped_hour_is_no_tick() -> None:
    axis = scales.time_axis(at(28, 23, month=3), at(29, 4, month=3), BERLIN, 8)

    assert [f"{tick.wall:%H}" for tick in axis.ticks] == ["00", "01", "03", "04", "05", "06"]


def test_days_are_counted_back_from_the_last_one() -> None:
    axis = scales.time_axis(at(24, month=7), at(22, 12), BERLIN, 7)

    assert axis.is_in_days
    assert [scales.show_day(tick.wall.date()) for tick in axis.ticks][-3:] == ["22 Sep", "7 Oct", "22 Oct"]
    assert {tick.wall.hour for tick in axis.ticks} == {0}


def test_a_day_without_midnight_begins_with_its_first_instant() -> None:
    beirut = zone("Asia/Beirut")  # 29 March 2026 begins at 01:00

    axis = scales.time_axis(at(28, month=3), at(31, month=3), beirut, 3)

    assert "01:00" in [f"{tick.wall:%H:%M}" for tick in axis.ticks]


@given(ANY_TIME, st.timedeltas(timedelta(days=-1), timedelta(days=20_000)), st.integers(1, 30))
def test_every_window_has_few_ticks_inside_it(begins_at: datetime, length: timedelta, at_most: int) -> None:
    axis = scales.time_axis(begins_at, begins_at + length, BERLIN, at_most)

    assert len(axis.ticks) <= at_most + 3
    assert all(begins_at <= tick.at <= begins_at + length for tick in axis.ticks)
    assert [tick.at for tick in axis.ticks] == sorted({tick.at for tick in axis.ticks})


def test_a_percentile_is_one_of_the_values() -> None:
    assert scales.percentile([3, 1, 2], 0.5) == 2
    assert scales.percentile([1, 2, math.nan], 1) == 2
    assert scales.percentile([], 0.5) == 0
