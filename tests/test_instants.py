"""How commands read and show instants and durations."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.instants import read_instant, read_since, read_until, show_instant
from pinstripe_bot.zones import zone


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-07-01T02:30", datetime(2026, 7, 1, 0, 30, tzinfo=UTC)),
        ("2026-07-01", datetime(2026, 6, 30, 22, tzinfo=UTC)),
        ("2026-07-01T02:30:00Z", datetime(2026, 7, 1, 2, 30, tzinfo=UTC)),
        ("2026-07-01T02:30-04:00", datetime(2026, 7, 1, 6, 30, tzinfo=UTC)),
        ("2026-10-25T02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ],
    ids=["wall time", "a day", "UTC", "an offset", "a repeated hour: the first"],
)
def test_an_instant_is_read_in_the_zone_unless_it_has_an_offset(written: str, instant: datetime) -> None:
    read = read_instant(written, "Europe/Berlin")

    assert read == instant
    assert read.tzinfo is UTC


@pytest.mark.parametrize("written", ["", "noon", "29.3.2026"])
def test_what_is_no_instant_is_refused(written: str) -> None:
    with pytest.raises(InvalidParams, match="is not an instant: write it as 2026-03-29T02:30"):
        read_instant(written, "UTC")


def test_an_instant_may_be_written_in_words() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    read = [read_instant(written, "Europe/Berlin", now=now) for written in ("yesterday 02:30", "10m ago")]

    assert read == [datetime(2026, 11, 22, 1, 30, tzinfo=UTC), datetime(2026, 11, 23, 11, 50, tzinfo=UTC)]


def test_words_count_from_the_machines_time() -> None:
    before = SystemClock().now()

    read = read_instant("now", "Europe/Berlin")

    assert before - timedelta(seconds=1) < read <= SystemClock().now()


def test_a_time_that_the_clocks_skip_is_refused() -> None:
    with pytest.raises(
        InvalidParams, match=r"'2026-03-29T02:30' does not exist in Europe/Berlin: the clocks go forward"
    ):
        read_instant("2026-03-29T02:30", "Europe/Berlin")


def test_an_instant_is_shown_in_its_own_zone() -> None:
    local = datetime(2026, 3, 30, 0, 30, tzinfo=UTC).astimezone(zone("Europe/Berlin").tzinfo)

    assert show_instant(local) == "Mon 2026-03-30 02:30:00 CEST"


# Since when


NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("written", "since"),
    [
        ("2h", NOON - timedelta(hours=2)),
        ("90", NOON - timedelta(seconds=90)),
        ("0s", NOON),
        ("2026-11-23", datetime(2026, 11, 22, 23, tzinfo=UTC)),
        ("2026-11-23T12:00:00Z", NOON),
        ("2026-10-25T02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ],
)
def test_since_is_a_duration_ago_or_an_instant(written: str, since: datetime) -> None:
    assert read_since(written, "Europe/Berlin", NOON) == since


def test_since_an_instant_to_come_is_refused() -> None:
    with pytest.raises(InvalidParams, match="still to come"):
        read_since("2026-11-23T12:00:01Z", "UTC", NOON)


@pytest.mark.parametrize("written", ["", " ", "noon", "-2h", "1h 2", "2026-02-30", "\x00", "9" * 400])
def test_since_what_is_no_instant_is_refused(written: str) -> None:
    with pytest.raises(InvalidParams):
        read_since(written, "UTC", NOON)


@pytest.mark.parametrize("written", ["999999d", "999999999d", "99999999999999w", "1000000000000"])
def test_since_before_the_first_year_is_refused(written: str) -> None:
    with pytest.raises(InvalidParams):
        read_since(written, "UTC", NOON)


@given(st.text(max_size=30))
def test_since_anything_is_an_instant_or_refused(written: str) -> None:
    with contextlib.suppress(InvalidParams):
        assert read_since(written, "America/New_York", NOON) <= NOON


# Until when


@pytest.mark.parametrize(
    ("written", "until"),
    [
        ("2h", NOON + timedelta(hours=2)),
        ("1.5s", NOON + timedelta(seconds=2)),
        ("tomorrow 9:00", datetime(2026, 11, 24, 8, tzinfo=UTC)),
        ("9:00", datetime(2026, 11, 24, 8, tzinfo=UTC)),
        ("14:00", datetime(2026, 11, 23, 13, tzinfo=UTC)),
        ("monday 9:00", datetime(2026, 11, 30, 8, tzinfo=UTC)),
        ("friday 9:00", datetime(2026, 11, 27, 8, tzinfo=UTC)),
        ("2026-12-01T09:00", datetime(2026, 12, 1, 8, tzinfo=UTC)),
        ("2026-12-01", datetime(2026, 11, 30, 23, tzinfo=UTC)),
    ],
)
def test_until_is_a_duration_from_now_or_the_next_such_instant(written: str, until: datetime) -> None:
    assert read_until(written, "Europe/Berlin", NOON) == until


@pytest.mark.parametrize("written", ["0s", "2026-11-23T12:00:00Z", "2026-11-22", "yesterday 9:00", "today 9:00"])
def test_until_an_instant_that_is_past_is_refused(written: str) -> None:
    with pytest.raises(InvalidParams, match="it is past"):
        read_until(written, "UTC", NOON)


@pytest.mark.parametrize("written", ["", "soon", "5", "noon tomorrow", "25:00", "999999999d", "99999999999w", "-1h"])
def test_until_what_is_no_instant_is_refused(written: str) -> None:
    with pytest.raises(InvalidParams):
        read_until(written, "UTC", NOON)


def test_until_a_time_that_the_clocks_skip_is_refused() -> None:
    with pytest.raises(InvalidParams, match="the clocks go forward past it"):
        read_until("2027-03-28T02:30", "Europe/Berlin", NOON)


@given(st.text(max_size=30), st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_until_anything_is_a_whole_second_to_come_or_refused(written: str, now: datetime) -> None:
    with contextlib.suppress(InvalidParams):
        until = read_until(written, "America/New_York", now)
        assert until > now
        assert until.microsecond == 0
