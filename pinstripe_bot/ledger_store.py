"""Where the ledger is kept: opens its SQLite file, checks whose it is, and gives transactions."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event, insert, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError

from pinstripe_bot.errors import LedgerError, LedgerUnavailable
from pinstripe_bot.ledger_schema import VERSION, ledger, metadata

BUSY_TIMEOUT_S = 5.0
"""How long a transaction waits for another process before the ledger counts as unavailable."""


class LedgerStore:
    """The ledger's SQLite file, in write-ahead mode.

    One connection writes, under a lock, so that threads of this process never meet SQLite's busy waiting; others
    read. A transaction is durable at its commit (`synchronous = FULL`), or with `durable=False` survives a
    killed process but perhaps not a power cut (`NORMAL`), which costs a fifth.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.Lock()
        self._writer: Connection | None = None
        self._readers: Engine | None = None
        self._is_full = True

    def open(self, project: str, now: datetime) -> bool:
        """Open the file, or make it; true if it is new.

        Raises LedgerError for a file that is foreign, newer or damaged (nothing is written into it) and
        LedgerUnavailable for one that does not answer.
        """
        with self._closing_on_error():
            if not self.path.exists():
                _make_private(self.path)
            with _alone_in(self.path.parent):
                self._open_readers()  # before the first write: a foreign file stays as it is
                url = URL.create("sqlite+pysqlite", database=str(self.path))
                self._writer = self._engine(url, StaticPool, "journal_mode = WAL", "synchronous = FULL").connect()
                with self.writing() as connection:
                    return self._create(connection, project, now)

    def open_for_reading(self) -> None:
        """Open a file that exists, only to look at it. Raises as `open`."""
        with self._closing_on_error():
            self._open_readers()

    def _open_readers(self) -> None:
        # Read-only by its URL: with query_only alone, closing would still fold a foreign file's log into it.
        url = URL.create("sqlite+pysqlite", database=self.path.absolute().as_uri(), query={"mode": "ro", "uri": "true"})
        self._readers = self._engine(url, None)
        with self.reading() as connection:
            self._refuse_foreign(connection)

    @contextlib.contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        """Say in our words why the file cannot be opened, and leave nothing open."""
        try:
            yield
        except OSError as error:
            self.close()
            raise LedgerError(
                f"the ledger {self.path} cannot be made: {error.strerror}: make its folder writable"
            ) from error
        except DBAPIError as error:
            self.close()
            raise self._told(error) from error
        except BaseException:
            self.close()
            raise

    def _told(self, error: DBAPIError) -> LedgerError:
        """In our words why the file did not do what it was asked."""
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB or self.path.is_dir():
            return LedgerError(f"{self.path} is not a ledger: move it aside, or set ledger.url to a file of its own")
        return LedgerUnavailable(f"the ledger {self.path} does not answer: {error.orig}")

    def _engine(self, url: URL, pool: Any, *pragmas: str) -> Engine:
        engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",  # we begin and commit ourselves: pysqlite begins only before DML
            poolclass=pool,
            connect_args={"check_same_thread": False, "timeout": self._busy_timeout_s},
        )

        @event.listens_for(engine, "connect")
        def configure(connection: Any, _record: Any) -> None:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")

        return engine

    def _refuse_foreign(self, connection: Connection) -> None:
        tables = inspect(connection).get_table_names()
        if not tables:
            return
        is_ours = metadata.tables.keys() <= set(tables)
        version = connection.scalar(select(ledger.c.value).where(ledger.c.name == "version")) if is_ours else None
        if version is None:
            raise LedgerError(
                f"{self.path} is another program's database (it has the table {tables[0]!r}):"
                " set ledger.url to a file of its own"
            )
        if int(version) > VERSION:
            raise LedgerError(
                f"the ledger {self.path} has version {version} and this pinstripe writes version {VERSION}:"
                " install the newer pinstripe, or set ledger.url to another file"
            )

    def _create(self, connection: Connection, project: str, now: datetime) -> bool:
        """Make the tables in an empty file; true if that was needed."""
        if inspect(connection).has_table("ledger"):
            return False
        metadata.create_all(connection)
        facts = {"version": str(VERSION), "project": project, "created_at": now.isoformat()}
        connection.execute(insert(ledger), [{"name": name, "value": value} for name, value in facts.items()])
        return True

    @contextlib.contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """One write transaction; commits at the end, rolls back on an error.

        Raises LedgerUnavailable if the file does not answer; then nothing was written.
        """
        with self._lock:
            connection = self._writer
            if connection is None:
                raise LedgerUnavailable(f"the ledger {self.path} is closed")
            try:
                if durable is not self._is_full:
                    connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                    self._is_full = durable
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.exec_driver_sql("COMMIT")
                except BaseException:
                    with contextlib.suppress(DBAPIError):  # the error that brought us here is the one to tell
                        connection.exec_driver_sql("ROLLBACK")
                    raise
            except DBAPIError as error:
                raise self._told(error) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent look. Raises LedgerUnavailable if the file does not answer."""
        if self._readers is None:
            raise LedgerUnavailable(f"the ledger {self.path} is closed")
        try:
            with self._readers.connect() as connection:
                connection.exec_driver_sql("BEGIN")
                try:
                    yield connection
                finally:
                    connection.exec_driver_sql("ROLLBACK")
        except DBAPIError as error:
            raise self._told(error) from error

    def close(self) -> None:
        """Close all connections; harmless when called twice."""
        with self._lock:
            if self._writer is not None:
                engine = self._writer.engine
                self._writer.close()
                engine.dispose()
                self._writer = None
            if self._readers is not None:
                self._readers.dispose()
                self._readers = None


def ledger_path(url: str | None, root: Path) -> Path:
    """The file of the ledger that `ledger.url` names, or of the default. Raises LedgerError for any other database."""
    if url is None:
        return root / ".pinstripe" / "ledger.db"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the cause would show the text, and there may be a password in it
        raise LedgerError('ledger.url is no URL: write "sqlite:///path/to/ledger.db", or leave it out') from None
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise LedgerError(
            f"ledger.url = {parsed.render_as_string()!r} cannot be used: this version keeps its ledger in a SQLite"
            ' file: write "sqlite:///path/to/ledger.db", or leave it out'
        )
    return root / parsed.database


def _make_private(path: Path) -> None:
    """An empty file that only its owner may read, in such a folder: params and outputs may hold secrets."""
    path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process is opening a ledger in this folder.

    Of two that turn one new file to write-ahead mode, SQLite fails one at once, whatever its time-out.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
