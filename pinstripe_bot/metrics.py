"""The metrics: what one bot has claimed, started and ended since it began, counted and timed job by job."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pinstripe_bot.occurrence import Decision, Occurrence, Reason, Run, RunState

LATENESS_S = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3600.0)
DURATION_S = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
LEDGER_S = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0)
"""The upper bounds of the buckets, in seconds; what is above the last one is counted too."""

OTHER = "(other)"
"""Stands for every job that is not in the project: removed, broken, or of another release on the same ledger."""

Step = Literal["claim", "start", "finish"]
Kind = TypeVar("Kind", RunState, Reason)


class Histogram:
    """How many values lay in each bucket; `counts` has one more than `bounds`, for what is above them all."""

    __slots__ = ("bounds", "counts", "total_s")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = array("Q", [0]) * (len(bounds) + 1)  # not a list: the garbage collector would walk each one
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total_s += seconds

    def copy(self) -> Histogram:
        copied = Histogram(self.bounds)
        copied.counts, copied.total_s = self.counts[:], self.total_s
        return copied


@dataclass(slots=True)
class JobTally:
    """What one job has come to; instants of a stretch count one by one, runs attempt by attempt until they end."""

    due: int = 0
    started: int = 0
    finished: dict[RunState, int] = field(default_factory=dict)
    retried: dict[RunState, int] = field(default_factory=dict)  # attempts that another one follows
    skipped: dict[Reason, int] = field(default_factory=dict)
    missed: dict[Reason, int] = field(default_factory=dict)
    tenants_skipped: dict[Reason, int] = field(default_factory=dict)  # of instants that ran for others
    lateness: Histogram = field(default_factory=lambda: Histogram(LATENESS_S))  # of first attempts
    duration: Histogram = field(default_factory=lambda: Histogram(DURATION_S))  # of attempts

    def copy(self) -> JobTally:
        return JobTally(
            self.due,
            self.started,
            dict(self.finished),
            dict(self.retried),
            dict(self.skipped),
            dict(self.missed),
            dict(self.tenants_skipped),
            self.lateness.copy(),
            self.duration.copy(),
        )


class Tally:
    """Hears from any thread, and counts later: whoever tells it something waits for nobody.

    A lock that every worker took would cost a herd of runs a tenth of its speed. So what is told is put into a queue,
    which the recorder's thread works off after each group of outcomes, the loop before each claim, and who looks.
    It knows no more jobs than the project has, and no tenants: so it stays as small as the project.
    """

    def __init__(self, jobs: Collection[str], monotonic: Callable[[], float]) -> None:
        """`monotonic` gives the seconds by which the ledger is timed."""
        self.catch_up_depth = 0  # how many instants the last claim decided beyond one for each window
        self._monotonic = monotonic
        self._counting = threading.Lock()
        self._told: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._jobs = {name: JobTally() for name in jobs}  # now, and not in the midst of a herd
        self._ledger: dict[Step, Histogram] = {}

    def begin_claim(self) -> None:
        """A tick has found something due; what it claims in parts is one claim here."""
        self.catch_up_depth = 0
        self._count()

    def claimed(self, to_run: Sequence[str], passed: Sequence[Occurrence], *, windows: int) -> None:
        """A part of a claim: `to_run` has the job of each instant that runs; what has `passed` is told to `passed`."""
        self._told.append((self._count_due, to_run))
        self.catch_up_depth += max(len(to_run) + sum(one.count for one in passed) - windows, 0)

    def passed(self, occurrences: Sequence[Occurrence]) -> None:
        """These instants have come due, and do not run."""
        if occurrences:
            self._told.append((self._count_passed, occurrences))

    def passed_at_listing(self, occurrences: Sequence[Occurrence]) -> None:
        """Of an instant that was to run for tenants, and is counted as due: these have no run, or nobody has."""
        if occurrences:
            self._told.append((self._count_unlisted, occurrences))

    def run_started(self, run: Run) -> None:
        """An attempt has begun."""
        self._told.append((self._count_started, run))

    def runs_ended(self, ended: Sequence[Run]) -> None:
        """These runs have ended, or their attempts, where another one follows."""
        if ended:
            self._told.append((self._count_ended, list(ended)))
            self._count()

    @contextmanager
    def timed(self, step: Step) -> Iterator[None]:
        """The block asks the ledger for this; it counts also where the ledger does not answer."""
        began_s = self._monotonic()
        try:
            yield
        finally:
            self._told.append((self._count_asked, (step, self._monotonic() - began_s)))

    def jobs(self) -> dict[str, JobTally]:
        """{job: what it has come to}, of every job of the project, and OTHER where there was one: copies."""
        self._count(is_patient=True)
        with self._counting:
            known = list(self._jobs.items())
        return {name: self._copied(tally) for name, tally in known}

    def _copied(self, tally: JobTally) -> JobTally:
        with self._counting:  # for each by itself: 10,000 at once would hold up the recorder
            return tally.copy()

    def ledger(self) -> dict[Step, Histogram]:
        """{step: how long the ledger took for it}: copies."""
        self._count(is_patient=True)
        with self._counting:
            return {step: asked.copy() for step, asked in self._ledger.items()}

    def _count(self, *, is_patient: bool = False) -> None:
        """Count what has been told so far; where another thread is just at it, only who is patient waits."""
        if not self._counting.acquire(blocking=is_patient):
            return
        try:
            for _ in range(len(self._told)):
                count, subject = self._told.popleft()
                count(subject)
        finally:
            self._counting.release()

    def _count_due(self, jobs: Sequence[str]) -> None:
        for job in jobs:
            self._of(job).due += 1

    def _count_passed(self, occurrences: Sequence[Occurrence]) -> None:
        for occurrence in occurrences:
            self._of(occurrence.job).due += occurrence.count
        self._count_unlisted(occurrences)

    def _count_unlisted(self, occurrences: Sequence[Occurrence]) -> None:
        for occurrence in occurrences:
            tally = self._of(occurrence.job)
            passed = tally.skipped if occurrence.decision is Decision.SKIPPED else tally.missed
            if occurrence.reason is not None:
                _add(tally.tenants_skipped if occurrence.tenant else passed, occurrence.reason, occurrence.count)

    def _count_started(self, run: Run) -> None:
        tally = self._of(run.job)
        tally.started += 1
        # A retry begins long after its due instant, and is not late for that.
        lateness = run.lateness if run.attempt == 1 else None
        if lateness is not None:
            tally.lateness.observe(lateness.total_seconds())

    def _count_ended(self, ended: Sequence[Run]) -> None:
        for run in ended:
            tally = self._of(run.job)
            _add(tally.finished if run.retry_at is None else tally.retried, run.state)
            duration = run.duration
            if duration is not None:
                tally.duration.observe(duration.total_seconds())

    def _count_asked(self, asked: tuple[Step, float]) -> None:
        step, took_s = asked
        self._ledger.setdefault(step, Histogram(LEDGER_S)).observe(took_s)

    def _of(self, job: str) -> JobTally:
        found = self._jobs.get(job)
        return self._jobs.setdefault(OTHER, JobTally()) if found is None else found


def _add(counts: dict[Kind, int], kind: Kind, count: int = 1) -> None:
    counts[kind] = counts.get(kind, 0) + count
