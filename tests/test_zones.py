from __future__ import annotations

import importlib.resources
import zoneinfo
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from debian_cron import offset_at, packaged_zone, shifts, zone_names
from hypothesis import given, settings
from hypothesis import strategies as st

from pinstripe_bot.errors import InvalidSchedule
from pinstripe_bot.zones import FOREVER_TS, Segment, Zone, zone

HOUR_S = 3600


def ts(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def segment_at(name: str, instant: str) -> Segment:
    return zone(name).place(ts(instant))[1]


@pytest.fixture
def system_zones(tmp_path: Path) -> Iterator[Path]:
    """A folder that is the system's only source of zones."""
    zoneinfo.reset_tzpath([str(tmp_path)])
    yield tmp_path
    zoneinfo.reset_tzpath()


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.sampled_from(zone_names()), st.integers(ts("1850-01-01"), ts("2150-01-01")))
def test_an_offset_is_what_the_tzdata_package_says(name: str, instant_ts: int) -> None:
    assert zone(name).offset_at(instant_ts) == offset_at(packaged_zone(name), instant_ts)


@pytest.mark.parametrize("name", zone_names()[::23])
def test_segments_begin_where_the_offset_changes(name: str) -> None:
    where = zone(name)
    first, _ = where.place(0)
    last, _ = where.place(ts("2040-01-01"))

    starts = [where.segment(index).start_ts for index in range(first + 1, last + 1)]

    assert starts == shifts(packaged_zone(name), 1970, 2039)


def test_segments_lie_side_by_side_from_the_beginning_to_the_end_of_time() -> None:
    where = zone("Asia/Tokyo")
    last, _ = where.place(FOREVER_TS - 1)

    segments = [where.segment(index) for index in range(last + 1)]

    assert segments[0].start_ts == -FOREVER_TS
    assert segments[-1].end_ts == FOREVER_TS
    assert all(one.end_ts == other.start_ts for one, other in pairwise(segments))


@pytest.mark.parametrize(
    ("name", "instant", "offset_s"),
    [
        ("Europe/Berlin", "2076-07-01", 2 * HOUR_S),
        ("America/New_York", "2101-01-01", -5 * HOUR_S),
        ("America/Nuuk", "2090-06-01", -HOUR_S),  # its rule shifts at hour -1
        ("Asia/Gaza", "2089-07-01", 3 * HOUR_S),  # its rule shifts at hour 50
        ("Africa/Casablanca", "2086-05-01", 0),  # its shifts are listed until 2087
        ("Antarctica/Troll", "2099-07-01", 2 * HOUR_S),
        ("Europe/Dublin", "2099-01-01", 0),  # its summer time is the standard
        ("Europe/Berlin", "1850-01-01", 3208),
        ("Africa/Monrovia", "1971-06-01", -2670),
        ("Africa/Monrovia", "1972-06-01", 0),
        ("UTC", "9000-01-01", 0),
    ],
)
def test_any_year_has_an_offset(name: str, instant: str, offset_s: int) -> None:
    assert zone(name).offset_at(ts(instant)) == offset_s == offset_at(packaged_zone(name), ts(instant))


def test_a_rule_reaches_to_the_end_of_the_calendar() -> None:
    where = Zone("Europe/Berlin", _packaged_file("Europe/Berlin"))

    _, segment = where.place(ts("9999-12-31"))

    assert segment.end_ts == FOREVER_TS


def test_a_gap_is_left_to_be_settled() -> None:
    segment = segment_at("Europe/Berlin", "2025-07-01")

    assert segment.start_ts == ts("2025-03-30T01:00")
    assert segment.settled == ts("2025-03-30T02:00")  # on the wall, where the segment begins at 03:00


def test_a_fold_is_settled_in_advance() -> None:
    segment = segment_at("Europe/Berlin", "2025-12-01")

    assert segment.start_ts == ts("2025-10-26T01:00")
    assert segment.settled == ts("2025-10-26T03:00")  # on the wall, where the segment begins at 02:00


def test_three_hours_are_still_a_gap() -> None:
    segment = segment_at("Antarctica/Casey", "2009-12-01")

    assert segment.start_ts + segment.offset - segment.settled == 3 * HOUR_S


@pytest.mark.parametrize(
    ("name", "instant"),
    [
        ("Pacific/Apia", "2012-01-15"),  # a day forwards
        ("Antarctica/Vostok", "1994-06-01"),  # seven hours backwards
        ("Antarctica/Vostok", "1995-06-01"),  # seven hours forwards
    ],
)
def test_a_larger_jump_is_followed_as_it_is(name: str, instant: str) -> None:
    segment = segment_at(name, instant)

    assert segment.settled == segment.start_ts + segment.offset


def test_a_zone_is_loaded_once() -> None:
    assert zone("Europe/Berlin") is zone("Europe/Berlin")


def test_threads_that_look_ahead_at_once_see_the_same_segments() -> None:
    where = Zone("Europe/London", _packaged_file("Europe/London"))
    instants = [ts(f"{year}-07-01") for year in range(2000, 2120)]

    with ThreadPoolExecutor(8) as pool:
        offsets = list(pool.map(where.offset_at, instants * 4))

    assert offsets == [HOUR_S] * len(offsets)


def test_a_zone_that_only_the_system_knows_comes_from_there(system_zones: Path) -> None:
    (system_zones / "Island").mkdir()
    (system_zones / "Island/Capital").write_bytes(_packaged_file("Asia/Kathmandu"))

    assert zone("Island/Capital").offset_at(0) == 5 * HOUR_S + 1800


def test_the_package_is_asked_before_the_system(system_zones: Path) -> None:
    (system_zones / "Asia").mkdir()
    (system_zones / "Asia/Ho_Chi_Minh").write_bytes(_packaged_file("Asia/Kathmandu"))

    assert zone("Asia/Ho_Chi_Minh").offset_at(ts("2026-01-01")) == 7 * HOUR_S


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("europe/berlin", "did you mean Europe/Berlin"),
        ("Europe/Berlim", "did you mean Europe/Berlin"),
        ("Berlin", "did you mean Europe/Berlin?"),
        ("New York", "did you mean America/New_York?"),
        ("utc", "did you mean UTC?"),
        ("UTC ", "did you mean UTC?"),
        ("America/Newyork", "did you mean America/New_York?"),
    ],
)
def test_an_unknown_zone_is_refused_with_close_names(name: str, close: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        zone(name)

    assert str(refusal.value).startswith(f"{name!r} is not a time zone: {close}")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "../etc/passwd",
        "/etc/passwd",
        "/usr/share/zoneinfo/Europe/Berlin",
        "Europe/../Europe/Berlin",
        "./UTC",
        "Europe",
        "Europe/",
        "Europe//Berlin",
        "Europe\\Berlin",
        "Europe/Berlin\0",
        "Europe/Berlin\n",
        "Europe/Bérlin",
        "localtime",
        "posixrules",
        "tzdata.zi",
        "zone.tab",
        "__init__.py",
        "+02:00",
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "x" * 100_000,
    ],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidSchedule, match="is not a time zone: ") as refusal:
        zone(name)

    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("name", [None, 3, b"UTC", ["UTC"], UTC])
def test_what_is_no_text_is_refused(name: str) -> None:
    with pytest.raises(InvalidSchedule, match="write its name as text, such as 'Europe/Berlin'"):
        zone(name)


def test_the_zone_of_datetime_has_the_same_data() -> None:
    where = zone("Europe/Berlin")

    local = datetime(2026, 7, 1, tzinfo=where.tzinfo)

    assert local.utcoffset() == timedelta(hours=2)
    assert str(where.tzinfo) == "Europe/Berlin"


def _packaged_file(name: str) -> bytes:
    return importlib.resources.files("tzdata").joinpath("zoneinfo", name).read_bytes()
