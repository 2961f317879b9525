"""The sweep: what becomes of the runs whose bot is gone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy import Connection, select, text, update

from pinstripe_bot.bot_lock import boot_id, is_alive
from pinstripe_bot.ledger_schema import bots, run_of, runs, to_column, to_json
from pinstripe_bot.occurrence import Reason, Run, RunState

OPEN = text("runs.state IN ('queued', 'running')")  # as the index has it: with bound values it would not be used

DISOWN = text("UPDATE runs SET owner = NULL WHERE id IN (SELECT value FROM json_each(:ids))")

ADOPT = text("UPDATE runs SET owner = :bot WHERE id IN (SELECT value FROM json_each(:ids))")

INTERRUPT = text(
    """
    UPDATE runs SET state = 'interrupted', reason = 'bot_died', finished_at = :now
    WHERE id IN (SELECT value FROM json_each(:ids))
    """
)


def has_orphans(connection: Connection, locks: Path, *, bot: str, jobs: Collection[str]) -> bool:
    """Whether `bury` or `adopt` would find anything: a look that writes nothing."""
    unsigned = connection.scalars(select(bots.c.id).where(bots.c.stopped_at.is_(None)))
    if any(other != bot and not is_alive(locks, other) for other in unsigned):
        return True
    released = connection.scalars(select(runs.c.job).where(OPEN, runs.c.owner.is_(None)).distinct())
    return any(job in jobs for job in released)


def bury(connection: Connection, locks: Path, *, bot: str, now: datetime) -> list[Run]:
    """Release what dead bots have left queued; record what they had started as interrupted, and return it.

    After a restart of the machine a queued run of a dead bot counts as started: starts are not written durably
    enough to know (see `Ledger.start`).
    """
    alive = _living_bots(connection, locks, bot)
    owned = select(runs, bots.c.boot_id).join(bots, runs.c.owner == bots.c.id)
    rows = connection.execute(owned.where(OPEN, runs.c.owner.not_in(alive)).order_by(runs.c.id)).mappings().all()
    boot = boot_id()
    unstarted = {row["id"] for row in rows if row["state"] == RunState.QUEUED and row["boot_id"] == boot}
    interrupted = [run_of(row) for row in rows if row["id"] not in unstarted]
    connection.execute(DISOWN, {"ids": to_json(sorted(unstarted))})
    connection.execute(INTERRUPT, {"ids": to_json([run.id for run in interrupted]), "now": to_column(now)})
    ended = {"state": RunState.INTERRUPTED, "reason": Reason.BOT_DIED, "finished_at": now}
    return [replace(run, **ended) for run in interrupted]


def adopt(connection: Connection, *, bot: str, wants: Callable[[str], bool]) -> list[Run]:
    """Give `bot` every released run of the jobs that it wants; oldest due first."""
    rows = connection.execute(
        select(runs).where(OPEN, runs.c.owner.is_(None)).order_by(runs.c.due_at, runs.c.id)
    ).mappings()
    adopted = [run_of(row) for row in rows if wants(row["job"])]
    connection.execute(ADOPT, {"ids": to_json([run.id for run in adopted]), "bot": bot})
    return adopted


def _living_bots(connection: Connection, locks: Path, me: str) -> list[str]:
    """The bots whose lock is held; the others are signed out."""
    unsigned = connection.scalars(select(bots.c.id).where(bots.c.stopped_at.is_(None))).all()
    alive = [bot for bot in unsigned if bot == me or is_alive(locks, bot)]
    dead = [bot for bot in unsigned if bot not in alive]
    connection.execute(update(bots).where(bots.c.id.in_(dead)).values(stopped_at=bots.c.heartbeat_at))
    return alive
