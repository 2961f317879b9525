"""The next, the previous and the number of due instants: wall times met by a zone and its shifts."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import Final

from pinstripe_bot.calendar_days import HORIZON_YEARS, DayRule
from pinstripe_bot.zones import FOREVER_TS, LARGEST_SHIFT_S, Segment, Zone

_DAY_S: Final = 86400
_HORIZON_S: Final = HORIZON_YEARS * 366 * _DAY_S
_NEAR_SHIFT_S: Final = LARGEST_SHIFT_S + 120  # the first whole minute after a gap has then ended


@dataclass(frozen=True, slots=True)
class WallTimes:
    """The seconds that a schedule matches on a wall clock that is never shifted.

    A wall second is a number of seconds since 1970 on that clock.
    """

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]  # of the day
    days: DayRule

    def first_from(self, wall: int) -> int | None:
        """The first matching second, `wall` or later; None if there is none in fifty years."""
        day, rest = divmod(wall, _DAY_S)
        time = self._first_in_day(rest)
        found = self.days.first_from(day if time is not None else day + 1)
        if found is None:
            return None
        if time is None or found > day:
            time = self.minutes[0] * 60 + self.seconds[0]
        return found * _DAY_S + time

    def last_until(self, wall: int) -> int | None:
        """The last matching second, `wall` or earlier; None if there is none in fifty years."""
        day, rest = divmod(wall, _DAY_S)
        time = self._last_in_day(rest)
        found = self.days.last_until(day if time is not None else day - 1)
        if found is None:
            return None
        if time is None or found < day:
            time = self.minutes[-1] * 60 + self.seconds[-1]
        return found * _DAY_S + time

    def count_between(self, wall: int, until: int) -> int:
        """The number of matching seconds in [wall, until)."""
        first_day, last_day = wall // _DAY_S, until // _DAY_S
        per_day = len(self.minutes) * len(self.seconds)
        whole_days = self.days.count_between(first_day, last_day) * per_day
        return whole_days - self._count_in_day_before(wall) + self._count_in_day_before(until)

    def _first_in_day(self, rest: int) -> int | None:
        minute, second = divmod(rest, 60)
        place = bisect_left(self.minutes, minute)
        if place < len(self.minutes) and self.minutes[place] == minute:
            later = bisect_left(self.seconds, second)
            if later < len(self.seconds):
                return minute * 60 + self.seconds[later]
            place += 1
        if place == len(self.minutes):
            return None
        return self.minutes[place] * 60 + self.seconds[0]

    def _last_in_day(self, rest: int) -> int | None:
        minute, second = divmod(rest, 60)
        place = bisect_right(self.minutes, minute) - 1
        if place >= 0 and self.minutes[place] == minute:
            earlier = bisect_right(self.seconds, second) - 1
            if earlier >= 0:
                return minute * 60 + self.seconds[earlier]
            place -= 1
        if place < 0:
            return None
        return self.minutes[place] * 60 + self.seconds[-1]

    def _count_in_day_before(self, wall: int) -> int:
        day, rest = divmod(wall, _DAY_S)
        if self.days.first_from(day) != day:
            return 0
        minute, second = divmod(rest, 60)
        place = bisect_left(self.minutes, minute)
        count = place * len(self.seconds)
        if place < len(self.minutes) and self.minutes[place] == minute:
            count += bisect_left(self.seconds, second)
        return count


def next_ts(times: WallTimes, after_ts: int, zone: Zone, *, once: bool) -> int | None:
    """The first due instant after `after_ts`; None if there is none in fifty years.

    With `once` each wall time comes due once: one that a shift skips, in the first whole minute after it
    (at its own second); one that a shift repeats, the first time. Without, whenever the clock shows it.
    """
    ts = after_ts + 1
    horizon_ts = ts + _HORIZON_S
    index, segment = zone.place(ts)
    while True:
        start_ts, end_ts, offset, settled = segment
        if start_ts > horizon_ts:
            return None
        wall = (ts if ts > start_ts else start_ts) + offset
        is_near_shift = once and wall < settled + _NEAR_SHIFT_S
        found = _first_near_shift(times, segment, wall) if is_near_shift else times.first_from(wall)
        if found is not None and found < end_ts + offset:
            return found - offset
        if end_ts == FOREVER_TS:
            return None
        index += 1
        segment = zone.segment(index)


def previous_ts(times: WallTimes, before_ts: int, zone: Zone, *, once: bool) -> int | None:
    """The last due instant before `before_ts`; None if there is none in fifty years."""
    ts = before_ts - 1
    horizon_ts = ts - _HORIZON_S
    index, segment = zone.place(ts)
    while segment.end_ts > horizon_ts:
        start_ts, end_ts, offset, settled = segment
        found = times.last_until(min(ts, end_ts - 1) + offset)
        if once and (found is None or found < settled + _NEAR_SHIFT_S):
            found = _last_near_shift(times, segment, min(ts, end_ts - 1) + offset)
        if found is not None and found >= start_ts + offset:
            return found - offset
        if index == 0:
            return None
        index -= 1
        segment = zone.segment(index)
    return None


def count_ts(times: WallTimes, after_ts: int, until_ts: int, zone: Zone, *, once: bool) -> int:
    """The number of due instants in (after_ts, until_ts], without visiting them."""
    ts, end_ts = after_ts + 1, until_ts + 1
    count = 0
    while ts < end_ts:
        segment = zone.place(ts)[1]
        wall, until_wall = ts + segment.offset, min(end_ts, segment.end_ts) + segment.offset
        if once and wall < segment.settled + _NEAR_SHIFT_S:
            count += _count_near_shift(times, segment, wall, until_wall)
        else:
            count += times.count_between(wall, until_wall)
        ts = segment.end_ts
    return count


def _first_near_shift(times: WallTimes, segment: Segment, wall: int) -> int | None:
    found = times.first_from(max(wall, segment.settled))
    made_up = [each for each in _made_up(times, segment) if each >= wall]
    return min(made_up if found is None else [found, *made_up], default=None)


def _last_near_shift(times: WallTimes, segment: Segment, wall: int) -> int | None:
    found = times.last_until(wall)
    made_up = [each for each in _made_up(times, segment) if each <= wall]
    if found is not None and found >= max(segment.settled, segment.start_ts + segment.offset):
        made_up.append(found)
    return max(made_up, default=None)


def _count_near_shift(times: WallTimes, segment: Segment, wall: int, until_wall: int) -> int:
    made_up = (each for each in _made_up(times, segment) if wall <= each < until_wall)
    alone = sum(times.first_from(each) != each for each in made_up)
    first = min(max(wall, segment.settled), until_wall)
    return alone + times.count_between(first, until_wall)


def _made_up(times: WallTimes, segment: Segment) -> list[int]:
    """The wall seconds, in the first whole minute after a gap, that stand in for what the gap skipped."""
    first_wall = segment.start_ts + segment.offset
    if not _has_time_between(times, segment.settled, first_wall):
        return []
    minute = -(-first_wall // 60) * 60
    apart = ((second, replace(times, seconds=(second,))) for second in times.seconds)
    return [minute + second for second, alone in apart if _has_time_between(alone, segment.settled, first_wall)]


def _has_time_between(times: WallTimes, wall: int, until_wall: int) -> bool:
    found = times.first_from(wall) if wall < until_wall else None
    return found is not None and found < until_wall
