"""Residences in the ledger: in which zone each tenant was last seen to live. Steps of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection

from pinstripe_bot.ledger_sql import both, execute, given, listed, rows_of, to_json, values_of
from pinstripe_bot.residence import Residence, residence_of, zones_in_use

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

ZONES = both(
    "SELECT {rows} FROM (SELECT DISTINCT zone, formers FROM residences) AS lived", rows=listed("zone", "formers")
)


def read(connection: Connection, tenants: Collection[str]) -> dict[str, Residence]:
    """{tenant: where it lives and has lived lately} of those that have been seen before."""
    rows = rows_of(connection, READ, tenants=to_json(list(tenants)))
    return {tenant: residence_of(zone, formers) for tenant, zone, formers in rows}


def moved(known: Mapping[str, Residence], homes: Mapping[str, str], now: datetime) -> dict[str, Residence]:
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


def write(connection: Connection, residences: Mapping[str, Residence]) -> None:
    """Keep these residences."""
    rows = [(tenant, one.zone, one.formers_json) for tenant, one in sorted(residences.items())]
    execute(connection, WRITE, rows=to_json(rows))


def zones(connection: Connection, now: datetime) -> set[str]:
    """The zones in which a tenant lives, or has lived lately."""
    lived = [residence_of(zone, formers) for zone, formers in rows_of(connection, ZONES)]
    return zones_in_use(lived, int(now.timestamp()))
