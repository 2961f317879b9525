"""What a participant of the comparison is, and how its figures are reckoned; all of it pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster_peers.notes import Note

EVERY_S = 15
"""All schedules are due whenever the seconds since the epoch divide by this: time enough for 1,000 runs."""


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
    name: str,
    schedules: int,
    due_ts: Sequence[int],
    *,
    handed_over: Sequence[Note],
    begun: Sequence[Note],
    every_s: int = EVERY_S,
) -> Measured:
    """The figures of what happened at these due instants; whatever happened at others does not count.

    `handed_over` has, for each hand-over, a note of its beginning and one of its end; a hand-over of many runs in one
    transaction has the same two times for all. A note belongs to the last due instant before it: a run that begins
    more than `every_s` late counts as one that did not run, and the next as doubled.
    """

    def due(note: Note) -> int:
        return int(note.at_s) // every_s * every_s

    began = [(one, due(one)) for one in begun if due(one) in due_ts]
    runs = Counter((one.schedule, due_at_ts) for one, due_at_ts in began)
    late_s = [one.at_s - due_at_ts for one, due_at_ts in began]
    cuts = statistics.quantiles(late_s, n=100)
    rates = [_per_second([one for one in handed_over if due(one) == due_at_ts]) for due_at_ts in due_ts]
    doubled = sum(times > 1 for times in runs.values())
    return Measured(
        name, schedules, len(due_ts), statistics.median(rates), cuts[49], cuts[98], ran=len(runs), doubled=doubled
    )


def _per_second(handed_over: Sequence[Note]) -> float:
    """Schedules per second, from the beginning of the first hand-over to the end of the last one."""
    assert handed_over, "nothing was handed over"
    at_s = [one.at_s for one in handed_over]
    return len({one.schedule for one in handed_over}) / (max(at_s) - min(at_s))
