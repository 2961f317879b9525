"""Small plans for tests of the timetable and the policies: due instants that one sees at a glance."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

FAR_TS = 10**12
"""A due instant of every plan, so that there is always a next one."""


@dataclass(frozen=True, eq=False)
class Every:
    """Due every `seconds`, counted from 0."""

    seconds: int

    def next_after_ts(self, after_ts: int) -> int:
        return (after_ts // self.seconds + 1) * self.seconds

    def previous_before_ts(self, before_ts: int) -> int | None:
        return (before_ts - 1) // self.seconds * self.seconds

    def count_ts(self, after_ts: int, until_ts: int) -> int:
        return until_ts // self.seconds - after_ts // self.seconds


class At:
    """Due at these instants."""

    def __init__(self, instants: Iterable[int]) -> None:
        self.instants = sorted({*instants, FAR_TS})

    def next_after_ts(self, after_ts: int) -> int:
        return self.instants[bisect_right(self.instants, after_ts)]

    def previous_before_ts(self, before_ts: int) -> int | None:
        index = bisect_left(self.instants, before_ts)
        return self.instants[index - 1] if index else None

    def count_ts(self, after_ts: int, until_ts: int) -> int:
        return bisect_right(self.instants, until_ts) - bisect_right(self.instants, after_ts)


@dataclass(frozen=True, eq=False)
class Broken(Every):
    """Due every `seconds`, until it is asked for what comes after `breaks_after_ts`."""

    breaks_after_ts: int

    def next_after_ts(self, after_ts: int) -> int:
        if after_ts >= self.breaks_after_ts:
            raise ArithmeticError("the year is too long")
        return super().next_after_ts(after_ts)
