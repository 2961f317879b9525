"""The connections to a project's database: transactions, and errors as sentences."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Table
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from structlog.typing import FilteringBoundLogger

from pinstripe_bot.database_engine import database_url, is_left_changed, make_engine
from pinstripe_bot.database_types import reflect
from pinstripe_bot.errors import DatabaseError

_LONG_LOCK_S = 5.0
_BATCH = 1000  # rows
_ABOUT_ROWS = ("22", "23")  # PostgreSQL's classes of errors about data and constraints


class Connections:
    """All that one process keeps of a database: connections, and tables as it first saw them.

    Nothing connects before the first use. Safe in any thread.
    """

    def __init__(self, url: str, *, root: Path | None, busy_timeout: timedelta, monotonic: Callable[[], float]) -> None:
        self.url = database_url(url, root)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.monotonic = monotonic
        self.writer: Transaction | None = None  # who holds SQLite's one write lock, for whoever waits in vain
        self._busy_timeout = busy_timeout
        self._engine = make_engine(self.url, busy_timeout)
        self._tables: dict[str, Table] = {}

    def connect(self) -> Connection:
        """A connection without a transaction."""
        with self.plain_errors():
            return self._engine.connect()

    def stream(self, statement: Select[Any]) -> Generator[RowMapping, None, None]:
        """The rows of a statement, a batch at a time; the connection goes back at the end, or when it is closed."""
        options = {"stream_results": True, "yield_per": _BATCH}
        with (
            self.plain_errors(),
            self.connect() as connection,
            connection.execute(statement, execution_options=options) as result,
        ):
            yield from result.mappings()

    def table(self, name: str, connection: Connection | None) -> Table:
        """The table or view `name`, looked up on first use; on `connection`, which may just have made it."""
        # No lock is held while the database answers: two threads may look up one table, and the first wins.
        with self.plain_errors():
            if connection is not None and is_left_changed(connection):
                return reflect(connection, name)  # it may be a temporary one, or be rolled back
            found = self._tables.get(name)
            if found is not None:
                return found
            if connection is not None:
                return self._tables.setdefault(name, reflect(connection, name))
            with self._engine.connect() as own:
                return self._tables.setdefault(name, reflect(own, name))

    def forget_connection(self, connection: Connection) -> None:
        """Let nobody else get a connection on which a statement left something, nor trust a table seen before it."""
        connection.detach()
        self._tables.clear()

    def forget_table(self, name: str) -> None:
        """Let the next use of this table look it up."""
        self._tables.pop(name, None)

    def dispose(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()

    @contextmanager
    def plain_errors(self) -> Iterator[None]:
        """Turn what SQLAlchemy and the drivers raise into a DatabaseError, and keep the cause."""
        try:
            yield
        except SQLAlchemyError as error:
            original = getattr(error, "orig", None)
            if isinstance(original, DatabaseError):  # one of our column types refused a value
                raise original from None
            _hide_rows(error, original)
            self._tables.clear()  # a column may be gone: let the next use look again
            raise DatabaseError(self._sentence(error, original)) from error
        except (TypeError, ValueError, ArithmeticError) as error:
            raise DatabaseError(f"a value does not fit the type of its column: {error}; correct it") from error

    def _sentence(self, error: SQLAlchemyError, original: BaseException | None) -> str:
        said = _said(original or error)
        code = getattr(original, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            holder = f"run {self.writer.label!r} of this process" if self.writer else "another program"
            seconds = self._busy_timeout.total_seconds()
            return (
                f"the database {self._place} stayed locked for {seconds:g} s: {holder} holds its write lock; "
                "keep transactions short, and close programs that have it open with unsaved changes"
            )
        if code == sqlite3.SQLITE_CANTOPEN and not Path(self._place).parent.is_dir():
            return f"the folder of the database {self._place} does not exist: create it, or correct database.url"
        if not self.is_sqlite and isinstance(error, OperationalError):
            if error.connection_invalidated or getattr(original, "sqlstate", None) is None:
                return f"the database {self._place} cannot be reached: {said}; does it run, is database.url right?"
            return f"the database could not do a statement: {said}; run it again"
        return f"the database refused a statement: {said}; correct the statement or its values"

    @property
    def _place(self) -> str:
        """The database in words that hold no password."""
        if self.is_sqlite:
            return str(self.url.database)
        return f"{self.url.database!r} on {self.url.host or self.url.query.get('host') or 'this machine'}"


class Transaction:
    """An open transaction on a connection of its own, for one thread at a time.

    `takes_lock`: on SQLite it takes the write lock at once; one that reads first and writes later would fail
    without waiting as soon as somebody else has written in between.
    """

    def __init__(self, connections: Connections, label: str, log: FilteringBoundLogger, *, takes_lock: bool) -> None:
        self.label = label
        self.thread = threading.get_ident()
        self._connections = connections
        self._log = log
        self._turn = threading.RLock()
        self._nested_owners: list[object] = []
        self._last_steps: list[Callable[[Connection], None]] = []
        self._afterwards: list[Callable[[], None]] = []
        self._locked_at: float | None = None
        self._connection = connections.connect()
        if connections.is_sqlite:
            self._begin(takes_lock)

    def _begin(self, takes_lock: bool) -> None:
        try:
            with self._connections.plain_errors():
                self._connection.exec_driver_sql("BEGIN IMMEDIATE" if takes_lock else "BEGIN")
        except BaseException:
            self._connection.close()
            raise
        if takes_lock:
            self._connections.writer = self
            self._locked_at = self._connections.monotonic()

    @contextmanager
    def turn(self, owner: object) -> Iterator[Connection]:
        """The connection, for one statement of `owner`."""
        with self._turn, self._connections.plain_errors():
            if self._nested_owners and self._nested_owners[-1] is not owner:
                raise DatabaseError(
                    "another thread or coroutine of this atomic run is inside database.transaction(), and could "
                    "undo what is done meanwhile: wait until it has ended"
                )
            if self._is_lost():
                raise DatabaseError(
                    "an earlier statement failed, so that its transaction can neither go on nor be committed: "
                    "put a statement that may fail into a database.transaction() of its own, inside this one"
                )
            yield self._connection

    @contextmanager
    def nested(self, owner: object) -> Iterator[None]:
        """A savepoint: kept at the end, rolled back on an error."""
        with self.turn(owner) as connection:
            savepoint = connection.begin_nested()
            self._nested_owners.append(owner)
        try:
            yield
            with self.turn(owner):
                savepoint.commit()
        except BaseException:
            with suppress(SQLAlchemyError):  # the whole transaction is lost already, and its commit will say so
                savepoint.rollback()
            raise
        finally:
            self._nested_owners.remove(owner)

    def at_commit(self, last_step: Callable[[Connection], None], then: Callable[[], None]) -> None:
        """Do a last step before the commit, even if a savepoint is rolled back by then, and `then` after it."""
        self._last_steps.append(last_step)
        self._afterwards.append(then)

    def commit(self) -> None:
        with self.turn(None) as connection:
            for last_step in self._last_steps:
                last_step(connection)
            connection.commit()
        for then in self._afterwards:
            then()

    def end(self) -> None:
        """Roll back what was not committed, and give the connection back."""
        with self._turn:
            try:
                self._connection.rollback()
                if is_left_changed(self._connection):
                    self._connections.forget_connection(self._connection)
            except SQLAlchemyError:
                self._connection.invalidate()  # the database rolls back when it sees the connection gone
            self._connection.close()
        if self._locked_at is None:
            return
        if self._connections.writer is self:
            self._connections.writer = None
        held_s = self._connections.monotonic() - self._locked_at
        if held_s > _LONG_LOCK_S:
            self._log.warning("database_lock_held_long", run=self.label, held_ms=round(held_s * 1000))

    def _is_lost(self) -> bool:
        """Whether the database gave the transaction up: committing would save nothing and say nothing."""
        driver: Any = self._connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            return not driver.in_transaction
        return bool(driver.info.transaction_status.name == "INERROR")


def _hide_rows(error: SQLAlchemyError, original: BaseException | None) -> None:
    """PostgreSQL's detail shows a row that broke a rule, and the one in its way; a run's traceback ends in logs."""
    answer = getattr(original, "diag", None)
    if original is None or answer is None or (answer.sqlstate or "")[:2] not in _ABOUT_ROWS:
        return
    for each in (error, original) if answer.message_detail else ():
        said, *others = each.args
        each.args = (said.replace(answer.message_detail, "not shown"), *others)


def _said(error: BaseException) -> str:
    """The driver's own words on one line, without the statement and the values that PostgreSQL adds."""
    answer = getattr(error, "diag", None)
    return " ".join(str((answer and answer.message_primary) or error).split())
