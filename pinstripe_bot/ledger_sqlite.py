"""The ledger in a SQLite file: the embedded default, shared by the bots of one machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from pinstripe_bot.errors import LedgerDamaged, LedgerError, LedgerUnavailable
from pinstripe_bot.ledger_store import BUSY_TIMEOUT_S, LedgerStore

_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "glusterfs", "fuse.glusterfs", "ceph", "afs"}
)
"""File systems whose locks and shared memory SQLite's write-ahead log cannot rely on."""

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_CHECKED_BYTES = 32 * 1024 * 1024
"""A file up to this size is looked through for damage when it is opened: 20 ms."""


class SqliteStore(LedgerStore):
    """A SQLite file in write-ahead mode.

    A transaction is durable at its commit (`synchronous = FULL`), or with `durable=False` survives a killed
    process but perhaps not a power cut (`NORMAL`), which costs a fifth.
    """

    covers = "this machine only"
    survives_power_cut = False

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        super().__init__()
        self.path: Path = path
        self.place = str(path)
        self._busy_timeout_s = busy_timeout_s
        self._is_full = True
        self._opened: tuple[int, int] | None = None  # which file the writer has open

    def _exists(self) -> bool:
        return self.path.exists()

    def _prepare(self) -> None:
        """An empty file that only its owner may read, in such a folder: params and outputs may hold secrets."""
        if self.path.exists():
            self._refuse_another_user()
            return
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))

    def _refuse_another_user(self) -> None:
        owner, me = self.path.stat().st_uid, os.geteuid()
        if owner != me:
            raise LedgerError(
                f"the ledger {self.path} belongs to the user {_user(owner)}, and this is {_user(me)}, whose files"
                f" beside it would lock the other one out: run as {_user(owner)}, or set ledger.url to another file"
            )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other process is opening a ledger in this folder.

        Of two that turn one new file to write-ahead mode, SQLite fails one at once, whatever its time-out.
        """
        self.path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _connect_readers(self) -> Engine:
        # Read-only by its URL: with query_only alone, closing would still fold a foreign file's log into it.
        return self._engine(
            URL.create("sqlite+pysqlite", database=self.path.absolute().as_uri(), query={"mode": "ro", "uri": "true"}),
            None,
        )

    def _connect_writer(self) -> Connection:
        self._is_full = True
        url = URL.create("sqlite+pysqlite", database=str(self.path))
        writer = self._engine(url, StaticPool, "journal_mode = WAL", "synchronous = FULL").connect()
        self._opened = self._file_there()
        return writer

    def _file_there(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LedgerUnavailable(f"the ledger {self.path} does not answer: {error.strerror}") from error
        return (found.st_dev, found.st_ino)

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

    def _begin_writing(self, connection: Connection, *, durable: bool) -> None:
        if self._file_there() != self._opened:  # what is written into it would be gone with this process
            raise LedgerUnavailable(
                f"the ledger {self.path} was removed or replaced while it was open: put it back, or start the bot again"
            )
        if durable is not self._is_full:
            connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._is_full = durable
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def _told(self, error: DBAPIError) -> LedgerError:
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        if self.path.is_dir():
            return LedgerError(f"{self.path} is a folder and not a ledger: set ledger.url to a file of its own")
        if code in _DAMAGED:
            return self._damaged(str(error.orig))
        if code == sqlite3.SQLITE_READONLY:
            return LedgerUnavailable(f"the ledger {self.path} cannot be written: the file or its folder is read-only")
        return LedgerUnavailable(f"the ledger {self.path} does not answer: {error.orig}")

    def _damaged(self, found: str) -> LedgerDamaged:
        return LedgerDamaged(
            f"the ledger {self.path} is damaged, or no ledger at all ({found}): restore it from a backup, or start with"
            " --recover, which moves it aside and begins a new one"
        )

    def check(self) -> None:
        """Look through a small file for damage. Raises LedgerDamaged."""
        if self.path.stat().st_size > _CHECKED_BYTES:
            return
        with self.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if found != "ok":
            raise self._damaged(" ".join(str(found).split()))

    def move_aside(self, suffix: str) -> Path:
        """Rename the file, and what SQLite keeps beside it; where it is now. The store must be closed."""
        moved = self.path.with_name(f"{self.path.name}.{suffix}")
        for part in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{self.path}{part}", f"{moved}{part}")
        return moved

    def _warnings(self) -> tuple[str, ...]:
        kind = _file_system(self.path)
        if kind not in _NETWORK:
            return ()
        return (
            f"the ledger {self.path} lies on a network file system ({kind}), where SQLite's locks may fail:"
            " keep it on a local disk, or use PostgreSQL",
        )


def _user(number: int) -> str:
    try:
        return repr(pwd.getpwuid(number).pw_name)
    except KeyError:
        return str(number)


def _file_system(path: Path) -> str:
    """The kind of the file system that a path lies on, as /proc tells it; empty where it does not."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    kinds = {Path(line.split()[4]): line.partition(" - ")[2].split()[0] for line in mounts}
    resolved = path.resolve()
    return next((kinds[folder] for folder in resolved.parents if folder in kinds), "")
