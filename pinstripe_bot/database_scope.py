"""To which rows of a table a query is limited: to none in particular, or to one tenant's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.types import NullType, TypeEngine

from pinstripe_bot.database_types import ExactNumber, place_of
from pinstripe_bot.errors import DatabaseError
from pinstripe_bot.tenant import TenantId, without_scale

Condition = sa.ColumnElement[bool]

# What SQLite turns into a number in a column whose type it does not know, such as UUID or STRING.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


class Scope(Protocol):
    """A limit that holds for every statement of a query, whatever its own conditions are."""

    def conditions(self, table: sa.Table) -> tuple[Condition, ...]:
        """What holds for the rows that may be read."""

    def changeable(self, table: sa.Table) -> tuple[Condition, ...]:
        """What holds for the rows that may be changed. Raises DatabaseError if there can be none by mistake."""

    def equality(self, column: sa.Column[Any], value: object) -> Condition | None:
        """What `where(column=value)` means if that is the scope's affair. Raises DatabaseError for a mistake."""

    def inserted(self, table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
        """The row with what puts it inside. Raises DatabaseError if it is meant to lie outside."""

    def changed(self, table: sa.Table, values: dict[str, Any]) -> dict[str, Any]:
        """The values to set. Raises DatabaseError if they would move a row out."""


class AllRows:
    """No limit."""

    def conditions(self, table: sa.Table) -> tuple[Condition, ...]:
        return ()

    def changeable(self, table: sa.Table) -> tuple[Condition, ...]:
        return ()

    def equality(self, column: sa.Column[Any], value: object) -> Condition | None:
        return None

    def inserted(self, table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
        return row

    def changed(self, table: sa.Table, values: dict[str, Any]) -> dict[str, Any]:
        return values


ALL_ROWS = AllRows()


@dataclass(frozen=True, slots=True)
class TenantRows:
    """One tenant's rows, in every table that says whose a row is; no rows at all if the tenant cannot be found.

    The table of tenants says so in its id column, every other one in `tenant_column`, or it is everybody's.
    """

    tenant_id: TenantId | None  # None: it cannot be found
    tenant_column: str
    tenants_table: tuple[str, str] | None  # its name, and its id column

    def is_limit(self, table: sa.Table) -> bool:
        """Whether the table says whose a row is; if not, all of it is everybody's."""
        return self._column(table) is not None

    def conditions(self, table: sa.Table) -> tuple[Condition, ...]:
        column = self._column(table)
        return () if column is None else (self._is_mine(column),)

    def changeable(self, table: sa.Table) -> tuple[Condition, ...]:
        column = self._column(table)
        if column is not None and self.tenant_id is not None:
            self._kept(column)
        return self.conditions(table)

    def equality(self, column: sa.Column[Any], value: object) -> Condition | None:
        if column is not self._column(column.table):
            return None
        if self.tenant_id is not None:
            self._refuse_others("where", column, value)
        return self._is_mine(column)

    def inserted(self, table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
        column = self._column(table)
        if column is None:
            return row
        if self.tenant_id is None:
            raise DatabaseError(
                f"table {table.name!r}: insert() has no tenant to give the row to, since the tenant of this workspace "
                "cannot be found: check that it still exists"
            )
        if column.name in row:
            self._refuse_others("insert", column, row[column.name])
        return {**row, column.name: self._kept(column)}

    def changed(self, table: sa.Table, values: dict[str, Any]) -> dict[str, Any]:
        column = self._column(table)
        if column is None or column.name not in values or self.tenant_id is None:
            return values
        self._refuse_others("update", column, values[column.name])
        return {**values, column.name: self._kept(column)}

    def _column(self, table: sa.Table) -> sa.Column[Any] | None:
        """The column that says whose a row is, if the table has one."""
        if self.tenants_table is None or table.name.lower() != self.tenants_table[0].lower():
            return _named(table, self.tenant_column)
        column = _named(table, self.tenants_table[1])
        if column is None:
            raise DatabaseError(
                f"the table of tenants {table.name!r} has no column {self.tenants_table[1]!r}, so that nobody can say "
                "which row is this tenant's: correct the settings in [tenants]"
            )
        return column

    def _is_mine(self, column: sa.Column[Any]) -> Condition:
        kept = None if self.tenant_id is None else as_kept(column, self.tenant_id)
        return sa.false() if kept is None else is_exactly(column, kept)

    def _kept(self, column: sa.Column[Any]) -> TenantId:
        kept = None if self.tenant_id is None else as_kept(column, self.tenant_id)
        if kept is None:
            raise DatabaseError(
                f"{place_of(column)} cannot keep the id of this workspace's tenant, {self.tenant_id!r}, as it is: "
                "change the type of the column to that of the ids"
            )
        return kept

    def _refuse_others(self, verb: str, column: sa.Column[Any], value: object) -> None:
        if not self._is_my_id(column, value):
            # Not the repr of anything: that of a tenant tells all that is known of it.
            given = repr(value) if isinstance(value, int | str | UUID | None) else f"a {type(value).__name__}"
            raise DatabaseError(
                f"{place_of(column)}: {verb}() got {given}, but this workspace is that of tenant {self.tenant_id!r}: "
                f"leave {column.name!r} out, or use database.unscoped"
            )

    def _is_my_id(self, column: sa.Column[Any], value: object) -> bool:
        value = without_scale(value)
        if isinstance(value, bool) or not isinstance(value, int | str | UUID) or self.tenant_id is None:
            return False
        if isinstance(column.type, sa.CHAR) and isinstance(value, str):
            value = value.rstrip(" ")  # PostgreSQL pads it
        if str(value) == str(self.tenant_id):
            return True
        kept = as_kept(column, value)
        return kept is not None and kept == as_kept(column, self.tenant_id)


def as_kept(column: sa.Column[Any], tenant_id: TenantId) -> TenantId | None:
    """The id as the column keeps it, or None if it cannot keep exactly this one."""
    kind, is_sqlite, text = _kind(column), bool(column.table.info["is_sqlite"]), str(tenant_id)
    if isinstance(kind, sa.Enum):
        return text if text in kind.enums else None
    if isinstance(kind, sa.Uuid):
        return _uuid(text)
    if isinstance(kind, sa.String):
        return _text(kind.length, tenant_id, is_sqlite)
    if isinstance(kind, sa.Integer):
        return _whole(tenant_id, 64 if is_sqlite else _bits(kind))
    if isinstance(kind, ExactNumber):
        return _whole(tenant_id, 64)
    if isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float):
        return _whole(tenant_id, 1000)
    if isinstance(kind, NullType) and is_sqlite:
        is_number = isinstance(tenant_id, int) or _NUMBER.fullmatch(text.strip())
        return text if not is_number else tenant_id if _whole(tenant_id, 64) is not None else None
    return None


def is_exactly(column: sa.Column[Any], kept: TenantId) -> Condition:
    """Whether the column holds this very id: neither '07' for 7, nor 'Acme' for 'acme'."""
    kind, is_sqlite = _kind(column), column.table.info["is_sqlite"]
    is_equal = sa.type_coerce(column, kind) == kept
    if not is_sqlite and not isinstance(kind, sa.String):
        return is_equal
    # Equality serves an index, but it follows the affinity and the collation of the column; its text does not.
    own_text = sa.literal(str(kept), sa.Text).collate("BINARY" if is_sqlite else "C")
    return sa.and_(is_equal, sa.cast(column, sa.Text) == own_text)


def _named(table: sa.Table, name: str) -> sa.Column[Any] | None:
    """The column of this name, in any case: to SQLite `Tenant_ID` is `tenant_id`."""
    if name in table.columns:
        return table.columns[name]
    return next((column for column in table.columns if column.name.lower() == name.lower()), None)


def _kind(column: sa.Column[Any]) -> TypeEngine[Any]:
    return column.type.data_type if isinstance(column.type, DOMAIN) else column.type


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if str(UUID(text)) == text else None
    except ValueError:
        return None


def _text(length: int | None, tenant_id: TenantId, is_sqlite: bool) -> str | None:
    text = str(tenant_id)
    if isinstance(tenant_id, UUID) and length == len(tenant_id.hex):  # how Django and SQLAlchemy keep one in text
        return tenant_id.hex
    return text if is_sqlite or length is None or len(text) <= length else None


def _whole(tenant_id: TenantId, bits: int) -> int | None:
    try:
        number = int(str(tenant_id))
    except ValueError:
        return None
    return number if str(number) == str(tenant_id) and -(2 ** (bits - 1)) <= number < 2 ** (bits - 1) else None


def _bits(kind: sa.Integer) -> int:
    return 16 if isinstance(kind, sa.SmallInteger) else 64 if isinstance(kind, sa.BigInteger) else 32
