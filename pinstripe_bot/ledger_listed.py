"""The listings of tenants, for whoever only looks: how far each is, and what keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select, text

from pinstripe_bot.ledger_history import first_since
from pinstripe_bot.ledger_rows import from_column, tenants_zone
from pinstripe_bot.ledger_schema import LISTING, listings, occurrences, runs
from pinstripe_bot.occurrence import Decision
from pinstripe_bot.records import BotRecord, ListingRecord

MOST_LISTED = 100
"""How many listings are read; with overlap="allow" there may be many."""


def read_listing(connection: Connection, occurrence: int, bots: Mapping[str, BotRecord]) -> ListingRecord | None:
    """The listing of an occurrence; None where no tenants were to be listed."""
    row = connection.execute(_listings().where(occurrences.c.id == occurrence)).mappings().first()
    return None if row is None else _record_of(row, bots)


def open_listings(connection: Connection, bots: Mapping[str, BotRecord]) -> list[ListingRecord]:
    """Those that go on, or wait, oldest first."""
    found = _listings().where(text(LISTING)).order_by(occurrences.c.id).limit(MOST_LISTED)
    return [_record_of(row, bots) for row in connection.execute(found).mappings()]


def broken_off_listings(connection: Connection, bots: Mapping[str, BotRecord], since: datetime) -> list[ListingRecord]:
    """Those that were given up when some of the tenants had their run, the newest first; without a run it is missed."""
    is_broken_off = (occurrences.c.listing == "failed") & (occurrences.c.decision == Decision.RUN)
    newest = _listings().where(occurrences.c.id >= first_since(connection, occurrences, since), is_broken_off)
    found = newest.order_by(occurrences.c.id.desc()).limit(MOST_LISTED)
    return [_record_of(row, bots) for row in connection.execute(found).mappings()]


def _listings() -> Select[Any]:
    given = select(func.count()).where(runs.c.occurrence_id == occurrences.c.id).scalar_subquery()
    facts = (occurrences.c.job, occurrences.c.schedule, occurrences.c.key, occurrences.c.due_at, occurrences.c.listing)
    return select(*facts, listings, given.label("runs")).join_from(
        listings, occurrences, occurrences.c.id == listings.c.occurrence_id
    )


def _record_of(row: Mapping[Any, Any], bots: Mapping[str, BotRecord]) -> ListingRecord:
    due_at, available_at = from_column(row["due_at"]), from_column(row["available_at"])
    assert due_at is not None
    assert available_at is not None
    return ListingRecord(
        job=row["job"],
        schedule=row["schedule"],
        due_at=due_at,
        zone=tenants_zone(row["schedule"], row["key"]),
        state=row["listing"],
        attempt=row["attempt"],
        available_at=available_at,
        finished_at=from_column(row["finished_at"]),
        error=row["error"] or "",
        bot=bots.get(row["owner"]),
        runs=row["runs"],
    )
