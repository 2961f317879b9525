"""A run's database: statements that commit by themselves, transactions, atomic runs, the guard, and the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.database import Database, DatabasePool
from pinstripe_bot.database_table import TableQuery
from pinstripe_bot.errors import DatabaseError

ACCOUNTS = text("CREATE TABLE accounts (id integer PRIMARY KEY, balance integer NOT NULL)")


@pytest.fixture
def accounts(pool: DatabasePool) -> Callable[[], dict[int, int]]:
    """The balances as everybody else sees them."""
    with pool.open("setup") as database:
        database.execute(ACCOUNTS)
        database.accounts.insert([{"id": 1, "balance": 100}, {"id": 2, "balance": 0}])

    def balances() -> dict[int, int]:
        with pool.open("reader") as reader:
            return {row.id: row.balance for row in reader.accounts}

    return balances


class Ended(BaseException):
    """What a guard raises."""


class Gate:
    """A guard that lets through a number of calls."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def __call__(self) -> None:
        if self.calls == 0:
            raise Ended
        self.calls -= 1


class Mistake(Exception):
    """What a job raises."""


def empty_and_fail(database: Database) -> None:
    """Delete all accounts in a transaction that fails."""
    with database.transaction():
        database.accounts.delete()
        raise Mistake


def run_and_fail(pool: DatabasePool, *, atomic: bool) -> None:
    """A run that deletes all accounts and fails."""
    with pool.open("run", atomic=atomic) as database:
        database.accounts.delete()
        raise Mistake


def test_each_statement_commits_by_itself(pool: DatabasePool, accounts):
    with pytest.raises(Mistake):
        run_and_fail(pool, atomic=False)

    assert accounts() == {}


def test_a_transaction_is_seen_by_others_only_at_its_end(database: Database, accounts):
    with database.transaction():
        database.accounts.where(id=1).update(balance=50)
        database.accounts.where(id=2).update(balance=50)
        during = accounts()

    assert during == {1: 100, 2: 0}
    assert accounts() == {1: 50, 2: 50}


def test_an_error_rolls_a_transaction_back(database: Database, accounts):
    with pytest.raises(Mistake):
        empty_and_fail(database)

    assert accounts() == {1: 100, 2: 0}
    assert not database.in_transaction


def test_a_transaction_in_a_transaction_can_fail_alone(database: Database, accounts):
    with database.transaction():
        database.accounts.where(id=1).update(balance=99)
        with pytest.raises(Mistake):
            empty_and_fail(database)
        with database.transaction():
            database.accounts.where(id=2).update(balance=1)

    assert accounts() == {1: 99, 2: 1}


def test_an_error_outside_undoes_a_finished_inner_transaction(database: Database, accounts):
    def job() -> None:
        with database.transaction():
            with database.transaction():
                database.accounts.delete()
            raise Mistake

    with pytest.raises(Mistake):
        job()

    assert accounts() == {1: 100, 2: 0}


def test_a_refused_statement_in_an_inner_transaction_leaves_the_outer_one_usable(database: Database, accounts):
    with database.transaction():
        with pytest.raises(DatabaseError), database.transaction():
            database.accounts.insert(id=1, balance=5)
        database.accounts.insert(id=3, balance=5)

    assert accounts() == {1: 100, 2: 0, 3: 5}


def test_in_transaction_tells_whether_a_commit_is_to_come(pool: DatabasePool):
    with pool.open("plain") as database:
        before = database.in_transaction
        with database.transaction():
            during = database.in_transaction
        after = database.in_transaction

    assert (before, during, after) == (False, True, False)
    assert pool.open("atomic", atomic=True).in_transaction


def test_a_table_made_in_a_transaction_is_there_at_once(database: Database):
    with database.transaction():
        database.execute(text("CREATE TABLE fresh (id integer)"))
        database.fresh.insert(id=1)

    assert database.fresh.count() == 1


def test_an_atomic_run_is_one_transaction(pool: DatabasePool, accounts):
    with pool.open("run", atomic=True) as database:
        database.accounts.where(id=1).update(balance=1)
        with pytest.raises(Mistake):
            empty_and_fail(database)
        during = accounts()

    assert during == {1: 100, 2: 0}
    assert accounts() == {1: 1, 2: 0}


def test_an_atomic_run_that_fails_leaves_nothing(pool: DatabasePool, accounts):
    with pytest.raises(Mistake):
        run_and_fail(pool, atomic=True)

    assert accounts() == {1: 100, 2: 0}


def test_an_atomic_run_that_is_closed_leaves_nothing(pool: DatabasePool, accounts):
    database = pool.open("run", atomic=True)
    database.accounts.delete()

    database.close()

    assert accounts() == {1: 100, 2: 0}


def test_an_atomic_run_takes_no_lock_before_its_first_statement(pool: DatabasePool, accounts):
    with pool.open("run", atomic=True), pool.open("other") as other:
        other.accounts.where(id=1).update(balance=7)

    assert accounts()[1] == 7


@pytest.mark.parametrize("atomic", [True, False])
def test_a_commit_that_fails_fails_the_run(pool: DatabasePool, atomic: bool):
    with pool.open("setup") as database:
        database.execute(text("CREATE TABLE parents (id integer PRIMARY KEY)"))
        database.execute(
            text("CREATE TABLE children (id integer REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)")
        )

    with (
        pytest.raises(DatabaseError, match=r"refused a statement: .*(?i:foreign key)"),
        pool.open("run", atomic=atomic) as database,
    ):
        database.children.insert(id=1)

    assert pool.open("reader").children.count() == 0


def test_the_guard_is_asked_before_every_statement_and_every_commit(pool: DatabasePool, accounts):
    asked = []
    with pool.open("run", guard=lambda: asked.append("asked")) as database:
        database.accounts.all()
        alone = len(asked)
        with database.transaction():
            database.accounts.all()
            database.accounts.delete()

    assert alone == 2
    assert len(asked) == 2 + 4


@pytest.mark.parametrize("calls", [0, 1])
def test_a_statement_of_an_ended_run_is_not_committed(pool: DatabasePool, accounts, calls: int):
    database = pool.open("run", guard=Gate(calls))

    with pytest.raises(Ended):
        database.accounts.delete()

    assert accounts() == {1: 100, 2: 0}


@pytest.mark.parametrize("calls", [1, 2])
def test_a_transaction_of_an_ended_run_is_not_committed(pool: DatabasePool, accounts, calls: int):
    database = pool.open("run", guard=Gate(calls))

    with pytest.raises(Ended), database.transaction():
        database.accounts.delete()

    assert accounts() == {1: 100, 2: 0}


def test_an_ended_atomic_run_is_not_committed(pool: DatabasePool, accounts):
    with pytest.raises(Ended), pool.open("run", atomic=True, guard=Gate(1)) as database:
        database.accounts.delete()

    assert accounts() == {1: 100, 2: 0}


@pytest.mark.parametrize("atomic", [True, False])
def test_a_closed_database_refuses_everything(pool: DatabasePool, accounts, atomic: bool):
    with pool.open("run", atomic=atomic) as database:
        kept = database.accounts.where(id=1)
        kept.first()

    for use in (kept.all, kept.delete, lambda: database.accounts, lambda: database.execute(text("SELECT 1"))):
        with pytest.raises(DatabaseError, match="this run's workspace is closed"):
            use()
    with pytest.raises(DatabaseError, match="this run's workspace is closed"), database.transaction():
        pass
    assert accounts() == {1: 100, 2: 0}


def test_what_a_thread_began_is_not_committed_after_the_end(pool: DatabasePool, accounts):
    database = pool.open("run")

    def job() -> None:
        with database.transaction():
            database.accounts.delete()
            with ThreadPoolExecutor() as other:
                other.submit(database.close).result()

    with pytest.raises(DatabaseError, match="workspace is closed"):
        job()

    assert accounts() == {1: 100, 2: 0}


def test_another_thread_goes_its_own_way(database: Database, accounts):
    with ThreadPoolExecutor() as other, database.transaction():
        database.accounts.where(id=1).update(balance=1)
        seen = other.submit(lambda: (database.in_transaction, database.accounts.where(id=1).first().balance))

        assert seen.result() == (False, 100)


def test_threads_share_an_atomic_run(pool: DatabasePool, accounts):
    with pool.open("run", atomic=True) as database, ThreadPoolExecutor(8) as threads:
        for made in [threads.submit(database.accounts.insert, id=id, balance=id) for id in range(3, 40)]:
            assert made.result() == 1
        during = accounts()

    assert during == {1: 100, 2: 0}
    assert len(accounts()) == 39


def test_a_nested_transaction_of_an_atomic_run_takes_in_no_other_thread(pool: DatabasePool, accounts):
    with pool.open("run", atomic=True) as database, ThreadPoolExecutor() as other, database.transaction():
        refused = other.submit(database.accounts.delete).exception()

    assert "another thread or coroutine of this atomic run" in str(refused)
    assert accounts() == {1: 100, 2: 0}


def test_a_coroutine_goes_its_own_way(database: Database, accounts):
    async def job() -> int:
        begun, seen = asyncio.Event(), asyncio.Event()

        async def writer() -> None:
            with database.transaction():
                database.accounts.where(id=1).update(balance=1)
                begun.set()
                await seen.wait()

        async def reader() -> int:
            await begun.wait()
            balance: int = database.accounts.where(id=1).first().balance
            seen.set()
            return balance

        return (await asyncio.gather(writer(), reader()))[1]

    assert asyncio.run(job()) == 100
    assert accounts()[1] == 1


def test_on_sqlite_a_coroutine_does_not_wait_for_its_own_thread(sqlite_pool: DatabasePool):
    async def job(database: Database) -> None:
        begun, refused = asyncio.Event(), asyncio.Event()

        async def holder() -> None:
            with database.transaction():
                begun.set()
                await refused.wait()

        async def writer() -> None:
            await begun.wait()
            with pytest.raises(DatabaseError, match=r"do not await inside database\.transaction"):
                database.accounts.delete()
            refused.set()

        await asyncio.gather(holder(), writer())

    with sqlite_pool.open("run") as database:
        database.execute(ACCOUNTS)
        asyncio.run(job(database))


def test_parallel_writers_wait_for_each_other(pool: DatabasePool, accounts):
    def write(id: int) -> None:
        with pool.open("run") as database:
            database.accounts.insert(id=id, balance=0)
            database.execute(text("UPDATE accounts SET balance = balance + 1 WHERE id = 1"))
            with database.transaction():
                database.accounts.where(id=id).update(balance=id)

    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(write, id) for id in range(3, 53)]

    assert [each.exception() for each in done] == [None] * 50
    assert accounts() == {1: 150, 2: 0, **{id: id for id in range(3, 53)}}


def test_a_transaction_on_sqlite_may_read_first_and_write_later(tmp_path: Path):
    pool = DatabasePool(f"sqlite:///{tmp_path}/shop.db", monotonic=SystemClock().monotonic)
    with pool.open("setup") as database:
        database.execute(ACCOUNTS)
        database.accounts.insert(id=1, balance=0)

    def earn(_: int) -> None:
        with pool.open("run") as database, database.transaction():
            balance = database.accounts.where(id=1).first().balance
            database.accounts.where(id=1).update(balance=balance + 1)

    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(earn, turn) for turn in range(80)]

    assert [each.exception() for each in done] == [None] * 80
    assert pool.open("reader").accounts.first().balance == 80
    pool.close()


def test_one_run_may_be_used_by_many_threads(database: Database, accounts):
    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(database.accounts.insert, id=id, balance=id) for id in range(3, 103)]

    assert sum(each.result() for each in done) == 100
    assert len(accounts()) == 102


def test_a_read_outside_a_transaction_waits_for_no_writer(sqlite_pool: DatabasePool):
    with sqlite_pool.open("writer") as writer, sqlite_pool.open("reader") as reader:
        writer.execute(ACCOUNTS)
        with writer.transaction():
            writer.accounts.insert(id=1, balance=1)

            assert reader.accounts.count() == 0
            assert reader.execute(text("SELECT count(*) FROM accounts")).scalar_one() == 0


def test_execute_gives_rows_that_outlive_their_connection(database: Database, accounts):
    rows = database.execute(text("SELECT id, balance FROM accounts ORDER BY id"))
    changed = database.execute(text("UPDATE accounts SET balance = balance + :more"), {"more": 1})
    returned = database.execute(text("DELETE FROM accounts RETURNING id"))
    made = database.execute(text("INSERT INTO accounts VALUES (:id, 0)"), [{"id": 5}, {"id": 6}, {"id": 7}])

    assert [(row.id, row.balance) for row in rows] == [(1, 100), (2, 0)]
    assert (changed.rowcount, changed.all()) == (2, [])
    assert (returned.rowcount, sorted(returned.scalars())) == (2, [1, 2])
    assert made.rowcount == 3
    assert accounts() == {5: 0, 6: 0, 7: 0}


def test_execute_takes_no_bare_string(database: Database):
    with pytest.raises(DatabaseError, match=r"write sqlalchemy\.text\('SELECT 1'\)"):
        database.execute("SELECT 1")


def test_a_statement_that_bears_no_transaction_runs_alone(pool: DatabasePool):
    with pool.open("run") as database:
        database.execute(text("VACUUM"))
        index = "CREATE INDEX by_balance ON accounts (balance)"
        database.execute(ACCOUNTS)
        database.execute(text(index if pool.is_sqlite else index.replace("INDEX", "INDEX CONCURRENTLY")))


def test_datetimes_as_parameters_are_stored_like_those_of_a_table(database: Database):
    database.execute(text("CREATE TABLE events (day date, at timestamp)"))
    at = datetime(2026, 3, 1, 1, 30, tzinfo=UTC) + timedelta(microseconds=5)

    database.execute(text("INSERT INTO events VALUES (:day, :at)"), {"day": at.date(), "at": at.astimezone(tz=None)})

    assert vars(database.events.where(at=at).first()) == {"day": at.date(), "at": at}
    with pytest.raises(DatabaseError, match="parameter 'at' takes an aware datetime"):
        database.execute(text("SELECT :at"), {"at": at.replace(tzinfo=None)})


def test_an_unknown_table_is_told_the_close_ones(database: Database, accounts):
    with pytest.raises(DatabaseError, match="there is no table 'acounts': did you mean 'accounts'"):
        database.acounts.all()
    with pytest.raises(DatabaseError, match="there is no table 'xyzzy': its tables are accounts"):
        database["xyzzy"]
    assert not hasattr(database, "xyzzy")


def test_an_empty_database_says_so(database: Database):
    with pytest.raises(DatabaseError, match=r"the database is empty; is database\.url right"):
        database.orders.all()


def test_a_table_that_appears_later_is_found(database: Database):
    assert not hasattr(database, "accounts")

    database.execute(ACCOUNTS)

    assert database.accounts.count() == 0


def test_a_column_that_a_job_renames_is_noticed_at_once(database: Database, accounts):
    assert database.accounts.count() == 2

    database.execute(text("ALTER TABLE accounts RENAME COLUMN balance TO money"))

    assert database.accounts.first().money == 100


def test_a_column_that_is_gone_is_noticed_after_one_error(database: Database, accounts, database_url: str):
    assert database.accounts.count() == 2
    migration = DatabasePool(database_url, monotonic=SystemClock().monotonic)
    migration.open("migration").execute(text("ALTER TABLE accounts RENAME COLUMN balance TO money"))
    migration.close()
    with pytest.raises(DatabaseError):
        database.accounts.all()

    assert database.accounts.first().money == 100


def test_brackets_reach_any_table(database: Database):
    for name in ("execute", "my orders", "_hidden", 'a"b', "per%cent", "Über"):
        quoted = name.replace('"', '""')
        database.execute(text(f'CREATE TABLE "{quoted}" (id integer)'))

        assert database[name].insert(id=1) == 1
        assert database[name].count() == 1


def test_a_view_is_read_like_a_table(database: Database, accounts):
    database.execute(text("CREATE VIEW rich AS SELECT * FROM accounts WHERE balance > 0"))

    assert [row.id for row in database.rich] == [1]


def test_a_name_of_pythons_own_is_no_table(database: Database):
    with pytest.raises(AttributeError, match="__deepcopy__"):
        database.__deepcopy__  # noqa: B018


def test_a_thread_that_ends_leaves_the_pool_usable(pool: DatabasePool, accounts):
    with pool.open("run") as database:
        thread = threading.Thread(target=database.accounts.where(id=1).delete)
        thread.start()
        thread.join()

        assert database.accounts.count() == 1


@pytest.fixture
def numbers(database: Database) -> TableQuery:
    """The numbers from 1 to 2500, three batches of a stream."""
    database.execute(text("CREATE TABLE numbers (id integer, is_even boolean)"))
    database.numbers.insert([{"id": number, "is_even": number % 2 == 0} for number in range(1, 2501)])
    return database.numbers


def is_read(pool: DatabasePool, database: Database) -> bool:
    """Whether a connection still holds the snapshot that it reads."""
    if pool.is_sqlite:
        return bool(database.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).one()[0])
    idle = text("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")
    return bool(database.execute(idle).scalar())


def test_a_stream_gives_the_rows_of_its_query(database: Database, numbers: TableQuery):
    query = numbers.where(is_even=True).order_by("-id").limit(1100)

    rows = list(database.stream(query))

    assert rows == query.all()
    assert (rows[0].id, rows[0].is_even, len(rows)) == (2500, True, 1100)
    assert list(database.stream(numbers.where(id=0))) == []


def test_a_stream_is_read_while_it_is_used(pool: DatabasePool, database: Database, numbers: TableQuery):
    fails = "abs(-9223372036854775807 - (id = 2400))" if pool.is_sqlite else "1 / (id - 2400)"
    database.execute(text(f"CREATE VIEW fractions AS SELECT id, {fails} AS fraction FROM numbers"))
    stream = database.stream(database.fractions)

    early = [next(stream).id for _ in range(1000)]

    assert early == list(range(1, 1001))
    with pytest.raises(DatabaseError, match=r"the database (refused|could not do) a statement"):
        list(stream)
    assert not is_read(pool, database)


def test_a_stream_that_is_kept_ends_with_the_run(pool: DatabasePool, numbers: TableQuery):
    with pool.open("run") as run:
        stream = run.stream(run.numbers)
        next(stream)

    with pytest.raises(DatabaseError, match="workspace is closed"):
        next(stream)


def test_whoever_uses_a_stream_may_write(pool: DatabasePool, database: Database, numbers: TableQuery):
    with pool.open("other") as other:
        for row in database.stream(numbers.order_by("id")):
            if row.id % 500 == 1:
                numbers.where(id=row.id).update(id=-row.id)
                other.numbers.insert(id=row.id + 10_000)

    assert numbers.where(id_lt=0).count() == numbers.where(id_gt=10_000).count() == 5


@pytest.mark.parametrize("leave", ["close", "break", "error", "end"])
def test_a_stream_gives_its_connection_back(pool: DatabasePool, database: Database, numbers: TableQuery, leave: str):
    def use() -> None:
        stream = database.stream(numbers)
        next(stream)
        if leave == "close":
            stream.close()
        for row in stream:
            if leave == "error" and row.id == 1200:
                raise Mistake
            if leave == "break" and row.id == 1200:
                break

    with suppress(Mistake):
        use()

    assert not is_read(pool, database)
    assert numbers.delete() == 2500


def test_a_stream_has_what_was_committed_when_it_began(database: Database, numbers: TableQuery):
    stream = database.stream(numbers)
    next(stream)
    numbers.delete()

    assert len(list(stream)) == 2499
    assert list(database.stream(numbers)) == []


def test_a_stream_of_a_run_that_has_ended_is_refused(pool: DatabasePool, numbers: TableQuery):
    with pool.open("run") as run:
        query = run.numbers

    with pytest.raises(DatabaseError, match="workspace is closed"):
        next(run.stream(query))
