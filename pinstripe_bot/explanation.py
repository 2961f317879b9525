"""What a schedule makes of one wall time: whether it is due then, and what the clocks have to do with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pinstripe_bot.asked import Asked
from pinstripe_bot.errors import InvalidSchedule
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.shifts import Shift, last_shift
from pinstripe_bot.zones import EPOCH, zone


class ShiftRule(StrEnum):
    """What decides over a wall time that the clocks skip or repeat."""

    ONCE = "once"  # each time of the schedule comes due once
    WALL = "wall"  # dst="wall": whenever the clock shows it
    REAL_TIME = "real_time"  # the minute or hour begins with `*`
    CORRECTION = "correction"  # the clocks jumped more than three hours


@dataclass(frozen=True, slots=True)
class Explanation:
    """The facts about one wall time, `asked` on the clock of the schedule's zone.

    `passes` has what is due each time that the clock shows it: one tuple, or two, or none for a time that does not
    exist. `due_at` is the answer, to be looked up in the ledger: what is due then, or in its place after a gap.
    `nearest` are the due instants right before and right after (and in between, where the time exists twice).
    """

    schedule: Schedule
    asked: Asked
    passes: tuple[tuple[datetime, ...], ...]
    due_at: tuple[datetime, ...]
    nearest: tuple[datetime, ...]
    is_time_of_schedule: bool  # by the expression alone, on a clock that nobody shifts
    stands_in: bool  # what is due is due only in place of times that the clocks skip
    shift: Shift | None  # the one that skips or repeats the wall time, or that `stands_in` comes from
    rule: ShiftRule | None

    @property
    def exists(self) -> bool:
        """Whether the clock of the schedule's zone shows the wall time at all."""
        return bool(self.passes)

    @property
    def is_repeated(self) -> bool:
        """Whether the clock shows it more than once."""
        return len(self.passes) > 1


def explain_instant(schedule: Schedule, asked: Asked) -> Explanation:
    """Say what `schedule` makes of a wall time on the clock of its own zone.

    What is due comes from the schedule's own search, and what the clocks do from its zone's segments.
    """
    asked = asked.on_the_clock_of(schedule.zone)
    return _of_existing(schedule, asked) if asked.all_passes() else _of_skipped(schedule, asked)


def _of_existing(schedule: Schedule, asked: Asked) -> Explanation:
    delay_s = _delay_s(schedule, asked)
    spans = {each: _later(each, delay_s) for each in asked.all_passes()}
    meant = [spans[each] for each in asked.passes()]
    due_ts = [ts for span in meant for ts in _due_in(schedule, span)]
    stands_in = bool(due_ts) and _stands_in(schedule, due_ts[0])
    shift = last_shift(schedule.zone, due_ts[0] - schedule.offset_s) if stands_in else asked.shift
    return Explanation(
        schedule=schedule,
        asked=asked,
        passes=tuple(_instants(_due_in(schedule, span)) for span in spans.values()),
        due_at=_instants(due_ts),
        nearest=_nearest(schedule, meant),
        is_time_of_schedule=bool(_times_of_schedule(schedule, asked)),
        stands_in=stands_in,
        shift=shift,
        rule=shift and _rule(schedule, shift),
    )


def _of_skipped(schedule: Schedule, asked: Asked) -> Explanation:
    shift = asked.shift
    assert shift is not None, "only a change of the clocks skips a time"
    rule, times = _rule(schedule, shift), _times_of_schedule(schedule, asked)
    due_ts = _stand_ins(schedule, shift, times) if rule is ShiftRule.ONCE else []
    span = range(due_ts[0], due_ts[-1] + 1) if due_ts else range(shift.at_ts, shift.at_ts)
    return Explanation(
        schedule=schedule,
        asked=asked,
        passes=(),
        due_at=_instants(due_ts),
        nearest=_nearest(schedule, [span]),
        is_time_of_schedule=bool(times),
        stands_in=bool(due_ts) and _stands_in(schedule, due_ts[0]),
        shift=shift,
        rule=rule,
    )


def _delay_s(schedule: Schedule, asked: Asked) -> int:
    """The spread, where the time was asked for as the expression has it; 0 where something is due right then."""
    is_due_then = any(_due_in(schedule, each) for each in asked.all_passes())
    return 0 if is_due_then or not _times_of_schedule(schedule, asked) else schedule.offset_s


def _times_of_schedule(schedule: Schedule, asked: Asked) -> list[int]:
    """The wall seconds that are meant and that the expression matches, in UTC, whose clock nobody shifts."""
    walls = range(asked.first_wall, asked.until_wall)
    return [wall for wall in walls if schedule.cron.is_due_ts(wall, zone("UTC"), "wall")]


def _stand_ins(schedule: Schedule, shift: Shift, walls: list[int]) -> list[int]:
    """What is due after a gap in place of these wall seconds of it: in its first whole minute, at the same second."""
    minute = -(-shift.to_wall // 60) * 60
    candidates = {minute + wall % 60 - shift.after + schedule.offset_s for wall in walls}
    return sorted(ts for ts in candidates if schedule.is_due_ts(ts))


def _stands_in(schedule: Schedule, due_ts: int) -> bool:
    return not schedule.cron.is_due_ts(due_ts - schedule.offset_s, schedule.zone, "wall")


def _rule(schedule: Schedule, shift: Shift) -> ShiftRule:
    if schedule.dst == "wall":
        return ShiftRule.WALL
    if not schedule.cron.is_fixed:
        return ShiftRule.REAL_TIME
    return ShiftRule.CORRECTION if shift.is_correction else ShiftRule.ONCE


def _due_in(schedule: Schedule, span: range) -> list[int]:
    found: list[int] = []
    ts = _next_after(schedule, span.start - 1)
    while ts is not None and ts < span.stop:
        found.append(ts)
        ts = _next_after(schedule, ts)
    return found


def _nearest(schedule: Schedule, spans: list[range]) -> tuple[datetime, ...]:
    befores = [_previous_before(schedule, each.start) for each in spans]
    afters = [_next_after(schedule, each.stop - 1) for each in spans]
    return _instants(sorted({ts for ts in (*befores, *afters) if ts is not None}))


def _next_after(schedule: Schedule, ts: int) -> int | None:
    try:
        found = schedule.next_after_ts(ts)
        (EPOCH + timedelta(seconds=found)).astimezone(schedule.zone.tzinfo)
    except (InvalidSchedule, OverflowError):  # nothing in fifty years, or after the last day that can be shown
        return None
    return found


def _previous_before(schedule: Schedule, ts: int) -> int | None:
    try:
        return schedule.previous_before_ts(ts)
    except InvalidSchedule:  # nothing in fifty years
        return None


def _later(span: range, delay_s: int) -> range:
    return range(span.start + delay_s, span.stop + delay_s)


def _instants(seconds: list[int]) -> tuple[datetime, ...]:
    return tuple(EPOCH + timedelta(seconds=ts) for ts in seconds)
