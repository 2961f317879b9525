"""The policies: what becomes of a window of due instants. Pure decisions; the ledger writes them down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pinstripe_bot.occurrence import Decision, Plan, Reason


class CatchUp(StrEnum):
    """What runs when several instants of one schedule wait to be decided."""

    LATEST = "latest"
    NONE = "none"


class Overlap(StrEnum):
    """What happens when the same job with the same parameters is still queued or running."""

    SKIP = "skip"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision on one due instant, or on a stretch of `count` missed ones from `due_ts` to `until_ts`."""

    due_ts: int
    decision: Decision
    reason: Reason | None = None
    until_ts: int | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class CatchUpPolicy:
    """The options of a schedule that decide over its undecided window; durations in seconds."""

    catch_up: CatchUp
    late_after_s: float
    max_lateness_s: float | None

    def decide(
        self, plan: Plan, after_ts: int, until_ts: int, now_ts: float, *, decided_ts: Sequence[int] = ()
    ) -> list[Verdict]:
        """Decide every due instant in (after_ts, until_ts], oldest first.

        The newest instant runs, unless it is too late; the others are missed, as stretches. `decided_ts` are
        the instants, ascending, that were decided ahead: they are left out. Time and memory are bounded by
        their number, not by the length of the window.
        """
        first_ts = plan.next_after_ts(after_ts)
        if first_ts > until_ts:
            return []
        newest_ts = plan.previous_before_ts(until_ts + 1)
        assert newest_ts is not None  # there is one at least
        cutoff_ts = min(self._too_late_until(now_ts), until_ts)
        runs = newest_ts > cutoff_ts and newest_ts not in decided_ts
        if runs and newest_ts == first_ts:  # nearly always: one instant, on time
            return [Verdict(newest_ts, Decision.RUN)]
        stale = _stretches(plan, after_ts, max(cutoff_ts, after_ts), decided_ts, Reason.TOO_LATE)
        older_ts = newest_ts - 1 if runs else until_ts
        superseded = _stretches(plan, max(cutoff_ts, after_ts), older_ts, decided_ts, Reason.COALESCED)
        return stale + superseded + ([Verdict(newest_ts, Decision.RUN)] if runs else [])

    def _too_late_until(self, now_ts: float) -> int:
        """The newest instant that is too late to run; whole seconds."""
        limits = [] if self.max_lateness_s is None else [self.max_lateness_s]
        if self.catch_up is CatchUp.NONE:
            limits.append(self.late_after_s)
        if not limits:
            return -(2**62)
        return math.ceil(now_ts - min(limits)) - 1


def _stretches(plan: Plan, after_ts: int, until_ts: int, decided_ts: Sequence[int], reason: Reason) -> list[Verdict]:
    """Missed stretches over (after_ts, until_ts], cut at the instants that are decided already."""
    borders = [ts for ts in decided_ts if after_ts < ts <= until_ts]
    starts = [after_ts, *borders]
    ends = [*(ts - 1 for ts in borders), until_ts]
    stretches = (_stretch(plan, start, end, reason) for start, end in zip(starts, ends, strict=True))
    return [stretch for stretch in stretches if stretch is not None]


def _stretch(plan: Plan, after_ts: int, until_ts: int, reason: Reason) -> Verdict | None:
    count = plan.count_ts(after_ts, until_ts) if until_ts > after_ts else 0
    if count == 0:
        return None
    first_ts = plan.next_after_ts(after_ts)
    last_ts = plan.previous_before_ts(until_ts + 1) if count > 1 else None
    return Verdict(first_ts, Decision.MISSED, reason, until_ts=last_ts, count=count)
