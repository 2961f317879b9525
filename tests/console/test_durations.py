"""Durations as the console writes them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console.durations import show_round_s, show_s

HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.001, "1 ms"),
        (0.0001, "1 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.10 s"),
        (0.34, "0.34 s"),
        (0.996, "1.0 s"),
        (6.1, "6.1 s"),
        (9.96, "10 s"),
        (48, "48 s"),
        (59.6, "1 m 00 s"),
        (127, "2 m 07 s"),
        (HOUR - 0.4, "1 h 00 m"),
        (11 * HOUR + 57 * 60, "11 h 57 m"),
        (DAY - 10, "1 d 00 h"),
        (9 * DAY + 15 * HOUR, "9 d 15 h"),
        (-48, "-48 s"),
        (math.inf, "unknown"),
        (math.nan, "unknown"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, shown: str) -> None:
    assert show_s(seconds) == shown


@given(st.floats(0, 1e9))
def test_no_unit_is_ever_full(seconds: float) -> None:
    parts = show_s(seconds).split()
    amounts = dict(zip(parts[1::2], map(float, parts[::2]), strict=True))

    assert amounts.get("s", 0) < 60
    assert amounts.get("m", 0) < 60
    assert amounts.get("h", 0) < 24


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.5, "0.5 s"),
        (20, "20 s"),
        (120, "2 m"),
        (5400, "1 h 30 m"),
        (2 * DAY, "2 d"),
        (math.nan, "unknown"),
    ],
)
def test_a_round_duration_leaves_out_what_is_nought(seconds: float, shown: str) -> None:
    assert show_round_s(seconds) == shown
