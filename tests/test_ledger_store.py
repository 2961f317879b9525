from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bots import locked, rows

from pinstripe_bot.errors import LedgerError, LedgerUnavailable
from pinstripe_bot.ledger_store import LedgerStore, ledger_path

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".pinstripe" / "ledger.db"


@pytest.fixture
def make_store(path: Path) -> Iterator[Callable[[], LedgerStore]]:
    """Give unopened stores on one file, all closed after the test."""
    made: list[LedgerStore] = []

    def make() -> LedgerStore:
        made.append(LedgerStore(path, busy_timeout_s=0.05))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store: Callable[[], LedgerStore]) -> LedgerStore:
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


def test_a_new_ledger_is_told_from_one_that_was_there(make_store: Callable[[], LedgerStore]) -> None:
    answers = [make_store().open("shop", NOW), make_store().open("shop", NOW)]

    assert answers == [True, False]


def test_the_folder_and_the_file_are_private(store: LedgerStore, path: Path) -> None:
    store.open("shop", NOW)

    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_the_ledger_says_its_version_and_project(store: LedgerStore, path: Path) -> None:
    store.open("shop", NOW)

    facts = dict(rows(path, "SELECT name, value FROM ledger"))

    assert facts == {"version": "1", "project": "shop", "created_at": "2026-01-01T00:00:00+00:00"}


@pytest.mark.parametrize("name", ["what?.db", "50%25.db", "#1 a&b=c.db", "mode=ro.db"])
def test_a_ledger_may_have_any_name(tmp_path: Path, name: str) -> None:
    store = LedgerStore(tmp_path / name)

    store.open("shop", NOW)

    assert rows(tmp_path / name, "SELECT count(*) FROM ledger") == [(3,)]
    store.close()


def test_an_empty_file_becomes_a_ledger(store: LedgerStore, path: Path) -> None:
    path.parent.mkdir()
    path.touch()

    assert store.open("shop", NOW)


@pytest.mark.parametrize(
    "table",
    ["accounts (id INTEGER)", "ledger (account TEXT, amount INTEGER)", "ledger (name TEXT, value TEXT)"],
)
def test_another_programs_database_is_refused_and_unchanged(store: LedgerStore, path: Path, table: str) -> None:
    fill(path, f"CREATE TABLE {table}")
    before = contents(path.parent)

    with pytest.raises(LedgerError, match="another program's database"):
        store.open("shop", NOW)

    assert contents(path.parent) == before


def test_another_programs_unfinished_log_is_not_touched(store: LedgerStore, path: Path) -> None:
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
def test_a_file_that_is_no_database_is_refused_and_unchanged(store: LedgerStore, path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)

    with pytest.raises(LedgerError, match="is not a ledger: move it aside") as refusal:
        store.open("shop", NOW)

    assert not isinstance(refusal.value, LedgerUnavailable)
    assert path.read_text() == text


def test_a_newer_ledger_is_refused_and_unchanged(make_store: Callable[[], LedgerStore], path: Path) -> None:
    first = make_store()
    first.open("shop", NOW)
    with first.writing() as connection:
        connection.exec_driver_sql("UPDATE ledger SET value = '2' WHERE name = 'version'")
    first.close()
    before = contents(path.parent)

    with pytest.raises(LedgerError, match="has version 2 and this pinstripe writes version 1: install the newer"):
        make_store().open("shop", NOW)

    assert contents(path.parent) == before


def test_a_folder_is_no_ledger(store: LedgerStore, path: Path) -> None:
    path.mkdir(parents=True)

    with pytest.raises(LedgerError, match="is not a ledger"):
        store.open("shop", NOW)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    tmp_path.joinpath("file").touch()

    with pytest.raises(LedgerError, match="cannot be made: Not a directory: make its folder writable"):
        LedgerStore(tmp_path / "file" / "folder" / "ledger.db").open("shop", NOW)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(LedgerError, match="cannot be made: Permission denied"):
        LedgerStore(tmp_path / "ledger.db").open("shop", NOW)


def test_a_refused_file_leaves_nothing_open(store: LedgerStore, path: Path) -> None:
    fill(path, "CREATE TABLE accounts (id INTEGER)")

    with pytest.raises(LedgerError):
        store.open("shop", NOW)

    open_files = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
    assert str(path) not in open_files


def test_of_many_that_make_the_ledger_at_once_one_does(make_store: Callable[[], LedgerStore]) -> None:
    stores = [make_store() for _ in range(8)]
    together = threading.Barrier(len(stores))
    answers: list[bool] = []

    def make(store: LedgerStore) -> None:
        together.wait()
        answers.append(store.open("shop", NOW))

    threads = [threading.Thread(target=make, args=[store]) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [False] * 7 + [True]


def test_a_lock_longer_than_the_time_out_makes_the_ledger_unavailable(store: LedgerStore, path: Path) -> None:
    store.open("shop", NOW)

    with (
        locked(path),
        pytest.raises(LedgerUnavailable, match=r"does not answer: .*locked"),
        store.writing() as connection,
    ):
        connection.exec_driver_sql("DELETE FROM ledger")

    assert rows(path, "SELECT count(*) FROM ledger") == [(3,)]


def test_a_locked_ledger_can_still_be_read(store: LedgerStore, path: Path) -> None:
    store.open("shop", NOW)

    with locked(path), store.reading() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM ledger").scalar()

    assert count == 3


def test_an_error_inside_a_transaction_undoes_it(store: LedgerStore, path: Path) -> None:
    store.open("shop", NOW)

    def delete_and_fail() -> None:
        with store.writing() as connection:
            connection.exec_driver_sql("DELETE FROM ledger")
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        delete_and_fail()

    assert rows(path, "SELECT count(*) FROM ledger") == [(3,)]


def test_after_an_error_the_next_transaction_works(store: LedgerStore, path: Path) -> None:
    store.open("shop", NOW)
    with pytest.raises(ZeroDivisionError), store.writing():
        _ = 1 / 0

    with store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM ledger")

    assert rows(path, "SELECT count(*) FROM ledger") == [(0,)]


def test_a_reader_cannot_write(store: LedgerStore) -> None:
    store.open("shop", NOW)

    with pytest.raises(LedgerUnavailable, match="readonly"), store.reading() as connection:
        connection.exec_driver_sql("DELETE FROM ledger")


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_transaction_is_as_durable_as_asked(store: LedgerStore, is_durable: bool) -> None:
    store.open("shop", NOW)
    with store.writing(durable=not is_durable):
        pass

    with store.writing(durable=is_durable) as connection:
        level = connection.exec_driver_sql("PRAGMA synchronous").scalar()

    assert level == (2 if is_durable else 1)


def test_a_closed_store_says_so(store: LedgerStore) -> None:
    store.open("shop", NOW)
    store.close()
    store.close()

    with pytest.raises(LedgerUnavailable, match="is closed"), store.writing():
        pass
    with pytest.raises(LedgerUnavailable, match="is closed"), store.reading():
        pass


def test_a_closed_store_can_be_opened_again(store: LedgerStore) -> None:
    store.open("shop", NOW)
    store.close()

    assert not store.open("shop", NOW)


def test_the_ledger_lies_in_the_project_unless_told_otherwise() -> None:
    assert ledger_path(None, Path("/srv/shop")) == Path("/srv/shop/.pinstripe/ledger.db")


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///data/bot.db", "/srv/shop/data/bot.db"), ("sqlite:////var/lib/bot.db", "/var/lib/bot.db")],
)
def test_a_ledger_url_names_a_file(url: str, path: str) -> None:
    assert ledger_path(url, Path("/srv/shop")) == Path(path)


@pytest.mark.parametrize("url", ["postgresql://me:secret@host/shop", "sqlite://", "sqlite:///:memory:", "a://b:c:d/"])
def test_any_other_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(LedgerError, match=r"write .sqlite:///path/to/ledger\.db") as refusal:
        ledger_path(url, Path("/srv/shop"))

    assert "secret" not in str(refusal.value)
