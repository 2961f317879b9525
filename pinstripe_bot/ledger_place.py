"""Which database holds a project's ledger: what `ledger.url` names, or the default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from pinstripe_bot.config import Config
from pinstripe_bot.errors import InvalidConfig, LedgerError
from pinstripe_bot.ledger_postgres import PostgresStore
from pinstripe_bot.ledger_sqlite import SqliteStore
from pinstripe_bot.ledger_store import BUSY_TIMEOUT_S, LedgerStore

FOLDER = ".pinstripe"
FILE = "ledger.db"

NEEDS_EXTRA = "a cluster needs Procrastinate: install pinstripe-bot[cluster]"


@dataclass(frozen=True, slots=True)
class LedgerPlace:
    """Where the ledger is; `moves_to` is the place that it would have, were there not a file already."""

    url: URL
    is_own: bool  # it lies inside the project, whose folder may be renamed
    moves_to: str | None = None

    def store(self, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> LedgerStore:
        """Its database, not yet open."""
        if self.url.get_backend_name() == "sqlite":
            return SqliteStore(Path(str(self.url.database)), busy_timeout_s=busy_timeout_s)
        return PostgresStore(self.url, busy_timeout_s=busy_timeout_s)


def ledger_place(config: Config, root: Path) -> LedgerPlace:
    """The place of the ledger of the project in `root`.

    `ledger.url`; else the PostgreSQL of `database.url`, unless there is a file in the project already; else that
    file. Raises LedgerError for a database that cannot hold a ledger.
    """
    if config.ledger.url is not None:
        url = ledger_url(config.ledger.url, root)
        return LedgerPlace(url, is_own=_is_inside(url, root))
    file = URL.create("sqlite", database=str(root / FOLDER / FILE))
    own = None if config.database.url is None else _parsed("database.url", config.database.url)
    if own is None or own.get_backend_name() != "postgresql":
        return LedgerPlace(file, is_own=True)
    if (root / FOLDER / FILE).exists():
        return LedgerPlace(file, is_own=True, moves_to=own.set(query={}).render_as_string(hide_password=True))
    return LedgerPlace(own, is_own=False)


def refuse_small_ledger(place: LedgerPlace) -> None:
    """Raise InvalidConfig where a ledger is one machine's, and cannot be that of a cluster."""
    if place.url.get_backend_name() != "postgresql":
        raise InvalidConfig(
            'dispatcher = "cluster" needs a ledger in PostgreSQL, and this one is the file'
            f' {place.url.database}: set ledger.url to "postgresql://user:password@host/name"'
        )


def ledger_url(written: str, root: Path) -> URL:
    """A ledger's URL as somebody wrote it; an SQLite path is relative to `root`. No error shows its password."""
    url = _parsed("ledger.url", written)
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        return url.set(drivername="sqlite", database=str(root / url.database))
    if url.get_backend_name() == "postgresql":
        return url
    raise LedgerError(
        f"ledger.url = {url.set(query={}).render_as_string(hide_password=True)!r} cannot hold a ledger: write"
        ' "sqlite:///path/to/ledger.db" or "postgresql://user:password@host/name"'
    )


def _parsed(setting: str, written: str) -> URL:
    try:
        url = make_url(written)
    except (ArgumentError, ValueError):  # the cause would show the text, and there may be a password in it
        raise LedgerError(
            f'{setting} is no URL: write "postgresql://user:password@host/name" or "sqlite:///path/to/file.db",'
            " and signs such as @ : / in a password as %40 %3A %2F"
        ) from None
    if "@" in (url.host or ""):
        raise LedgerError(f"{setting} has an @ in its password: write it as %40")
    return url.set(drivername="postgresql") if url.get_backend_name() == "postgres" else url


def _is_inside(url: URL, root: Path) -> bool:
    return url.get_backend_name() == "sqlite" and Path(str(url.database)).resolve().is_relative_to(root.resolve())
