"""Debian's cron minute by minute: what its main loop runs around a shift of the clocks.

Written from cron(8) and the loop of ISC cron, without our own search and zones: slow, for comparison only.
Fields are read by cronsim. Left out: its loop treats a shift under six minutes as waking late (no zone has
had one since 1970), and starts a job twice in one minute where two of its times were skipped.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
THREE_HOURS = 180


class Tick(NamedTuple):
    """One wake-up of the daemon, at the start of a minute on the wall."""

    ts: int
    wall_minute: int  # minutes since 1970 on the wall
    fixed_from: int  # fixed jobs run for the wall minutes [fixed_from, wall_minute]; for none if that is empty


class Crontab:
    """The fields of an expression, and whether a wall minute matches them."""

    def __init__(self, expression: str) -> None:
        fields = CronSim(expression, EPOCH)
        self.seconds = sorted(fields.seconds)
        self.is_fixed = not fields.parts[1].startswith("*") and not fields.parts[2].startswith("*")
        self._minutes = {60 * hour + minute for hour in fields.hours for minute in fields.minutes}
        self._months = fields.months
        self._match_day = fields.match_day
        self._days: dict[int, bool] = {}

    def matches(self, wall_minute: int) -> bool:
        day, minute = divmod(wall_minute, 1440)
        return minute in self._minutes and self._day_matches(day)

    def _day_matches(self, day: int) -> bool:
        if day not in self._days:
            each = date(1970, 1, 1) + timedelta(days=day)
            self._days[day] = each.month in self._months and self._match_day(each)
        return self._days[day]


def ticks(tzinfo: ZoneInfo, start_ts: int, until_ts: int) -> list[Tick]:
    """The daemon's wake-ups from `start_ts` on; it starts with nothing left over from before."""
    found = []
    ts = _next_wall_minute(tzinfo, start_ts)
    virtual = (ts + offset_at(tzinfo, ts)) // 60 - 1
    while ts < until_ts:
        clock = (ts + offset_at(tzinfo, ts)) // 60
        jump = clock - virtual - 1
        if jump > THREE_HOURS or jump < -THREE_HOURS:
            virtual = clock - 1
        found.append(Tick(ts, clock, virtual + 1))
        virtual = max(virtual, clock)
        ts = _next_wall_minute(tzinfo, ts + 1)
    return found


def due_by_debian(crontab: Crontab, wake_ups: Sequence[Tick]) -> list[int]:
    """The due instants at these wake-ups, in UTC seconds, with Debian's rules for shifts."""
    minutes = [
        tick.ts
        for tick in wake_ups
        if (
            any(crontab.matches(minute) for minute in range(tick.fixed_from, tick.wall_minute + 1))
            if crontab.is_fixed
            else crontab.matches(tick.wall_minute)
        )
    ]
    return [ts + second for ts in minutes for second in crontab.seconds]


def due_by_wall_clock(crontab: Crontab, wake_ups: Sequence[Tick]) -> list[int]:
    """The due instants at these wake-ups if whatever the wall shows counts."""
    minutes = [tick.ts for tick in wake_ups if crontab.matches(tick.wall_minute)]
    return [ts + second for ts in minutes for second in crontab.seconds]


def zone_names() -> list[str]:
    return importlib.resources.files("tzdata").joinpath("zones").read_text().split()


@cache
def packaged_zone(name: str) -> ZoneInfo:
    with importlib.resources.files("tzdata").joinpath("zoneinfo", name).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def offset_at(tzinfo: ZoneInfo, ts: int) -> int:
    offset = (EPOCH + timedelta(seconds=ts)).astimezone(tzinfo).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def shifts(tzinfo: ZoneInfo, first_year: int, last_year: int) -> list[int]:
    """The instants at which the offset changes, found by asking for it every five days."""
    step = 5 * 86400
    start_ts = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
    until_ts = int(datetime(last_year + 1, 1, 1, tzinfo=UTC).timestamp())
    probes = [(ts, offset_at(tzinfo, ts)) for ts in range(start_ts, until_ts, step)]
    return [_shift_between(tzinfo, ts, later) for (ts, old), (later, new) in pairwise(probes) if old != new]


def _shift_between(tzinfo: ZoneInfo, ts: int, later: int) -> int:
    old = offset_at(tzinfo, ts)
    while later - ts > 1:
        middle = (ts + later) // 2
        if offset_at(tzinfo, middle) == old:
            ts = middle
        else:
            later = middle
    return later


def _next_wall_minute(tzinfo: ZoneInfo, ts: int) -> int:
    """The first instant, `ts` or later, at which a minute starts on the wall."""
    offset = offset_at(tzinfo, ts)
    candidate = ts + -(ts + offset) % 60
    if offset_at(tzinfo, candidate) == offset:
        return candidate
    seconds = range(ts, ts + 180)  # before 1972 the offset may change within a minute
    return next(second for second in seconds if (second + offset_at(tzinfo, second)) % 60 == 0)
