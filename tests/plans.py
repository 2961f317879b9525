"""Plans for tests: due instants that one sees at a glance, and schedules of which only the clock matters."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pinstripe_bot import cron
from pinstripe_bot.policies import CatchUp, CatchUpPolicy, Overlap
from pinstripe_bot.schedule import Place, Schedule
from pinstripe_bot.zones import zone

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


def make_schedule(expression: str, timezone: str, *, name: str | None = None, **facts: Any) -> Schedule:
    """A schedule of a job that is called report, with no parameters."""
    parsed = cron.parse(expression)
    own: dict[str, Any] = {"dst": "once", "offset_s": 0, "enabled": True, "place": Place("report.py", 3)}
    return Schedule(
        job="report",
        name=name or parsed.normalized,
        cron=parsed,
        zone=zone(timezone),
        policy=CatchUpPolicy(CatchUp.LATEST, 60, None),
        overlap=Overlap.SKIP,
        params={},
        params_json="{}",
        params_key="",
        **(own | facts),
    )
