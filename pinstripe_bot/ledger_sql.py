"""The ledger's statements, each written once for SQLite and PostgreSQL.

Rows travel as JSON in both directions, a whole group in one value: SQLite lets other threads run at each step of a
query, and coming back costs more than a row; PostgreSQL answers a group in one round trip.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, CursorResult

_PERCENT = re.compile(r"(?<!%)%(?![%(])")
"""A percent sign of a statement's own, which the driver wants doubled; those of finished parts are so already."""

_VALUE = re.compile(r"(?<!:):([a-z_]+)")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, or a part of one, in both dialects; a value stands in it as `:name`."""

    sqlite: str
    postgres: str

    def for_database(self, name: str) -> str:
        """The text for the driver of "sqlite" or "postgresql"."""
        return self.sqlite if name == "sqlite" else self.postgres


def both(template: str, **parts: Statement) -> Statement:
    """`template` with each {part} in its dialect; a finished statement, if no part of another one."""
    sqlite = template.format(**{name: part.sqlite for name, part in parts.items()})
    postgres = template.format(**{name: part.postgres for name, part in parts.items()})
    return Statement(sqlite, _VALUE.sub(r"%(\1)s", _PERCENT.sub("%%", postgres)))


# As an array first: PostgreSQL takes these for 10 rows, and follows an index to each; it takes a function that gives
# rows for 100, for which it reads a table of some thousand runs from end to end, eight times for each run.
_ELEMENTS = "unnest(ARRAY(SELECT {}(CAST(:{} AS jsonb)))) AS elements (value)"


def given(name: str, **columns: str) -> Statement:
    """A table of the JSON rows `[[...], ...]` of the value `name`; `columns` are {column: SQL type}, in their order."""
    sqlite = ", ".join(f"json_extract(value, '$[{index}]') AS {column}" for index, column in enumerate(columns))
    postgres = ", ".join(
        f"CAST(value ->> {index} AS {kind}) AS {column}" for index, (column, kind) in enumerate(columns.items())
    )
    return Statement(
        f"(SELECT {sqlite} FROM json_each(:{name}))",
        f"(SELECT {postgres} FROM {_ELEMENTS.format('jsonb_array_elements', name)})",
    )


def values_of(name: str, kind: str) -> Statement:
    """The JSON values `[...]` of the value `name` as the rows of a subquery: `id IN {ids}`."""
    return Statement(
        f"(SELECT value FROM json_each(:{name}))",
        f"(SELECT CAST(value AS {kind}) FROM {_ELEMENTS.format('jsonb_array_elements_text', name)})",
    )


def listed(*columns: str) -> Statement:
    """What a query selects so that `rows_of` can read it: all its rows as one JSON array."""
    row = ", ".join(columns)
    if len(columns) == 1:
        return Statement(f"json_group_array({row})", f"CAST(coalesce(jsonb_agg({row}), '[]') AS text)")
    return Statement(
        f"json_group_array(json_array({row}))",
        f"CAST(coalesce(jsonb_agg(jsonb_build_array({row})), '[]') AS text)",
    )


def locked(table: str, rows: Statement) -> Statement:
    """The rows of `given`, by whose `id` the table's are locked in order: of two that write, one waits for the other.

    They cannot wait for each other, as they would where each locked them as it came across them. On SQLite just the
    rows: its file has one writer.
    """
    ordered = f"JOIN {table} ON {table}.id = given.id ORDER BY {table}.id FOR UPDATE OF {table}"
    return Statement(rows.sqlite, f"(SELECT given.* FROM {rows.postgres} AS given {ordered})")


DATABASE_NOW = Statement(":now", "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")
"""The clock that all who share a ledger agree on: the database's; on SQLite, which is one machine's, `:now`."""


def database_now(connection: Connection, now_at: int) -> int:
    """The instant by that clock, as a column holds it; on SQLite `now_at`."""
    at: int = execute(connection, both("SELECT {now}", now=DATABASE_NOW), now=now_at).scalar_one()
    return at


def execute(connection: Connection, statement: Statement, **values: Any) -> CursorResult[Any]:
    """Run a statement of `both` with these values."""
    return connection.exec_driver_sql(statement.for_database(connection.dialect.name), values)


def rows_of(connection: Connection, query: Statement, **values: Any) -> list[Any]:
    """The rows of a query that selects `listed(...)`."""
    rows: list[Any] = msgspec.json.decode(execute(connection, query, **values).scalar_one())
    return rows


def to_json(value: Any) -> str:
    """A value as a JSON column or a list of rows for `given` holds it."""
    return msgspec.json.encode(value).decode()
