"""The bots that share a ledger: who has signed in, who still lives. Steps of a transaction."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select, update

from pinstripe_bot import __version__
from pinstripe_bot.bot_lock import BotLock, boot_id, is_held
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_schema import bots, runs
from pinstripe_bot.ledger_sql import (
    DATABASE_NOW,
    Statement,
    both,
    database_now,
    execute,
    given,
    listed,
    rows_of,
    to_json,
)

LEASE = timedelta(seconds=30)

BEAT = both(
    """
    UPDATE bots SET heartbeat_at = {now}, lease_until = {now} + :lease, stats = :stats, stopped_at = NULL
    WHERE id = :bot
    """,
    now=DATABASE_NOW,
)

REVIVE = both("UPDATE bots SET lease_until = {now} + :lease, stopped_at = NULL WHERE id = :bot", now=DATABASE_NOW)

# Whoever gets runs, or says that it lives, holds its row until its commit: nobody signs it out meanwhile.
IS_STOPPED = both(
    "SELECT CASE WHEN stopped_at IS NULL THEN 0 ELSE 1 END FROM bots WHERE id = :bot {held}",
    held=Statement("", "FOR UPDATE"),
)

UNSIGNED = both(
    """
    SELECT {rows} FROM (
        SELECT id, host, boot_id, lock, CASE WHEN lease_until < {now} THEN 1 ELSE 0 END AS has_expired
        FROM bots WHERE stopped_at IS NULL
    ) AS unsigned
    """,
    rows=listed("id", "host", "boot_id", "lock", "has_expired"),
    now=DATABASE_NOW,
)

NEWEST = """(
    SELECT id FROM bots WHERE stopped_at IS NULL AND kind <> 'command' ORDER BY started_at DESC, id LIMIT 1
)"""
"""Which bot or worker was started last of those that have not signed out: the project of today is its."""

IS_NEWEST = both(f"SELECT CASE WHEN :bot = {NEWEST} THEN 1 ELSE 0 END")

LEASES = both("SELECT {rows} FROM bots WHERE stopped_at IS NULL", rows=listed("id", "lease_until"))

# Not one that has said since that it lives, nor one that is just saying it or getting runs.
BURY = both(
    """
    UPDATE bots SET stopped_at = heartbeat_at WHERE id IN (
        SELECT bots.id FROM {seen} AS seen JOIN bots ON bots.id = seen.id AND bots.lease_until = seen.lease_until
        WHERE bots.stopped_at IS NULL ORDER BY bots.id {held}
    ) RETURNING id
    """,
    seen=given("seen", id="text", lease_until="bigint"),
    held=Statement("", "FOR UPDATE OF bots SKIP LOCKED"),
)

# After its last heartbeat, whatever the clock says: at it stopped whoever was found dead, as in BURY.
SIGN_OUT = both(
    "UPDATE bots SET stopped_at = CASE WHEN {now} > heartbeat_at THEN {now} ELSE heartbeat_at + 1 END WHERE id = :bot",
    now=DATABASE_NOW,
)


@dataclass(frozen=True, slots=True)
class Witness:
    """Who tells the dead bots from the living: `me`, by lock files and by leases.

    `locks` is the folder of my lock file, and of all where the ledger is one machine's.
    """

    me: str
    locks: Path
    is_one_machine: bool

    def living(self, connection: Connection, now: datetime) -> dict[str, bool]:
        """{bot: whether it lives} of all that have not signed out.

        After a machine was asleep all leases have run out, also mine: then everybody counts as alive, and who does
        not wake is found at the next look.
        """
        rows = rows_of(connection, UNSIGNED, now=to_column(now))
        locks = self.locks if self.is_one_machine else None
        is_awake = any(bot == self.me and not has_expired for bot, *_, has_expired in rows)
        lives = {bot: bot == self.me or is_alive(bot, *facts, locks=locks, is_awake=is_awake) for bot, *facts in rows}
        return lives | {self.me: True}  # also where another one has signed me out: my next heartbeat signs me in


def is_alive(
    bot: str, host: str, boot: str, lock: str, has_expired: int, *, locks: Path | None, is_awake: bool = True
) -> bool:
    """Whether a bot lives, as it is seen from here.

    On one machine the lock file tells, and `locks` is the folder of all; one without a file is dead. Elsewhere one
    that has let go of its lock is dead at once, where that can be seen, and else one whose lease has run out, though
    its process may exist: it stands still, and others have to do its work. That counts only where I am awake myself.
    """
    if locks is not None:
        return bool(is_held(locks / f"{bot}.lock"))
    is_here = host == platform.node() and boot == boot_id()
    has_let_go = is_here and is_held(Path(lock)) is False
    return not has_let_go and not (has_expired and is_awake)


def others(connection: Connection, witness: Witness, now: datetime) -> dict[str, int]:
    """{every other living bot: when it signed in} of those that plan schedules."""
    ids = [bot for bot, lives in witness.living(connection, now).items() if lives and bot != witness.me]
    chosen = select(bots.c.id, bots.c.started_at).where(bots.c.id.in_(ids), bots.c.kind == "bot")
    return {row.id: row.started_at for row in connection.execute(chosen)}


def is_newest(connection: Connection, bot: str) -> bool:
    """Whether no bot or worker that has not signed out was started after this one."""
    return bool(execute(connection, IS_NEWEST, bot=bot).scalar())


def sign_in(connection: Connection, lock: BotLock, now: datetime, kind: str, lease: timedelta) -> None:
    """Write the row of a bot that begins."""
    now_at = database_now(connection, to_column(now))  # so that those of all bots compare, whatever their clocks say
    row = {
        "id": lock.bot,
        "kind": kind,
        "host": platform.node(),
        "boot_id": boot_id(),
        "pid": os.getpid(),
        "version": __version__,
        "started_at": now_at,
        "heartbeat_at": now_at,
        "lock": str(lock.path),
    }
    connection.execute(insert(bots), row)
    beat(connection, lock.bot, now, lease, {})


def beat(connection: Connection, bot: str, now: datetime, lease: timedelta, stats: Mapping[str, Any]) -> bool:
    """Renew the lease of a bot and of all its runs; false if it was taken for dead meanwhile."""
    was_alive = not execute(connection, IS_STOPPED, bot=bot).scalar()
    now_at, lease_us = to_column(now), lease // timedelta(microseconds=1)
    execute(connection, BEAT, bot=bot, now=now_at, lease=lease_us, stats=to_json(stats))
    return was_alive


def revive(connection: Connection, bot: str, now: datetime, lease: timedelta) -> bool:
    """Sign a bot in again before it gets runs, where another one took it for dead; whether it was."""
    was_stopped = bool(execute(connection, IS_STOPPED, bot=bot).scalar())
    if was_stopped:
        execute(connection, REVIVE, bot=bot, now=to_column(now), lease=lease // timedelta(microseconds=1))
    return was_stopped


def bury(connection: Connection, witness: Witness, now: datetime) -> tuple[list[str], list[str]]:
    """Sign out the bots that are dead; (those that live, the dead)."""
    leases = dict(rows_of(connection, LEASES))  # before the look at who lives: a lease renewed since saves its bot
    living = witness.living(connection, now)
    seen = [(bot, leases[bot]) for bot, lives in living.items() if not lives and bot in leases]
    dead = set(execute(connection, BURY, seen=to_json(sorted(seen))).scalars()) if seen else set()
    return [bot for bot in living if bot not in dead], sorted(dead)


def sign_out(connection: Connection, bot: str, now: datetime) -> None:
    """Write that a bot has ended; threads of runs that linger end with its process."""
    execute(connection, SIGN_OUT, bot=bot, now=to_column(now))  # first, as in a beat
    connection.execute(update(runs).where(runs.c.owner == bot, runs.c.lingers == 1).values(lingers=0))
