from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.durations import format_duration, parse_duration
from pinstripe_bot.errors import InvalidSchedule


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("10m", timedelta(minutes=10)),
        ("25s", timedelta(seconds=25)),
        ("1h30m", timedelta(minutes=90)),
        (" 1h 30m ", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("1w", timedelta(days=7)),
        ("250ms", timedelta(milliseconds=250)),
        ("1.5h", timedelta(minutes=90)),
        ("10 m", timedelta(minutes=10)),
        (90, timedelta(seconds=90)),
        ("90", timedelta(seconds=90)),
        (1.5, timedelta(seconds=1.5)),
        ("0", timedelta(0)),
        (timedelta(hours=3), timedelta(hours=3)),
    ],
)
def test_a_duration_is_read_as_people_write_it(written: object, meant: timedelta) -> None:
    assert parse_duration(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "m",
        "10 parsecs",
        "10M",
        "30m1h",
        "1m1m",
        "-5s",
        -5,
        "1,5h",
        "\u0661s",
        True,
        None,
        [],
        float("nan"),
        "5 5",
    ],
)
def test_what_is_no_duration_is_refused_with_an_example(written: object) -> None:
    with pytest.raises(InvalidSchedule, match=r'is not a duration: write .* such as "1h30m"'):
        parse_duration(written)


@pytest.mark.parametrize("written", [10**20, "99999999999999999999d", float("inf")])
def test_an_endless_duration_is_refused(written: object) -> None:
    with pytest.raises(InvalidSchedule, match="too long a duration"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(minutes=90), "1h 30m"),
        (timedelta(seconds=25), "25s"),
        (timedelta(0), "0s"),
        (timedelta(days=30), "30d"),
        (timedelta(seconds=1.5), "1s 500ms"),
        (timedelta(microseconds=250), "0.25ms"),
        (-timedelta(minutes=5), "-5m"),
        (timedelta(days=1234567), "1234567d"),
    ],
)
def test_a_duration_is_written_in_its_largest_units(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@given(st.timedeltas(min_value=timedelta(0)))
def test_a_written_duration_is_read_back_as_itself(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration
