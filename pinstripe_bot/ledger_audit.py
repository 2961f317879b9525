"""The audit: who did what, from where; written as a step of a transaction, and read."""

from __future__ import annotations

import os
import platform
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select

from pinstripe_bot.ledger_rows import from_column, to_column
from pinstripe_bot.ledger_schema import audit
from pinstripe_bot.ledger_sql import to_json
from pinstripe_bot.redaction import redact


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts, and from where: "ada", "command on web-1"."""

    who: str
    origin: str

    @classmethod
    def at_this_machine(cls) -> Self:
        """The operating system's user who typed a command."""
        number = os.getuid()
        try:
            who = pwd.getpwuid(number).pw_name
        except KeyError:  # a container may run under a number that nobody has
            who = str(number)
        return cls(who, f"command on {platform.node()}")


def write_audit(
    connection: Connection,
    person: Person,
    now: datetime,
    action: str,
    *,
    job: str = "",
    run: int | None = None,
    **details: Any,
) -> None:
    """Record one act; `details` are plain JSON values and instants."""
    row = {"at": to_column(now), "who": person.who, "origin": person.origin, "action": action, "job": job}
    connection.execute(insert(audit), row | {"run_id": run, "details": to_json(details) if details else None})


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act, as it was recorded: who, from where, what, on which job or run; `details` without secrets."""

    id: int
    at: datetime
    who: str
    origin: str
    action: str
    job: str
    run: int | None
    details: Mapping[str, Any]


def read_audit(
    connection: Connection, *, job: str | None = None, before: int | None = None, most: int
) -> list[AuditEntry]:
    """The newest acts, newest first: of one job or of all, with numbers below `before`."""
    query = select(audit).order_by(audit.c.id.desc()).limit(most)
    if before is not None:
        query = query.where(audit.c.id < before)
    if job is not None:
        query = query.where(audit.c.job == job)
    return [_entry_of(row) for row in connection.execute(query).mappings()]


def _entry_of(row: RowMapping) -> AuditEntry:
    at = from_column(row["at"])
    assert at is not None
    details = msgspec.json.decode(row["details"]) if row["details"] else {}
    facts = (row["who"], row["origin"], row["action"], row["job"], row["run_id"])
    return AuditEntry(row["id"], at, *facts, redact("", details))
