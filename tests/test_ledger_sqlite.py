from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bots import claim_only, crash, job, rows, states

from pinstripe_bot.bot import Bot
from pinstripe_bot.config import Config
from pinstripe_bot.errors import LedgerDamaged, LedgerError, LedgerUnavailable
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_sqlite import SqliteStore, _file_system
from pinstripe_bot.testing import TravelClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOBODY = 65534


@pytest.fixture
def make_ledger(root: Path) -> Callable[[], Ledger]:
    return lambda: Ledger(ledger_place(Config(), root), locks=root / "bots", busy_timeout_s=0.05)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".pinstripe" / "ledger.db"


@pytest.fixture
def make_store(path: Path) -> Iterator[Callable[[], SqliteStore]]:
    """Give unopened stores on one file, all closed after the test."""
    made: list[SqliteStore] = []

    def make() -> SqliteStore:
        made.append(SqliteStore(path, busy_timeout_s=0.05))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store: Callable[[], SqliteStore]) -> SqliteStore:
    return make_store()


def fill(path: Path, *statements: str) -> None:
    """Make another program's database."""
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def contents(folder: Path) -> dict[str, str]:
    """{file: a hash of its bytes}; but for an empty log and its index, which SQLite makes for every reader."""
    files = [file for file in folder.iterdir() if file.stat().st_size and not file.name.endswith("-shm")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def fill_and_damage(store: SqliteStore, offset: int) -> None:
    """Write a ledger of some pages, close it, and spoil what lies at `offset` of its file."""
    store.open("shop", NOW)
    with store.writing() as connection:
        for number in range(2000):
            connection.exec_driver_sql(f"INSERT INTO ledger VALUES ('fact {number}', '{'x' * 50}')")
    store.close()
    with store.path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xa5" * 4096)


def test_the_folder_and_the_file_are_private(store: SqliteStore, path: Path) -> None:
    store.open("shop", NOW)

    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_all_beside_a_ledger_in_use_is_private_to_the_owner(make_bot: Callable[..., Bot]) -> None:
    bot = make_bot(sweep=job())

    assert bot.ledger.store.path is not None
    assert {path.stat().st_mode & 0o077 for path in bot.ledger.store.path.parent.iterdir()} == {0}


@pytest.mark.parametrize("name", ["what?.db", "50%25.db", "#1 a&b=c.db", "mode=ro.db"])
def test_a_ledger_may_have_any_name(tmp_path: Path, name: str) -> None:
    store = SqliteStore(tmp_path / name)

    store.open("shop", NOW)

    assert rows(tmp_path / name, "SELECT count(*) FROM ledger") == [(3,)]
    store.close()


def test_an_empty_file_becomes_a_ledger(store: SqliteStore, path: Path) -> None:
    path.parent.mkdir()
    path.touch()

    assert store.open("shop", NOW).is_new


@pytest.mark.parametrize(
    "table",
    [
        "accounts (id INTEGER)",
        "ledger (account TEXT, amount INTEGER)",
        "ledger (name TEXT, value TEXT)",
        "ledger (name TEXT, value TEXT, amount INTEGER)",
    ],
)
def test_another_programs_database_is_refused_and_unchanged(store: SqliteStore, path: Path, table: str) -> None:
    fill(path, f"CREATE TABLE {table}")
    before = contents(path.parent)

    with pytest.raises(LedgerError, match="another program's database") as refusal:
        store.open("shop", NOW)

    assert not isinstance(refusal.value, LedgerUnavailable)
    assert contents(path.parent) == before


def test_a_version_that_is_no_number_is_another_programs(store: SqliteStore, path: Path) -> None:
    fill(path, "CREATE TABLE ledger (name TEXT, value TEXT)", "INSERT INTO ledger VALUES ('version', '1.0 beta')")

    with pytest.raises(LedgerError, match="another program's database"):
        store.open("shop", NOW)


def test_another_programs_unfinished_log_is_not_touched(store: SqliteStore, path: Path) -> None:
    path.parent.mkdir()
    script = (
        "import os, sqlite3, sys; connection = sqlite3.connect(sys.argv[1]);"
        "connection.execute('PRAGMA journal_mode = WAL'); connection.execute('CREATE TABLE accounts (id)');"
        "connection.commit(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    before = contents(path.parent)

    with pytest.raises(LedgerError, match="another program's database"):
        store.open("shop", NOW)

    assert len(before) == 2
    assert contents(path.parent) == before


@pytest.mark.parametrize("text", ["no", "a shopping list\n", "SQLite format 4\0" + "x" * 5000])
def test_a_file_that_is_no_database_is_refused_and_unchanged(store: SqliteStore, path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)

    with pytest.raises(LedgerDamaged, match=r"is damaged, or no ledger at all .* --recover, which moves it aside"):
        store.open("shop", NOW)

    assert path.read_text() == text


def test_a_newer_ledger_keeps_every_byte(make_store: Callable[[], SqliteStore], path: Path) -> None:
    first = make_store()
    first.open("shop", NOW)
    with first.writing() as connection:
        connection.exec_driver_sql("UPDATE ledger SET value = '99' WHERE name = 'version'")
    first.close()
    before = contents(path.parent)

    with pytest.raises(LedgerError, match="has version 99"):
        make_store().open("shop", NOW)

    assert contents(path.parent) == before


def test_a_folder_is_no_ledger(store: SqliteStore, path: Path) -> None:
    path.mkdir(parents=True)

    with pytest.raises(LedgerError, match="is a folder and not a ledger"):
        store.open("shop", NOW)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    tmp_path.joinpath("file").touch()

    with pytest.raises(LedgerError, match="cannot be made: Not a directory: make its folder writable"):
        SqliteStore(tmp_path / "file" / "folder" / "ledger.db").open("shop", NOW)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(LedgerError, match="cannot be made: Permission denied"):
        SqliteStore(tmp_path / "ledger.db").open("shop", NOW)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_another_users_ledger_is_refused(make_store: Callable[[], SqliteStore], path: Path) -> None:
    first = make_store()
    first.open("shop", NOW)
    first.close()
    os.chown(path, NOBODY, NOBODY)

    with pytest.raises(LedgerError, match=r"belongs to the user '?\w+'?, and this is '?\w+'?, whose files beside it"):
        make_store().open("shop", NOW)


def test_a_refused_file_leaves_nothing_open(store: SqliteStore, path: Path) -> None:
    fill(path, "CREATE TABLE accounts (id INTEGER)")

    with pytest.raises(LedgerError):
        store.open("shop", NOW)

    open_files = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
    assert str(path) not in open_files


def test_looking_for_a_ledger_makes_no_file(store: SqliteStore, path: Path) -> None:
    assert not store.open_for_reading()

    assert not path.parent.exists()


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_transaction_is_as_durable_as_asked(store: SqliteStore, is_durable: bool) -> None:
    store.open("shop", NOW)
    with store.writing(durable=not is_durable):
        pass

    with store.writing(durable=is_durable) as connection:
        level = connection.exec_driver_sql("PRAGMA synchronous").scalar()

    assert level == (2 if is_durable else 1)


@pytest.mark.parametrize("offset", [0, 4096 * 20], ids=["header", "middle"])
def test_a_damaged_file_is_refused_and_unchanged(make_store: Callable[[], SqliteStore], offset: int) -> None:
    store = make_store()
    fill_and_damage(store, offset)
    before = contents(store.path.parent)

    with pytest.raises(LedgerDamaged, match=r"is damaged, .*restore it from a backup, or start with --recover"):
        make_store().open("shop", NOW)

    assert contents(store.path.parent) == before


def test_a_damaged_file_is_not_read_either(make_store: Callable[[], SqliteStore]) -> None:
    fill_and_damage(make_store(), 0)

    with pytest.raises(LedgerDamaged, match="--recover"):
        make_store().open_for_reading()


def test_a_file_that_is_damaged_while_it_is_used_says_so(store: SqliteStore) -> None:
    fill_and_damage(store, 0)
    store._readers, store._is_open = store._connect_readers(), True

    with pytest.raises(LedgerDamaged, match="--recover"), store.writing():
        pass


def test_moving_aside_takes_the_log_along_and_leaves_room_for_a_new_ledger(
    make_store: Callable[[], SqliteStore], path: Path
) -> None:
    script = (
        "import os, sys; from datetime import UTC, datetime; from pathlib import Path;"
        "from pinstripe_bot.ledger_sqlite import SqliteStore;"
        "SqliteStore(Path(sys.argv[1])).open('shop', datetime.now(UTC)); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    names = sorted(file.name for file in path.parent.iterdir())

    moved = make_store().move_aside("damaged")

    assert names == ["ledger.db", "ledger.db-shm", "ledger.db-wal"]
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "ledger.db.damaged",
        "ledger.db.damaged-shm",
        "ledger.db.damaged-wal",
    ]
    assert rows(moved, "SELECT count(*) FROM ledger") == [(3,)]
    assert make_store().open("shop", NOW).is_new


def test_moving_aside_what_has_no_log_moves_the_file(store: SqliteStore, path: Path) -> None:
    store.open("shop", NOW)
    store.close()

    moved = store.move_aside("old")

    assert moved == path.with_name("ledger.db.old")
    assert list(path.parent.iterdir()) == [moved]


def test_a_local_disk_gives_no_warning(store: SqliteStore) -> None:
    assert store.open("shop", NOW).warnings == ()


def test_the_kind_of_a_file_system_is_known() -> None:
    assert _file_system(Path("/proc/self/stat")) == "proc"


def test_a_renamed_project_keeps_the_ledger_in_its_folder(make_ledger: Callable[[], Ledger]) -> None:
    for name in ("shop", "bank"):
        ledger = make_ledger()

        opened = ledger.open(name, NOW)

        ledger.close(NOW)
    assert not opened.is_new
    assert rows(ledger, "SELECT value FROM ledger WHERE name = 'project'") == [("bank",)]


def test_after_a_restart_of_the_machine_a_queued_run_counts_as_started(
    make_bot: Callable[..., Bot], clock: TravelClock
) -> None:
    dead = make_bot(sweep=job())
    clock.travel(minutes=1)
    claim_only(dead)
    with dead.ledger.store.writing() as connection:
        connection.exec_driver_sql("UPDATE bots SET boot_id = 'the boot before'")
    crash(dead.ledger)

    bot = make_bot()

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("interrupted", "bot_died")]
