"""A time zone as segments of constant offset, in whole UTC seconds."""

from __future__ import annotations

import difflib
import importlib.resources
import re
import struct
import zoneinfo
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pinstripe_bot.errors import InvalidSchedule

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FOREVER_TS: Final = 2**62
LARGEST_SHIFT_S: Final = 3 * 3600  # Debian's cron: a larger jump is a correction, it is no summer time

_FIRST_PROBE_TS: Final = -62_100_000_000  # the first and last instants that a datetime can show in every zone
_LAST_PROBE_TS: Final = 253_390_000_000
_PROBE_STEP_S: Final = 20 * 86400  # no yearly rule keeps an offset for a shorter time
_GROWTH_STEPS: Final = 200
_NAME: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", re.ASCII)
_MAX_NAME_LENGTH: Final = 64


class Segment(NamedTuple):
    """A stretch [start_ts, end_ts) with one offset from UTC.

    Fixed wall times before `settled` (wall seconds) have had their turn when the segment starts:
    it lies before the segment's first wall second after a gap, and behind it in a fold.
    """

    start_ts: int
    end_ts: int
    offset: int
    settled: int


class _Known(NamedTuple):
    """The segments worked out so far; the last one is still open unless `until_ts` is FOREVER_TS."""

    starts: list[int]
    segments: list[Segment]
    until_ts: int


class Zone:
    """A zone's segments, oldest first; those of its yearly rule are worked out when asked for.

    Safe in threads: what is known is replaced as a whole, and two threads would find the same.
    """

    __slots__ = ("_known", "name", "tzinfo")

    def __init__(self, name: str, tzif: bytes) -> None:
        """Raise ValueError if `tzif` is not the content of a time zone file (RFC 8536)."""
        self.name = name
        self.tzinfo = ZoneInfo.from_file(BytesIO(tzif), key=name)
        changes = [ts for ts in _listed_changes(tzif) if _FIRST_PROBE_TS < ts < _LAST_PROBE_TS]
        offset = self._probe(changes[0] - 1 if changes else 0)
        oldest = Segment(-FOREVER_TS, FOREVER_TS, offset, offset - FOREVER_TS)
        until_ts = max([0, *changes]) if _has_yearly_rule(tzif) else FOREVER_TS
        self._known = self._with_changes(_Known([oldest.start_ts], [oldest], 0), changes, until_ts)

    def __repr__(self) -> str:
        return f"Zone({self.name!r})"

    def place(self, ts: int) -> tuple[int, Segment]:
        """The segment that holds `ts`, and its index."""
        known = self._known
        while known.until_ts <= ts and known.until_ts < FOREVER_TS:
            known = self._grow()
        index = bisect_right(known.starts, ts) - 1
        return index, self.segment(index)

    def segment(self, index: int) -> Segment:
        """The segment at this index; the last one ends at FOREVER_TS."""
        known = self._known
        while index + 1 >= len(known.starts) and known.until_ts < FOREVER_TS:
            known = self._grow()
        return known.segments[index]

    def offset_at(self, ts: int) -> int:
        """Seconds to add to UTC for the wall clock at `ts`."""
        return self.place(ts)[1].offset

    def _with_changes(self, known: _Known, changes: Iterable[int], until_ts: int) -> _Known:
        starts, segments = known.starts.copy(), known.segments.copy()
        for ts in changes:
            last, offset = segments[-1], self._probe(ts)
            if offset == last.offset:
                continue  # only the name of the time changed
            segments[-1] = last._replace(end_ts=ts)
            segments.append(Segment(ts, FOREVER_TS, offset, _settled(last, ts, offset)))
            starts.append(ts)
        return _Known(starts, segments, until_ts)

    def _grow(self) -> _Known:
        """Find the changes of the next eleven years or so, by asking for the offset every 20 days."""
        known = self._known
        until_ts = known.until_ts + _GROWTH_STEPS * _PROBE_STEP_S
        probes = range(known.until_ts, min(until_ts, _LAST_PROBE_TS), _PROBE_STEP_S)
        changes = [change for ts in probes for change in self._change_after(ts)]
        is_complete = until_ts >= _LAST_PROBE_TS
        grown = self._with_changes(known, changes, FOREVER_TS if is_complete else until_ts)
        self._known = grown
        return grown

    def _change_after(self, ts: int) -> list[int]:
        offset = self._probe(ts)
        if self._probe(ts + _PROBE_STEP_S) == offset:
            return []
        seconds = range(ts, ts + _PROBE_STEP_S)
        return [ts + bisect_left(seconds, True, key=lambda second: self._probe(second) != offset)]

    def _probe(self, ts: int) -> int:
        offset = (EPOCH + timedelta(seconds=ts)).astimezone(self.tzinfo).utcoffset()
        return 0 if offset is None else int(offset.total_seconds())


def _settled(last: Segment, ts: int, offset: int) -> int:
    if abs(offset - last.offset) > LARGEST_SHIFT_S:
        return ts + offset
    return max(ts + last.offset, last.settled)


def _listed_changes(tzif: bytes) -> tuple[int, ...]:
    """The instants in the 64-bit block of a zone file; ZoneInfo has them and does not show them."""
    counts = struct.unpack(">6l", tzif[20:44])
    ut_count, standard_count, leap_count, time_count, type_count, name_size = counts
    if tzif[4:5] == b"\0":
        return struct.unpack_from(f">{time_count}l", tzif, 44)
    old_size = 5 * time_count + 6 * type_count + name_size + 8 * leap_count + standard_count + ut_count
    time_count = struct.unpack_from(">l", tzif, 44 + old_size + 32)[0]
    return struct.unpack_from(f">{time_count}q", tzif, 88 + old_size)


def _has_yearly_rule(tzif: bytes) -> bool:
    footer = tzif.rstrip(b"\n").rpartition(b"\n")[2]
    return b"," in footer


def zone(name: str) -> Zone:
    """The zone with this name, the same object every time.

    From the `tzdata` package, so that all machines agree; from the system where the package lacks it.
    Raises InvalidSchedule, with close names, if there is none.
    """
    if not isinstance(name, str):
        raise InvalidSchedule(f"{name!r} is not a time zone: write its name as text, such as 'Europe/Berlin'.")
    return _load(name)


@cache
def _load(name: str) -> Zone:
    # The pattern keeps out paths; the list keeps out what a file system that ignores case would find.
    if len(name) <= _MAX_NAME_LENGTH and _NAME.fullmatch(name):
        if name in _packaged_names():
            return Zone(name, _packaged_file(name))
        if name in _system_names():
            return Zone(name, _system_file(name))
    raise InvalidSchedule(f"{name[:_MAX_NAME_LENGTH]!r} is not a time zone: {_advice(name)}")


@cache
def _packaged_names() -> frozenset[str]:
    try:
        names = importlib.resources.files("tzdata").joinpath("zones").read_text(encoding="ascii")
    except ModuleNotFoundError:  # some Linux distributions strip the package: their own files serve
        return frozenset()
    return frozenset(names.split())


def _packaged_file(name: str) -> bytes:
    return importlib.resources.files("tzdata").joinpath("zoneinfo", name).read_bytes()


def _system_names() -> frozenset[str]:
    # `localtime` is not a zone: it is a different one on every machine.
    return frozenset(zoneinfo.available_timezones() - {"localtime"})


def _system_file(name: str) -> bytes:
    paths = (Path(root, name) for root in zoneinfo.TZPATH)
    return next(path for path in paths if path.is_file()).read_bytes()


def _advice(name: str) -> str:
    known = sorted(_packaged_names() or _system_names())
    by_folded_name = {each.casefold(): each for each in known}
    by_city = {each.rpartition("/")[2].casefold(): each for each in known}
    folded = name[:_MAX_NAME_LENGTH].strip().replace(" ", "_").casefold()
    close = [by_folded_name.get(folded) or by_city.get(folded.rpartition("/")[2])]
    close += [by_folded_name[each] for each in difflib.get_close_matches(folded, by_folded_name, cutoff=0.75)]
    found = list(dict.fromkeys(each for each in close if each))
    if found:
        return f"did you mean {' or '.join(found)}?"
    return "write an IANA name such as 'Europe/Berlin' or 'UTC'."
