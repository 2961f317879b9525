"""Turns in the ledger: which tenants an occurrence in one zone is for. Steps of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection

from pinstripe_bot import ledger_residences
from pinstripe_bot.ledger_listings import Listing
from pinstripe_bot.ledger_rows import SECOND
from pinstripe_bot.ledger_sql import both, listed, rows_of
from pinstripe_bot.ledger_tenants import with_runs
from pinstripe_bot.residence import Turn

NEIGHBOURS = both(
    """
    SELECT {rows} FROM occurrences
    WHERE job = :job AND schedule = :schedule AND key <> :key AND key NOT IN ('', 'backfill') AND decision = 'run'
      AND due_at BETWEEN :first_at AND :last_at
    """,
    rows=listed("id", "key", "due_at"),
)

Turned = tuple[str, int]
"""A zone, and the UTC second at which a schedule came due there."""


def at_home(connection: Connection, listing: Listing, turn: Turn, homes: Mapping[str, str], now: datetime) -> set[str]:
    """Those of these tenants, {tenant: the zone where it lives}, that an occurrence is for; it notes who has moved.

    Where that is decided in the transaction that writes the runs, no tenant is given one wall time twice.
    """
    residences = ledger_residences.note(connection, homes, now)
    movers = [tenant for tenant, residence in residences.items() if residence.formers]
    had = given(connection, listing, turn, movers) if movers else {}
    return {tenant for tenant, residence in residences.items() if turn.is_for(residence, had.get(tenant, ()))}


def given(connection: Connection, listing: Listing, turn: Turn, tenants: Collection[str]) -> dict[str, list[Turned]]:
    """{tenant: the occurrences in other zones, of the same wall time, in which it has a run}."""
    twins = _twins(connection, listing, turn)
    found: dict[str, list[Turned]] = {}
    for occurrence, tenant in with_runs(connection, twins, tenants):
        found.setdefault(tenant, []).append(twins[occurrence])
    return found


def _twins(connection: Connection, listing: Listing, turn: Turn) -> dict[int, Turned]:
    """{id: (zone, instant)} of the occurrences in other zones that stand for the same wall time."""
    first_ts, last_ts = turn.near_ts
    values = {"job": listing.job, "schedule": listing.schedule, "key": listing.key}
    rows = rows_of(connection, NEIGHBOURS, first_at=first_ts * SECOND, last_at=last_ts * SECOND, **values)
    neighbours = {row_id: (key, due_at // SECOND) for row_id, key, due_at in rows}
    twins = set(turn.twins(neighbours.values()))
    return {row_id: each for row_id, each in neighbours.items() if each in twins}
