"""The ledger's migrations: what turns the tables of one version into those of the next. Forward only."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, insert, select, update

from pinstripe_bot.ledger_schema import CARRIED, ENDED_BADLY, LISTING, OPEN, PASSED, VERSION, WAITING, ledger, metadata
from pinstripe_bot.ledger_sql import Statement, both, listed, rows_of

# Looked up in the catalog, five times for each ledger that is opened: SQLAlchemy's inspection takes ten times as long.
COLUMNS = both(
    "SELECT {names} FROM {columns}",
    names=listed("name"),
    columns=Statement(
        "pragma_table_info('ledger')",
        """(
            SELECT attname AS name FROM pg_attribute
            WHERE attrelid = to_regclass(current_schema() || '.ledger') AND attnum > 0 AND NOT attisdropped
        ) AS columns""",
    ),
)
"""What the columns of a table `ledger` are named; none where there is no such table."""

_TO_2 = (
    "ALTER TABLE bots ADD COLUMN lease_until BIGINT NOT NULL DEFAULT '0'",
    "ALTER TABLE bots ADD COLUMN lock VARCHAR NOT NULL DEFAULT ''",
    "ALTER TABLE schedules ADD COLUMN announced_by VARCHAR NOT NULL DEFAULT ''",
    "DROP INDEX runs_open",
    "ALTER TABLE runs DROP COLUMN lease_until",
    "ALTER TABLE runs ADD COLUMN in_turn INTEGER NOT NULL DEFAULT '0'",
    "ALTER TABLE runs ADD COLUMN lingers INTEGER NOT NULL DEFAULT '0'",
    f"CREATE INDEX runs_open ON runs (job, params_key, tenant, id) WHERE {OPEN}",
    f"CREATE INDEX runs_ended_badly ON runs (finished_at) WHERE {ENDED_BADLY}",
)


def _to_2(connection: Connection) -> None:
    """Leases belong to bots; retries, pauses, skips, the audit and the days get their tables."""
    for statement in _TO_2:
        connection.exec_driver_sql(statement)
    new = ("attempts", "pauses", "skips", "audit", "days")
    metadata.create_all(connection, tables=[metadata.tables[name] for name in new])


def _to_3(connection: Connection) -> None:
    """Listings of tenants, and where tenants live; the runs that wait for a bot are found by an index of their own."""
    connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN tenant_name VARCHAR NOT NULL DEFAULT ''")
    connection.exec_driver_sql(f"CREATE INDEX occurrences_listing ON occurrences (id) WHERE {LISTING}")
    waiting = "state = 'queued' AND owner IS NULL"  # as it was: the next versions have another column
    connection.exec_driver_sql(f"CREATE INDEX runs_waiting ON runs (job, available_at, id) WHERE {waiting}")
    metadata.create_all(connection, tables=[metadata.tables[name] for name in ("listings", "residences")])


def _to_4(connection: Connection) -> None:
    """In the zones of tenants skips are counted zone by zone: the zone becomes a part of their key."""
    skips = metadata.tables["skips"]
    kept = [column for column in skips.c if column.name != "key"]
    rows = [dict(row) for row in connection.execute(select(*kept)).mappings()]
    skips.drop(connection)
    skips.create(connection)
    if rows:
        connection.execute(insert(skips), rows)


def _to_5(connection: Connection) -> None:
    """What did not run is found job by job: between the runs of a job stand its skipped and missed instants."""
    connection.exec_driver_sql(f"CREATE INDEX occurrences_passed ON occurrences (job, id) WHERE {PASSED}")


def _to_6(connection: Connection) -> None:
    """In a cluster a run is carried to a worker: then it waits for no bot."""
    connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN carrier BIGINT")
    connection.exec_driver_sql("DROP INDEX runs_waiting")
    connection.exec_driver_sql(f"CREATE INDEX runs_waiting ON runs (job, available_at, id) WHERE {WAITING}")
    connection.exec_driver_sql(f"CREATE INDEX runs_carried ON runs (job) WHERE {CARRIED}")


MIGRATIONS: dict[int, Callable[[Connection], None]] = {2: _to_2, 3: _to_3, 4: _to_4, 5: _to_5, 6: _to_6}
"""{version: what makes it from the one before}; the first version that PostgreSQL ledgers had is 2."""


def version_of(connection: Connection) -> int | None:
    """The version of the tables in this database, or None where there is no ledger."""
    if set(rows_of(connection, COLUMNS)) != {"name", "value"}:
        return None
    stored = connection.scalar(select(ledger.c.value).where(ledger.c.name == "version"))
    return int(stored) if stored is not None and str(stored).isdecimal() else None


def create_or_migrate(connection: Connection, project: str, created_at: str) -> int | None:
    """Bring the tables to this version, in the caller's transaction; the version that was found, None for none."""
    found = version_of(connection)
    if found is None:
        metadata.create_all(connection, checkfirst=False)  # a table that is there would have been refused
        facts = {"version": str(VERSION), "project": project, "created_at": created_at}
        connection.execute(insert(ledger), [{"name": name, "value": value} for name, value in facts.items()])
    elif found < VERSION:
        for version in range(found + 1, VERSION + 1):
            MIGRATIONS[version](connection)
        connection.execute(update(ledger).where(ledger.c.name == "version").values(value=str(VERSION)))
    return found
