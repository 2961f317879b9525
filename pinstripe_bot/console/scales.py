"""Scales from seconds and instants to pixels, and the ticks on their axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from pinstripe_bot.zones import Zone

MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_ROUND_S: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200),
    *(86400, 2 * 86400, 7 * 86400, 14 * 86400, 30 * 86400, 90 * 86400, 365 * 86400),
)
_LOG_S: Final = (0.01, 0.1, 0.5, 1, 5, 20, 60, 240, 900, 3600, 4 * 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400)
_MINUTES: Final = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)
_DAYS: Final = (1, 2, 3, 7, 15, 30, 90, 180, 365)
_DAY_S: Final = 86400
_LONGEST_S: Final = 1e11  # three thousand years


@dataclass(frozen=True, slots=True)
class Linear:
    """Equal steps for equal amounts; what lies outside stays on the edge."""

    low: float
    high: float
    at_low: float
    at_high: float

    def __call__(self, value: float) -> float:
        part = _part(value, self.low, self.high)
        return self.at_low + (self.at_high - self.at_low) * part


@dataclass(frozen=True, slots=True)
class Logarithmic:
    """Equal steps for equal factors; what lies outside stays on the edge. Both ends are more than 0."""

    low: float
    high: float
    at_low: float
    at_high: float

    def __call__(self, value: float) -> float:
        value = self.low if math.isnan(value) else min(max(value, self.low), self.high)
        part = _part(math.log(value), math.log(self.low), math.log(self.high))
        return self.at_low + (self.at_high - self.at_low) * part


def _part(value: float, low: float, high: float) -> float:
    length = high - low
    if math.isnan(value) or not 0 < length < math.inf:
        return 0
    return (min(max(value, low), high) - low) / length


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Instants from left to right; what lies outside stays on the edge."""

    begins_at: datetime
    ends_at: datetime
    left: float
    right: float

    def __call__(self, at: datetime) -> float:
        if at <= self.begins_at or self.ends_at <= self.begins_at:
            return self.left
        part = 1.0 if at >= self.ends_at else (at - self.begins_at) / (self.ends_at - self.begins_at)
        return self.left + (self.right - self.left) * part

    def holds(self, at: datetime, until: datetime | None = None) -> bool:
        """Whether any of [at, until] lies inside."""
        return at <= self.ends_at and max(until or at, at) >= self.begins_at


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least `part` of them do not exceed; 0 of none."""
    known = sorted(value for value in values if math.isfinite(value))
    return known[max(math.ceil(part * len(known)) - 1, 0)] if known else 0


def duration_ticks(top_s: float, at_most: int = 6) -> tuple[float, ...]:
    """Round durations from 0 to the first at or over `top_s`."""
    top_s = min(top_s, _LONGEST_S) if top_s > 0 else 1
    step = next((step for step in _ROUND_S if top_s / step <= at_most - 1), None)
    step = step or math.ceil(top_s / (at_most - 1) / _ROUND_S[-1]) * _ROUND_S[-1]
    return tuple(round(step * index, 3) for index in range(max(math.ceil(round(top_s / step, 9)), 1) + 1))


def log_ticks(low_s: float, high_s: float) -> tuple[float, ...]:
    """Round durations for a logarithmic axis that holds both; the first and the last are its ends."""
    low_s, high_s = (min(max(_LOG_S[0], value), _LOG_S[-1]) for value in (low_s, high_s))
    first = max(index for index, value in enumerate(_LOG_S) if value <= low_s)
    last = min(index for index, value in enumerate(_LOG_S) if value >= high_s)
    return _LOG_S[first : max(last, first + 1) + 1] if first + 1 < len(_LOG_S) else _LOG_S[-2:]


@dataclass(frozen=True, slots=True)
class TimeTick:
    """An instant on an axis, and what the clocks of the zone show then."""

    at: datetime
    wall: datetime


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Ticks at whole minutes, hours or days of a zone, oldest first."""

    zone: Zone
    step_minutes: int
    ticks: tuple[TimeTick, ...]

    @property
    def is_in_days(self) -> bool:
        return self.step_minutes >= 1440


def time_axis(begins_at: datetime, ends_at: datetime, zone: Zone, at_most: int) -> TimeAxis:
    """The finest axis with about `at_most` ticks: on the zone's wall clock, whatever its clocks skip or repeat."""
    length_s = max((ends_at - begins_at).total_seconds(), 0)
    minutes = next((step for step in _MINUTES if length_s / 60 / step <= at_most), None)
    if minutes is not None:
        return TimeAxis(zone, minutes, tuple(_clock_ticks(begins_at, ends_at, zone, minutes)))
    coarsest = math.ceil(length_s / _DAY_S / max(at_most, 1))
    days = next((step for step in _DAYS if length_s / _DAY_S / step <= at_most), coarsest)
    return TimeAxis(zone, days * 1440, tuple(_day_ticks(begins_at, ends_at, zone, days))[::-1])


def _clock_ticks(begins_at: datetime, ends_at: datetime, zone: Zone, step: int) -> Iterator[TimeTick]:
    first = begins_at.astimezone(zone.tzinfo).replace(tzinfo=None, fold=0) - timedelta(hours=4)
    last = ends_at.astimezone(zone.tzinfo).replace(tzinfo=None, fold=0) + timedelta(hours=4)
    wall = datetime.combine(first.date(), time()) + timedelta(minutes=(first.hour * 60 + first.minute) // step * step)
    found: dict[datetime, TimeTick] = {}
    while wall <= last:
        # A repeated hour stands twice on an axis of hours; on a coarser one its first time will do.
        for fold in (0, 1) if step <= 60 else (0,):
            at = wall.replace(tzinfo=zone.tzinfo, fold=fold).astimezone(UTC)
            local = at.astimezone(zone.tzinfo)
            if begins_at <= at <= ends_at and local.replace(tzinfo=None, fold=0) == wall:
                found[at] = TimeTick(at, local)
        wall += timedelta(minutes=step)
    return iter(sorted(found.values(), key=lambda tick: tick.at))


def _day_ticks(begins_at: datetime, ends_at: datetime, zone: Zone, step: int) -> Iterator[TimeTick]:
    """The first instants of days, newest first, counted back from the last day."""
    day, first = ends_at.astimezone(zone.tzinfo).date(), begins_at.astimezone(zone.tzinfo).date()
    while day >= first:
        at = datetime.combine(day, time(), zone.tzinfo).astimezone(UTC)
        local = at.astimezone(zone.tzinfo)
        if begins_at <= at <= ends_at and local.date() == day:
            yield TimeTick(at, local)
        day -= timedelta(days=step)


def show_day(day: date) -> str:
    """A day without its weekday, as an axis says it: `24 Jul`."""
    return f"{day.day} {MONTHS[day.month - 1][:3]}"
