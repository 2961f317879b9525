from __future__ import annotations

import pytest
from sqlalchemy import Executable, func, select, text

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.database import DatabasePool
from pinstripe_bot.database_sessions import outlives_transaction
from pinstripe_bot.errors import DatabaseError


def one_after_another(pool: DatabasePool, leave: Executable, ask: str) -> object:
    """What a run is told that gets the connection of one that did `leave`; both have used it before."""
    with pool.open("first run") as database:
        database.execute(text("SELECT 1"))
        database.execute(leave)
    with pool.open("second run") as database:
        return database.execute(text(ask)).scalars().all()


@pytest.mark.parametrize(
    ("leave", "ask", "told"),
    [
        (text("SET search_path TO other"), "SHOW search_path", ['"$user", public']),
        (text("SELECT 1; SET search_path TO other"), "SHOW search_path", ['"$user", public']),
        (select(func.set_config("search_path", "other", False)), "SHOW search_path", ['"$user", public']),
        (text("SET app.tenant = '1'"), "SELECT current_setting('app.tenant', true)", [None]),
        (text("SET ROLE pg_monitor"), "SELECT current_user = session_user", [True]),
        (text("CREATE TEMP TABLE mine AS SELECT 1"), "SELECT to_regclass('mine')", [None]),
        (text("SELECT 1 AS id INTO TEMP mine"), "SELECT to_regclass('mine')", [None]),
        (text("SELECT pg_advisory_lock(7)"), "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'", []),
        (text("PREPARE mine AS SELECT 1"), "SELECT name FROM pg_prepared_statements WHERE name = 'mine'", []),
    ],
)
def test_on_postgresql_nothing_stays_on_a_connection(
    fresh_postgres_url: str, leave: Executable, ask: str, told: object
) -> None:
    pool = DatabasePool(fresh_postgres_url, monotonic=SystemClock().monotonic)

    assert one_after_another(pool, leave, ask) == told
    pool.close()


@pytest.mark.parametrize(
    ("leave", "ask"),
    [
        ("CREATE TEMP TABLE mine AS SELECT 1", "SELECT name FROM sqlite_temp_master"),
        ("CREATE TEMPORARY VIEW mine AS SELECT 1", "SELECT name FROM sqlite_temp_master"),
        ("ATTACH ':memory:' AS mine", "SELECT name FROM pragma_database_list WHERE name = 'mine'"),
    ],
)
def test_on_sqlite_nothing_stays_on_a_connection(sqlite_pool: DatabasePool, leave: str, ask: str) -> None:
    assert one_after_another(sqlite_pool, text(leave), ask) == []


def test_until_its_transaction_ends_it_stays(pool: DatabasePool) -> None:
    with pool.open("run") as database:
        with database.transaction():
            database.execute(text("CREATE TEMP TABLE mine AS SELECT 7 AS number"))
            inside = database.mine.first()

        assert inside is not None
        assert inside.number == 7
        with pytest.raises(DatabaseError):
            database.mine.all()


def test_a_temporary_table_is_not_taken_for_the_one_that_it_hides(pool: DatabasePool) -> None:
    with pool.open("run") as database:
        database.execute(text("CREATE TABLE orders (id integer, tenant_id integer)"))
        with database.transaction():
            database.execute(text("CREATE TEMP TABLE orders (id integer)"))
            assert database.orders is not None

        assert database.orders.table.columns.keys() == ["id", "tenant_id"]


def test_a_table_that_was_rolled_back_is_forgotten(pool: DatabasePool) -> None:
    def fail() -> None:
        with database.transaction():
            database.execute(text("CREATE TABLE orders (id integer)"))
            assert database.orders.count() == 0
            raise LookupError

    with pool.open("run") as database:
        with pytest.raises(LookupError):
            fail()

        with pytest.raises(DatabaseError, match="there is no table 'orders'"):
            database.orders.all()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT temp, settings FROM weather",
        " (SELECT 1) UNION SELECT 2",
        "UPDATE orders SET temp = 1",
        "INSERT INTO temperatures VALUES (1)",
        "SET LOCAL app.tenant = '7'",
        "SELECT pg_advisory_xact_lock(7)",
        'PRAGMA main.table_xinfo("orders")',
        "BEGIN IMMEDIATE",
        "SAVEPOINT one",
        "SELECT 1;",
    ],
)
def test_what_leaves_nothing_keeps_its_connection(statement: str) -> None:
    assert not outlives_transaction(statement)


@pytest.mark.parametrize("statement", ["DO $$ BEGIN END $$", "CALL tidy()", "LISTEN orders", "/* a note */ SELECT 1"])
def test_in_doubt_a_connection_is_not_used_again(statement: str) -> None:
    assert outlives_transaction(statement)
