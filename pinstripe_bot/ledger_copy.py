"""Copying a ledger's rows into another database, table by table; where it was cut off it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, literal, select, tuple_

from pinstripe_bot.ledger_schema import ledger, metadata
from pinstripe_bot.ledger_sql import to_json
from pinstripe_bot.ledger_store import LedgerStore

TABLES = tuple(table for table in metadata.sorted_tables if table is not ledger)
"""What is copied, what others refer to first; the facts of the table `ledger` belong to their own place."""

CHUNK = 500
CHUNK_WITH_OUTPUTS = 100
"""How many rows one transaction copies; of those that may have an output and a result of 64 KiB each, fewer."""

Sums = dict[str, tuple[int, ...]]
"""{table: (how many rows, the sum of each whole number in its key)}."""


def facts_of(connection: Connection) -> dict[str, str]:
    """What a ledger says of itself: {name: value}."""
    return {row.name: row.value for row in connection.execute(select(ledger))}


def set_facts(connection: Connection, **facts: str | None) -> None:
    """Write these facts; None takes one away."""
    connection.execute(delete(ledger).where(ledger.c.name.in_(facts)))
    kept = [{"name": name, "value": value} for name, value in facts.items() if value is not None]
    if kept:
        connection.execute(insert(ledger), kept)


def has_rows(connection: Connection) -> bool:
    """Whether anybody has ever used this ledger."""
    return any(
        connection.scalar(select(func.count()).select_from(select(table).limit(1).subquery())) for table in TABLES
    )


def empty(connection: Connection) -> None:
    for table in reversed(TABLES):
        connection.execute(delete(table))


def sums_of(connection: Connection) -> Sums:
    return {table.name: _sums(connection, table) for table in TABLES}


def _sums(connection: Connection, table: Table) -> tuple[int, ...]:
    numbers = [column for column in table.primary_key.columns if column.type.python_type is int]
    row = connection.execute(
        select(func.count(), *(func.coalesce(func.sum(column), 0) for column in numbers)).select_from(table)
    ).one()
    return tuple(int(value) for value in row)


def copy_rows(source: LedgerStore, target: LedgerStore, on_copied: Callable[[int], None]) -> None:
    """Copy all rows; how far it came is kept in the target, so that the next call goes on from there.

    `on_copied` is told how many rows are new with each transaction. Nobody may write into either meanwhile.
    """
    with target.reading() as connection:
        copied: dict[str, list[Any]] = msgspec.json.decode(facts_of(connection).get("copied", "{}"))
    for table in TABLES:
        while rows := _read(source, table, copied.get(table.name)):
            copied[table.name] = [rows[-1][column.name] for column in table.primary_key.columns]
            with target.writing() as connection:
                connection.execute(insert(table), _fitted(_uncarried(rows), connection))
                set_facts(connection, copied=to_json(copied))
            on_copied(len(rows))


def _read(source: LedgerStore, table: Table, after: Sequence[Any] | None) -> list[dict[str, Any]]:
    """The next rows in the order of their key, as the source sorts it."""
    keys = list(table.primary_key.columns)
    query = select(table).order_by(*keys).limit(CHUNK_WITH_OUTPUTS if "output" in table.columns else CHUNK)
    if after is not None:
        query = query.where(_is_beyond(keys, after))
    with source.reading() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _is_beyond(keys: Sequence[Any], after: Sequence[Any]) -> ColumnElement[bool]:
    values = [literal(value, column.type) for column, value in zip(keys, after, strict=True)]
    beyond: ColumnElement[bool] = keys[0] > values[0] if len(keys) == 1 else tuple_(*keys) > tuple_(*values)
    return beyond


def _uncarried(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What carries waiting runs stays in the source's cluster: in the target they wait for whoever is there."""
    return [row | {"carrier": None} if row.get("state") == "queued" and "carrier" in row else row for row in rows]


def _fitted(rows: list[dict[str, Any]], target: Connection) -> list[dict[str, Any]]:
    """PostgreSQL keeps no NUL in a text, and a job's output may have some."""
    if target.dialect.name == "sqlite":
        return rows
    return [
        {
            name: value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
            for name, value in row.items()
        }
        for row in rows
    ]


def set_sequences(connection: Connection) -> None:
    """Let PostgreSQL number new rows after those that came with their numbers; SQLite does by itself."""
    if connection.dialect.name == "sqlite":
        return
    for table in TABLES:
        if "id" in table.columns and table.columns["id"].type.python_type is int:
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), coalesce(max(id), 1), count(*) > 0)"
                f" FROM {table.name}"
            )
