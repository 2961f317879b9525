"""From a URL to a database whose connections are prepared, and watched for what is left on them."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from pinstripe_bot.database_sessions import outlives_transaction
from pinstripe_bot.database_types import SQLITE_TYPE_NAMES
from pinstripe_bot.errors import DatabaseError

_MARK = "is_left_changed"
_SETTINGS: dict[str, Any] = {
    "max_overflow": -1,  # never wait for a connection: the bot's workers are the limit
    "hide_parameters": True,  # an error's text ends in logs, and people's rows should not
    "execution_options": {"preserve_rowcount": True},
}


def make_engine(url: URL, busy_timeout: timedelta) -> Engine:
    """The engine of a project's database, which has not connected yet."""
    is_sqlite = url.get_backend_name() == "sqlite"
    engine = _sqlite_engine(url, busy_timeout) if is_sqlite else _postgres_engine(url)
    event.listen(engine, "before_cursor_execute", _mark)
    return engine


def is_left_changed(connection: Connection) -> bool:
    """Whether a statement may have left something on the connection that outlives its transaction."""
    return not connection.invalidated and _MARK in connection.info


def _mark(connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
    if outlives_transaction(statement):
        connection.info[_MARK] = True


def database_url(text: str, root: Path | None) -> URL:
    """The URL with a driver that we have; an SQLite path is relative to `root`.

    No error shows the text, nor keeps SQLAlchemy's as its cause: there is a password in it.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise DatabaseError(
            "database.url is no URL: write sqlite:///shop.db or postgresql://user:password@host/name, "
            "and signs such as @ : / in a password as %40 %3A %2F"
        ) from None
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql", "postgres"):
        raise DatabaseError(f"database.url names a {backend} database: only sqlite and postgresql are supported")
    if backend != "sqlite":
        if "@" in (url.host or ""):
            raise DatabaseError("database.url has an @ in its password: write it as %40")
        return url.set(drivername="postgresql+psycopg")
    if not url.database or url.database == ":memory:":
        raise DatabaseError("database.url names no file, so that nothing would be kept: write sqlite:///shop.db")
    return url.set(drivername="sqlite+pysqlite", database=str(Path(root or "", url.database)))


def _sqlite_engine(url: URL, busy_timeout: timedelta) -> Engine:
    # isolation_level=None: the driver begins nothing by itself, so that each BEGIN is ours.
    settings = {"isolation_level": None, "timeout": busy_timeout.total_seconds()}
    engine = create_engine(url, connect_args=settings, **_SETTINGS)
    dialect: Any = engine.dialect
    dialect.ischema_names = {**dialect.ischema_names, **SQLITE_TYPE_NAMES}
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    # The file may be read-only, or in use by another program just now: it works as it is, and a later
    # connection asks again.
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")


def _postgres_engine(url: URL) -> Engine:
    try:
        engine = create_engine(url, pool_pre_ping=True, **_SETTINGS)
    except ImportError as error:
        raise DatabaseError("PostgreSQL needs a driver: install pinstripe-bot[postgres]") from error
    event.listen(engine, "connect", _prepare_postgres)
    return engine


def _prepare_postgres(connection: Any, _record: object) -> None:
    connection.execute("SET TIME ZONE 'UTC'")  # a timestamp without a zone is compared with UTC, as on SQLite
    connection.commit()
