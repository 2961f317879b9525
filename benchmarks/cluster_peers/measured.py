"""What a participant of the comparison is, and how its figures are reckoned; all of it pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cluster_peers.notes import Note

EVERY_S = 15
"""All schedules are due whenever the seconds since the epoch divide by this: long enough to be done with 1,000."""


class Missing(Exception):
    """What this participant needs is not on this machine; the message says what, and how to get it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One participant: how fast it handed its runs over, and how late they began."""

    name: str
    schedules: int
    instants: int
    dispatched_per_s: float  # the median of the instants
    p50_s: float  # from the due instant to the first line of the run; of the runs of all instants
    p99_s: float
    ran: int  # of schedules * instants
    doubled: int  # of those that ran, how many did so more than once


Participant = Callable[[int, int], Measured]
"""Measures so many schedules over so many due instants. Raises Missing."""


def reckon(
    name: str, schedules: int, due_ts: Sequence[int], *, handed_over: Iterable[Note], begun: Iterable[Note]
) -> Measured:
    """The figures of what happened at these due instants; whatever happened at others does not count.

    `handed_over` has, for each hand-over, a note of its beginning and one of its end; a hand-over of many runs in one
    transaction may have just two. A note belongs to the last due instant before it: a run that begins more than
    EVERY_S late counts as one that did not run, and the next as doubled.
    """
    runs = Counter((one.schedule, _due_ts(one)) for one in begun if _due_ts(one) in due_ts)
    late_s = [one.at_s - _due_ts(one) for one in begun if _due_ts(one) in due_ts]
    cuts = statistics.quantiles(late_s, n=100)
    rates = [_per_second([one for one in handed_over if _due_ts(one) == due], schedules) for due in due_ts]
    doubled = sum(times > 1 for times in runs.values())
    return Measured(
        name, schedules, len(due_ts), statistics.median(rates), cuts[49], cuts[98], ran=len(runs), doubled=doubled
    )


def _due_ts(note: Note) -> int:
    return int(note.at_s) // EVERY_S * EVERY_S


def _per_second(handed_over: Sequence[Note], schedules: int) -> float:
    """Schedules per second, from the beginning of the first hand-over to the end of the last one."""
    at_s = [one.at_s for one in handed_over]
    assert len({one.schedule for one in handed_over}) == schedules, "not every schedule was handed over in time"
    return schedules / (max(at_s) - min(at_s))
