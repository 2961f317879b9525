"""What a column holds: tables reflected with types that speak aware UTC datetimes and exact numbers."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine

from pinstripe_bot.errors import DatabaseError, UnknownTable

# SQLite takes any word as a type, and SQLAlchemy calls those that it does not know NUMERIC. With the real
# NUMERIC renamed to DECIMAL, a NUMERIC that is left is a word such as UUID, whose values are not touched.
SQLITE_TYPE_NAMES: Mapping[str, type[TypeEngine[Any]]] = {
    "NUMERIC": sa.DECIMAL,
    "TIMESTAMPTZ": sa.TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": sa.TIMESTAMP,
    "TIMESTAMP WITHOUT TIME ZONE": sa.TIMESTAMP,
    "JSONB": sa.JSON,
}
ORDERINGS: Mapping[str, Callable[[Any, Any], sa.ColumnElement[bool]]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
}
_EXACT_DIGITS = 15  # what SQLite keeps of a number with a fraction


class Instant(TypeDecorator[datetime]):
    """A PostgreSQL timestamp: aware datetimes in, aware UTC out; one without a zone holds UTC."""

    impl = sa.DateTime
    cache_ok = True

    def __init__(self, place: str, has_zone: bool) -> None:
        super().__init__(timezone=has_zone)
        self.place = place
        self.has_zone = has_zone

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        instant = utc(value, self.place)
        return instant if self.has_zone else instant.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class InstantText(TypeDecorator[datetime]):
    """An instant as SQLite keeps it: text in UTC, `2026-01-31 12:00:00.000000`.

    Reads every ISO 8601 form that others may have written; one without an offset is UTC.
    """

    impl = sa.String
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else spellings(utc(value, self.place))[-1]

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        try:
            instant = datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise DatabaseError(
                f"{self.place} holds {value!r}, which is no instant: write it as 'YYYY-MM-DD HH:MM:SS' in UTC"
            ) from error
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


class ExactNumber(TypeDecorator[Decimal]):
    """A DECIMAL on SQLite, which has none: what it cannot keep exactly is refused, never rounded."""

    impl = NullType
    cache_ok = True

    def __init__(self, place: str, scale: int | None) -> None:
        super().__init__()
        self.place = place
        self.scale = scale

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> int | float | None:
        if value is None or isinstance(value, float):
            return value
        if not isinstance(value, int | Decimal):
            raise DatabaseError(f"{self.place} takes a number, not {value!r}: give a Decimal")
        number = Decimal(value)
        if number.is_finite() and number == number.to_integral_value() and abs(number) < 2**63:
            return int(number)
        if not number.is_finite() or len(number.normalize().as_tuple().digits) > _EXACT_DIGITS:
            raise DatabaseError(
                f"{self.place} cannot keep {value} exactly: SQLite has {_EXACT_DIGITS} digits; use text"
            )
        return float(number)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Decimal | None:
        if value is None:
            return None
        try:
            number = Decimal(str(value))
        except InvalidOperation as error:
            raise DatabaseError(f"{self.place} holds {value!r}, which is no number: correct that row") from error
        exponent = number.as_tuple().exponent
        if self.scale is None or not isinstance(exponent, int) or exponent <= -self.scale:
            return number
        return number.quantize(Decimal(1).scaleb(-self.scale), context=Context(prec=100))


def reflect(connection: sa.Connection, name: str) -> sa.Table:
    """The table or view `name` as the database describes it now, with our column types; or UnknownTable.

    Reads the columns alone: keys and indexes are not needed for what we do, and SQLAlchemy warns about those
    that it cannot read.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    inspector = sa.inspect(connection)
    try:
        described = inspector.get_columns(name)
    except NoSuchTableError:
        raise _unknown_table(name, sorted([*inspector.get_table_names(), *inspector.get_view_names()])) from None
    columns = [
        sa.Column(column["name"], _our_type(column["type"], _place(column["name"], name), is_sqlite))
        for column in described
    ]
    return sa.Table(name, sa.MetaData(), *columns, info={"is_sqlite": is_sqlite})


def tables_with(column: str, *, is_sqlite: bool) -> sa.TextClause:
    """The statement that counts the tables with a column of this name, in any case."""
    if is_sqlite:
        found = (
            "sqlite_master AS t, pragma_table_xinfo(t.name) AS c WHERE t.type = 'table' AND t.sql LIKE 'CREATE TABLE%'"
        )
        return sa.text(f"SELECT count(*) FROM {found} AND lower(c.name) = lower(:column)").bindparams(column=column)
    found = "information_schema.columns WHERE lower(column_name) = lower(:column)"
    return sa.text(f"SELECT count(*) FROM {found}").bindparams(column=column)


def close_names(name: str, known: Iterable[str]) -> str:
    """`did you mean ...?` with those among `known` that are close to `name`; empty if none is."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.7)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else ""


def place_of(column: sa.Column[Any]) -> str:
    """How sentences call a column."""
    return _place(column.name, column.table.name)


def utc(value: object, place: str) -> datetime:
    """`value` in UTC; a DatabaseError that names `place` unless it is an aware datetime."""
    if not isinstance(value, datetime):
        raise DatabaseError(f"{place} takes an aware datetime, not {value!r}: give one, e.g. self.clock.now()")
    if value.utcoffset() is None:
        raise DatabaseError(
            f"{place} takes an aware datetime, but {value.isoformat(' ')} has no zone: "
            "add one, e.g. value.replace(tzinfo=UTC)"
        )
    return value.astimezone(UTC)


def spellings(instant: datetime) -> list[str]:
    """The texts that may stand for a UTC instant in SQLite, in text order; the last is the one we write."""
    text = instant.replace(tzinfo=None)
    precisions = ["microseconds"]
    if text.microsecond % 1000 == 0:
        precisions.insert(0, "milliseconds")  # strftime('%f')
    if text.microsecond == 0:
        precisions.insert(0, "seconds")  # CURRENT_TIMESTAMP
    return [text.isoformat(" ", precision) for precision in precisions]


def compare_instant_text(column: sa.Column[Any], comparison: str, value: Any) -> sa.ColumnElement[bool]:
    """`column <comparison> value` such that all `spellings` of one instant are equal; an index still serves.

    As text, `12:00:00` < `12:00:00.000` < `12:00:00.000000` < any later instant: each side of the comparison
    takes the end of that range which keeps the equal ones together. `in` takes a list.
    """
    place = place_of(column)
    instants = value if comparison == "in" else [value]
    texts = [text for instant in instants for text in spellings(utc(instant, place))]
    text_column = sa.type_coerce(column, sa.String)
    if comparison in ("eq", "in"):
        return text_column.in_(texts)
    if comparison == "ne":
        return text_column.not_in(texts)
    bound = texts[0] if comparison in ("lt", "ge") else texts[-1]
    return ORDERINGS[comparison](text_column, bound)


def param_value(value: object, name: str, *, is_sqlite: bool) -> object:
    """A parameter of a `text()` statement as the database keeps it; only its Python type is known."""
    if isinstance(value, datetime):
        instant = utc(value, f"parameter {name!r}")
        return spellings(instant)[-1] if is_sqlite else instant
    if isinstance(value, date) and is_sqlite:
        return value.isoformat()
    return value


def _place(column: str, table: str) -> str:
    return f"column {column!r} of table {table!r}"


def _unknown_table(name: str, known: list[str]) -> UnknownTable:
    if not known:
        return UnknownTable(f"there is no table {name!r}: the database is empty; is database.url right?")
    hint = close_names(name, known) or f"its tables are {', '.join(known)}"
    return UnknownTable(f"there is no table {name!r}: {hint}")


def _our_type(reflected: TypeEngine[Any], place: str, is_sqlite: bool) -> TypeEngine[Any]:
    if isinstance(reflected, sa.DateTime):
        return InstantText(place) if is_sqlite else Instant(place, has_zone=reflected.timezone)
    if isinstance(reflected, sa.JSON):
        reflected.none_as_null = True  # None is NULL here as in every other column
    if is_sqlite and isinstance(reflected, sa.NUMERIC):
        return NullType()
    if is_sqlite and isinstance(reflected, sa.DECIMAL):
        return ExactNumber(place, reflected.scale)
    return reflected
