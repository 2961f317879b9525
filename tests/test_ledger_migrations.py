from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bots import job, rows, states

from pinstripe_bot import ledger_migrations
from pinstripe_bot.bot import Bot
from pinstripe_bot.config import Config
from pinstripe_bot.errors import LedgerError, LedgerUnavailable
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_schema import VERSION, metadata
from pinstripe_bot.ledger_sqlite import SqliteStore
from pinstripe_bot.testing import TravelClock

NOW = datetime(2026, 1, 2, tzinfo=UTC)
OLD = Path(__file__).parent / "data"
EVERY_VERSION = list(range(1, VERSION))


@pytest.fixture
def make_ledger(root: Path) -> Callable[[], Ledger]:
    return lambda: Ledger(ledger_place(Config(), root), locks=root / "bots", busy_timeout_s=0.05)


@pytest.fixture(params=EVERY_VERSION)
def old(request: pytest.FixtureRequest, root: Path) -> Path:
    """The file of a ledger of each earlier version, with some rows in every table."""
    return write_old(root, request.param)


def write_old(root: Path, version: int) -> Path:
    path = root / ".pinstripe" / "ledger.db"
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.executescript((OLD / f"ledger_v{version}.sql").read_text())
    connection.close()
    return path


def migrate(path: Path) -> bool:
    store = SqliteStore(path)
    try:
        return store.open("shop", NOW).is_migrated
    finally:
        store.close()


def shape(path: Path) -> dict[str, Any]:
    """All tables, columns, defaults, keys and indexes of a file."""
    tables = sorted(name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'"))
    indexes = rows(path, "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index' ORDER BY tbl_name, name")
    numbered = rows(path, "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%' ORDER BY name")
    return {
        "columns": {table: rows(path, f"PRAGMA table_xinfo({table})") for table in tables},
        "foreign": {table: rows(path, f"PRAGMA foreign_key_list({table})") for table in tables},
        "unique": {table: sorted(row[1:] for row in rows(path, f"PRAGMA index_list({table})")) for table in tables},
        "indexes": [(name, table, " ".join((sql or "").split())) for name, table, sql in indexes],
        "numbered": numbered,
    }


def dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_there_is_an_old_ledger_of_every_version_and_a_way_from_each() -> None:
    assert sorted(path.name for path in OLD.glob("ledger_v*.sql")) == [f"ledger_v{one}.sql" for one in EVERY_VERSION]
    assert sorted(ledger_migrations.MIGRATIONS) == list(range(2, VERSION + 1))


def test_an_old_ledger_becomes_exactly_what_a_new_one_is(old: Path, tmp_path: Path) -> None:
    migrate(tmp_path / "new.db")

    assert migrate(old)

    assert shape(old) == shape(tmp_path / "new.db")


def test_an_old_ledger_keeps_its_rows(old: Path) -> None:
    kept = {
        table: [name for _, name, *_ in rows(old, f"PRAGMA table_xinfo({table})") if name in metadata.tables[table].c]
        for (table,) in rows(old, "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'sqlite_sequence'")
    }
    queries = [f"SELECT {', '.join(names)} FROM {table}" for table, names in kept.items() if table != "ledger"]
    queries.append("SELECT * FROM ledger WHERE name <> 'version' ORDER BY name")
    before = [rows(old, query) for query in queries]
    numbers = rows(old, "SELECT * FROM sqlite_sequence")

    migrate(old)

    assert [rows(old, query) for query in queries] == before
    assert set(rows(old, "SELECT * FROM sqlite_sequence")) >= set(numbers)
    assert rows(old, "SELECT value FROM ledger WHERE name = 'version'") == [(str(VERSION),)]


def test_a_skip_from_before_zones_counted_stays_on_every_database(ledger: Ledger) -> None:
    before = "job VARCHAR, schedule VARCHAR, remaining INTEGER, who VARCHAR, why VARCHAR, asked_at BIGINT"
    with ledger.store.writing() as connection:
        connection.exec_driver_sql("DROP TABLE skips")
        connection.exec_driver_sql(f"CREATE TABLE skips ({before}, PRIMARY KEY (job, schedule))")
        connection.exec_driver_sql("INSERT INTO skips VALUES ('sweep', '', 2, 'anna', '', 1)")

        ledger_migrations.MIGRATIONS[4](connection)

    assert rows(ledger, "SELECT job, schedule, key, remaining, who FROM skips") == [("sweep", "", "", 2, "anna")]


def test_an_old_ledger_is_migrated_once(old: Path) -> None:
    assert [migrate(old), migrate(old)] == [True, False]


def test_of_many_that_open_an_old_ledger_at_once_one_migrates(old: Path) -> None:
    together = threading.Barrier(4)
    answers: list[bool] = []

    def open_it() -> None:
        together.wait()
        answers.append(migrate(old))

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [False, False, False, True]


def test_a_migration_that_fails_leaves_the_old_ledger(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dump(old)
    whole = ledger_migrations.MIGRATIONS[VERSION]

    def fail(connection: Any) -> None:
        whole(connection)
        connection.exec_driver_sql("DROP TABLE nothing_like_it")

    monkeypatch.setitem(ledger_migrations.MIGRATIONS, VERSION, fail)

    with pytest.raises(LedgerUnavailable, match="nothing_like_it"):
        migrate(old)

    assert dump(old) == before


def test_an_old_ledger_is_not_read_but_says_what_to_do(old: Path) -> None:
    before = dump(old)

    with pytest.raises(LedgerError, match=f"older than {VERSION}: start the bot once, which migrates it"):
        SqliteStore(old).open_for_reading()

    assert dump(old) == before


def test_an_old_ledger_of_another_project_is_not_migrated(old: Path) -> None:
    before = dump(old)

    with pytest.raises(LedgerError, match="belongs to the project 'shop'"):
        SqliteStore(old).open("bank", NOW)

    assert dump(old) == before


def test_a_bot_goes_on_where_the_one_of_version_1_was_killed(
    root: Path, make_bot: Callable[..., Bot], clock: TravelClock
) -> None:
    write_old(root, 1)
    clock.travel(hours=1)

    bot = make_bot(sweep=job("return shop", takes="shop=None"))

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [
        ("succeeded", None),
        ("interrupted", "bot_died"),
        ("failed", None),
        ("succeeded", None),
    ]
    assert rows(bot.ledger, "SELECT result FROM runs WHERE id = 5") == [("2",)]
