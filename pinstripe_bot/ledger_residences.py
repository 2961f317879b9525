"""Residences in the ledger: in which zone each tenant was last seen to live. Steps of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection

from pinstripe_bot.ledger_sql import both, execute, given, listed, rows_of, to_json, values_of
from pinstripe_bot.residence import Residence, lately_in_use, residence_of

READ = both(
    "SELECT {rows} FROM residences WHERE tenant IN {tenants}",
    rows=listed("tenant", "zone", "formers"),
    tenants=values_of("tenants", "text"),
)

WRITE = both(
    """
    INSERT INTO residences (tenant, zone, formers) SELECT tenant, zone, formers FROM {rows} AS moved WHERE true
    ON CONFLICT (tenant) DO UPDATE SET zone = excluded.zone, formers = excluded.formers
    """,
    rows=given("rows", tenant="text", zone="text", formers="text"),
)

MOVED = both("SELECT {rows} FROM residences WHERE formers <> '[]'", rows=listed("zone", "formers"))


def note(connection: Connection, homes: Mapping[str, str], now: datetime) -> dict[str, Residence]:
    """Note in which zones these tenants live, {tenant: zone}; {tenant: where it lives and has lived lately}."""
    known = read(connection, homes)
    moved = unnoticed(known, homes, now)
    if moved:
        rows = [(tenant, one.zone, one.formers_json) for tenant, one in sorted(moved.items())]
        execute(connection, WRITE, rows=to_json(rows))
    return known | moved


def read(connection: Connection, tenants: Collection[str]) -> dict[str, Residence]:
    """{tenant: where it lives and has lived lately} of those that have been seen before."""
    rows = rows_of(connection, READ, tenants=to_json(list(tenants)))
    return {tenant: residence_of(zone, formers) for tenant, zone, formers in rows}


def unnoticed(known: Mapping[str, Residence], homes: Mapping[str, str], now: datetime) -> dict[str, Residence]:
    """The new residences of those that live in another zone than was known, or were not known."""
    now_ts = int(now.timestamp())
    found = {}
    for tenant, zone in homes.items():
        before = known.get(tenant)
        if before is None:
            found[tenant] = Residence(zone)
        elif before.zone != zone:
            found[tenant] = before.moved(zone, now_ts)
    return found


def lately(connection: Connection, now: datetime) -> dict[str, int | None]:
    """{zone: when the first came} of the zones that tenants have come to or left lately: see `lately_in_use`."""
    moved = [residence_of(zone, formers) for zone, formers in rows_of(connection, MOVED)]
    return lately_in_use(moved, int(now.timestamp()))
