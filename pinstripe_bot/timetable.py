"""The timetable: all schedules by their next due instant."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic

from pinstripe_bot.occurrence import Due, PlanT


@dataclass(slots=True, eq=False)
class _Entry(Generic[PlanT]):
    """A schedule and the instant up to which it has been decided."""

    schedule: PlanT
    after_ts: int


class Timetable(Generic[PlanT]):
    """A heap of next due instants; a look at it costs the same with ten schedules and with 100,000.

    A schedule that comes due stays due, with a window that grows, until `advance` says that it was decided.
    One that raises is put into `quarantined` with its error and harms no other. Not safe for several threads.
    """

    def __init__(self, marks: Iterable[tuple[PlanT, int]] = ()) -> None:
        """Take (schedule, the UTC second up to which it is decided) for each schedule, in the order of declaration."""
        self.quarantined: dict[PlanT, Exception] = {}
        self._aside: dict[PlanT, int] = {}  # and their places in the order of declaration
        self._heap: list[tuple[int, int, _Entry[PlanT]]] = []
        self._due: dict[PlanT, tuple[int, int, _Entry[PlanT]]] = {}
        for order, (schedule, after_ts) in enumerate(marks):
            self._add(order, _Entry(schedule, after_ts))
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._heap) + len(self._due)

    def _add(self, order: int, entry: _Entry[PlanT]) -> None:
        next_ts = self._next_ts(entry)
        if next_ts is not None:
            self._heap.append((next_ts, order, entry))

    def _next_ts(self, entry: _Entry[PlanT]) -> int | None:
        try:
            return entry.schedule.next_after_ts(entry.after_ts)
        except Exception as error:  # noqa: BLE001 - a wall: one schedule that misbehaves must not stop the tick
            self.quarantined[entry.schedule] = error
            return None

    def due(self, until_ts: int) -> list[Due[PlanT]]:
        """One window per schedule that has come due by `until_ts`, in order of first due instant, then declaration.

        Where `until_ts` is less than before, a schedule that was offered may not be due yet: it waits.
        """
        heap = self._heap
        while heap and heap[0][0] <= until_ts:
            first = heapq.heappop(heap)
            self._due[first[2].schedule] = first
        return [Due(entry.schedule, entry.after_ts, until_ts) for ts, _, entry in self._due.values() if ts <= until_ts]

    def advance(self, dues: Sequence[Due[PlanT]]) -> dict[PlanT, Exception]:
        """Record that these windows are decided, and plan what comes after them; what is quarantined by that."""
        failed = {}
        for due in dues:
            if due.schedule not in self._due:
                continue  # dropped meanwhile
            _, order, entry = self._due.pop(due.schedule)
            entry.after_ts = due.until_ts
            next_ts = self._next_ts(entry)
            if next_ts is None:
                failed[due.schedule] = self.quarantined[due.schedule]
            else:
                heapq.heappush(self._heap, (next_ts, order, entry))
        return failed

    @property
    def aside(self) -> list[PlanT]:
        """The schedules that another bot plans, in another form."""
        return list(self._aside)

    @property
    def schedules(self) -> list[PlanT]:
        """All schedules that are planned, here or by another bot."""
        waiting = [entry.schedule for _, _, entry in self._heap]
        return [*waiting, *self._due, *self._aside, *self.quarantined]

    def add(self, marks: Mapping[PlanT, int]) -> None:
        """Plan further schedules, after those declared before; {schedule: the UTC second up to which it is decided}."""
        order = 1 + max((order for _, order, _ in (*self._heap, *self._due.values())), default=0)
        for number, (schedule, after_ts) in enumerate(marks.items()):
            self._add(order + number, _Entry(schedule, after_ts))
        heapq.heapify(self._heap)

    def remove(self, schedules: Iterable[PlanT]) -> None:
        """Plan these schedules no more."""
        gone = set(schedules)
        self._heap = [one for one in self._heap if one[2].schedule not in gone]
        heapq.heapify(self._heap)
        for schedule in gone:
            for place in (self._due, self._aside, self.quarantined):
                place.pop(schedule, None)

    def set_aside(self, schedules: Iterable[PlanT]) -> None:
        """Stop planning these due schedules, because another bot plans another form of them."""
        for schedule in schedules:
            if schedule in self._due:
                _, self._aside[schedule], _ = self._due.pop(schedule)

    def take_back(self, marks: Mapping[PlanT, int]) -> None:
        """Plan these schedules again that were set aside; {schedule: the UTC second up to which it is decided}."""
        for schedule, after_ts in marks.items():
            self._add(self._aside.pop(schedule), _Entry(schedule, after_ts))
        heapq.heapify(self._heap)

    def quarantine(self, failed: Mapping[PlanT, Exception]) -> None:
        """Stop planning these due schedules, because they raised these errors."""
        self.quarantined.update(failed)
        for schedule in failed:
            self._due.pop(schedule, None)


PART = 500
"""Windows that one transaction decides: in a herd, the first part runs while the next one is claimed."""


def in_parts(dues: list[Due[PlanT]]) -> Iterator[list[Due[PlanT]]]:
    """The same windows in groups of about PART; those of one job are never parted, since they are compared."""
    if len(dues) <= PART:
        yield dues
        return
    dues = sorted(dues, key=lambda due: due.schedule.job)
    part: list[Due[PlanT]] = []
    for _, group in groupby(dues, key=lambda due: due.schedule.job):
        part += group
        if len(part) >= PART:
            yield part
            part = []
    if part:
        yield part
