"""The database of a tenant's workspace: each table with that tenant's rows only, and a marked way out."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager
from dataclasses import replace

from sqlalchemy import Subquery

from pinstripe_bot.database import Database
from pinstripe_bot.database_scope import TenantRows
from pinstripe_bot.database_table import TableQuery, TableRow
from pinstripe_bot.errors import UnscopedStatement
from pinstripe_bot.tenant import TenantId


class TenantDatabase:
    """A run's database as the job of one tenant sees it: `database.orders` are that tenant's orders.

    Whose a row is says the column `tenant_column`, and in the table of tenants, if there is one (its name, its id
    column), that column. A table without it is everybody's. A `tenant_id` of None is a tenant that cannot be found:
    it has no rows. It protects from mistakes, not from Python that reaches behind it.
    """

    __slots__ = ("_database", "_everybodys", "_scope")

    def __init__(
        self,
        database: Database,
        *,
        tenant_id: TenantId | None,
        tenant_column: str,
        tenants_table: tuple[str, str] | None,
    ) -> None:
        self._database = database
        self._scope = TenantRows(tenant_id, tenant_column, tenants_table)
        self._everybodys: set[str] = set()  # tables that have no tenant column, as far as this run has looked

    def __getattr__(self, name: str) -> TableQuery:
        if name.startswith("_"):  # Python asks objects for names of its own; no table answers to them
            raise AttributeError(name)
        if name == "execute":
            raise UnscopedStatement(
                "a statement of your own is not limited to this workspace's tenant: use "
                "database.unscoped.execute(...), with database.selectable(...) for the rows of the tenant"
            )
        return self[name]

    def __getitem__(self, name: str) -> TableQuery:
        query = self._database[name]
        if name not in self._everybodys and not self._scope.is_limit(query.table):
            query = self._database.look_up(name)  # a migration may have given it the tenant column meanwhile
            self._everybodys.add(name)
        return replace(query, scope=self._scope)

    @property
    def unscoped(self) -> Database:
        """The database with the rows of all tenants, for statements of any kind."""
        return self._database

    def selectable(self, table: str, *, name: str | None = None) -> Subquery:
        """The tenant's rows of a table for joins, as a SQLAlchemy subquery called `name` or like the table."""
        return self[table].select().subquery(name or table)

    def stream(self, query: TableQuery) -> Generator[TableRow, None, None]:
        """The tenant's rows of a query, wherever it comes from, read in batches while they are used."""
        return self._database.stream(replace(query, scope=self._scope))

    def transaction(self) -> AbstractContextManager[None]:
        """Commit everything inside together at the end, or nothing, also what is done on `unscoped`."""
        return self._database.transaction()

    @property
    def in_transaction(self) -> bool:
        """Whether what the caller writes now waits for a commit; in an atomic run always."""
        return self._database.in_transaction
