"""URLs, drivers, locks and lost transactions, and what each error says; never a password."""

from __future__ import annotations

import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from pinstripe_bot.database import Database, DatabasePool
from pinstripe_bot.errors import DatabaseError

OpenPool = Callable[..., DatabasePool]


class Stopwatch:
    """A monotonic clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def stopwatch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def open_pool(stopwatch: Stopwatch) -> Iterator[OpenPool]:
    """Pools that are closed after the test."""
    with ExitStack() as pools:

        def open_pool(url: str, root: Path | None = None) -> DatabasePool:
            pool = DatabasePool(url, monotonic=stopwatch, root=root)
            pools.callback(pool.close)
            return pool

        yield open_pool


def test_an_sqlite_path_is_relative_to_the_project(open_pool: OpenPool, tmp_path: Path):
    pool = open_pool("sqlite:///shop.db", tmp_path)

    pool.open("run").execute(text("CREATE TABLE orders (id integer)"))

    assert (tmp_path / "shop.db").is_file()


def test_an_absolute_sqlite_path_stays(open_pool: OpenPool, tmp_path: Path):
    pool = open_pool(f"sqlite:///{tmp_path}/shop.db", Path("/nowhere"))

    pool.open("run").execute(text("SELECT 1"))

    assert (tmp_path / "shop.db").is_file()


def test_sqlite_is_opened_with_care(open_pool: OpenPool, tmp_path: Path):
    pool = open_pool("sqlite:///shop.db", tmp_path)

    with pool.open("run") as database:
        settings = [database.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "foreign_keys")]

    assert settings == ["wal", 1]


def test_a_pragma_of_one_run_does_not_reach_the_next(sqlite_pool: DatabasePool):
    with sqlite_pool.open("run") as database:
        database.execute(text("PRAGMA foreign_keys = OFF"))

    with sqlite_pool.open("next") as database:
        assert database.execute(text("PRAGMA foreign_keys")).scalar() == 1


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_postgresql_url_uses_psycopg_3(open_pool: OpenPool, fresh_postgres_url: str, scheme: str):
    pool = open_pool(fresh_postgres_url.replace("postgresql", scheme, 1))

    assert pool.open("run").execute(text("SELECT 1")).scalar() == 1


def test_nothing_connects_before_the_first_use(open_pool: OpenPool, tmp_path: Path):
    open_pool("sqlite:///missing/shop.db", tmp_path).open("run")
    open_pool("postgresql://nobody:secret@127.0.0.1:1/none").open("run", atomic=True)


def test_a_missing_folder_is_named(open_pool: OpenPool, tmp_path: Path):
    database = open_pool("sqlite:///missing/shop.db", tmp_path).open("run")

    with pytest.raises(DatabaseError, match=r"the folder of the database .*/missing/shop\.db does not exist"):
        database.orders  # noqa: B018


def test_a_file_that_is_no_database_is_told(open_pool: OpenPool, tmp_path: Path):
    (tmp_path / "shop.db").write_text("This is a letter, not a database. " * 99)
    database = open_pool("sqlite:///shop.db", tmp_path).open("run")

    with pytest.raises(DatabaseError, match="file is not a database"):
        database.execute(text("SELECT 1"))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("shop.db", "database.url is no URL: write sqlite:///shop.db or postgresql://"),
        ("postgresql://user:s3cret:5@host:port/name", "database.url is no URL"),
        ("postgresql://user:s3@cret@host/name", "database.url has an @ in its password: write it as %40"),
        ("sqlite://", "database.url names no file"),
        ("sqlite:///:memory:", "database.url names no file"),
        ("mysql://user:s3cret@host/name", "names a mysql database: only sqlite and postgresql are supported"),
    ],
)
def test_a_wrong_url_is_told_without_its_password(open_pool: OpenPool, url: str, sentence: str):
    with pytest.raises(DatabaseError) as error:
        open_pool(url)

    told = "".join(traceback.format_exception(error.value, limit=0))
    assert sentence in str(error.value)
    assert "s3" not in told
    assert "cret" not in told


def test_an_unreachable_server_is_told_without_its_password(open_pool: OpenPool):
    database = open_pool("postgresql://user:s3cret@127.0.0.1:1/shop?connect_timeout=5").open("run")

    with pytest.raises(DatabaseError, match=r"the database 'shop' on 127\.0\.0\.1 cannot be reached") as error:
        database.orders  # noqa: B018

    assert "s3cret" not in "".join(traceback.format_exception(error.value, limit=0))


def test_a_missing_driver_says_what_to_install(open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(DatabaseError, match=r"PostgreSQL needs a driver: install pinstripe-bot\[postgres\]"):
        open_pool("postgresql://host/name")


def test_values_do_not_get_into_errors(pool: DatabasePool):
    with pool.open("run") as database:
        database.execute(text("CREATE TABLE people (email text PRIMARY KEY)"))
        database.people.insert(email="ada@example.org")

        with pytest.raises(DatabaseError, match=r"(?i)unique") as error:
            database.people.insert(email="ada@example.org")

    assert "ada@" not in str(error.value)
    assert "IntegrityError" in type(error.value.__cause__).__name__


def test_values_do_not_get_into_tracebacks(sqlite_pool: DatabasePool):
    with sqlite_pool.open("run") as database:
        database.execute(text("CREATE TABLE people (email text, age integer NOT NULL)"))

        with pytest.raises(DatabaseError) as error:
            database.people.insert(email="ada@example.org", age=None)

    assert "ada@" not in "".join(traceback.format_exception(error.value, limit=0))


def test_a_locked_database_names_the_run_that_holds_it(sqlite_pool: DatabasePool):
    with sqlite_pool.open("cleanup") as holder, sqlite_pool.open("report") as waiter:
        holder.execute(text("CREATE TABLE orders (id integer)"))
        with holder.transaction():
            holder.orders.insert(id=1)

            for write in (waiter.orders.delete, lambda: waiter.execute(text("INSERT INTO orders VALUES (1)"))):
                with pytest.raises(
                    DatabaseError, match=r"shop\.db stayed locked for 0\.05 s: run 'cleanup' of this process"
                ):
                    write()
        waiter.orders.insert(id=2)

        assert holder.orders.count() == 2


def test_a_database_locked_by_another_program_says_so(sqlite_pool: DatabasePool, tmp_path: Path):
    with sqlite_pool.open("run") as database:
        database.execute(text("CREATE TABLE orders (id integer)"))
        browser = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
        browser.execute("BEGIN IMMEDIATE")

        with pytest.raises(DatabaseError, match="another program holds its write lock"):
            database.orders.insert(id=1)

        browser.close()
        assert database.orders.insert(id=1) == 1


@pytest.mark.parametrize(("held_s", "events"), [(5.0, 0), (5.5, 1)])
@pytest.mark.parametrize("atomic", [True, False])
def test_a_lock_held_long_is_logged_with_its_run(
    open_pool: OpenPool, stopwatch: Stopwatch, tmp_path: Path, held_s: float, events: int, atomic: bool
):
    pool = open_pool("sqlite:///shop.db", tmp_path)

    with capture_logs() as logs, pool.open("cleanup", atomic=atomic) as database, database.transaction():
        database.execute(text("CREATE TABLE orders (id integer)"))
        stopwatch.seconds += held_s

    expected = {"event": "database_lock_held_long", "log_level": "warning", "run": "cleanup", "held_ms": 5500}
    assert logs == [expected] * events


@pytest.fixture
def database(pool: DatabasePool) -> Iterator[Database]:
    """A database whose table `orders` has one row, and gives up the transaction of a second one like it."""
    conflict = " ON CONFLICT ROLLBACK" if pool.is_sqlite else ""
    with pool.open("run") as database:
        database.execute(text(f"CREATE TABLE orders (id integer UNIQUE{conflict})"))
        database.orders.insert(id=1)
        yield database


def insert_again(database: Database) -> None:
    with pytest.raises(DatabaseError, match=r"(?i)unique"):
        database.orders.insert(id=1)


def test_a_transaction_with_a_swallowed_error_is_not_called_committed(database: Database):
    def job() -> None:
        with database.transaction():
            database.orders.insert(id=2)
            insert_again(database)

    with pytest.raises(DatabaseError, match="can neither go on nor be committed"):
        job()

    assert database.orders.count() == 1


def test_a_statement_after_a_swallowed_error_is_refused(database: Database):
    def job() -> None:
        with database.transaction():
            insert_again(database)
            database.orders.insert(id=2)

    with pytest.raises(DatabaseError, match="can neither go on nor be committed"):
        job()

    assert database.orders.count() == 1


def test_an_inner_transaction_with_a_swallowed_error_fails(database: Database):
    def job() -> None:
        with database.transaction(), database.transaction():
            insert_again(database)

    with pytest.raises(DatabaseError, match="can neither go on nor be committed"):
        job()

    assert database.orders.count() == 1


def test_a_connection_that_was_cut_does_not_harm_the_next_statement(open_pool: OpenPool, fresh_postgres_url: str):
    pool = open_pool(fresh_postgres_url)
    with pool.open("run") as database, pool.open("other") as other:

        def job() -> None:
            with database.transaction():
                backend = database.execute(text("SELECT pg_backend_pid()")).scalar()
                other.execute(text("SELECT pg_terminate_backend(:backend)"), {"backend": backend})
                database.execute(text("SELECT 1"))

        with pytest.raises(DatabaseError, match="cannot be reached: terminating connection"):
            job()

        assert database.execute(text("SELECT 1")).scalar() == 1


def test_an_error_shows_no_row_that_was_in_the_way(open_pool: OpenPool, fresh_postgres_url: str):
    with open_pool(fresh_postgres_url).open("run") as database:
        database.execute(text("CREATE TABLE stays (days int4range, EXCLUDE USING gist (days WITH &&))"))
        database.execute(text("INSERT INTO stays VALUES ('[4711, 4712)')"))

        with pytest.raises(DatabaseError, match="violates exclusion constraint") as caught:
            database.execute(text("INSERT INTO stays VALUES ('[1, 9999)')"))

    told = "".join(traceback.format_exception(caught.value))
    assert "4711" not in told
    assert "DETAIL:  not shown" in told


def test_each_table_is_looked_up_once(pool: DatabasePool):
    pool.open("setup").execute(text("CREATE TABLE orders (id integer)"))

    first, second = pool.open("one").orders, pool.open("two").orders

    assert first.table is second.table
