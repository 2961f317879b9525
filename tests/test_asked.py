"""What people write, and which instants they mean by it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinstripe_bot.asked import Asked, read_asked
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.zones import zone

NOW = "2026-11-23T22:10:05"  # a Monday, 23:10 in Berlin
ODD_ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia", "UTC")


def asked(written: str, name: str = "Europe/Berlin", *, now: str = NOW) -> Asked:
    return read_asked(written, zone=zone(name), now=datetime.fromisoformat(now).replace(tzinfo=UTC))


def meant(written: str, name: str = "Europe/Berlin", *, now: str = NOW) -> list[str]:
    """The instants, in UTC: ["2026-11-23 01:30:00"]."""
    return [f"{each:%Y-%m-%d %H:%M:%S}" for each in asked(written, name, now=now).at]


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-07-01T02:30", "2026-07-01 00:30:00"),
        ("2026-07-01 02:30", "2026-07-01 00:30:00"),
        ("2026-07-01 2:30", "2026-07-01 00:30:00"),
        ("2026-07-01 02:30:15", "2026-07-01 00:30:15"),
        ("20260701T0230", "2026-07-01 00:30:00"),
        ("2026-07-01", "2026-06-30 22:00:00"),
        ("02:30", "2026-11-23 01:30:00"),
        ("2:30", "2026-11-23 01:30:00"),
        ("02:30:15", "2026-11-23 01:30:15"),
        ("today 14:00", "2026-11-23 13:00:00"),
        ("yesterday 02:30", "2026-11-22 01:30:00"),
        ("tomorrow 9:00", "2026-11-24 08:00:00"),
        ("yesterday at 02:30", "2026-11-22 01:30:00"),
        ("  Yesterday   AT 02:30 ", "2026-11-22 01:30:00"),
        ("2026-07-01t00:30z", "2026-07-01 00:30:00"),
        ("2026-07-01T02:30-04:00", "2026-07-01 06:30:00"),
        ("now", "2026-11-23 22:10:05"),
        ("10m ago", "2026-11-23 22:00:05"),
        ("1h 30m ago", "2026-11-23 20:40:05"),
        ("in 10m", "2026-11-23 22:20:05"),
    ],
)
def test_what_people_write_means_one_instant(written: str, instant: str) -> None:
    assert meant(written) == [instant]


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("23:09", "2026-11-23"),
        ("23:10", "2026-11-23"),
        ("23:11", "2026-11-22"),
        ("monday 23:00", "2026-11-23"),
        ("Last Monday 23:00", "2026-11-23"),
        ("monday 23:30", "2026-11-16"),
        ("tuesday 09:00", "2026-11-17"),
        ("sunday 09:00", "2026-11-22"),
    ],
)
def test_a_time_without_a_date_is_the_most_recent_one(written: str, day: str) -> None:
    assert f"{asked(written).at[0].astimezone(zone('Europe/Berlin').tzinfo):%Y-%m-%d}" == day


@pytest.mark.parametrize(
    ("now", "written", "instant"),
    [
        ("2026-11-23T10:00", "last night 02:00", "2026-11-23 02:00:00"),
        ("2026-11-23T10:00", "last night 22:00", "2026-11-22 22:00:00"),
        ("2026-11-23T03:00", "last night 02:00", "2026-11-23 02:00:00"),
        ("2026-11-23T03:00", "last night 22:00", "2026-11-22 22:00:00"),
        ("2026-11-23T03:00", "last night 04:00", "2026-11-22 04:00:00"),
        ("2026-11-23T23:00", "last night 02:00", "2026-11-23 02:00:00"),
        ("2026-11-23T23:00", "last night 22:00", "2026-11-22 22:00:00"),
    ],
)
def test_last_night_is_the_one_that_people_mean(now: str, written: str, instant: str) -> None:
    assert meant(written, "UTC", now=now) == [instant]


def test_the_afternoon_is_not_in_the_night() -> None:
    with pytest.raises(InvalidParams, match=r"^14:05 is not in the night, 18:00 to 06:00: write 'today 14:05' or"):
        asked("last night 14:05")


def test_a_time_that_the_clocks_skip_means_no_instant() -> None:
    assert meant("2026-03-29T02:30") == []


def test_a_time_that_the_clocks_repeat_means_two_instants() -> None:
    assert meant("2026-10-25T02:30") == ["2026-10-25 00:30:00", "2026-10-25 01:30:00"]


def test_an_instant_with_an_offset_is_always_one() -> None:
    assert meant("2026-10-25T02:30+01:00") == ["2026-10-25 01:30:00"]
    assert meant("2026-03-29T02:30+01:00") == ["2026-03-29 01:30:00"]


def test_a_skipped_time_of_today_has_come_once_the_clock_is_past_it() -> None:
    just_before, just_after = "2026-03-29T00:59:59", "2026-03-29T01:00:00"

    assert meant("02:30", now=just_before) == ["2026-03-28 01:30:00"]
    assert meant("02:30", now=just_after) == []


def test_in_the_repeated_hour_a_time_has_come_when_it_came_the_first_time() -> None:
    second_ten_past_two = "2026-10-25T01:10"

    assert meant("02:30", now=second_ten_past_two) == ["2026-10-25 00:30:00", "2026-10-25 01:30:00"]


def test_a_day_begins_after_its_midnight_where_that_is_skipped() -> None:
    assert meant("2026-03-29", "Asia/Beirut") == ["2026-03-28 22:00:00"]


def test_a_skipped_day_means_no_instant() -> None:
    assert meant("2011-12-30", "Pacific/Apia") == []
    assert meant("yesterday 12:00", "Pacific/Apia", now="2011-12-31T00:00") == []


@pytest.mark.parametrize(
    ("written", "has_seconds"),
    [
        ("02:30", False),
        ("02:30:00", True),
        ("2026-07-01T02:30", False),
        ("2026-07-01T02:30:00", True),
        ("2026-07-01T02:30Z", False),
        ("2026-07-01T02:30:00Z", True),
        ("2026-07-01T02:30+05:30", False),
        ("now", False),
        ("10m ago", False),
        ("90s ago", True),
    ],
)
def test_a_whole_minute_is_meant_unless_seconds_are_written(written: str, has_seconds: bool) -> None:
    assert asked(written).has_seconds is has_seconds
    assert [len(each) for each in asked(written).passes()] == [1 if has_seconds else 60]


def test_the_minute_of_an_instant_is_the_one_on_the_clock() -> None:
    (shown,) = asked("now").passes()

    assert shown.start == datetime(2026, 11, 23, 22, 10, tzinfo=UTC).timestamp()


def test_on_another_clock_a_wall_time_stays_and_an_instant_stays_too() -> None:
    wall_time, instant = asked("2026-07-01T02:30"), asked("2026-07-01T02:30Z")

    there = [each.on_the_clock_of(zone("America/New_York")) for each in (wall_time, instant)]

    assert [each.at[0].hour for each in there] == [6, 2]
    assert there[0].wall == wall_time.wall
    assert there[1].wall - instant.wall == -6 * 3600


@pytest.mark.parametrize(
    "written",
    [
        *("", "noon", "29.3.2026", "25:00", "02:60", "someday 09:00", "\uff12:30"),
        *("tomorrow", "monday", "last night", "last 02:30", "ago", "10 ago", "in 10", "-5m ago"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence(written: str) -> None:
    with pytest.raises(InvalidParams, match=r"is not an instant: write it as 2026-03-29T02:30 or .*10m ago"):
        asked(written)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("2026-02-30", "February 2026 has no 30th"),
        ("2026-02-30 02:30", "February 2026 has no 30th"),
        ("2026-06-31T02:30Z", "June 2026 has no 31st"),
        ("2026-13-01", "a year has no month 13"),
    ],
)
def test_a_day_that_there_is_not_is_told(written: str, told: str) -> None:
    with pytest.raises(InvalidParams, match=f"does not exist: {told}"):
        asked(written)


@pytest.mark.parametrize("written", ["2h", "2h ago", "1h 60m"])
def test_a_duration_alone_is_ago(written: str) -> None:
    assert asked(written).at == (asked("now").at[0] - timedelta(hours=2),)


@pytest.mark.parametrize("written", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00", "in 9999999d"])
def test_what_no_clock_can_show_is_refused(written: str) -> None:
    with pytest.raises(InvalidParams, match="lies outside the years 2 to 9999"):
        asked(written)


@settings(derandomize=True, deadline=None)
@given(name=st.sampled_from(ODD_ZONES), ts=st.integers(0, 2_100_000_000))
def test_every_instant_is_among_those_that_its_own_wall_time_means(name: str, ts: int) -> None:
    instant = datetime.fromtimestamp(ts, UTC)
    local = instant.astimezone(zone(name).tzinfo)

    by_wall, by_offset = asked(f"{local:%Y-%m-%d %H:%M:%S}", name), asked(local.isoformat(), name)

    assert instant in by_wall.at
    assert by_offset.at == (instant,)
    assert by_offset.wall == by_wall.wall


@settings(derandomize=True, deadline=None)
@given(name=st.sampled_from(ODD_ZONES), ts=st.integers(0, 2_100_000_000), minute=st.integers(0, 1439))
def test_a_bare_time_is_never_in_the_future_and_at_most_a_day_or_so_old(name: str, ts: int, minute: int) -> None:
    now = datetime.fromtimestamp(ts, UTC)

    read = read_asked(f"{minute // 60}:{minute % 60:02d}", zone=zone(name), now=now)

    assert all(now - timedelta(hours=49) < each for each in read.at)
    assert not read.at or read.at[0] <= now


@settings(derandomize=True, deadline=None)
@given(written=st.text(max_size=30))
def test_whatever_is_written_is_read_or_refused(written: str) -> None:
    with suppress(InvalidParams):
        asked(written)
