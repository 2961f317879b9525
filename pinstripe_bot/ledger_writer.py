"""A connection that writes into a ledger: one thread of this process at a time, connected anew where it was lost."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

TURN_S = 10.0
"""How long a thread waits for the others that write. With the wait for the database it is less than a loop may take."""


class LedgerWriter:
    """One connection, made at its first transaction; `begin(connection, durable=...)` begins one."""

    def __init__(self, connect: Callable[[], Connection], begin: Callable[..., None]) -> None:
        self.connection: Connection | None = None
        self._connect = connect
        self._begin = begin
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """Wait for the other threads that write; false where they take too long, each waiting for the database."""
        is_mine = self._lock.acquire(timeout=TURN_S)
        try:
            yield is_mine
        finally:
            if is_mine:
                self._lock.release()

    @contextlib.contextmanager
    def transaction(self, *, durable: bool) -> Iterator[Connection]:
        """One transaction, in our turn; commits at the end, rolls back on an error."""
        try:
            connection = self._begun(durable=durable)
            try:
                yield connection
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                with contextlib.suppress(SQLAlchemyError):  # the error that brought us here is the one to tell
                    connection.exec_driver_sql("ROLLBACK")
                raise
        finally:
            if self.connection is not None and self.connection.invalidated:
                self._drop()  # the next transaction connects anew

    def _begun(self, *, durable: bool) -> Connection:
        """The connection, in a transaction; made anew where it was lost while nobody wrote."""
        is_new = self.connection is None
        connection = self.connection = self.connection or self._connect()
        try:
            self._begin(connection, durable=durable)
        except DBAPIError:
            with contextlib.suppress(SQLAlchemyError):
                connection.exec_driver_sql("ROLLBACK")
            if is_new or not connection.invalidated:
                raise
            self._drop()
            return self._begun(durable=durable)
        return connection

    def close(self) -> None:
        """Close the connection, when nobody writes any more; harmless when called twice."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):  # it may be lost already
                connection.close()
            connection.engine.dispose()
