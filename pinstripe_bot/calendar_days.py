"""The days on which a schedule may come due, as numbers of days since 1970."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from calendar import isleap
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, date
from typing import Final

HORIZON_YEARS: Final = 50  # the rarest day, a 29 February on one weekday, comes at least every 40 years

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_FIRST_DAY: Final = date.min.toordinal() - _EPOCH_ORDINAL
_LAST_DAY: Final = date.max.toordinal() - _EPOCH_ORDINAL
_MONTH_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SIX_WEEKS: Final = sum(1 << 7 * week for week in range(6))
_WEEKDAY_OF_EPOCH: Final = 4  # 1 January 1970 was a Thursday
_SATURDAY: Final = 6
_SUNDAY: Final = 0


@dataclass(frozen=True, slots=True)
class DayRule:
    """Which days match; the answers are kept per shape of year, of which there are fourteen.

    Within, a month is a number whose bit 0 is its first day.
    """

    months: frozenset[int]
    month_days: frozenset[int]
    has_last_day: bool  # L
    nearest_weekday_to: int | None  # 15W
    weekdays: frozenset[int]  # 0 is Sunday
    nth_weekdays: frozenset[tuple[int, int]]  # (weekday, which one in the month), -1 is the last
    must_match_both: bool  # day of month and day of week, where otherwise either is enough
    is_every_day: bool = field(init=False)
    _by_shape: dict[int, tuple[int, ...]] = field(init=False, default_factory=dict, compare=False)
    _by_year: dict[int, tuple[int, tuple[int, ...]]] = field(init=False, default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        is_every_day = len(self.months) == 12 and all(self._month(day, 31) == 2**31 - 1 for day in range(7))
        object.__setattr__(self, "is_every_day", is_every_day)

    def can_match(self) -> bool:
        """Whether there is such a day at all; every shape of year comes back within 40 years."""
        lengths = {_MONTH_LENGTHS[month - 1] for month in self.months} | ({29} if 2 in self.months else set())
        return any(self._month(first, length) for length in lengths for first in range(7))

    def first_from(self, day: int) -> int | None:
        """The first matching day, `day` or later; None if there is none in fifty years."""
        if self.is_every_day:
            return day
        if day > _LAST_DAY:
            return None
        year = _year_of(max(day, _FIRST_DAY))
        last_year = min(year + HORIZON_YEARS, MAXYEAR)
        while year <= last_year:
            start, days = self._by_year.get(year) or self._year(year)
            place = bisect_left(days, day - start)
            if place < len(days):
                return start + days[place]
            year += 1
        return None

    def last_until(self, day: int) -> int | None:
        """The last matching day, `day` or earlier; None if there is none in fifty years."""
        if self.is_every_day:
            return day
        if day < _FIRST_DAY:
            return None
        year = _year_of(min(day, _LAST_DAY))
        first_year = max(year - HORIZON_YEARS, MINYEAR)
        while year >= first_year:
            start, days = self._by_year.get(year) or self._year(year)
            place = bisect_right(days, day - start)
            if place:
                return start + days[place - 1]
            year -= 1
        return None

    def count_between(self, day: int, until: int) -> int:
        """The number of matching days in [day, until)."""
        if self.is_every_day:
            return max(until - day, 0)
        first, last = max(day, _FIRST_DAY), min(until - 1, _LAST_DAY)
        if first > last:
            return 0
        years = range(_year_of(first), _year_of(last) + 1)
        return sum(_count_within(*self._year(year), first, last) for year in years)

    def _year(self, year: int) -> tuple[int, tuple[int, ...]]:
        """The year's first day, and its matching days as distances from that."""
        start = date(year, 1, 1).toordinal() - _EPOCH_ORDINAL
        shape = start % 7 * 2 + isleap(year)
        days = self._by_shape.get(shape)
        if days is None:
            days = self._by_shape[shape] = tuple(self._matching_days(start, isleap(year)))
        self._by_year[year] = start, days
        return start, days

    def _matching_days(self, year_start: int, is_leap: bool) -> Iterator[int]:
        month_start = 0
        for month, usual_length in enumerate(_MONTH_LENGTHS, 1):
            length = usual_length + (month == 2 and is_leap)
            if month in self.months:
                first_weekday = (year_start + month_start + _WEEKDAY_OF_EPOCH) % 7
                matching = self._month(first_weekday, length)
                yield from (month_start + day for day in range(length) if matching >> day & 1)
            month_start += length

    def _month(self, first_weekday: int, length: int) -> int:
        by_date = self._by_date(first_weekday, length)
        by_weekday = self._by_weekday(first_weekday, length)
        matching = by_date & by_weekday if self.must_match_both else by_date | by_weekday
        return matching & ((1 << length) - 1)

    def _by_date(self, first_weekday: int, length: int) -> int:
        matching = sum(1 << day - 1 for day in self.month_days)
        if self.has_last_day:
            matching |= 1 << length - 1
        if self.nearest_weekday_to is not None:
            matching |= 1 << _nearest_weekday(self.nearest_weekday_to, first_weekday, length) - 1
        return matching

    def _by_weekday(self, first_weekday: int, length: int) -> int:
        matching = sum(_SIX_WEEKS << weekday for weekday in self.weekdays) >> first_weekday
        for weekday, nth in self.nth_weekdays:
            week_start = length - 7 if nth == -1 else 7 * (nth - 1)
            matching |= _SIX_WEEKS << weekday >> first_weekday & 0b1111111 << week_start
        return matching


def _nearest_weekday(day: int, first_weekday: int, length: int) -> int:
    """The day from Monday to Friday nearest to `day`, in the same month."""
    day = min(day, length)
    weekday = (first_weekday + day - 1) % 7
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == _SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _count_within(start: int, days: tuple[int, ...], first: int, last: int) -> int:
    return bisect_right(days, last - start) - bisect_left(days, first - start)


def _year_of(day: int) -> int:
    return date.fromordinal(day + _EPOCH_ORDINAL).year
