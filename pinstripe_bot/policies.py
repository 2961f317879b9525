"""The policies: what becomes of a window of due instants, and of a failed run. Pure; the ledger writes it down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pinstripe_bot.occurrence import Decision, Plan, Reason


class CatchUp(StrEnum):
    """What runs when several instants of one schedule wait to be decided."""

    LATEST = "latest"
    ALL = "all"
    NONE = "none"


class Overlap(StrEnum):
    """What happens when the same job with the same parameters is still queued or running."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"


class OnInterrupt(StrEnum):
    """What becomes of a started run that a crash cut off."""

    FAIL = "fail"
    RETRY = "retry"


class Isolation(StrEnum):
    """What separates a run from the bot."""

    THREAD = "thread"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision on one due instant, or on a stretch of `count` missed ones from `due_ts` to `until_ts`.

    A run may start `delay_s` after its claim; the ones `is_in_turn`, all of one catch-up, start one after another.
    """

    due_ts: int
    decision: Decision
    reason: Reason | None = None
    until_ts: int | None = None
    count: int = 1
    delay_s: float = 0.0
    is_in_turn: bool = False


@dataclass(frozen=True, slots=True)
class CatchUpPolicy:
    """The options of a schedule that decide over its undecided window; durations in seconds."""

    catch_up: CatchUp
    late_after_s: float
    max_lateness_s: float | None
    catch_up_max: int = 24
    catch_up_spacing_s: float = 0.0

    def decide(
        self,
        plan: Plan,
        after_ts: int,
        until_ts: int,
        now_ts: float,
        *,
        decided_ts: Sequence[int] = (),
        cause: Reason = Reason.BOT_DOWN,
    ) -> list[Verdict]:
        """Decide every due instant in (after_ts, until_ts], oldest first.

        The newest instant runs, or with "all" the newest `catch_up_max`, unless they are too late; the others are
        missed, as stretches. `cause` is why "all" had more than it may catch up on. `decided_ts` are the
        instants, ascending, that were decided ahead: they are left out. Time and memory are bounded by their
        number and by `catch_up_max`, not by the length of the window.
        """
        first_ts = plan.next_after_ts(after_ts)
        if first_ts > until_ts:
            return []
        cutoff_ts = max(min(self._too_late_until(now_ts), until_ts), after_ts)
        newest_ts = plan.previous_before_ts(until_ts + 1)
        if cutoff_ts < first_ts == newest_ts and first_ts not in decided_ts:  # nearly always: one instant, on time
            return [Verdict(first_ts, Decision.RUN)]
        chosen = self._chosen(plan, newest_ts, cutoff_ts, decided_ts)
        older_ts = chosen[0] - 1 if chosen else until_ts
        stale = stretches(plan, after_ts, cutoff_ts, decided_ts, Reason.TOO_LATE)
        reason = cause if self.catch_up is CatchUp.ALL else Reason.COALESCED
        return stale + stretches(plan, cutoff_ts, older_ts, decided_ts, reason) + self._runs(chosen)

    def _too_late_until(self, now_ts: float) -> int:
        """The newest instant that is too late to run; whole seconds."""
        limits = [] if self.max_lateness_s is None else [self.max_lateness_s]
        if self.catch_up is CatchUp.NONE:
            limits.append(self.late_after_s)
        if not limits:
            return -(2**62)
        return math.ceil(now_ts - min(limits)) - 1

    def _chosen(self, plan: Plan, newest_ts: int | None, cutoff_ts: int, decided_ts: Sequence[int]) -> list[int]:
        """The instants in (cutoff_ts, newest_ts] that run, oldest first."""
        decided = frozenset(decided_ts)
        chosen: list[int] = []
        while newest_ts is not None and newest_ts > cutoff_ts:
            if newest_ts not in decided:
                chosen.append(newest_ts)
            if self.catch_up is not CatchUp.ALL or len(chosen) == self.catch_up_max:
                break  # of "latest", the newest one supersedes the others even where it was decided ahead
            newest_ts = plan.previous_before_ts(newest_ts)
        return chosen[::-1]

    def _runs(self, chosen: Sequence[int]) -> list[Verdict]:
        delays = (number * self.catch_up_spacing_s for number in range(len(chosen)))
        return [
            Verdict(ts, Decision.RUN, delay_s=delay_s, is_in_turn=len(chosen) > 1)
            for ts, delay_s in zip(chosen, delays, strict=True)
        ]


def stretches(
    plan: Plan,
    after_ts: int,
    until_ts: int,
    decided_ts: Sequence[int],
    reason: Reason,
    *,
    decision: Decision = Decision.MISSED,
) -> list[Verdict]:
    """Stretches of instants in (after_ts, until_ts] that do not run, cut at the instants that are decided already."""
    borders = [ts for ts in decided_ts if after_ts < ts <= until_ts]
    starts = [after_ts, *borders]
    ends = [*(ts - 1 for ts in borders), until_ts]
    found = (_stretch(plan, start, end, decision, reason) for start, end in zip(starts, ends, strict=True))
    return [stretch for stretch in found if stretch is not None]


def _stretch(plan: Plan, after_ts: int, until_ts: int, decision: Decision, reason: Reason) -> Verdict | None:
    count = plan.count_ts(after_ts, until_ts) if until_ts > after_ts else 0
    if count == 0:
        return None
    first_ts = plan.next_after_ts(after_ts)
    last_ts = plan.previous_before_ts(until_ts + 1) if count > 1 else None
    return Verdict(first_ts, decision, reason, until_ts=last_ts, count=count)


_DOUBLINGS = 1000
"""More of them overflow a float, and any cap was reached long before."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a failed run is tried again, and after which wait; in seconds."""

    retries: int
    first_s: float
    cap_s: float

    def delay_s(self, attempt: int, fraction: float) -> float | None:
        """How long to wait after the failed `attempt`, counted from 1, or None where it was the last one.

        `fraction`, drawn from [0, 1) by the caller, is the jitter: it takes away up to half of the wait.
        """
        if attempt > self.retries:
            return None
        full_s = min(self.cap_s, self.first_s * 2.0 ** min(attempt - 1, _DOUBLINGS))
        return full_s * (0.5 + fraction / 2)
