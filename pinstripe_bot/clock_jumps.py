"""Clock jumps: whether the wall clock has been set since the last tick."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

THRESHOLD_S = 2.0
"""How far the wall clock must have left the monotonic one between two ticks: slewing moves it 0.5 ms in a second."""

READING_S = 1.0
"""A reading of both clocks that takes longer was interrupted, and tells nothing."""


class Direction(StrEnum):
    """Where the wall clock jumped."""

    FORWARDS = "forwards"
    BACKWARDS = "backwards"


@dataclass(frozen=True, slots=True)
class Jump:
    """The wall clock left the monotonic one by `seconds`, somewhere between two readings."""

    seconds: float  # how far; never negative
    direction: Direction
    before_at: datetime  # what the wall clock showed at the reading before
    after_at: datetime  # what it shows now
    newest_at: datetime  # the newest instant that it has shown so far

    @property
    def jumped_over(self) -> tuple[datetime, datetime] | None:
        """The instants (after, until] over which it jumped forwards; nobody could run anything at them."""
        return (self.before_at, self.after_at) if self.direction is Direction.FORWARDS else None

    def facts(self) -> dict[str, Any]:
        """The keys of its log event. Backwards, nothing that was due up to `decided_until` runs again."""
        facts: dict[str, Any] = {"seconds": round(self.seconds, 1), "direction": str(self.direction)}
        if self.direction is Direction.BACKWARDS:
            facts["decided_until"] = self.newest_at.replace(microsecond=0).isoformat()
        return facts


class ClockJumps:
    """Compares the wall clock with the monotonic one from one reading to the next.

    Only two neighbours are compared, so that what slewing moves in a day never adds up to a jump; and a late tick
    is none, since both clocks went on. Linux's monotonic clock stands still while the machine is suspended: its
    waking is a jump forwards.
    """

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None
        self._newest_at: datetime | None = None

    def between(self, before_s: float, now: datetime, after_s: float) -> Jump | None:
        """The jump since the last reading: of the wall clock, with the monotonic one before and after it.

        Where the process was stopped between the two, the reading is left out: the next one finds a jump all the same.
        """
        if after_s - before_s > READING_S:
            return None
        last, self._last = self._last, (now, before_s)
        newest_at = self._newest_at = max(self._newest_at or now, now)
        if last is None:
            return None
        last_at, last_s = last
        ahead_s = (now - last_at - timedelta(seconds=before_s - last_s)).total_seconds()
        if abs(ahead_s) < THRESHOLD_S:
            return None
        direction = Direction.FORWARDS if ahead_s > 0 else Direction.BACKWARDS
        return Jump(abs(ahead_s), direction, last_at, now, newest_at)
