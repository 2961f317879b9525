"""The end of a pause: whatever came due in it is recorded as paused, and the schedules start from now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, update

from pinstripe_bot.ledger_claim import Candidate, decided_ahead, record
from pinstripe_bot.ledger_marks import identity, in_stored_zones, read_stored
from pinstripe_bot.ledger_rows import SECOND
from pinstripe_bot.ledger_schema import schedules
from pinstripe_bot.ledger_skips import Pause, goes_on, in_pause
from pinstripe_bot.occurrence import Due, Reason
from pinstripe_bot.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Planned:
    """A schedule of the project as the ledger knows it: its row, and the UTC second up to which it is decided."""

    schedule: Schedule
    row: int
    mark_ts: int


def read_planned(connection: Connection, declared: Sequence[Schedule]) -> list[Planned]:
    """Those of the declared schedules whose stored form is the declared one, in their order."""
    stored = {known: row for known, row in read_stored(connection).items() if not row.removed_at}
    found = [(schedule, stored.get(identity(schedule))) for schedule in in_stored_zones(declared, stored)]
    return [
        Planned(schedule, row.id, row.planned_to // SECOND)
        for schedule, row in found
        if row is not None and row.fingerprint == schedule.fingerprint
    ]


def pass_paused(connection: Connection, planned: Sequence[Planned], pause: Pause, *, by: str, now_ts: int) -> int:
    """Record every undecided instant up to now, and let the schedules start from now; how many were paused.

    Those from before the pause are missed: no policy is asked, which would run the newest of them.
    """
    late = [one for one in planned if one.mark_ts < now_ts]
    windows = [Due(one.schedule, one.mark_ts, now_ts) for one in late]
    ahead = decided_ahead(connection, windows)
    candidates, count = [], 0
    for order, due in enumerate(windows):
        decided_ts = ahead.get(due.schedule, ())
        window = (due.after_ts, now_ts)
        earlier, found = in_pause(due.schedule, pause, window, decided_ts, Reason.BOT_DOWN)
        count += sum(stretch.count for stretch in found)
        fresh = [one for one in found if not goes_on(connection, due.schedule, pause, one)]
        candidates += [Candidate(due.schedule, stretch, order) for stretch in earlier + fresh]
    record(connection, candidates, bot=by, now_at=now_ts * SECOND)
    marks = {"planned_to": now_ts * SECOND, "effective_from": now_ts * SECOND}
    connection.execute(update(schedules).where(schedules.c.id.in_([one.row for one in late])).values(marks))
    return count
