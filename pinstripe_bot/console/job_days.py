"""The days of a job, as its calendar shows them: each run a stripe where there are few, else twelfths of the day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pinstripe_bot.console.calendars import DayPatch
from pinstripe_bot.console.strips import Stripe
from pinstripe_bot.console.words import state_word
from pinstripe_bot.ledger_trends import RunPoint, Slot, SummedDay
from pinstripe_bot.zones import Zone

MOST: Final = 12
"""How many stripes a day has."""

_WORST_FIRST: Final = ("failed", "timed_out", "interrupted", "missed", "running", "cancelled", "skipped", "succeeded")
_RANKS: Final = {state: rank for rank, state in enumerate(_WORST_FIRST)}
_PASSED: Final = ("skipped", "missed")


def day_patches(
    slots: Sequence[Slot],
    points: Sequence[RunPoint],
    summed: Sequence[SummedDay],
    where: Zone,
    *,
    is_whole: bool,
    late_after: timedelta,
) -> dict[date, DayPatch]:
    """{day of the zone's calendar: its patch}; days whose rows are gone are days in UTC.

    `is_whole`: the points are all runs of that time, so that each can be a stripe. The runs of one instant, which
    are those of tenants, stay stripes however many there are.
    """
    of_day: dict[date, list[Slot]] = {}
    for slot in slots:
        of_day.setdefault(slot.begins_at.astimezone(where.tzinfo).date(), []).append(slot)
    runs: dict[date, list[RunPoint]] = {}
    for point in points if is_whole else ():
        runs.setdefault(point.due_at.astimezone(where.tzinfo).date(), []).append(point)
    patches = {day: _patch(day, its, runs.get(day, []), where, late_after) for day, its in of_day.items()}
    for one in summed:
        patches.setdefault(date.fromisoformat(one.day), _summed(one))
    return patches


def _patch(
    day: date, slots: Sequence[Slot], points: Sequence[RunPoint], where: Zone, late_after: timedelta
) -> DayPatch:
    counts: dict[str, int] = {}
    for slot in slots:
        counts[slot.state] = counts.get(slot.state, 0) + slot.count
    told = ", ".join(f"{count:,} {state_word(state)}" for state, count in sorted(counts.items()))
    passed = [slot for slot in slots if slot.state in _PASSED]
    ran = sum(count for state, count in counts.items() if state not in _PASSED)
    is_of_one_instant = not passed and len({one.due_at for one in points}) == 1
    is_few = ran == len(points) and (ran + len(passed) <= MOST or is_of_one_instant)
    stripes = _each(points, passed, late_after) if is_few else _twelfths(day, slots, where)
    return DayPatch(stripes, f"{day:%a} {day.day} {day:%b}: {told}")


def _each(points: Sequence[RunPoint], passed: Sequence[Slot], late_after: timedelta) -> tuple[Stripe | None, ...]:
    """A stripe for each run and for each half hour in which something did not run, in their order."""
    found = [(one.due_at, Stripe(one.state, _seconds(one.took), _is_late(one, late_after))) for one in points]
    found += [(one.begins_at, Stripe(one.state, count=one.count)) for one in passed]
    return tuple(stripe for _, stripe in sorted(found, key=lambda one: one[0]))


def _is_late(point: RunPoint, late_after: timedelta) -> bool:
    return point.lateness is not None and point.lateness > late_after


def _twelfths(day: date, slots: Sequence[Slot], where: Zone) -> tuple[Stripe | None, ...]:
    """The worst of each twelfth of the day, as high as its longest run."""
    begins_at = datetime(day.year, day.month, day.day, tzinfo=where.tzinfo).astimezone(UTC)
    parts: list[list[Slot]] = [[] for _ in range(MOST)]
    for slot in slots:
        place = (slot.begins_at - begins_at) * MOST // timedelta(days=1)
        parts[min(max(place, 0), MOST - 1)].append(slot)
    return tuple(_worst(each) for each in parts)


def _worst(slots: Sequence[Slot]) -> Stripe | None:
    if not slots:
        return None
    worst = min(slots, key=lambda one: _RANKS.get(one.state, len(_RANKS)))
    longest = max((one.longest for one in slots if one.longest is not None), default=None)
    return Stripe(worst.state, _seconds(longest), count=worst.count)


def _summed(one: SummedDay) -> DayPatch:
    stripes = tuple(None if state is None else Stripe(state, _seconds(one.p50)) for state in one.worst)
    return DayPatch(stripes, f"{one.day} UTC, as it was summed up")


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()
