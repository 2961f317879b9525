"""What a person means by "02:30", "last night 02:00" or "10m ago": a wall time, and the instants that show it."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pinstripe_bot.durations import parse_duration
from pinstripe_bot.errors import InvalidParams, InvalidSchedule
from pinstripe_bot.shifts import Shift, passes, shift_at
from pinstripe_bot.zones import EPOCH, Zone

_DAY_S: Final = 86400
_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = timedelta(minutes=1)
_NIGHT_ENDS_S: Final = 6 * 3600
_NIGHT_STARTS_S: Final = 18 * 3600
_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_ISO_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DATE: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_ISO_SECONDS: Final = re.compile(r"[t ]\d\d:?\d\d:?\d\d", re.ASCII)
_NEIGHBOUR_DAYS: Final = {"today": 0, "yesterday": -1, "tomorrow": 1}
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_WEEKDAY_OF_EPOCH: Final = 3  # 1 January 1970 was a Thursday


@dataclass(frozen=True, slots=True)
class Asked:
    """A wall time that a person asked for, and every instant that it can mean.

    `at` has one instant, or none (the clocks skip the time), or two (they repeat it). `wall` is in seconds since 1970
    on the clock of `zone`; where no second was written, its whole minute is meant.
    """

    written: str
    zone: Zone
    wall: int
    has_seconds: bool
    is_instant: bool  # written with an offset, or counted from now: one instant, whatever the clocks do
    at: tuple[datetime, ...]
    asked_at: datetime  # what lies later is still to come

    @property
    def first_wall(self) -> int:
        """The first wall second that is meant."""
        return self.wall if self.has_seconds else self.wall - self.wall % 60

    @property
    def until_wall(self) -> int:
        """The wall second after the last one that is meant."""
        return self.first_wall + (1 if self.has_seconds else 60)

    @property
    def shift(self) -> Shift | None:
        """The change of the clocks that skips it or repeats it."""
        return shift_at(self.zone, self.first_wall, self.until_wall)

    def all_passes(self) -> tuple[range, ...]:
        """The UTC seconds in which the clock shows it, each time that it does."""
        return passes(self.zone, self.first_wall, self.until_wall)

    def passes(self) -> tuple[range, ...]:
        """The same, but only the one that an instant lies in."""
        if not self.is_instant:
            return self.all_passes()
        ts = _ts(self.at[0])
        return tuple(each for each in self.all_passes() if ts in each)

    def on_the_clock_of(self, zone: Zone) -> Asked:
        """The same wall time on another zone's clock; an instant stays the same instant."""
        if self.is_instant:
            return replace(self, zone=zone, wall=_wall_of(self.at[0], zone))
        return replace(self, zone=zone, at=_starts(passes(zone, self.first_wall, self.until_wall)))


def read_asked(written: str, *, zone: Zone, now: datetime) -> Asked:
    """Read an instant as people write it; without an offset it is wall time of `zone`. Raises InvalidParams.

    "2026-03-29T02:30" (or with a blank, with seconds, with an offset), "2026-03-29" (its first minute),
    "today 14:00", "yesterday 02:30", "tomorrow 9:00", "now", "10m ago" or "10m", "in 1h30m".
    "02:30", "monday 09:00" and "last monday 09:00": the most recent such wall time, today's where it has come.
    "last night 02:00": the most recent one too; from 18:00 to midnight it is yesterday's, also in the evening.
    """
    text = " ".join(written.lower().split())
    try:
        asked = _read(text, zone, now)
        if asked is not None and any(at.year < 2 for at in asked.at):
            raise OverflowError("around it there are instants of no year")
    except OverflowError as error:
        raise InvalidParams(f"{written!r} lies outside the years 2 to 9999: write one nearer to today") from error
    if asked is None:
        _refuse_date(text)
        raise InvalidParams(
            f"{written!r} is not an instant: write it as 2026-03-29T02:30 or 2026-03-29T00:30:00Z,"
            ' or as "02:30", "yesterday 02:30", "last night 02:00", "monday 09:00" or "10m ago"'
        )
    return replace(asked, written=written)


def _refuse_date(text: str) -> None:
    """Raise InvalidParams where the text begins with a date of a day that there is not."""
    found = _DATE.match(text)
    if found is None:
        return
    year, month, day = (int(number) for number in found.groups())
    if not 1 <= month <= 12:
        raise InvalidParams(f"{found[0]} does not exist: a year has no month {month}")
    if year and not 1 <= day <= monthrange(year, month)[1]:
        raise InvalidParams(f"{found[0]} does not exist: {_MONTHS[month - 1]} {year} has no {_ordinal(day)}")


def _ordinal(day: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{day}{'th' if day in (11, 12, 13) else ends.get(day % 10, 'th')}"


def _read(text: str, zone: Zone, now: datetime) -> Asked | None:
    since = _since_now(text)
    if since is not None:
        return _instant(now + since, zone, now, has_seconds=bool(since % _MINUTE))
    day, _, time = text.rpartition(" ")
    found = _TIME.fullmatch(time)
    if found:
        hour, minute, second = (int(number or 0) for number in found.groups())
        time_s = 3600 * hour + 60 * minute + second
        day_number = _day(day.removesuffix(" at"), time_s, zone, now)
        if day_number is not None:
            return _wall_time(day_number * _DAY_S + time_s, zone, now, has_seconds=found[3] is not None)
    return _iso(text, zone, now)


def _since_now(text: str) -> timedelta | None:
    """The duration in "now", "10m", "10m ago" and "in 10m", where "10m" is ago; it needs a unit."""
    if text == "now":
        return timedelta(0)
    is_to_come, duration = text.startswith("in "), text.removesuffix(" ago").removeprefix("in ")
    if not duration or not duration[-1].isalpha():
        return None
    try:
        return parse_duration(duration) * (1 if is_to_come else -1)
    except InvalidSchedule:
        return None


def _day(words: str, time_s: int, zone: Zone, now: datetime) -> int | None:
    """The number, since 1970, of the day that stands before a time; None if the words name none."""
    today = _wall_of(now, zone) // _DAY_S
    if words in _NEIGHBOUR_DAYS:
        return today + _NEIGHBOUR_DAYS[words]
    if _ISO_DATE.fullmatch(words):
        return _day_of_date(words)
    has_come = _has_come(today * _DAY_S + time_s, zone, now)
    if words == "":
        return today if has_come else today - 1
    if words == "last night":
        return _day_of_night(time_s, today if has_come else today - 1, today)
    weekday = words.removeprefix("last ")
    if weekday not in _WEEKDAYS:
        return None
    days_ago = (today + _WEEKDAY_OF_EPOCH - _WEEKDAYS.index(weekday)) % 7
    return today - (days_ago or (0 if has_come else 7))


def _day_of_date(written: str) -> int | None:
    try:
        return date.fromisoformat(written).toordinal() - EPOCH.toordinal()
    except ValueError:
        return None


def _day_of_night(time_s: int, most_recent: int, today: int) -> int:
    if _NIGHT_ENDS_S < time_s < _NIGHT_STARTS_S:
        time = f"{time_s // 3600}:{time_s // 60 % 60:02d}"
        raise InvalidParams(f"{time} is not in the night, 18:00 to 06:00: write 'today {time}' or 'yesterday {time}'")
    return most_recent if time_s <= _NIGHT_ENDS_S else today - 1


def _has_come(wall: int, zone: Zone, now: datetime) -> bool:
    """Whether the clock has shown this wall time, or has gone past it in a gap."""
    shown = passes(zone, wall, wall + 1)
    return shown[0].start <= _ts(now) if shown else wall <= _wall_of(now, zone)


def _iso(text: str, zone: Zone, now: datetime) -> Asked | None:
    try:
        instant = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    has_seconds = bool(_ISO_SECONDS.search(text))
    if instant.tzinfo:
        return _instant(instant, zone, now, has_seconds=has_seconds)
    wall = _ts(instant.replace(tzinfo=UTC))
    is_day = _ISO_DATE.fullmatch(text)
    return _wall_time(_start_of_day(wall, zone) if is_day else wall, zone, now, has_seconds=has_seconds)


def _start_of_day(wall: int, zone: Zone) -> int:
    """Midnight, or where the clocks skip it what they show then; a day that they skip keeps its midnight."""
    shift = None if passes(zone, wall, wall + 1) else shift_at(zone, wall, wall + 1)
    return shift.to_wall if shift and shift.to_wall < wall + _DAY_S else wall


def _instant(instant: datetime, zone: Zone, now: datetime, *, has_seconds: bool) -> Asked:
    whole = EPOCH + (instant - EPOCH) // _SECOND * _SECOND
    whole.astimezone(zone.tzinfo)  # raises OverflowError where its clock cannot be shown
    return Asked("", zone, _wall_of(whole, zone), has_seconds, True, (whole,), now)


def _wall_time(wall: int, zone: Zone, now: datetime, *, has_seconds: bool) -> Asked:
    return Asked("", zone, wall, has_seconds, False, (), now).on_the_clock_of(zone)


def _starts(shown: tuple[range, ...]) -> tuple[datetime, ...]:
    return tuple(EPOCH + timedelta(seconds=each.start) for each in shown)


def _ts(instant: datetime) -> int:
    return (instant - EPOCH) // _SECOND


def _wall_of(instant: datetime, zone: Zone) -> int:
    ts = _ts(instant)
    return ts + zone.offset_at(ts)
