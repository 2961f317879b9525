"""The end of a pause: whatever came due in it is recorded as paused, and the schedules start from now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from pinstripe_bot.ledger_claim import Candidate, decided_ahead, record
from pinstripe_bot.ledger_schema import SECOND, schedules
from pinstripe_bot.ledger_skips import Pause, extend_stretch
from pinstripe_bot.occurrence import Decision, Due, Reason
from pinstripe_bot.policies import Verdict, stretches
from pinstripe_bot.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Planned:
    """A schedule of the project as the ledger knows it: its row, and the UTC second up to which it is decided."""

    schedule: Schedule
    row: int
    mark_ts: int


def read_planned(connection: Connection, declared: Sequence[Schedule]) -> list[Planned]:
    """Those of the declared schedules whose stored form is the declared one, in their order."""
    rows = connection.execute(select(schedules).where(schedules.c.removed_at.is_(None), schedules.c.key == ""))
    stored = {(row.job, row.schedule): row for row in rows}
    found = [(schedule, stored.get((schedule.job, schedule.name))) for schedule in declared]
    return [
        Planned(schedule, row.id, row.planned_to // SECOND)
        for schedule, row in found
        if row is not None and row.fingerprint == schedule.fingerprint
    ]


def pass_paused(connection: Connection, planned: Sequence[Planned], pause: Pause, *, by: str, now_ts: int) -> int:
    """Record every undecided instant up to now as paused, and let the schedules start from now; how many there were.

    No policy is asked: it would run the newest of them.
    """
    late = [one for one in planned if one.mark_ts < now_ts]
    windows = [Due(one.schedule, one.mark_ts, now_ts) for one in late]
    ahead = decided_ahead(connection, windows)
    candidates, count = [], 0
    for order, due in enumerate(windows):
        decided_ts = ahead.get(due.schedule, ())
        found = stretches(due.schedule, due.after_ts, now_ts, decided_ts, Reason.PAUSED, decision=Decision.SKIPPED)
        count += sum(stretch.count for stretch in found)
        fresh = [one for one in found if not _extends(connection, due.schedule, pause, one)]
        candidates += [Candidate(due.schedule, stretch, order) for stretch in fresh]
    record(connection, candidates, bot=by, now_at=now_ts * SECOND)
    marks = {"planned_to": now_ts * SECOND, "effective_from": now_ts * SECOND}
    connection.execute(update(schedules).where(schedules.c.id.in_([one.row for one in late])).values(marks))
    return count


def _extends(connection: Connection, schedule: Schedule, pause: Pause, stretch: Verdict) -> bool:
    """Whether the stretch goes on where the last row of this pause ends, and is written there."""
    last_ts = stretch.due_ts if stretch.until_ts is None else stretch.until_ts
    return extend_stretch(
        connection, schedule.job, schedule.name, until_ts=last_ts, count=stretch.count, since=pause.paused_at
    )
