"""The ledger's tables, the same on every database, and how their rows become values. Drawn in docs/ledger.md."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from pinstripe_bot.occurrence import Reason, Run, RunError, RunState

VERSION = 1
"""The schema's version; a ledger with a newer one is refused."""

metadata = MetaData()

Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an INTEGER key
Instant = BigInteger  # microseconds since 1970, UTC: exact, sorts right, and needs no conversion on either database

ledger = Table(
    "ledger",
    metadata,
    Column("name", String, primary_key=True),  # "version", "project", "created_at"
    Column("value", String, nullable=False),
)

bots = Table(
    "bots",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),  # "bot", or "command" for a run by hand from the command line
    Column("host", String, nullable=False),
    Column("boot_id", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("heartbeat_at", Instant, nullable=False),
    Column("stopped_at", Instant),
    Column("stats", Text),
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job", String, nullable=False),
    Column("schedule", String, nullable=False),
    Column("key", String, nullable=False, server_default=""),
    Column("fingerprint", String, nullable=False),
    Column("effective_from", Instant, nullable=False),
    Column("planned_to", Instant, nullable=False),  # every instant up to here is decided
    Column("removed_at", Instant),
    UniqueConstraint("job", "schedule", "key"),
    sqlite_autoincrement=True,
)

occurrences = Table(
    "occurrences",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job", String, nullable=False),
    Column("schedule", String, nullable=False),
    Column("key", String, nullable=False, server_default=""),
    Column("due_at", Instant, nullable=False),
    Column("decision", String, nullable=False),
    Column("reason", String),
    Column("until_at", Instant),
    Column("count", Integer, nullable=False, server_default="1"),
    Column("listing", String),
    Column("claimed_at", Instant, nullable=False),
    Column("bot", String, nullable=False),
    UniqueConstraint("job", "schedule", "key", "due_at"),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("occurrence_id", Id, ForeignKey("occurrences.id"), nullable=False),
    Column("tenant", String, nullable=False, server_default=""),
    Column("job", String, nullable=False),
    Column("schedule", String, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("params", Text, nullable=False),
    Column("params_key", String, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("queue", String, nullable=False, server_default="default"),
    Column("available_at", Instant, nullable=False),
    Column("lease_until", Instant),
    Column("owner", String),  # the bot that has it; NULL once released
    Column("claimed_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("error", Text),
    Column("result", Text),
    Column("output", Text),
    Column("progress_done", BigInteger),
    Column("progress_total", BigInteger),
    Column("cancel_requested_at", Instant),
    Column("cancelled_by", String),
    UniqueConstraint("occurrence_id", "tenant"),
    sqlite_autoincrement=True,
)

is_open = runs.c.state.in_(["queued", "running"])
Index("runs_open", runs.c.job, sqlite_where=is_open, postgresql_where=is_open)
Index("runs_by_job", runs.c.job, runs.c.id)

SECOND = 1_000_000
"""A second, as an instant's column counts it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_column(instant: datetime) -> int:
    """An aware instant as its column holds it."""
    return (instant - _EPOCH) // _MICROSECOND


def from_column(microseconds: int | None) -> datetime | None:
    """The aware UTC instant of a column."""
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)


def from_ts(instant_ts: int) -> datetime:
    """The aware UTC instant of a whole second."""
    return _EPOCH + timedelta(seconds=instant_ts)


def to_json(value: Any) -> str:
    """A value as a JSON column or a list of rows for `json_each` holds it."""
    return msgspec.json.encode(value).decode()


def rows_of(connection: Connection, query: str, parameters: tuple[object, ...]) -> list[Any]:
    """The rows of a query that gives them as one JSON array.

    SQLite lets other threads run at each step of a query, and coming back costs more than a row: so one step.
    """
    found = connection.exec_driver_sql(query, parameters).scalar_one()
    rows: list[Any] = msgspec.json.decode(found)
    return rows


def run_of(row: RowMapping) -> Run:
    """A run from its row; its parameters and result are plain JSON values."""
    return Run(
        id=row["id"],
        job=row["job"],
        schedule=row["schedule"],
        due_at=_EPOCH + timedelta(microseconds=row["due_at"]),
        state=RunState(row["state"]),
        claimed_at=_EPOCH + timedelta(microseconds=row["claimed_at"]),
        params=msgspec.json.decode(row["params"]),
        tenant=row["tenant"],
        attempt=row["attempt"],
        reason=Reason(row["reason"]) if row["reason"] else None,
        started_at=from_column(row["started_at"]),
        finished_at=from_column(row["finished_at"]),
        error=msgspec.json.decode(row["error"], type=RunError) if row["error"] else None,
        result=msgspec.json.decode(row["result"]) if row["result"] else None,
        output=row["output"] or "",
    )


def values_of_outcome(run: Run) -> dict[str, Any]:
    """What `finish` writes of an ended run, by column."""
    assert run.finished_at is not None
    return {
        "id": run.id,
        "attempt": run.attempt,
        "state": run.state,
        "reason": run.reason,
        "finished_at": to_column(run.finished_at),
        "error": None if run.error is None else to_json(run.error),
        "result": None if run.result is None else to_json(run.result),
        "output": run.output or None,
    }
