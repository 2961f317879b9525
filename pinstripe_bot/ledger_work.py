"""The open work of a ledger: what overlap compares a new run with. Steps of a transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from pinstripe_bot.ledger_schema import BACKFILL, OPEN
from pinstripe_bot.ledger_sql import both, listed, rows_of, to_json, values_of

OPEN_RUNS = both(
    f"SELECT {{rows}} FROM runs WHERE {OPEN} AND job IN {{jobs}} AND tenant = ''",
    rows=listed("job", "params_key", "CASE WHEN state = 'queued' THEN in_turn ELSE 0 END"),
    jobs=values_of("jobs", "text"),
)

OPEN_RUNS_OF_TENANTS = both(
    f"""
    SELECT {{rows}} FROM runs JOIN occurrences ON occurrences.id = runs.occurrence_id
    LEFT JOIN listings ON listings.occurrence_id = occurrences.id
    WHERE {OPEN.replace("state", "runs.state")} AND runs.job = :job AND runs.params_key = :params_key
      AND runs.tenant IN {{tenants}} AND (:batch = 0 OR coalesce(listings.batch, 0) <> :batch)
    """,
    rows=listed(
        "runs.tenant",
        "CASE WHEN runs.state = 'queued' THEN runs.in_turn ELSE 0 END",
        f"CASE WHEN runs.schedule = :schedule AND occurrences.key NOT IN (:zone, '{BACKFILL}') THEN 1 ELSE 0 END",
    ),
    tenants=values_of("tenants", "text"),
)

Work = tuple[str, str, str]
"""What overlap compares: a job, the hash of its parameters, and the key of what is to be listed, or the tenant."""


@dataclass(slots=True)
class OpenWork:
    """The work that is queued or running, and which of it has a run that waits for its turn.

    `beside` is what the same schedule has given in another zone, before a move: that is not compared, but one runs
    after the other.
    """

    busy: set[Work]
    waiting: set[Work]
    beside: set[Work] = field(default_factory=set)


def open_work(connection: Connection, jobs: Iterable[str]) -> OpenWork:
    """What of these jobs, for no tenant, is queued or running, or has timed out and goes on."""
    rows = rows_of(connection, OPEN_RUNS, jobs=to_json(sorted(jobs)))
    return OpenWork({(job, key, "") for job, key, _ in rows}, {(job, key, "") for job, key, waits in rows if waits})


def open_work_of_tenants(
    connection: Connection,
    job: str,
    params_key: str,
    tenants: Iterable[str],
    *,
    batch: int = 0,
    place: tuple[str, str] = ("", ""),
) -> OpenWork:
    """The same for this work of these tenants, but for the runs of this catch-up or backfill.

    `place` is the schedule, and its zone, of wall times that each tenant is given once: see `beside`.
    """
    values = {"job": job, "params_key": params_key, "tenants": to_json(sorted(tenants)), "batch": batch}
    rows = rows_of(connection, OPEN_RUNS_OF_TENANTS, schedule=place[0], zone=place[1], **values)
    others = [(tenant, waits) for tenant, waits, is_beside in rows if not is_beside]
    return OpenWork(
        {(job, params_key, tenant) for tenant, _ in others},
        {(job, params_key, tenant) for tenant, waits in others if waits},
        {(job, params_key, tenant) for tenant, _, is_beside in rows if is_beside},
    )
