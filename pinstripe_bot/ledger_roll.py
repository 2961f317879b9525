"""The roll of bots: who has signed in to a ledger, as a reader who is no bot sees it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, select

from pinstripe_bot.ledger_bots import UNSIGNED, is_alive
from pinstripe_bot.ledger_rows import from_column, to_column
from pinstripe_bot.ledger_schema import bots
from pinstripe_bot.ledger_sql import rows_of
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.records import BotRecord

_KNOWN_STATS = msgspec.json.Decoder(dict[str, Any])


def read_bots(connection: Connection, store: LedgerStore, now: datetime) -> dict[str, BotRecord]:
    """{id: bot} of all that ever signed in, oldest first."""
    locks = None if store.path is None else store.path.parent / "bots"
    unsigned = rows_of(connection, UNSIGNED, now=to_column(now))
    alive = {bot for bot, *facts in unsigned if is_alive(bot, *facts, locks=locks)}
    rows = connection.execute(select(bots).order_by(bots.c.started_at, bots.c.id)).mappings()
    return {row["id"]: _bot_of(row, is_alive=row["id"] in alive) for row in rows}


def _bot_of(row: RowMapping, *, is_alive: bool) -> BotRecord:
    started_at, heartbeat_at = from_column(row["started_at"]), from_column(row["heartbeat_at"])
    assert started_at is not None
    assert heartbeat_at is not None
    return BotRecord(
        id=row["id"],
        kind=row["kind"],
        host=row["host"],
        pid=row["pid"],
        version=row["version"],
        started_at=started_at,
        heartbeat_at=heartbeat_at,
        stopped_at=from_column(row["stopped_at"]),
        stats=_KNOWN_STATS.decode(row["stats"]) if row["stats"] else {},
        is_alive=is_alive,
    )
