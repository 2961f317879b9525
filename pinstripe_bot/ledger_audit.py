"""The audit: who did what, from where. Steps of a transaction."""

from __future__ import annotations

import os
import platform
import pwd
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection, insert

from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_schema import audit
from pinstripe_bot.ledger_sql import to_json


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
