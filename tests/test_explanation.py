"""What a schedule makes of one wall time: the facts, checked against the schedule itself around real shifts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from explained import NOW, berlin, explain
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plans import make_schedule

from pinstripe_bot.asked import read_asked
from pinstripe_bot.explanation import Explanation, ShiftRule, explain_instant
from pinstripe_bot.explanation_words import sentences
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.shifts import Shift
from pinstripe_bot.zones import zone

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Africa/Monrovia",
    "Antarctica/Casey",
    "Antarctica/Troll",
    "Antarctica/Vostok",
    "Pacific/Apia",
    "America/Santiago",
    "America/Havana",
    "Asia/Beirut",
    "Pacific/Kiritimati",
)
EXPRESSIONS = (
    "30 2 * * *",
    "0 0 * * *",
    "0,30 0-3 * * *",
    "15,45 23,0-4 * * *",
    "59 1,23 * * sat,sun",
    "*/20 * * * *",
    "17 * * * *",
    "10 */3 * * *",
    "*/20 15,45 0-3 * * *",
    "5,59 30 2 * * *",
)
DAY_S = 86400
calmly = settings(derandomize=True, max_examples=150, deadline=None)
schedules = st.builds(
    make_schedule,
    st.sampled_from(EXPRESSIONS),
    st.sampled_from(ZONES),
    dst=st.sampled_from(["once", "wall"]),
    offset_s=st.sampled_from([0, 0, 245, 1800]),
)


@cache
def shifts(name: str) -> list[Shift]:
    """Every change of the zone's clocks from 1970 to 2037."""
    found, (index, before) = [], zone(name).place(0)
    while before.end_ts < 2_145_000_000:
        index += 1
        segment = zone(name).segment(index)
        found.append(Shift(segment.start_ts, before.offset, segment.offset))
        before = segment
    return found


def a_shift(schedule: Schedule, number: int) -> Shift:
    """One of the zone's shifts, by any number."""
    known = shifts(schedule.zone.name)
    return known[number % len(known)]


def explain_wall(schedule: Schedule, wall: int, form: str) -> Explanation:
    return explain(schedule, f"{datetime.fromtimestamp(wall, UTC):{form}}")


def at(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)


def test_a_due_instant_is_the_answer():
    explanation = explain(berlin("30 2 * * *"), "2026-07-01 02:30")

    assert explanation.due_at == (at(2026, 7, 1, 0, 30),)
    assert explanation.nearest == (at(2026, 6, 30, 0, 30), at(2026, 7, 2, 0, 30))
    assert (explanation.exists, explanation.is_repeated, explanation.rule) == (True, False, None)


def test_what_is_not_due_has_no_answer_but_neighbours():
    explanation = explain(berlin("30 2 * * *"), "2026-07-01 02:31")

    assert explanation.due_at == ()
    assert explanation.nearest == (at(2026, 7, 1, 0, 30), at(2026, 7, 2, 0, 30))


def test_in_a_gap_the_answer_is_what_came_due_instead():
    explanation = explain(berlin("30 2 * * *"), "2026-03-29 02:30")

    assert not explanation.exists
    assert explanation.due_at == (at(2026, 3, 29, 1),)
    assert explanation.stands_in
    assert explanation.rule is ShiftRule.ONCE


def test_what_came_due_after_a_gap_is_no_answer_for_another_skipped_time():
    explanation = explain(berlin("30 2 * * *"), "2026-03-29 02:40")

    assert explanation.due_at == ()
    assert explanation.nearest == (at(2026, 3, 28, 1, 30), at(2026, 3, 29, 1))


def test_a_repeated_time_is_due_in_its_first_pass():
    explanation = explain(berlin("30 2 * * *"), "2026-10-25 02:30")

    assert explanation.passes == ((at(2026, 10, 25, 0, 30),), ())
    assert explanation.due_at == (at(2026, 10, 25, 0, 30),)


def test_an_instant_in_the_second_pass_is_not_due_in_the_first():
    explanation = explain(berlin("30 2 * * *"), "2026-10-25T01:30Z")

    assert explanation.passes == ((at(2026, 10, 25, 0, 30),), ())
    assert explanation.due_at == ()
    assert explanation.nearest == (at(2026, 10, 25, 0, 30), at(2026, 10, 26, 1, 30))


def test_between_two_passes_there_may_be_a_neighbour_too():
    explanation = explain(berlin("0 * * * *"), "2026-10-25 02:30")

    assert explanation.nearest == (at(2026, 10, 25), at(2026, 10, 25, 1), at(2026, 10, 25, 2))


def test_a_minute_answers_with_all_its_seconds():
    explanation = explain(berlin("*/20 30 2 * * *"), "2026-07-01 02:30")

    assert [each.second for each in explanation.due_at] == [0, 20, 40]


def test_a_second_answers_for_itself():
    explanation = explain(berlin("*/20 30 2 * * *"), "2026-07-01 02:30:20")

    assert explanation.due_at == (at(2026, 7, 1, 0, 30, 20),)


def test_a_time_as_the_expression_has_it_is_found_behind_its_spread():
    explanation = explain(berlin("30 2 * * *", offset_s=245), "2026-07-01 02:30")

    assert explanation.due_at == (at(2026, 7, 1, 0, 34, 5),)


def test_with_spread_the_minute_that_is_due_is_the_answer_itself():
    explanation = explain(berlin("* * * * *", offset_s=245), "2026-07-01 02:30")

    assert explanation.due_at == (at(2026, 7, 1, 0, 30, 5),)


def test_a_wall_time_is_one_of_the_schedules_own_zone():
    asked = read_asked("2026-07-01 02:30", zone=zone("UTC"), now=NOW)

    explanation = explain_instant(berlin("30 2 * * *"), asked)

    assert explanation.due_at == (at(2026, 7, 1, 0, 30),)


def test_a_date_that_never_comes_again_has_one_neighbour():
    explanation = explain(make_schedule("0 0 29 2 *", "UTC"), "9998-01-01 00:00")

    assert explanation.nearest == (at(9996, 2, 29),)


@pytest.mark.parametrize(
    ("expression", "dst", "rule"),
    [
        ("30 2 * * *", "once", ShiftRule.ONCE),
        ("30 2 * * *", "wall", ShiftRule.WALL),
        ("* 2 * * *", "once", ShiftRule.REAL_TIME),
        ("30 */2 * * *", "once", ShiftRule.REAL_TIME),
        ("*/5 30 2 * * *", "once", ShiftRule.ONCE),
        ("@hourly", "once", ShiftRule.REAL_TIME),
        ("@daily", "once", ShiftRule.ONCE),
        ("* * * * *", "wall", ShiftRule.WALL),
    ],
)
def test_the_rule_for_shifts_is_named(expression: str, dst: str, rule: ShiftRule) -> None:
    assert explain(berlin(expression, dst=dst), "2026-03-29 02:30").rule is rule


def test_a_skipped_day_is_followed_as_it_is():
    explanation = explain(make_schedule("0 9 * * *", "Pacific/Apia"), "2011-12-30 09:00")

    assert (explanation.exists, explanation.due_at) == (False, ())
    assert explanation.rule is ShiftRule.CORRECTION


@calmly
@given(schedule=schedules, number=st.integers(0), away_s=st.integers(-DAY_S, DAY_S), count=st.integers(1, 8))
def test_every_due_instant_is_due_at_its_own_wall_time(schedule, number, away_s, count):
    ts = a_shift(schedule, number).at_ts + away_s
    for _ in range(count):
        ts = schedule.next_after_ts(ts)
    wall, instant = ts + schedule.zone.offset_at(ts), datetime.fromtimestamp(ts, UTC)

    by_minute, by_second = (explain_wall(schedule, wall, form) for form in ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"))
    exactly = explain(schedule, instant.isoformat())

    assert instant in by_minute.due_at
    assert instant in by_second.due_at
    assert exactly.due_at == (instant,)
    assert all(schedule.is_due_ts(int(each.timestamp())) for each in by_minute.due_at)


@calmly
@given(schedule=schedules, number=st.integers(0), part=st.floats(0, 1, exclude_max=True))
def test_a_wall_time_in_a_gap_never_exists(schedule, number, part):
    shift = a_shift(schedule, number)
    assume(shift.after > shift.before)
    wall = shift.from_wall + int((shift.to_wall - shift.from_wall) * part)

    explanation = explain_wall(schedule, wall, "%Y-%m-%d %H:%M:%S")

    assert not explanation.exists
    assert explanation.asked.at == ()
    assert "does not exist" in sentences(explanation)[0]
    assert all(each.timestamp() >= shift.at_ts for each in explanation.due_at)


@calmly
@given(schedule=schedules, number=st.integers(0), part=st.floats(0, 1, exclude_max=True))
def test_a_wall_time_in_a_fold_exists_twice(schedule, number, part):
    shift = a_shift(schedule, number)
    assume(shift.after < shift.before)
    wall = shift.to_wall + int((shift.from_wall - shift.to_wall) * part)

    explanation = explain_wall(schedule, wall, "%Y-%m-%d %H:%M:%S")

    assert explanation.is_repeated
    assert len(explanation.asked.at) == 2
    assert "exists twice" in sentences(explanation)[0]


@calmly
@given(schedule=schedules, number=st.integers(0), away_s=st.integers(-DAY_S, DAY_S))
def test_the_nearest_due_instants_are_the_neighbours(schedule, number, away_s):
    wall = a_shift(schedule, number).from_wall + away_s

    explanation = explain_wall(schedule, wall, "%Y-%m-%d %H:%M")

    between = [int(each.timestamp()) for each in (explanation.nearest[0], explanation.nearest[-1])]
    inside = {*explanation.due_at, *explanation.nearest[1:-1]}
    if explanation.is_repeated:  # what lies between the passes is no neighbour, except its first and its last
        inside |= set(_due_between_passes(schedule, explanation))
    assert schedule.count_ts(between[0], between[1] - 1) == len(inside)
    assert all(schedule.is_due_ts(int(each.timestamp())) for each in (*explanation.due_at, *explanation.nearest))


def _due_between_passes(schedule: Schedule, explanation: Explanation) -> list[datetime]:
    first, second = explanation.asked.all_passes()
    found = schedule.upcoming(datetime.fromtimestamp(first.start - 1, UTC))
    until = datetime.fromtimestamp(second.stop, UTC) + timedelta(seconds=schedule.offset_s)
    due = []
    while (instant := next(found)) < min(until, explanation.nearest[-1]):
        due.append(instant)
    return due


@calmly
@given(schedule=schedules, number=st.integers(0), part=st.floats(0, 1, exclude_max=True))
def test_by_real_time_and_by_the_wall_nothing_stands_in(schedule, number, part):
    shift = a_shift(schedule, number)
    assume(shift.after > shift.before)

    explanation = explain_wall(schedule, shift.from_wall + int((shift.after - shift.before) * part), "%Y-%m-%d %H:%M")

    if not explanation.exists and explanation.rule is not ShiftRule.ONCE:
        assert explanation.due_at == ()
    if not explanation.exists and explanation.rule is ShiftRule.ONCE:
        assert bool(explanation.due_at) == explanation.is_time_of_schedule
