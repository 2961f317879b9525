"""The tenants of a job: how the last runs for each have ended, the worst first. Only reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from pinstripe_bot.ledger_sql import both, listed, rows_of, to_json, values_of
from pinstripe_bot.occurrence import BAD_ENDS

RUNS_EACH = 30
LOOKED_AT = 20_000
"""How many of the newest runs of the job are looked at."""

# Those of whom the newest run went wrong come first; then whoever ran last.
TENANTS = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT tenant, max(tenant_name) AS name, max(id) AS newest FROM (
            SELECT id, tenant, tenant_name FROM runs WHERE job = :job ORDER BY id DESC LIMIT {LOOKED_AT}
        ) AS looked WHERE tenant <> '' GROUP BY tenant
    ) AS found JOIN runs AS last ON last.id = found.newest
    """,
    rows=listed("found.tenant", "found.name", "found.newest", "last.state", "last.finished_at - last.started_at"),
)

RUNS = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT tenant, id, state, finished_at - started_at AS took,
               row_number() OVER (PARTITION BY tenant ORDER BY id DESC) AS place
        FROM (
            SELECT tenant, id, state, started_at, finished_at FROM runs
            WHERE job = :job ORDER BY id DESC LIMIT {LOOKED_AT}
        ) AS looked WHERE tenant IN {{tenants}}
    ) AS placed WHERE place <= {RUNS_EACH}
    """,
    rows=listed("tenant", "id", "state", "took"),
    tenants=values_of("tenants", "text"),
)


@dataclass(frozen=True, slots=True)
class TenantStrip:
    """One tenant of a job: the state of its newest run, and (state, how long it took) of its last, oldest first."""

    tenant: str
    name: str
    newest: int
    state: str
    took: timedelta | None
    runs: tuple[tuple[str, timedelta | None], ...]


def read_tenants(connection: Connection, job: str, *, most: int) -> list[TenantStrip]:
    """So many tenants, those first whose newest run went wrong; two queries."""
    found = rows_of(connection, TENANTS, job=job)
    shown = sorted(found, key=lambda row: (row[3] not in BAD_ENDS, -row[2]))[:most]
    wanted = to_json([row[0] for row in shown])
    runs: dict[str, list[tuple[int, str, timedelta | None]]] = {}
    for tenant, run, state, took in rows_of(connection, RUNS, job=job, tenants=wanted) if shown else ():
        runs.setdefault(tenant, []).append((run, state, _span(took)))
    return [
        TenantStrip(tenant, name, newest, state, _span(took), tuple(each[1:] for each in sorted(runs.get(tenant, []))))
        for tenant, name, newest, state, took in shown
    ]


def _span(microseconds: int | None) -> timedelta | None:
    return None if microseconds is None else timedelta(microseconds=max(microseconds, 0))
