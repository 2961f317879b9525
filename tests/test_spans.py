"""Lengths of time as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pinstripe_bot.spans import show_ago, show_duration, show_span

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.012, "12 ms"), (0.9996, "1.0 s"), (59.94, "59.9 s"), (127, "2 m 07 s"), (18720, "5 h 12 m")],
)
def test_a_duration_is_as_short_as_it_can_be_said(seconds: float, shown: str) -> None:
    assert show_duration(timedelta(seconds=seconds)) == shown


def test_no_duration_is_nothing() -> None:
    assert show_duration(None) == ""


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-3, "0 s"), (4.4, "4 s"), (187, "3 m 07 s"), (3600, "1 h 00 m"), (183600, "2 d 3 h")]
)
def test_a_span_has_its_two_largest_units(seconds: float, shown: str) -> None:
    assert show_span(timedelta(seconds=seconds)) == shown


def test_what_was_is_ago_and_what_comes_is_in() -> None:
    told = [show_ago(NOW - timedelta(seconds=4), NOW), show_ago(NOW + timedelta(minutes=3), NOW)]

    assert told == ["4 s ago", "in 3 m 00 s"]
