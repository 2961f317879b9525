"""The search against three others: Debian's loop minute by minute, the bare wall clock, and cronsim."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise

import pytest
from cronsim import CronSim
from debian_cron import (
    EPOCH,
    Crontab,
    Tick,
    due_by_debian,
    due_by_wall_clock,
    offset_at,
    packaged_zone,
    shifts,
    ticks,
    zone_names,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pinstripe_bot.cron import CronExpression, parse
from pinstripe_bot.errors import InvalidSchedule
from pinstripe_bot.zones import zone

DAY_S = 86400
ODD_ZONES = (
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "America/Caracas",
    "America/Nuuk",
    "Africa/Casablanca",
    "Africa/Monrovia",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",
    "Antarctica/Casey",
    "Antarctica/Troll",
    "Antarctica/Vostok",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kwajalein",
    "UTC",
)
FIXED_AND_INTERVAL = (
    "30 2 * * *",
    "0 0 * * *",
    "5,35 0-23 * * *",
    "0 1-5/2 * * *",
    "15,45 23,0-4 * * *",
    "59 1,23 * * sat,sun",
    "0 0 1 * 0",
    "*/20 * * * *",
    "17 * * * *",
    "10 */3 * * *",
    "*/30 15,45 0-3 * * *",
)
calmly = settings(derandomize=True, max_examples=100, deadline=None)


@cache
def all_shifts(name: str) -> list[int]:
    return shifts(packaged_zone(name), 1970, 2037)


@cache
def wake_ups(name: str, shift_ts: int) -> list[Tick]:
    return ticks(packaged_zone(name), shift_ts - 36 * 3600, shift_ts + 36 * 3600)


def due_between(cron: CronExpression, name: str, after_ts: int, until_ts: int, dst: str = "once") -> list[int]:
    start, end = EPOCH + timedelta(seconds=after_ts), EPOCH + timedelta(seconds=until_ts)
    return [int((due - EPOCH).total_seconds()) for due in cron.between(start, end, name, dst=dst)]


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """A field of any plain form: values, ranges, steps and lists of them."""
    values = st.integers(low, high)
    ranges = st.tuples(values, values).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    steps = st.integers(2, high - low + 3)
    items = st.one_of(
        values.map(str),
        values.map(str),
        ranges,
        st.builds("{}/{}".format, ranges.filter(lambda text: len(set(text.split("-"))) > 1), steps),
        st.builds("{}/{}".format, values, steps),
        st.builds("*/{}".format, steps),
    )
    return st.just("*") | st.lists(items, min_size=1, max_size=3).map(",".join)


night_hours = st.sampled_from(["0", "1", "2", "3", "23", "1,2", "0-4", "2-3", "22,23,0,1,2,3"])
five_fields = st.builds(
    "{} {} {} {} {}".format,
    field(0, 59),
    night_hours | field(0, 23),
    st.just("*") | field(1, 31) | st.just("L"),
    st.just("*") | st.just("*") | field(1, 12),
    st.just("*") | field(0, 7),
)
zones_with_shifts = st.sampled_from([*ODD_ZONES[:-1], *zone_names()]).filter(all_shifts)


@st.composite
def near_shifts(draw: st.DrawFn) -> tuple[str, int]:
    """A zone and the instant of one of its shifts."""
    name = draw(zones_with_shifts)
    return name, draw(st.sampled_from(all_shifts(name)))


@st.composite
def expressions(draw: st.DrawFn) -> str:
    expression = draw(five_fields)
    try:
        parse(expression)
    except InvalidSchedule:
        assume(False)
    return expression


@calmly
@given(expressions(), near_shifts(), st.sampled_from(["", "0 ", "*/20 ", "59 "]))
def test_due_instants_are_those_of_debian(five: str, shift: tuple[str, int], seconds: str) -> None:
    expected = due_by_debian(Crontab(seconds + five), loop := wake_ups(*shift))

    found = due_between(parse(seconds + five), shift[0], loop[0].ts - 1, loop[-1].ts + 59)

    assert found == expected


@calmly
@given(expressions(), near_shifts(), st.sampled_from(["", "0 ", "*/20 ", "59 "]))
def test_the_wall_rule_is_what_the_wall_shows(five: str, shift: tuple[str, int], seconds: str) -> None:
    expected = due_by_wall_clock(Crontab(seconds + five), loop := wake_ups(*shift))

    found = due_between(parse(seconds + five), shift[0], loop[0].ts - 1, loop[-1].ts + 59, "wall")

    assert found == expected


@pytest.mark.parametrize("name", ODD_ZONES[:-1])
def test_every_eighth_shift_of_an_odd_zone(name: str) -> None:
    for shift_ts in all_shifts(name)[::8]:
        loop = ticks(packaged_zone(name), shift_ts - DAY_S, shift_ts + DAY_S)
        for expression in FIXED_AND_INTERVAL:
            expected = due_by_debian(Crontab(expression), loop)

            found = due_between(parse(expression), name, loop[0].ts - 1, loop[-1].ts + 59)

            assert found == expected, (expression, shift_ts)


@pytest.mark.parametrize("name", zone_names()[::5])
def test_the_latest_shift_of_many_zones(name: str) -> None:
    for shift_ts in all_shifts(name)[-1:]:
        loop = ticks(packaged_zone(name), shift_ts - DAY_S, shift_ts + DAY_S)
        for expression in FIXED_AND_INTERVAL:
            found = due_between(parse(expression), name, loop[0].ts - 1, loop[-1].ts + 59)

            assert found == due_by_debian(Crontab(expression), loop), expression


@calmly
@given(expressions(), st.sampled_from(ODD_ZONES), st.integers(5 * 365 * DAY_S, 90 * 365 * DAY_S))
def test_cronsim_agrees_where_its_rules_are_debians(expression: str, name: str, ts: int) -> None:
    # It starts from a naive time, has no limit for a gap, and leaves Debian's rules for two times in one gap.
    assume(name not in ("Antarctica/Vostok", "Pacific/Apia", "Pacific/Kwajalein", "Africa/Monrovia"))
    start = EPOCH + timedelta(seconds=ts)
    assume(offset_at(packaged_zone(name), ts - DAY_S) == offset_at(packaged_zone(name), ts + DAY_S))
    theirs: list[datetime] = []
    for due in CronSim(expression, start.astimezone(packaged_zone(name))):
        if due.astimezone(UTC) not in theirs[-1:]:
            theirs.append(due.astimezone(UTC))
        if len(theirs) == 5:
            break

    ours = [start]
    for _ in theirs:
        ours.append(parse(expression).next_after(ours[-1], name))

    assert ours[1:] == theirs


@calmly
@given(expressions(), near_shifts(), st.integers(-2 * DAY_S, 2 * DAY_S), st.sampled_from(["once", "wall"]))
def test_every_start_sees_the_same_instants(five: str, shift: tuple[str, int], distance: int, dst: str) -> None:
    name, shift_ts = shift
    cron, where = parse(five), zone(name)
    start_ts = shift_ts + distance

    next_ts = cron.next_after_ts(start_ts, where, dst)
    previous_ts = cron.previous_before_ts(next_ts, where, dst)

    assert previous_ts <= start_ts < next_ts
    assert cron.next_after_ts(previous_ts, where, dst) == next_ts
    assert cron.next_after_ts((previous_ts + next_ts) // 2, where, dst) == next_ts
    assert cron.next_after_ts(next_ts - 1, where, dst) == next_ts
    assert cron.previous_before_ts(previous_ts + 1, where, dst) == previous_ts
    assert cron.is_due_ts(next_ts, where, dst)
    assert cron.is_due_ts(start_ts, where, dst) == (previous_ts == start_ts)


@calmly
@given(expressions(), near_shifts(), st.sampled_from(["", "*/15 ", "7,8 "]), st.sampled_from(["once", "wall"]))
def test_counting_is_the_same_as_visiting(five: str, shift: tuple[str, int], seconds: str, dst: str) -> None:
    name, shift_ts = shift
    cron = parse(seconds + five)
    after_ts, until_ts = shift_ts - 40_000, shift_ts + 40_017
    visited = due_between(cron, name, after_ts, until_ts, dst)

    counted = cron.count_ts(after_ts, until_ts, zone(name), dst)

    assert counted == len(visited)
    assert all(earlier < later for earlier, later in pairwise(visited))
    assert cron.count_ts(after_ts, shift_ts, zone(name), dst) + cron.count_ts(
        shift_ts, until_ts, zone(name), dst
    ) == len(visited)


@calmly
@given(expressions(), near_shifts(), st.sampled_from(["once", "wall"]))
def test_six_fields_at_second_zero_are_five_fields(five: str, shift: tuple[str, int], dst: str) -> None:
    name, shift_ts = shift
    window = (name, shift_ts - DAY_S, shift_ts + DAY_S, dst)

    assert due_between(parse("0 " + five), *window) == due_between(parse(five), *window)


@calmly
@given(expressions(), st.sampled_from(ODD_ZONES), st.integers(0, 4 * 10**9))
def test_years_are_counted_piece_by_piece(expression: str, name: str, start_ts: int) -> None:
    cron, where = parse(expression), zone(name)
    borders = [start_ts + days * DAY_S for days in (0, 1, 99, 100, 500, 1500)]

    pieces = [cron.count_ts(after_ts, until_ts, where) for after_ts, until_ts in pairwise(borders)]

    assert sum(pieces) == cron.count_ts(borders[0], borders[-1], where)
