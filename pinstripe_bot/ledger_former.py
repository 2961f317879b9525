"""Former forms: what came due by a schedule's form before it was edited or removed, and nobody decided, is missed."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from pinstripe_bot.errors import PinstripeError
from pinstripe_bot.ledger_claim import Candidate, decided_ahead, record
from pinstripe_bot.ledger_marks import Stored, identity, read_stored
from pinstripe_bot.ledger_rows import SECOND
from pinstripe_bot.occurrence import Due, Occurrence, Reason
from pinstripe_bot.policies import stretches
from pinstripe_bot.schedule import Schedule, former_schedule


class Former(NamedTuple):
    """A schedule in the form that the ledger has of it, the UTC second up to which it is decided, why it is no more."""

    schedule: Schedule
    after_ts: int
    reason: Reason


def former_of(stored: Stored, planned: Sequence[Schedule], *, keep: Collection[str] = ()) -> list[Former]:
    """Of the stored schedules those whose form is not the planned one, and those that are planned no more.

    Left out are those that are removed already, and those of the jobs to `keep`, whose files are broken.
    """
    forms = {identity(schedule): schedule.fingerprint for schedule in planned}
    former = []
    for (job, name, key), row in stored.items():
        ours = forms.get((job, name, key))
        if row.removed_at or ours == row.fingerprint or (ours is None and job in keep):
            continue
        with contextlib.suppress(PinstripeError):  # of a form that this version cannot read nothing can be said
            reason = Reason.REMOVED if ours is None else Reason.EDITED
            former.append(Former(former_schedule(job, name, key, row.fingerprint), row.planned_to // SECOND, reason))
    return former


def pass_former(connection: Connection, former: Sequence[Former], *, bot: str, now_ts: int) -> list[Occurrence]:
    """Record what came due by these forms, up to now, as missed; in stretches."""
    late = [one for one in former if one.after_ts < now_ts]
    if not late:
        return []
    ahead = decided_ahead(connection, [Due(schedule, after_ts, now_ts) for schedule, after_ts, _ in late])
    candidates = [
        Candidate(schedule, stretch, order)
        for order, (schedule, after_ts, reason) in enumerate(late)
        for stretch in stretches(schedule, after_ts, now_ts, ahead.get(schedule, ()), reason)
    ]
    _, passed, _ = record(connection, candidates, bot=bot, now_at=now_ts * SECOND)
    return passed


def pass_given_up(connection: Connection, orphaned: Sequence[Schedule], *, bot: str, now_ts: int) -> list[Occurrence]:
    """As `pass_former`, by the forms that the ledger has of these schedules, and that no living bot plans."""
    stored = read_stored(connection)
    theirs = {identity(one): stored[identity(one)] for one in orphaned}
    return pass_former(connection, former_of(theirs, orphaned), bot=bot, now_ts=now_ts)
