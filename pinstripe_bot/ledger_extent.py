"""The extent of a ledger: about how many runs it holds, from when on, and how many are open. Only reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from pinstripe_bot.ledger_rows import from_column
from pinstripe_bot.ledger_schema import OPEN, runs


@dataclass(frozen=True, slots=True)
class Extent:
    """`runs` is the number of the newest less that of the oldest: counting millions would take seconds."""

    runs: int
    oldest_at: datetime | None
    open: int


def read_extent(connection: Connection) -> Extent:
    """Looks at both ends of the table of runs."""
    first, last = connection.scalar(select(func.min(runs.c.id))), connection.scalar(select(func.max(runs.c.id)))
    oldest = None if first is None else connection.scalar(select(runs.c.due_at).where(runs.c.id == first))
    open_runs = connection.scalar(select(func.count()).select_from(runs).where(text(OPEN))) or 0
    return Extent(0 if first is None or last is None else last - first + 1, from_column(oldest), open_runs)
