"""The project's database as a job sees it: tables by name, statements, transactions."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog
from sqlalchemy import Connection, Executable, Subquery, TextClause
from sqlalchemy.sql.dml import UpdateBase
from structlog.typing import FilteringBoundLogger

from pinstripe_bot.database_connections import Connections, Transaction
from pinstripe_bot.database_table import StatementResult, TableQuery, TableRow
from pinstripe_bot.database_types import param_value
from pinstripe_bot.errors import DatabaseError

T = TypeVar("T")

Params = Mapping[str, Any] | Sequence[Mapping[str, Any]]

_WRITES = re.compile(r"\s*(insert|update|delete|replace|create|alter|drop)\b", re.IGNORECASE)
# What neither database allows inside a transaction; a PRAGMA fails there, or does nothing.
_ALONE = re.compile(r"\s*(vacuum|pragma|(create|drop|reindex)\b.*\bconcurrently)\b", re.IGNORECASE | re.DOTALL)


class DatabasePool:
    """The database of a process: built once, connected on first use, opened for each run. Safe in any thread.

    `url` is sqlite:///shop.db (relative to `root`) or postgresql://user:password@host/name; `busy_timeout` is
    how long a statement waits for SQLite's write lock.
    """

    def __init__(
        self,
        url: str,
        *,
        monotonic: Callable[[], float],
        root: Path | None = None,
        busy_timeout: timedelta = timedelta(seconds=10),
    ) -> None:
        self._connections = Connections(url, root=root, busy_timeout=busy_timeout, monotonic=monotonic)

    @property
    def is_sqlite(self) -> bool:
        """Whether a transaction holds the one write lock of the whole database."""
        return self._connections.is_sqlite

    def open(
        self,
        label: str,
        *,
        atomic: bool = False,
        guard: Callable[[], None] | None = None,
        commit_guard: Callable[[], None] | None = None,
        log: FilteringBoundLogger | None = None,
    ) -> Database:
        """The database for the run called `label`; with `atomic` the whole run is one transaction.

        `guard` is called before every statement and every commit, `commit_guard` before an atomic run's commit; they
        raise to forbid it.
        """
        log = log or structlog.get_logger()
        return Database(self._connections, label, is_atomic=atomic, guard=guard, commit_guard=commit_guard, log=log)

    def close(self) -> None:
        """Close the connections that no run is using."""
        self._connections.dispose()


class Database:
    """One run's database: `database.orders` or `database["orders"]` is a table.

    Outside a transaction every statement commits by itself, on a connection of its own: any thread may use it.
    A transaction belongs to the thread, or the coroutine, that opened it; what others do goes its own way. An
    atomic run has one transaction for all of them: the first statement begins it, `__exit__` commits it.
    """

    def __init__(
        self,
        connections: Connections,
        label: str,
        *,
        is_atomic: bool,
        guard: Callable[[], None] | None,
        commit_guard: Callable[[], None] | None,
        log: FilteringBoundLogger,
    ) -> None:
        self._connections = connections
        self._label = label
        self._is_atomic = is_atomic
        self._guard = guard
        self._commit_guard = commit_guard
        self._log = log
        self._is_closed = False
        self._atomic_turn = threading.Lock()
        self._transactions: dict[object, Transaction] = {}

    def __getattr__(self, name: str) -> TableQuery:
        if name.startswith("_"):  # Python asks objects for names of its own; no table answers to them
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> TableQuery:
        self._check_open()
        mine = self._transactions.get(self._owner())
        if mine is None:
            return TableQuery(self._connections.table(name, None), self._perform)
        with mine.turn(_caller()) as connection:
            return TableQuery(self._connections.table(name, connection), self._perform)

    def look_up(self, table: str) -> TableQuery:
        """A table as the database describes it now; by its name alone it may be as this process first saw it."""
        self._connections.forget_table(table)
        return self[table]

    @property
    def unscoped(self) -> Self:
        """This database; in a tenant's workspace, the one with the rows of all tenants."""
        return self

    def selectable(self, table: str, *, name: str | None = None) -> Subquery:
        """The table's rows for joins, as a SQLAlchemy subquery called `name` or like the table."""
        return self[table].select().subquery(name or table)

    def stream(self, query: TableQuery) -> Generator[TableRow, None, None]:
        """The rows of a query, read in batches while they are used, on a connection of their own.

        They are as they were committed when the first was read, without what a transaction of the caller has written.
        """
        self._check_usable()
        with closing(self._connections.stream(query.select())) as rows:
            for row in rows:
                self._check_usable()  # whoever keeps it reads no further than the run goes
                yield TableRow(**row)

    def execute(self, statement: Executable, params: Params | None = None) -> StatementResult:
        """Perform any SQLAlchemy statement; `params` fill its named places, a list of them repeats it."""
        if isinstance(statement, str):
            raise DatabaseError(f"execute() takes a statement, not a str: write sqlalchemy.text({statement!r})")
        if isinstance(statement, TextClause) and params:
            params = [self._plain(each) for each in params] if isinstance(params, Sequence) else self._plain(params)
        return self._perform(statement, params)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside together at the end, or nothing; one inside another can fail alone."""
        self._check_usable()
        mine = self._mine()
        if mine is not None:
            with mine.nested(_caller()):
                yield
            return
        owner = _caller()
        with self._begun(takes_lock=True) as own:
            self._transactions[owner] = own
            try:
                yield
            finally:
                del self._transactions[owner]

    @property
    def in_transaction(self) -> bool:
        """Whether what the caller writes now waits for a commit; in an atomic run always."""
        return self._is_atomic or self._owner() in self._transactions

    def join(
        self, write: Callable[[Connection], T], settle: Callable[[Connection, T], None], then: Callable[[], None]
    ) -> T:
        """Let `write` be a step of the caller's transaction, at once, and return what it gives.

        `settle`, with that, is the last step before the commit, and `then` comes after it. Raises DatabaseError where
        there is no transaction.
        """
        self._check_usable()
        mine = self._mine()
        if mine is None:
            raise DatabaseError("there is no transaction to join: open one with database.transaction()")
        with mine.turn(_caller()) as connection:
            written = write(connection)
        mine.at_commit(lambda connection: settle(connection, written), then)
        return written

    def close(self) -> None:
        """Roll back what an atomic run has not committed, and refuse any further use."""
        with self._atomic_turn:
            self._is_closed = True
            mine = self._transactions.pop(self, None)
        if mine is not None:
            mine.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and (mine := self._transactions.get(self)):
                self._check_usable()
                if self._commit_guard is not None:
                    self._commit_guard()
                mine.commit()
        finally:
            self.close()

    def _perform(self, statement: Executable, params: Params | None = None) -> StatementResult:
        self._check_usable()
        mine = self._mine()
        if mine is not None:
            with mine.turn(_caller()) as connection:
                return StatementResult(connection.execute(statement, params))
        if isinstance(statement, TextClause) and _ALONE.match(statement.text):
            return self._perform_alone(statement, params)
        with self._begun(takes_lock=_writes(statement)) as own, own.turn(_caller()) as connection:
            return StatementResult(connection.execute(statement, params))

    def _perform_alone(self, statement: Executable, params: Params | None) -> StatementResult:
        with self._connections.plain_errors(), self._connections.connect() as connection:
            if not self._connections.is_sqlite:
                connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.detach()  # a PRAGMA may change it: nobody else gets it
            return StatementResult(connection.execute(statement, params))

    def _mine(self) -> Transaction | None:
        """The transaction that the caller's next statement belongs to."""
        if not self._is_atomic:
            return self._transactions.get(self._owner())
        with self._atomic_turn:
            self._check_open()  # again: a transaction begun after the end would never end
            if self not in self._transactions:
                self._transactions[self] = Transaction(self._connections, self._label, self._log, takes_lock=True)
            return self._transactions[self]

    @contextmanager
    def _begun(self, *, takes_lock: bool) -> Iterator[Transaction]:
        """A transaction that is committed at the end, or rolled back on an error."""
        if takes_lock:
            self._refuse_to_wait_for_itself()
        own = Transaction(self._connections, self._label, self._log, takes_lock=takes_lock)
        try:
            yield own
            self._check_usable()
            own.commit()
        finally:
            own.end()

    def _refuse_to_wait_for_itself(self) -> None:
        thread = threading.get_ident()
        held = list(self._transactions.values())
        if self._connections.is_sqlite and any(transaction.thread == thread for transaction in held):
            raise DatabaseError(
                "another coroutine of this run holds a transaction, and on SQLite this one would wait for it in "
                "vain: do not await inside database.transaction()"
            )

    def _check_usable(self) -> None:
        self._check_open()
        if self._guard is not None:
            self._guard()

    def _check_open(self) -> None:
        if self._is_closed:
            raise DatabaseError("this run's workspace is closed: use self.database only while the job runs")

    def _plain(self, params: Mapping[str, Any]) -> dict[str, Any]:
        is_sqlite = self._connections.is_sqlite
        return {name: param_value(value, name, is_sqlite=is_sqlite) for name, value in params.items()}

    def _owner(self) -> object:
        """What a transaction belongs to: the whole run if it is atomic, else who calls."""
        return self if self._is_atomic else _caller()


def _caller() -> object:
    """The coroutine that is running, or else the thread."""
    try:
        return asyncio.current_task() or threading.current_thread()
    except RuntimeError:  # no event loop in this thread
        return threading.current_thread()


def _writes(statement: Executable) -> bool:
    """Whether the statement surely writes; SQLite takes the lock by itself for one that does so unnoticed."""
    if isinstance(statement, TextClause):
        return _WRITES.match(statement.text) is not None
    return isinstance(statement, UpdateBase)
