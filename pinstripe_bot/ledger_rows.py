"""How the rows of the ledger's tables become values, and values rows."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import astuple
from sqlalchemy import RowMapping, literal

from pinstripe_bot.errors import InvalidSchedule
from pinstripe_bot.ledger_schema import runs
from pinstripe_bot.ledger_sql import to_json
from pinstripe_bot.occurrence import MANUAL, Reason, Run, RunError, RunState
from pinstripe_bot.zones import Zone, zone

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


RUN_COLUMNS = (
    *("id", "job", "schedule", "due_at", "state", "claimed_at", "params", "tenant", "attempt", "reason"),
    *("tenant_name", "available_at", "started_at", "finished_at", "error", "result", "output"),
)
"""What `run_of` asks a row for."""

BRIEF = [
    literal(None, column.type).label(column.name) if column.name in ("output", "result") else column
    for column in runs.c
]
"""The columns of a run without what it printed and returned, which may be long, and which no list shows."""


def run_of(row: RowMapping | Mapping[str, Any]) -> Run:
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
        tenant_name=row["tenant_name"],
        attempt=row["attempt"],
        reason=Reason(row["reason"]) if row["reason"] else None,
        started_at=from_column(row["started_at"]),
        finished_at=from_column(row["finished_at"]),
        error=error_of(row["error"]),
        result=msgspec.json.decode(row["result"]) if row["result"] else None,
        output=row["output"] or "",
        wanted_at=_wanted_at(row),
    )


def _wanted_at(row: RowMapping | Mapping[str, Any]) -> datetime | None:
    """When a tenant's run was to start, where that is later than due; a retry comes when it comes."""
    is_delayed = row["tenant"] and row["attempt"] == 1 and row["available_at"] > row["due_at"]
    return from_column(row["available_at"]) if is_delayed else None


def tenants_zone(schedule: str, key: str) -> Zone | None:
    """The zone of tenants in which an occurrence came due, from its key; None for any other one."""
    if not key or schedule == MANUAL:
        return None
    with contextlib.suppress(InvalidSchedule):  # another kind of key, or a zone that only another machine knows
        return zone(key)
    return None


def error_of(column: str | None) -> RunError | None:
    """What a job raised, from its column."""
    return msgspec.json.decode(column, type=RunError) if column else None


def outcome_row(run: Run) -> tuple[Any, ...]:
    """What `finish` writes of an ended run, in the order of `ledger_runs.OUTCOMES`."""
    assert run.finished_at is not None
    return (
        run.id,
        run.attempt,
        run.state,
        run.reason,
        to_column(run.finished_at),
        None if run.error is None else to_json(_writable(run.error)),
        None if run.result is None else to_json(run.result),
        run.output or None,
    )


def _writable(error: RunError) -> RunError:
    """The error without the half characters that no encoding can write; of what a job raises, anything may be in it."""
    return RunError(*(text.encode("utf-8", "backslashreplace").decode() for text in astuple(error)))
