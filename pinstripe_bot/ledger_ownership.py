"""Whose a ledger is, and whether it is still in use: what is refused before anything is written into it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select

from pinstripe_bot.errors import LedgerError
from pinstripe_bot.ledger_migrations import version_of
from pinstripe_bot.ledger_schema import VERSION, ledger
from pinstripe_bot.ledger_sql import Statement, both, listed, rows_of

TABLES = both(
    "SELECT {names} FROM {tables}",
    names=listed("name"),
    tables=Statement(
        "(SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name)",
        """(
            SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename
        ) AS tables""",
    ),
)
"""The tables of this database, on PostgreSQL of its schema; by name."""


def refuse_foreign(connection: Connection, place: str, project: str | None) -> None:
    """Raise LedgerError for tables that are not ours, newer than we are, or, if one is named, another project's."""
    version = version_of(connection)
    if version is None:
        if tables := rows_of(connection, TABLES):
            raise LedgerError(
                f"{place} is another program's database (it has the table {tables[0]!r}):"
                " set ledger.url to a place of its own"
            )
        return
    if version > VERSION:
        raise LedgerError(
            f"the ledger {place} has version {version} and this pinstripe writes version {VERSION}:"
            " install the newer pinstripe, or set ledger.url to another place"
        )
    owner = connection.scalar(select(ledger.c.value).where(ledger.c.name == "project"))
    if project is not None and owner != project:
        raise LedgerError(
            f"the ledger {place} belongs to the project {owner!r}, and this one is {project!r}: set"
            f" ledger.url to a place of its own, or name = {owner!r} in pinstripe.toml if it is the same project"
        )


def is_moved(facts: Mapping[str, str]) -> bool:
    """Whether a ledger with these facts has moved to another place, or is half-way there."""
    return not facts.keys().isdisjoint({"moved_to", "moving_to", "moving_from"})


def refuse_moved(connection: Connection, place: str) -> None:
    """Raise LedgerError for a ledger that has moved to another place, or is half-way there."""
    if version_of(connection) is None:
        return
    facts = {row.name: row.value for row in connection.execute(select(ledger))}
    if "moved_to" in facts:
        raise LedgerError(
            f"the ledger {place} has moved to {facts['moved_to']}: set ledger.url to that place in pinstripe.toml"
        )
    if is_moved(facts):
        other = facts.get("moving_to") or facts.get("moving_from")
        raise LedgerError(
            f"the ledger {place} is being moved {'to' if 'moving_to' in facts else 'here from'} {other}: start"
            " `pinstripe move-ledger URL` again, which finishes it, or give it up with"
            " `pinstripe move-ledger --give-up`"
        )
