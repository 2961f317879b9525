"""Where the ledger is kept: opens its database, checks whose it is, and gives transactions."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pinstripe_bot.errors import LedgerError, LedgerUnavailable
from pinstripe_bot.ledger_migrations import create_or_migrate, version_of
from pinstripe_bot.ledger_ownership import is_moved, refuse_foreign, refuse_moved
from pinstripe_bot.ledger_schema import VERSION, ledger
from pinstripe_bot.ledger_writer import LedgerWriter

BUSY_TIMEOUT_S = 5.0
"""How long a transaction waits for another process before the ledger counts as unavailable."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What opening found: the version of the tables, None for a new ledger, and what a person should hear."""

    found_version: int | None
    warnings: tuple[str, ...] = ()

    @property
    def is_new(self) -> bool:
        return self.found_version is None

    @property
    def is_migrated(self) -> bool:
        return self.found_version is not None and self.found_version < VERSION


class Outbox(Protocol):
    """What gives runs that wait in the ledger to those who perform them elsewhere; a part of its transactions."""

    def send(self, connection: Connection) -> None:
        """Send whatever waits, on this connection; it is committed with what the transaction has written."""


class LedgerStore(ABC):
    """A ledger's database, and its transactions.

    Those that decide (`writing`) go one after another, of all bots: what is open when one reads it is opened by
    nobody else before its end. Those that work on runs which somebody has (`working`) wait for nobody where the
    database can lock rows; on SQLite the file has one writer. Readers wait for nobody.
    """

    place: str  # for people, without a password
    covers: str  # who may share it, finishes "covers ..."
    survives_power_cut = True  # whether a start (`durable=False`) is known after one
    path: Path | None = None  # its file, if it is one
    outbox: Outbox | None = None  # in a cluster: each transaction sends what it lets wait, before it commits
    serves_move = False  # opened by a move, which alone may open a ledger that is moving or has moved

    @property
    def is_one_machine(self) -> bool:
        """Whether only the bots of one machine share it."""
        return self.path is not None

    @property
    def size(self) -> int | None:
        """How many bytes its file has, with what SQLite keeps beside it; None where it is no file."""
        if self.path is None:
            return None
        parts = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())

    _begin_reading = "BEGIN"

    def __init__(self) -> None:
        self._writer = LedgerWriter(self._connect_writer, self._begin_writing)
        self._worker = self._writer
        self._readers: Engine | None = None
        self._is_open = False

    def open(self, project: str, now: datetime, *, is_own: bool = False) -> Opened:
        """Open the database, or make the tables in an empty one, or migrate older ones.

        A ledger of another project is refused, unless it `is_own`: it lies inside the project. Raises LedgerError
        for one that is foreign, newer or damaged (nothing is written into it) and LedgerUnavailable for one that
        does not answer.
        """
        with self._closing_on_error(), self._alone():
            self._prepare()
            self._readers = self._connect_readers()
            with self.reading() as connection:  # before the first write: a foreign one stays as it is
                self._refuse_foreign(connection, None if is_own else project)
            self.check()
            self._is_open = True
            with self.writing() as connection:
                self._refuse_foreign(connection, None if is_own else project)  # somebody may have made it just now
                found = create_or_migrate(connection, project, now.isoformat())
                if is_own and found is not None:  # its folder may have been renamed
                    connection.execute(update(ledger).where(ledger.c.name == "project").values(value=project))
        return Opened(found, self._warnings())

    def open_known(self, project: str, *, is_own: bool = False) -> bool:
        """Open a ledger that is there, of this project and version, for a single write; false where `open` is needed.

        Whoever opens it to write one row neither makes, migrates nor checks it.
        """
        with self._closing_on_error():
            if not self._exists():
                return False
            self._readers = self._connect_readers()
            try:
                with self.reading() as connection:
                    facts = {row.name: row.value for row in connection.execute(select(ledger))}
            except LedgerError:  # no ledger, or one that does not answer: `open` says what is wrong
                facts = {}
            is_ours = facts.get("version") == str(VERSION) and (is_own or facts.get("project") == project)
            if not is_ours or is_moved(facts):
                self.close()
                return False
            self._is_open = True
            return True

    def open_for_reading(self) -> bool:
        """Open a ledger only to look at it; false if there is none yet. Raises as `open`."""
        with self._closing_on_error():
            if not self._exists():
                return False
            self._readers = self._connect_readers()
            with self.reading() as connection:
                self._refuse_foreign(connection, None)
                version = version_of(connection)
            if version is not None and version < VERSION:
                raise LedgerError(
                    f"the ledger {self.place} has version {version}, older than {VERSION}: start the bot once, which"
                    " migrates it"
                )
            if version is None:
                self.close()
            return version is not None

    def writing(self, *, durable: bool = True) -> contextlib.AbstractContextManager[Connection]:
        """One write transaction that decides, alone; commits at the end, rolls back on an error.

        Raises LedgerUnavailable if the database does not answer; then nothing was written, or, where the answer
        to the commit itself was lost, perhaps all of it.
        """
        return self._transaction(self._writer, durable=durable)

    def working(self, *, durable: bool = True) -> contextlib.AbstractContextManager[Connection]:
        """One write transaction beside those of others; else as `writing`.

        It takes what nobody has, or ends or gives back what its bot has; it opens nothing. Each of its statements
        says whose run it means in which attempt, and locks its rows in the order of their ids.
        Source: docs/decisions/0070-sharing-work-without-waiting.md.
        """
        return self._transaction(self._worker, durable=durable)

    @contextlib.contextmanager
    def _transaction(self, writer: LedgerWriter, *, durable: bool) -> Iterator[Connection]:
        with writer.turn() as is_mine:
            if not is_mine:
                raise LedgerUnavailable(f"the ledger {self.place} does not answer: other threads wait for it")
            if not self._is_open:
                raise LedgerUnavailable(f"the ledger {self.place} is closed")
            try:
                with writer.transaction(durable=durable) as connection:
                    yield connection
                    if self.outbox is not None and durable:  # a start, a heartbeat and an adoption let nothing wait
                        self.outbox.send(connection)
            except DBAPIError as error:
                raise self._told(error) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent look. Raises LedgerUnavailable if the database does not answer."""
        readers = self._readers
        if readers is None:
            raise LedgerUnavailable(f"the ledger {self.place} is closed")
        try:
            with readers.connect() as connection:
                connection.exec_driver_sql(self._begin_reading)
                try:
                    yield connection
                finally:
                    with contextlib.suppress(SQLAlchemyError):  # of a lost connection there is nothing to undo
                        connection.exec_driver_sql("ROLLBACK")
        except DBAPIError as error:
            raise self._told(error) from error
        except PoolTimeout as error:
            raise LedgerUnavailable(f"the ledger {self.place} does not answer: too many look at it at once") from error

    def close(self) -> None:
        """Close all connections; harmless when called twice."""
        self._is_open = False
        for writer in {self._writer, self._worker}:
            writer.close()
        readers, self._readers = self._readers, None
        if readers is not None:
            readers.dispose()

    @contextlib.contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        """Say in our words why the ledger cannot be opened, and leave nothing open."""
        try:
            yield
        except OSError as error:
            self.close()
            raise LedgerError(
                f"the ledger {self.place} cannot be made: {error.strerror}: make its folder writable"
            ) from error
        except DBAPIError as error:
            self.close()
            raise self._told(error) from error
        except BaseException:
            self.close()
            raise

    def _refuse_foreign(self, connection: Connection, project: str | None) -> None:
        refuse_foreign(connection, self.place, project)
        if not self.serves_move:
            refuse_moved(connection, self.place)

    @abstractmethod
    def check(self) -> None:
        """Look for damage, as far as that is cheap. Raises LedgerDamaged."""

    @abstractmethod
    def _exists(self) -> bool:
        """Whether there may be a ledger to read."""

    @abstractmethod
    def _alone(self) -> contextlib.AbstractContextManager[None]:
        """In the block nobody else opens this ledger."""

    @abstractmethod
    def _prepare(self) -> None:
        """Make what must be there before the first connection."""

    @abstractmethod
    def _connect_readers(self) -> Engine: ...

    @abstractmethod
    def _connect_writer(self) -> Connection: ...

    @abstractmethod
    def _begin_writing(self, connection: Connection, *, durable: bool) -> None:
        """Begin a transaction, as the only one of all that decides."""

    @abstractmethod
    def _told(self, error: DBAPIError) -> LedgerError:
        """In our words why the database did not do what it was asked."""

    def _warnings(self) -> tuple[str, ...]:
        return ()
