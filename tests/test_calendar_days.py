from __future__ import annotations

import calendar
from datetime import date, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pinstripe_bot.calendar_days import DayRule

EPOCH = date(1970, 1, 1)
ALL_MONTHS = frozenset(range(1, 13))
ALL_WEEKDAYS = frozenset(range(7))


def rule(
    month_days: set[int] = frozenset(),
    months: set[int] = ALL_MONTHS,
    weekdays: set[int] = frozenset(),
    nth_weekdays: set[tuple[int, int]] = frozenset(),
    has_last_day: bool = False,
    nearest_weekday_to: int | None = None,
    must_match_both: bool = False,
) -> DayRule:
    return DayRule(
        months=frozenset(months),
        month_days=frozenset(month_days),
        has_last_day=has_last_day,
        nearest_weekday_to=nearest_weekday_to,
        weekdays=frozenset(weekdays),
        nth_weekdays=frozenset(nth_weekdays),
        must_match_both=must_match_both,
    )


rules = st.builds(
    rule,
    month_days=st.sets(st.integers(1, 31), max_size=5),
    months=st.sets(st.integers(1, 12), min_size=1) | st.just(ALL_MONTHS),
    weekdays=st.sets(st.integers(0, 6)) | st.just(ALL_WEEKDAYS),
    nth_weekdays=st.sets(st.tuples(st.integers(0, 6), st.sampled_from([1, 2, 3, 4, 5, -1])), max_size=2),
    has_last_day=st.booleans(),
    nearest_weekday_to=st.none() | st.integers(1, 31),
    must_match_both=st.booleans(),
)


def number(day: date) -> int:
    return (day - EPOCH).days


def dates(days: DayRule, after: date, count: int) -> list[str]:
    found = []
    day = number(after)
    for _ in range(count):
        first = days.first_from(day)
        assert first is not None
        found.append(str(EPOCH + timedelta(days=first)))
        day = first + 1
    return found


def matches(days: DayRule, day: date) -> bool:
    """What the rule says about one date, looked at by itself."""
    length = calendar.monthrange(day.year, day.month)[1]
    weekday = day.isoweekday() % 7
    by_date = (
        day.day in days.month_days
        or (days.has_last_day and day.day == length)
        or (days.nearest_weekday_to is not None and day == nearest_weekday(day, days.nearest_weekday_to, length))
    )
    by_weekday = (
        weekday in days.weekdays
        or (weekday, (day.day + 6) // 7) in days.nth_weekdays
        or ((weekday, -1) in days.nth_weekdays and day.day + 7 > length)
    )
    return day.month in days.months and (by_date and by_weekday if days.must_match_both else by_date or by_weekday)


def nearest_weekday(month: date, day: int, length: int) -> date:
    wanted = min(day, length)
    working_days = [each for each in range(1, length + 1) if month.replace(day=each).weekday() < 5]
    return month.replace(day=min(working_days, key=lambda each: abs(each - wanted)))


@settings(derandomize=True, max_examples=150, deadline=None)
@given(rules, st.dates(date(1900, 1, 1), date(2200, 1, 1)))
def test_the_days_are_those_that_match_one_by_one(days: DayRule, start: date) -> None:
    stretch = [start + timedelta(days=each) for each in range(800)]
    expected = [number(day) for day in stretch if matches(days, day)]
    assume(expected)

    found = []
    day = days.first_from(number(start))
    while day is not None and day <= number(stretch[-1]):
        found.append(day)
        day = days.first_from(day + 1)

    assert found == expected
    assert days.can_match()


@settings(derandomize=True, max_examples=150, deadline=None)
@given(rules, st.dates(date(1900, 1, 1), date(2200, 1, 1)))
def test_the_last_day_is_found_from_the_first_one_after_it(days: DayRule, start: date) -> None:
    assume(days.can_match())
    first = days.first_from(number(start))
    assert first is not None

    last = days.last_until(number(start) - 1)

    assert last is not None
    assert last < number(start)
    assert days.first_from(last) == last
    assert days.first_from(last + 1) == first


@settings(derandomize=True, max_examples=150, deadline=None)
@given(rules, st.dates(date(1900, 1, 1), date(2200, 1, 1)), st.integers(0, 1500))
def test_counting_is_the_same_as_visiting(days: DayRule, start: date, length: int) -> None:
    expected = sum(matches(days, start + timedelta(days=each)) for each in range(length))

    counted = days.count_between(number(start), number(start) + length)

    assert counted == expected


def test_either_field_is_enough() -> None:
    thirteenth_or_friday = rule({13}, weekdays={5})

    assert dates(thirteenth_or_friday, date(2026, 2, 1), 4) == ["2026-02-06", "2026-02-13", "2026-02-20", "2026-02-27"]


def test_both_fields_must_match() -> None:
    friday_the_thirteenth = rule({13}, weekdays={5}, must_match_both=True)

    assert dates(friday_the_thirteenth, date(2026, 1, 1), 3) == ["2026-02-13", "2026-03-13", "2026-11-13"]


def test_the_last_day_follows_the_length_of_the_month() -> None:
    last_day = rule(months={2}, has_last_day=True)

    assert dates(last_day, date(2026, 1, 1), 3) == ["2026-02-28", "2027-02-28", "2028-02-29"]


@pytest.mark.parametrize(
    ("day", "month", "expected"),
    [
        (15, 8, "2026-08-14"),  # a Saturday: the Friday before
        (15, 11, "2026-11-16"),  # a Sunday: the Monday after
        (15, 7, "2026-07-15"),  # a Wednesday
        (1, 8, "2026-08-03"),  # a Saturday: not into July
        (31, 5, "2026-05-29"),  # a Sunday: not into June
        (31, 2, "2026-02-27"),  # no such day: the last one, a Saturday
    ],
)
def test_the_nearest_weekday_stays_in_its_month(day: int, month: int, expected: str) -> None:
    assert dates(rule(months={month}, nearest_weekday_to=day), date(2026, 1, 1), 1) == [expected]


def test_a_fifth_weekday_comes_in_some_months_only() -> None:
    fifth_friday = rule(nth_weekdays={(5, 5)})

    assert dates(fifth_friday, date(2026, 1, 1), 3) == ["2026-01-30", "2026-05-29", "2026-07-31"]


def test_a_last_weekday_comes_in_every_month() -> None:
    last_friday = rule(nth_weekdays={(5, -1)})

    assert dates(last_friday, date(2026, 1, 1), 3) == ["2026-01-30", "2026-02-27", "2026-03-27"]


def test_the_rarest_day_is_found_across_forty_years() -> None:
    leap_monday = rule({29}, months={2}, weekdays={1}, must_match_both=True)

    assert dates(leap_monday, date(2072, 3, 1), 1) == ["2112-02-29"]


@pytest.mark.parametrize(("month_days", "months"), [({30, 31}, {2}), ({31}, {4, 6, 9, 11}), ({31}, {2, 4})])
def test_a_day_that_no_month_has_cannot_match(month_days: set[int], months: set[int]) -> None:
    days = rule(month_days, months=months)

    assert not days.can_match()
    assert days.first_from(0) is None
    assert days.last_until(0) is None


def test_every_day_is_recognised_however_it_is_said() -> None:
    assert rule(set(range(1, 32)), weekdays=ALL_WEEKDAYS, must_match_both=True).is_every_day
    assert rule(weekdays=ALL_WEEKDAYS).is_every_day
    assert not rule(set(range(1, 31))).is_every_day
    assert not rule(set(range(1, 32)), months={1}).is_every_day


@pytest.mark.parametrize("day", [date.min, date.max])
def test_the_ends_of_the_calendar_are_no_error(day: date) -> None:
    yearly = rule({1}, months={1})

    assert yearly.last_until(number(date.min) - 1) is None
    assert yearly.first_from(number(date.max) + 1) is None
    assert yearly.count_between(number(date.min) - 10, number(date.max) + 10) == 9999
    assert yearly.count_between(number(day), number(day)) == 0
