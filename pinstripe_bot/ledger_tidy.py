"""Tidying: figures, audit entries, pauses and signed-out bots that nobody needs any more go. Steps of pruning."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from pinstripe_bot.day_figures import Day
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_sql import Statement, both, execute, to_json, values_of
from pinstripe_bot.ledger_store import LedgerStore

AUDIT_KEPT = timedelta(days=400)
PAUSES_KEPT = timedelta(days=1)
BOTS_KEPT = timedelta(days=30)

NEXT_JOB = both("SELECT min(job) FROM days WHERE job > :job")


def _old(table: str, condition: str, **parts: Statement) -> tuple[Statement, Statement]:
    """How many rows of a table are old, and how they are deleted."""
    return (
        both(f"SELECT count(*) FROM {table} WHERE {condition}", **parts),
        both(f"DELETE FROM {table} WHERE {condition}", **parts),
    )


OLD_DAYS = _old(
    "days",
    """job = :job AND (tenant, day) IN (
        SELECT tenant, day FROM days AS old WHERE old.job = :job AND old.day < :before LIMIT 500
    )""",
)

OLD_AUDIT = _old("audit", "at < :before AND id IN (SELECT id FROM audit ORDER BY id LIMIT 500)")

OLD_PAUSES = _old("pauses", "until_at < :before")

OLD_BOTS = _old(
    "bots",
    "stopped_at < :before AND id NOT IN {needed} AND id NOT IN (SELECT owner FROM attempts WHERE owner IS NOT NULL)",
    needed=values_of("needed", "text"),
)


def tidy(
    store: LedgerStore, now: datetime, needed_bots: Collection[str], *, bots_before: int, days_kept: timedelta
) -> Iterator[int]:
    """Yields how many rows it has just deleted, or 0 after a small look.

    `needed_bots` are those of which rows are left that were written before `bots_before`.
    """
    before = str(Day.of(now - days_kept))
    job: str | None = ""
    while job is not None:
        yield from _delete(store, OLD_DAYS, job=job, before=before)
        with store.reading() as connection:
            job = execute(connection, NEXT_JOB, job=job).scalar()
    yield from _delete(store, OLD_AUDIT, before=to_column(now - AUDIT_KEPT))
    yield from _delete(store, OLD_PAUSES, before=to_column(now - PAUSES_KEPT))
    needed = to_json(sorted(needed_bots))
    yield from _delete(store, OLD_BOTS, before=min(to_column(now - BOTS_KEPT), bots_before), needed=needed)


def _delete(store: LedgerStore, old: tuple[Statement, Statement], **values: object) -> Iterator[int]:
    count, delete = old
    while True:
        with store.reading() as connection:
            found = execute(connection, count, **values).scalar_one()
        yield 0
        if not found:
            return
        with store.writing() as connection:
            deleted = execute(connection, delete, **values).rowcount
        yield deleted
