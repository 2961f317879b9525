"""The sweep: what becomes of the runs whose bot is gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy import Connection, or_, select, text, update

from pinstripe_bot.bot_lock import boot_id, is_alive
from pinstripe_bot.ledger_schema import bots, run_of, runs, to_column, to_json
from pinstripe_bot.occurrence import Reason, Run, RunState

TAKE_OVER = text("UPDATE runs SET owner = :bot WHERE id IN (SELECT value FROM json_each(:ids))")

INTERRUPT = text(
    """
    UPDATE runs SET state = 'interrupted', reason = 'bot_died', finished_at = :now
    WHERE id IN (SELECT value FROM json_each(:ids))
    """
)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What dead bots left: runs that are ours now, and runs that were cut off."""

    taken_over: list[Run]
    interrupted: list[Run]


def sweep(connection: Connection, locks: Path, *, bot: str, now: datetime) -> Sweep:
    """Give `bot` what dead bots have left queued, and record as interrupted what they had started.

    A run that its bot released is taken over as well. After a restart of the machine a queued run of a dead
    bot counts as started: starts are not written durably enough to know (see `Ledger.start`).
    """
    alive = _living_bots(connection, locks, bot)
    rows = connection.execute(
        select(runs, bots.c.boot_id)
        .join(bots, runs.c.owner == bots.c.id, isouter=True)
        .where(runs.c.state.in_((RunState.QUEUED, RunState.RUNNING)))
        .where(or_(runs.c.owner.is_(None), runs.c.owner.not_in(alive)))
        .order_by(runs.c.due_at, runs.c.id)
    ).mappings()
    taken_over: list[Run] = []
    interrupted: list[Run] = []
    for row in rows:
        is_certain = row["owner"] is None or row["boot_id"] == boot_id()
        group = taken_over if row["state"] == RunState.QUEUED and is_certain else interrupted
        group.append(run_of(row))
    connection.execute(TAKE_OVER, {"ids": to_json([run.id for run in taken_over]), "bot": bot})
    ids = to_json([run.id for run in interrupted])
    connection.execute(INTERRUPT, {"ids": ids, "now": to_column(now)})
    ended = {"state": RunState.INTERRUPTED, "reason": Reason.BOT_DIED, "finished_at": now}
    return Sweep(taken_over, [replace(run, **ended) for run in interrupted])


def _living_bots(connection: Connection, locks: Path, me: str) -> list[str]:
    """The bots whose lock is held; the others are signed out."""
    unsigned = connection.scalars(select(bots.c.id).where(bots.c.stopped_at.is_(None))).all()
    alive = [bot for bot in unsigned if bot == me or is_alive(locks, bot)]
    dead = [bot for bot in unsigned if bot not in alive]
    connection.execute(update(bots).where(bots.c.id.in_(dead)).values(stopped_at=bots.c.heartbeat_at))
    return alive
