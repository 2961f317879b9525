"""What a person is told of a skip: which due instants it will take. Steps of a transaction."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection

from pinstripe_bot.ledger_resume import Planned
from pinstripe_bot.ledger_rows import from_ts
from pinstripe_bot.ledger_skips import EVERY_JOB, Pause, Skips, Wish, read_pauses
from pinstripe_bot.occurrence import Decision
from pinstripe_bot.schedule import Schedule

Instants = list[tuple[datetime, Schedule]]
"""Due instants, oldest first, each with its schedule; in tenants' zones that in its zone."""

MOST_TRIED = 200_000
"""Instants that are looked at: a skip of a yearly schedule beside one of every second is not foreseen."""


def foresee(
    connection: Connection,
    declared: Sequence[Schedule],
    planned: Sequence[Planned],
    remaining: Mapping[Wish, int],
    now: datetime,
) -> Instants:
    """The instants of one job that will be skipped, as far as can be known now; `remaining` as `Skips` has it.

    What a bot still has to catch up with comes first; a pause takes no skip, and one without an end leaves none.
    """
    if not declared:
        return []
    pause = _longest_pause(connection, declared[0].job)
    if pause is not None and pause.until_at is None:
        return []
    now_ts = int(now.timestamp())
    paused_ts = now_ts if pause is None or pause.last_ts is None else pause.last_ts
    marks = {one.schedule: one.mark_ts if pause is None else max(one.mark_ts, paused_ts) for one in planned}
    start_ts = max(now_ts, paused_ts)
    coming = heapq.merge(
        *(_coming(schedule, order, marks.get(schedule, start_ts), start_ts) for order, schedule in enumerate(declared))
    )
    skips = Skips(remaining)
    taken: Instants = []
    for instant_ts, order in islice(coming, MOST_TRIED):
        if skips.are_used_up and (not taken or taken[-1][0] != from_ts(instant_ts)):
            break
        if skips.take(declared[order], instant_ts):
            taken.append((from_ts(instant_ts), declared[order]))
    return taken


def _longest_pause(connection: Connection, job: str) -> Pause | None:
    pauses = read_pauses(connection)
    found = [pauses[name] for name in (job, EVERY_JOB) if name in pauses]
    return max(found, key=lambda pause: (pause.until_at is None, pause.until_at or pause.paused_at), default=None)


def _coming(schedule: Schedule, order: int, mark_ts: int, start_ts: int) -> Iterator[tuple[int, int]]:
    """(instant, order) of what its policy would run now, and of what comes after."""
    if mark_ts < start_ts:
        for verdict in schedule.policy.decide(schedule, mark_ts, start_ts, start_ts):
            if verdict.decision is Decision.RUN:
                yield verdict.due_ts, order
    instant_ts = max(mark_ts, start_ts)
    while True:
        instant_ts = schedule.next_after_ts(instant_ts)
        yield instant_ts, order
