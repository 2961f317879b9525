"""What one UTC day of one job comes to: the worst of each twelfth, how many of what, how long and how late."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from pinstripe_bot.zones import EPOCH

TWELFTHS = 12

_DAY = timedelta(days=1)

_LONGEST_MS = 2**31 - 1
"""What its column holds on PostgreSQL: 24 days."""

_FROM_BAD_TO_GOOD = ("failed", "timed_out", "interrupted", "missed", "cancelled", "skipped", "succeeded")
"""What a twelfth shows is the first of these that happened in it."""


@dataclass(frozen=True, slots=True, order=True)
class Day:
    """A day in UTC, as a number of days since 1970."""

    number: int

    @classmethod
    def of(cls, instant: datetime) -> Day:
        return cls((instant - EPOCH) // _DAY)

    @property
    def begins_at(self) -> datetime:
        return EPOCH + self.number * _DAY

    @property
    def ends_at(self) -> datetime:
        return self.begins_at + _DAY

    def __str__(self) -> str:
        return self.begins_at.date().isoformat()


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One row of the table `days`.

    `counts` is {state: how many}; what did not run stands under decision and reason, "missed bot_down".
    """

    worst: tuple[str | None, ...]
    counts: dict[str, int]
    duration_p50_ms: int | None
    duration_p95_ms: int | None
    lateness_p50_ms: int | None
    lateness_p95_ms: int | None


class DaySum:
    """Sums up a day of a job, for one tenant; takes as much memory as there are different numbers of milliseconds."""

    def __init__(self, day: Day) -> None:
        self._day = day
        self._worst: list[str | None] = [None] * TWELFTHS
        self._counts: Counter[str] = Counter()
        self._durations_ms: Counter[int] = Counter()
        self._latenesses_ms: Counter[int] = Counter()

    def add(self, at: datetime, kind: str, reason: str | None = None, *, count: int = 1) -> None:
        """Add so many of a run's state, or of a decision against one; a stretch counts where it begins."""
        name = f"{kind} {reason}" if kind in ("skipped", "missed") and reason else kind
        self._counts[name] += count
        twelfth = min(max((at - self._day.begins_at) * TWELFTHS // _DAY, 0), TWELFTHS - 1)
        self._worst[twelfth] = _worse(self._worst[twelfth], kind)

    def add_times(self, *, duration: timedelta | None, lateness: timedelta | None) -> None:
        """Add how long a run took and how late it started; None for what it has not."""
        for times, span in ((self._durations_ms, duration), (self._latenesses_ms, lateness)):
            if span is not None:
                times[min(max(span // timedelta(milliseconds=1), 0), _LONGEST_MS)] += 1

    def figures(self) -> DayFigures:
        return DayFigures(
            worst=tuple(self._worst),
            counts=dict(sorted(self._counts.items())),
            duration_p50_ms=percentile(self._durations_ms, 50),
            duration_p95_ms=percentile(self._durations_ms, 95),
            lateness_p50_ms=percentile(self._latenesses_ms, 50),
            lateness_p95_ms=percentile(self._latenesses_ms, 95),
        )


def _worse(one: str | None, other: str) -> str:
    return other if one is None else min(one, other, key=_FROM_BAD_TO_GOOD.index)


def percentile(values: Counter[int], percent: int) -> int | None:
    """The least of {value: how often} that is not below `percent` of them (nearest rank); None where there is none."""
    wanted = -(-values.total() * percent // 100)
    seen = 0
    for value in sorted(values):
        seen += values[value]
        if seen >= wanted:
            return value
    return None
