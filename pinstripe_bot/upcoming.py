"""Due instants as people ask for them: in the zone's own time, with a note where its clocks change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pinstripe_bot.cron import CronExpression
from pinstripe_bot.durations import format_duration
from pinstripe_bot.errors import InvalidSchedule
from pinstripe_bot.zones import EPOCH, LARGEST_SHIFT_S, Zone


@dataclass(frozen=True, slots=True)
class Upcoming:
    """One due instant: in UTC, in the zone, and what the clocks have to do with it (empty where nothing)."""

    due_at: datetime
    local: datetime
    note: str


def upcoming(
    cron: CronExpression, zone: Zone, after: datetime, *, dst: str = "once", offset_s: int = 0
) -> Iterator[Upcoming]:
    """The due instants strictly after `after`, oldest first.

    Ends where nothing comes due in fifty years, and with the year 9999. Raises InvalidSchedule if there is none at all.
    """
    last_ts = int(after.timestamp() // 1) - offset_s
    wall_ts: int | None = cron.next_after_ts(last_ts, zone, dst)
    before_ts = None  # the due instant before, once there is one
    while wall_ts is not None:
        local = _local(wall_ts + offset_s, zone)
        if local is None:
            return
        yield Upcoming(local.astimezone(UTC), local, _note(cron, zone, dst, before_ts, wall_ts))
        before_ts, wall_ts = wall_ts, _next_ts(cron, zone, dst, wall_ts)


def _local(ts: int, zone: Zone) -> datetime | None:
    """None after the last day that can be shown."""
    try:
        return (EPOCH + timedelta(seconds=ts)).astimezone(zone.tzinfo)
    except OverflowError:
        return None


def _next_ts(cron: CronExpression, zone: Zone, dst: str, after_ts: int) -> int | None:
    try:
        return cron.next_after_ts(after_ts, zone, dst)
    except InvalidSchedule:
        return None


def _note(cron: CronExpression, zone: Zone, dst: str, before_ts: int | None, due_ts: int) -> str:
    """What a shift of the clocks near `due_ts` means; `before_ts` is the due instant before it."""
    index, segment = zone.place(due_ts)
    before = zone.segment(index - 1) if index else segment
    shift_s = segment.offset - before.offset
    by_wall = cron.is_due_ts(due_ts, zone, "wall")
    if 0 < shift_s <= LARGEST_SHIFT_S and not by_wall:
        gap = f"{_clock(before.end_ts + before.offset)} to {_clock(segment.start_ts + segment.offset)}"
        return f"clocks go forward from {gap}: runs once, right after the gap"
    after = zone.segment(index + 1) if segment.end_ts < 2**62 else segment
    wall_s = due_ts + segment.offset
    if after.offset < segment.offset and wall_s >= segment.end_ts + after.offset:
        again_ts = due_ts + segment.offset - after.offset
        which = "the first of the two" if cron.is_due_ts(again_ts, zone, dst) else "runs the first time only"
        return f"this wall time comes twice: {which}"
    if shift_s < 0 and wall_s < segment.start_ts + before.offset:
        return "this wall time comes twice: the second of the two"
    since_s = 0 if before_ts is None else segment.offset - zone.offset_at(before_ts)
    if since_s:
        way = "forward" if since_s > 0 else "back"
        return f"clocks went {way} {format_duration(timedelta(seconds=abs(since_s)))} since the last one"
    return ""


def _clock(wall_s: int) -> str:
    """A wall time in seconds since 1970, as the clock shows it."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%H:%M")
