"""One table as a job sees it: `insert`, or `where(...)` and then `all`, `first`, `count`, `update` or `delete`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import CursorResult, IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.sql import ClauseElement
from sqlalchemy.types import NullType

from pinstripe_bot.database_scope import ALL_ROWS, Scope
from pinstripe_bot.database_types import (
    ORDERINGS,
    Instant,
    InstantText,
    close_names,
    compare_instant_text,
    place_of,
    utc,
)
from pinstripe_bot.errors import DatabaseError

_MATCHES = ("begins_with", "ends_with", "contains")
_SUFFIXES = ("lt", "le", "gt", "ge", "ne", "in", *_MATCHES)
_MOST_VALUES = 30_000  # both databases count the values of a statement, and SQLite may stop at 32,766


class StatementResult(IteratorResult[Any]):
    """A statement's rows, all read before its connection was given back, with SQLAlchemy's ways to take them.

    `rowcount` is how many rows it changed or, where it returns rows, how many these are; -1 if unknown.
    """

    def __init__(self, result: CursorResult[Any]) -> None:
        if result.returns_rows:
            frozen = result.freeze()
            super().__init__(frozen.metadata, iter(frozen.data))
            self.rowcount = len(frozen.data)
        else:
            super().__init__(SimpleResultMetaData([]), iter([]))
            self.rowcount = result.rowcount


class TableRow(SimpleNamespace):
    """One row: `row.total` or `row["total"]`; `vars(row)` is a dictionary. Changing it changes no table."""

    def __getitem__(self, column: str) -> Any:
        return vars(self)[column]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TableQuery:
    """Some rows of one table. What narrows it returns a new TableQuery; nothing runs before the verb.

    `table` is the SQLAlchemy table, for statements of your own; `scope` holds beside all conditions.
    """

    table: sa.Table
    _perform: Callable[..., StatementResult]
    scope: Scope = ALL_ROWS
    conditions: tuple[sa.ColumnElement[bool], ...] = ()
    ordering: tuple[sa.ColumnElement[Any], ...] = ()
    most: int | None = None

    def where(self, /, **values: Any) -> Self:
        """Only rows for which all of these hold: `total=5`, `total_lt=5`, `name_begins_with="A"`, ...

        Suffixes: _lt _le _gt _ge _ne _in _begins_with _ends_with _contains. None is NULL.
        """
        added = tuple(self._condition(name, value) for name, value in values.items())
        return replace(self, conditions=self.conditions + added)

    def order_by(self, *names: str) -> Self:
        """Sort by columns, after those already given; `-total` is descending."""
        return replace(self, ordering=self.ordering + tuple(map(self._order, names)))

    def limit(self, most: int) -> Self:
        """At most this many rows."""
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise self._error(f"limit({most!r}) is no number of rows: give 0 or more")
        return replace(self, most=most)

    def all(self) -> list[TableRow]:
        """All rows, read at once."""
        return [TableRow(**row) for row in self._perform(self.select()).mappings()]

    def select(self) -> sa.Select[Any]:
        """What `all()` performs, for statements of your own."""
        return self._select(*self.table.columns)

    def first(self) -> TableRow | None:
        """The first row in the given order, or None."""
        rows = self.limit(1 if self.most is None else min(self.most, 1)).all()
        return rows[0] if rows else None

    def count(self) -> int:
        """How many rows `all()` would return."""
        rows = replace(self, ordering=())._select(sa.literal(1)).subquery()
        return int(self._perform(sa.select(sa.func.count()).select_from(rows)).scalar_one())

    def insert(self, rows: Iterable[Mapping[str, Any]] | None = None, /, **values: Any) -> int:
        """Insert one row of values, or several as a list of dictionaries; returns how many."""
        if self.conditions or self.ordering or self.most is not None:
            raise self._error("insert() has no meaning after where(), order_by() or limit(): call it first")
        if rows is not None and values:
            raise self._error("insert() takes a list of rows or the values of one row: give one of the two")
        if isinstance(rows, Mapping | str):
            raise self._error("insert() takes a list of rows: write insert([row]), or insert(**row)")
        given = [self._changes("insert", row) for row in ([values] if rows is None else rows)]
        checked = [self.scope.inserted(self.table, row) for row in given]
        if any(row.keys() != checked[0].keys() for row in checked):
            raise self._error("insert() got rows with different columns: give every row the same keys")
        return self._perform(sa.insert(self.table).inline(), checked).rowcount if checked else 0

    def update(self, /, **values: Any) -> int:
        """Set these values in all rows that match; returns how many they were."""
        self._refuse_partial("update")
        changes = self.scope.changed(self.table, self._changes("update", values))
        limits = self.scope.changeable(self.table)
        return self._perform(sa.update(self.table).where(*limits, *self.conditions).values(changes)).rowcount

    def delete(self) -> int:
        """Delete all rows that match; returns how many they were."""
        self._refuse_partial("delete")
        limits = self.scope.changeable(self.table)
        return self._perform(sa.delete(self.table).where(*limits, *self.conditions)).rowcount

    def __iter__(self) -> Iterator[TableRow]:
        return iter(self.all())

    def _select(self, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        limits = self.scope.conditions(self.table)
        rows = sa.select(*columns).select_from(self.table).where(*limits, *self.conditions)
        return rows.order_by(*self.ordering).limit(self.most)

    def _condition(self, name: str, value: Any) -> sa.ColumnElement[bool]:
        columns = self.table.columns
        if name in columns:  # a column called size_lt is meant before size with _lt
            special = self.scope.equality(columns[name], value)
            return compare(columns[name], "eq", value) if special is None else special
        for suffix in _SUFFIXES:
            stem = name.removesuffix(f"_{suffix}")
            if stem != name and stem in columns:
                return compare(columns[stem], suffix, value)
        raise self._unknown(name, *(f"{{}}_{suffix}" for suffix in _SUFFIXES))

    def _order(self, name: str) -> sa.UnaryExpression[Any]:
        columns = self.table.columns
        if name in columns:
            return columns[name].asc()
        if name.startswith("-") and name[1:] in columns:
            return columns[name[1:]].desc()
        raise self._unknown(name, "-{}")

    def _changes(self, verb: str, values: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(values, Mapping):
            raise self._error(f"{verb}() takes dictionaries, not a {type(values).__name__}: give a list of them")
        if not values:
            raise self._error(f"{verb}() got no values: name at least one column")
        for name, value in values.items():
            if name not in self.table.columns:
                raise self._unknown(name)
            check_value(self.table.columns[name], value)
        return dict(values)

    def _refuse_partial(self, verb: str) -> None:
        if self.ordering or self.most is not None:
            raise self._error(
                f"{verb}() works on all rows that match, not on some after order_by() or limit(): "
                "choose them with where(), e.g. id_in=[...]"
            )

    def _unknown(self, name: str, *forms: str) -> DatabaseError:
        columns = self.table.columns.keys()
        known = [form.format(column) for form in ("{}", *forms) for column in columns]
        hint = close_names(name, known) or f"its columns are {', '.join(columns)}"
        return self._error(f"there is no column {name!r}: {hint}")

    def _error(self, sentence: str) -> DatabaseError:
        return DatabaseError(f"table {self.table.name!r}: {sentence}")


def compare(column: sa.Column[Any], comparison: str, value: Any) -> sa.ColumnElement[bool]:
    """`column <comparison> value` in SQL; None is NULL, text is compared with its case."""
    if comparison == "in":
        return _membership(column, value)
    if comparison in _MATCHES:
        return _match(column, comparison, value)
    if value is None:
        return _nullness(column, comparison)
    _check_comparable(column, value)
    if isinstance(column.type, InstantText):
        return compare_instant_text(column, comparison, value)
    return ORDERINGS[comparison](column, value)


def check_value(column: sa.Column[Any], value: object) -> None:
    """Refuse what would be taken and mean something else: SQL, and an instant where none is kept."""
    if isinstance(value, ClauseElement) or hasattr(value, "__clause_element__"):
        raise DatabaseError(f"{place_of(column)} takes a value, not SQL: use database.execute(statement)")
    if isinstance(column.type, Instant | InstantText):
        if value is not None:
            utc(value, place_of(column))
    elif isinstance(value, datetime) and not isinstance(column.type, sa.JSON):
        raise DatabaseError(
            f"{place_of(column)} is not declared as a timestamp and keeps no datetime, but got "
            f"{value.isoformat(' ')}: change its declaration, or give it what it keeps"
        )


def _check_comparable(column: sa.Column[Any], value: object) -> None:
    check_value(column, value)
    if isinstance(column.type, sa.JSON):
        raise DatabaseError(f"{place_of(column)} is JSON, which only None compares with: use database.execute")


def _nullness(column: sa.Column[Any], comparison: str) -> sa.ColumnElement[bool]:
    if comparison == "eq":
        return column.is_(None)
    if comparison == "ne":
        return column.is_not(None)
    raise DatabaseError(f"{place_of(column)}: None is neither less nor more than a value; _{comparison} needs one")


def _membership(column: sa.Column[Any], values: Any) -> sa.ColumnElement[bool]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise DatabaseError(f"{place_of(column)}: _in takes several values, not {values!r}: write [{values!r}]")
    wanted = list(values)
    if len(wanted) > _MOST_VALUES:
        raise DatabaseError(
            f"{place_of(column)}: {len(wanted)} values are too many for _in: give {_MOST_VALUES} a time"
        )
    present = [value for value in wanted if value is not None]
    for value in present:
        _check_comparable(column, value)
    is_text = isinstance(column.type, InstantText)
    condition = compare_instant_text(column, "in", present) if is_text else column.in_(present)
    return sa.or_(condition, column.is_(None)) if len(present) < len(wanted) else condition


def _match(column: sa.Column[Any], comparison: str, text: Any) -> sa.ColumnElement[bool]:
    if not isinstance(column.type, sa.String | NullType) or isinstance(column.type, sa.Enum):
        raise DatabaseError(
            f"{place_of(column)} keeps no text, so that _{comparison} cannot be used on it: compare values"
        )
    if not isinstance(text, str) or "\0" in text:
        raise DatabaseError(f"{place_of(column)}: _{comparison} takes text without NUL characters, not {text!r}")
    if column.table.info["is_sqlite"]:
        return _glob(column, comparison, text)
    if comparison == "begins_with":
        return column.startswith(text, autoescape=True)
    if comparison == "ends_with":
        return column.endswith(text, autoescape=True)
    return column.contains(text, autoescape=True)


def _glob(column: sa.Column[Any], comparison: str, text: str) -> sa.ColumnElement[bool]:
    # SQLite's LIKE ignores the case of ASCII letters; GLOB does not, and finds a beginning in an index.
    literal = re.sub(r"[*?\[]", r"[\g<0>]", text)
    before = "" if comparison == "begins_with" else "*"
    after = "" if comparison == "ends_with" else "*"
    return sa.type_coerce(column, sa.String).bool_op("GLOB")(f"{before}{literal}{after}")
