from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from bots import claim_only, crash, job, let_go, names_in, postgres_dsn, rows, states
from msgspec.structs import replace
from sqlalchemy import make_url

from pinstripe_bot.bot import Bot
from pinstripe_bot.config import Config, LedgerConfig
from pinstripe_bot.errors import LedgerError, LedgerUnavailable
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_postgres import PostgresStore
from pinstripe_bot.occurrence import RunState
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = "SELECT count(*) FROM ledger"
SECRET = "hunter2"


@pytest.fixture
def make_ledger(root: Path, fresh_postgres_url: str) -> Callable[[], Ledger]:
    place = ledger_place(Config(ledger=LedgerConfig(url=fresh_postgres_url)), root)
    return lambda: Ledger(place, locks=root / "bots", busy_timeout_s=0.05)


@pytest.fixture
def store(fresh_postgres_url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(make_url(fresh_postgres_url), busy_timeout_s=0.05)
    store.open("shop", NOW)
    yield store
    store.close()


def on_server(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as server:
        for statement in statements:
            server.execute(statement)


def end_backends(url: str) -> None:
    """End all other connections to the database, as a restart of the server does."""
    on_server(
        url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


def on_another_machine(ledger: Ledger, bot: str, *, lease: timedelta) -> None:
    """Let a bot be one of another machine, whose lease ends after so long by the server's clock."""
    on_server(
        postgres_dsn(ledger),
        "UPDATE pinstripe.bots SET host = 'web-2', boot_id = 'its boot', lock = '/srv/its.lock', lease_until ="
        f" CAST((extract(epoch FROM clock_timestamp()) + {lease.total_seconds()}) * 1000000 AS bigint)"
        f" WHERE id = '{bot}'",
    )


def expire(ledger: Ledger, bot: str) -> None:
    on_server(postgres_dsn(ledger), f"UPDATE pinstripe.bots SET lease_until = 0 WHERE id = '{bot}'")


def is_signed_out(ledger: Ledger, bot: str) -> bool:
    return bool(rows(ledger, "SELECT count(*) FROM bots WHERE id = ? AND stopped_at IS NOT NULL", bot)[0][0])


def left_behind(make_bot: MakeBot, clock: TravelClock) -> Bot:
    """A bot with one started and one queued run, that is not heard of any more."""
    bot = make_bot(sweep=job("return 1"), other=job("return 1"))
    clock.travel(minutes=1)
    bot.ledger.start(claim_only(bot)[:1], clock.now())
    crash(bot.ledger)
    return bot


# The database


def test_the_tables_lie_in_a_schema_of_their_own(store: PostgresStore, fresh_postgres_url: str) -> None:
    with psycopg.connect(fresh_postgres_url) as server:
        found = server.execute("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('ledger', 'runs')")

        assert found.fetchall() == [("pinstripe",)]


def test_the_projects_own_tables_beside_it_harm_nothing(fresh_postgres_url: str) -> None:
    on_server(fresh_postgres_url, "CREATE TABLE ledger (account text)", "CREATE TABLE runs (meters integer)")
    store = PostgresStore(make_url(fresh_postgres_url))

    assert store.open("shop", NOW).is_new

    store.close()


def test_a_schema_of_this_name_that_is_not_ours_is_refused(fresh_postgres_url: str) -> None:
    on_server(fresh_postgres_url, "CREATE SCHEMA pinstripe", "CREATE TABLE pinstripe.accounts (id integer)")
    store = PostgresStore(make_url(fresh_postgres_url))

    with pytest.raises(LedgerError, match=r"another program's database \(it has the table 'accounts'\)") as refusal:
        store.open("shop", NOW)

    assert not isinstance(refusal.value, LedgerUnavailable)


def test_looking_for_a_ledger_makes_no_schema(fresh_postgres_url: str) -> None:
    store = PostgresStore(make_url(fresh_postgres_url))

    assert not store.open_for_reading()

    with psycopg.connect(fresh_postgres_url) as server:
        assert server.execute("SELECT to_regnamespace('pinstripe') IS NULL").fetchone() == (True,)


def test_a_writer_that_is_lost_while_nobody_writes_is_replaced_unseen(
    store: PostgresStore, fresh_postgres_url: str
) -> None:
    for _ in range(2):
        end_backends(fresh_postgres_url)

        with store.writing() as connection:
            assert connection.exec_driver_sql(COUNT).scalar() == 3


def test_a_writer_that_is_lost_in_a_transaction_is_replaced(store: PostgresStore, fresh_postgres_url: str) -> None:
    def delete_and_lose_the_server() -> None:
        with store.writing() as connection:
            connection.exec_driver_sql("DELETE FROM ledger")
            end_backends(fresh_postgres_url)

    with pytest.raises(LedgerUnavailable, match="does not answer"):
        delete_and_lose_the_server()

    with store.writing() as connection:
        assert connection.exec_driver_sql(COUNT).scalar() == 3


def test_a_writer_that_is_lost_while_something_else_fails_is_replaced(
    store: PostgresStore, fresh_postgres_url: str
) -> None:
    def lose_the_server_and_fail() -> None:
        with store.writing():
            end_backends(fresh_postgres_url)
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        lose_the_server_and_fail()

    with store.writing() as connection:
        assert connection.exec_driver_sql(COUNT).scalar() == 3


def test_a_reader_that_is_lost_is_replaced_unseen(store: PostgresStore, fresh_postgres_url: str) -> None:
    with store.reading() as connection:
        connection.exec_driver_sql(COUNT)
    end_backends(fresh_postgres_url)

    with store.reading() as connection:
        assert connection.exec_driver_sql(COUNT).scalar() == 3


def test_a_reader_that_is_lost_at_work_says_so_and_is_replaced(store: PostgresStore, fresh_postgres_url: str) -> None:
    def lose_the_server_and_read() -> None:
        with store.reading() as connection:
            end_backends(fresh_postgres_url)
            connection.exec_driver_sql(COUNT)

    with pytest.raises(LedgerUnavailable, match="does not answer"):
        lose_the_server_and_read()

    with store.reading() as connection:
        assert connection.exec_driver_sql(COUNT).scalar() == 3


def test_a_writer_sees_the_newest_whatever_the_database_holds_for_normal(
    fresh_postgres_url: str, store: PostgresStore
) -> None:
    name = make_url(fresh_postgres_url).database
    on_server(fresh_postgres_url, f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    other = PostgresStore(make_url(fresh_postgres_url))
    try:
        other.open("shop", NOW)

        with other.writing() as connection:
            levels = connection.exec_driver_sql("SHOW transaction_isolation").scalar()

        assert levels == "read committed"
    finally:
        other.close()
        on_server(fresh_postgres_url, f"ALTER DATABASE {name} RESET default_transaction_isolation")


def test_options_in_the_url_count_beside_ours(fresh_postgres_url: str) -> None:
    options = {"options": "-c statement_timeout=12345 -c search_path=public"}
    store = PostgresStore(make_url(fresh_postgres_url).update_query_dict(options))
    store.open("shop", NOW)

    with store.reading() as connection:
        found = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in ("statement_timeout", "search_path")]

    assert found == ["12345ms", "pinstripe,pinstripe_cluster"]
    store.close()


def test_what_somebody_else_does_in_the_database_waits_for_nobody(
    store: PostgresStore, fresh_postgres_url: str
) -> None:
    on_server(fresh_postgres_url, "CREATE TABLE accounts (id integer)")

    with store.writing(), psycopg.connect(fresh_postgres_url, options="-c lock_timeout=50") as server:
        server.execute("INSERT INTO accounts VALUES (1)")


# What is told of it


def with_secret(url: str, **changes: object) -> str:
    return make_url(url).set(password=SECRET, **changes).render_as_string(hide_password=False)  # type: ignore[arg-type]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize("query", [{}, {"password": SECRET}])
def test_no_message_shows_a_password(closed_port: int, query: dict[str, str]) -> None:
    urls = [
        make_url(f"postgresql://me:{SECRET}@127.0.0.1:{closed_port}/shop").set(query=query),
        make_url(f"postgresql://me:{SECRET}@no-such-host.invalid/shop").set(query=query),
        make_url(f"postgresql://me:{SECRET}@/shop").set(query=query | {"host": "/nowhere"}),
    ]
    for url in urls:
        store = PostgresStore(url, busy_timeout_s=0.05)

        with pytest.raises(LedgerUnavailable, match="does not answer") as refusal:
            store.open("shop", NOW)

        assert SECRET not in f"{refusal.value} {store.place}"


def test_a_wrong_user_or_database_is_told_without_a_password(fresh_postgres_url: str) -> None:
    for url in (with_secret(fresh_postgres_url, username="nobody"), with_secret(fresh_postgres_url, database="none")):
        store = PostgresStore(make_url(url), busy_timeout_s=0.05)

        with pytest.raises(LedgerUnavailable, match="does not answer") as refusal:
            store.open("shop", NOW)

        assert SECRET not in f"{refusal.value} {store.place}"


def test_another_projects_ledger_is_refused_without_its_password(store: PostgresStore, fresh_postgres_url: str) -> None:
    other = PostgresStore(make_url(with_secret(fresh_postgres_url)))

    with pytest.raises(LedgerError, match="belongs to the project 'shop'") as refusal:
        other.open("bank", NOW)

    assert SECRET not in str(refusal.value)


def test_a_closed_ledger_is_told_without_its_password(fresh_postgres_url: str) -> None:
    store = PostgresStore(make_url(with_secret(fresh_postgres_url)))

    with pytest.raises(LedgerUnavailable, match="is closed") as refusal, store.writing():
        pass

    assert SECRET not in str(refusal.value)


# Leases


def test_a_bot_of_another_machine_is_dead_when_its_lease_has_run_out(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, gone = make_bot(), left_behind(make_bot, clock)
    on_another_machine(gone.ledger, gone.ledger.bot, lease=timedelta(seconds=-1))

    assert bot.ledger.has_dead_bots(clock.now())

    bot.ledger.bury(clock.now(), retry_at=lambda run: None)
    assert is_signed_out(bot.ledger, gone.ledger.bot)
    assert rows(bot.ledger, "SELECT state, reason, owner FROM runs ORDER BY id") == [
        ("interrupted", "bot_died", gone.ledger.bot),
        ("queued", None, None),
    ]


def test_a_bot_of_another_machine_lives_as_long_as_its_lease(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, gone = make_bot(), left_behind(make_bot, clock)
    on_another_machine(gone.ledger, gone.ledger.bot, lease=timedelta(seconds=30))

    assert not bot.ledger.has_dead_bots(clock.now())
    assert bot.ledger.bury(clock.now(), retry_at=lambda run: None) == []


def test_the_servers_clock_decides_and_not_the_bots(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, gone = make_bot(), left_behind(make_bot, clock)
    on_another_machine(gone.ledger, gone.ledger.bot, lease=timedelta(seconds=30))
    clock.travel(days=365)

    assert not bot.ledger.has_dead_bots(clock.now())


def test_a_bot_of_this_machine_is_dead_at_once(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, _ = make_bot(), left_behind(make_bot, clock)

    assert bot.ledger.has_dead_bots(clock.now())


def test_a_bot_of_this_machine_that_holds_its_lock_is_dead_when_its_lease_has_run_out(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot, stopped = make_bot(), make_bot()
    before = bot.ledger.has_dead_bots(clock.now())
    expire(bot.ledger, stopped.ledger.bot)

    assert [before, bot.ledger.has_dead_bots(clock.now())] == [False, True]


@pytest.mark.parametrize(("lease_s", "is_dead"), [(30, False), (-1, True)])
def test_a_bot_whose_lock_cannot_be_seen_here_is_judged_by_its_lease(
    make_bot: MakeBot, clock: TravelClock, lease_s: int, is_dead: bool
) -> None:
    bot, other = make_bot(), make_bot()
    on_another_machine(bot.ledger, other.ledger.bot, lease=timedelta(seconds=lease_s))
    on_server(
        postgres_dsn(bot.ledger),
        f"UPDATE pinstripe.bots SET host = '{platform.node()}', boot_id = (SELECT boot_id FROM pinstripe.bots"
        f" WHERE id = '{bot.ledger.bot}') WHERE id = '{other.ledger.bot}'",
    )

    assert bot.ledger.has_dead_bots(clock.now()) is is_dead


def test_a_bot_whose_own_lease_has_run_out_takes_nobody_for_dead(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, gone = make_bot(), left_behind(make_bot, clock)
    on_another_machine(gone.ledger, gone.ledger.bot, lease=timedelta(seconds=-1))
    expire(bot.ledger, bot.ledger.bot)
    asleep = bot.ledger.has_dead_bots(clock.now())

    bot.ledger.beat(clock.now())

    assert [asleep, bot.ledger.has_dead_bots(clock.now())] == [False, True]


def test_a_bot_that_was_taken_for_dead_takes_nobody_for_dead(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, gone = make_bot(), left_behind(make_bot, clock)
    on_another_machine(gone.ledger, gone.ledger.bot, lease=timedelta(seconds=-1))
    on_server(postgres_dsn(bot.ledger), f"UPDATE pinstripe.bots SET stopped_at = 1 WHERE id = '{bot.ledger.bot}'")

    assert not bot.ledger.has_dead_bots(clock.now())


def test_a_bot_that_was_taken_for_dead_lives_again_with_its_next_claim_and_hears_of_it_at_its_next_beat(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job())
    expire(bot.ledger, bot.ledger.bot)
    on_server(postgres_dsn(bot.ledger), "UPDATE pinstripe.bots SET stopped_at = 1")
    clock.travel(minutes=1)

    claimed = claim_only(bot)

    assert len(claimed) == 1
    assert not is_signed_out(bot.ledger, bot.ledger.bot)
    assert rows(bot.ledger, "SELECT lease_until > 0 FROM bots") == [(True,)]
    assert [bot.ledger.beat(clock.now()) for _ in range(2)] == [False, True]


def test_what_a_bot_of_another_machine_left_queued_runs_here(make_bot: MakeBot, clock: TravelClock) -> None:
    gone = left_behind(make_bot, clock)
    on_another_machine(gone.ledger, gone.ledger.bot, lease=timedelta(seconds=-1))

    bot = make_bot()

    bot.dispatcher.wait_until_idle()
    assert sorted(states(bot)) == [("interrupted", "bot_died"), ("succeeded", None)]
    assert [names_in(bot, name)["calls"] for name in ("sweep", "other")] == [[], []]


def test_a_bot_that_wakes_after_its_lease_has_nothing_to_start_or_to_end(make_bot: MakeBot, clock: TravelClock) -> None:
    sleeper = make_bot(sweep=job("return 1"), other=job("return 1"))
    clock.travel(minutes=1)
    claimed = claim_only(sleeper)
    started = sleeper.ledger.start(claimed[:1], clock.now())
    on_another_machine(sleeper.ledger, sleeper.ledger.bot, lease=timedelta(seconds=-1))
    let_go(sleeper.ledger)
    make_bot().dispatcher.wait_until_idle()

    recorded = sleeper.ledger.finish(
        [replace(run, state=RunState.SUCCEEDED, finished_at=clock.now()) for run in started]
    )

    assert not sleeper.ledger.is_mine(started[0])
    assert sleeper.ledger.start(claimed[1:], clock.now()) == []
    assert recorded == set()
    assert [sleeper.ledger.beat(clock.now()) for _ in range(2)] == [False, True]


def test_the_lock_file_of_a_killed_bot_is_removed(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, _ = make_bot(), left_behind(make_bot, clock)

    bot.ledger.bury(clock.now(), retry_at=lambda run: None)

    assert [path.stem for path in bot.ledger._locks.iterdir()] == [bot.ledger.bot]
