"""Where a zone's clocks skip a wall time or repeat it; a wall second is a number of seconds since 1970 on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pinstripe_bot.zones import FOREVER_TS, LARGEST_SHIFT_S, Segment, Zone

_LARGEST_OFFSET_S: Final = 26 * 3600


class Shift(NamedTuple):
    """A change of a zone's clocks at `at_ts`, from one offset to another."""

    at_ts: int
    before: int
    after: int

    @property
    def from_wall(self) -> int:
        """The wall second that the clocks would have shown."""
        return self.at_ts + self.before

    @property
    def to_wall(self) -> int:
        """The wall second that they showed instead."""
        return self.at_ts + self.after

    @property
    def is_correction(self) -> bool:
        """Whether it is too large for summer time: the rule for shifts leaves it alone."""
        return abs(self.after - self.before) > LARGEST_SHIFT_S


def passes(zone: Zone, wall: int, until_wall: int) -> tuple[range, ...]:
    """The UTC seconds in which the zone's clock shows [wall, until_wall): one range, none in a gap, two in a fold.

    Never more: no zone repeats a time that it has just skipped or repeated (looked at: all, up to 2038).
    """
    found: list[range] = []
    for segment in _segments_near(zone, wall):
        first, end = max(wall - segment.offset, segment.start_ts), min(until_wall - segment.offset, segment.end_ts)
        if first < end and found and found[-1].stop == first:
            found[-1] = range(found[-1].start, end)  # a change within the minute: it is one and the same
        elif first < end:
            found.append(range(first, end))
    return tuple(found)


def shift_at(zone: Zone, wall: int, until_wall: int) -> Shift | None:
    """The change of the clocks that skips or repeats some of [wall, until_wall); None if there is none."""
    before = None
    for segment in _segments_near(zone, wall):
        if before is not None:
            shift = Shift(segment.start_ts, before.offset, segment.offset)
            first, end = sorted((shift.from_wall, shift.to_wall))
            if wall < end and first < until_wall:
                return shift
        before = segment
    return None


def last_shift(zone: Zone, ts: int) -> Shift | None:
    """The change of the clocks at `ts` or before; None if there has been none."""
    index, segment = zone.place(ts)
    return Shift(segment.start_ts, zone.segment(index - 1).offset, segment.offset) if index else None


def _segments_near(zone: Zone, wall: int) -> Iterator[Segment]:
    """All that can show this wall second, and their neighbours."""
    index, segment = zone.place(wall - _LARGEST_OFFSET_S)
    yield segment
    while segment.end_ts < min(wall + _LARGEST_OFFSET_S, FOREVER_TS):
        index += 1
        segment = zone.segment(index)
        yield segment
