from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from bots import locked, rows
from sqlalchemy import QueuePool

from pinstripe_bot import ledger_migrations
from pinstripe_bot.errors import LedgerError, LedgerUnavailable
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_schema import VERSION
from pinstripe_bot.ledger_store import LedgerStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DELETE = "DELETE FROM ledger"
COUNT = "SELECT count(*) FROM ledger"


@pytest.fixture
def make_store(make_ledger: Callable[[], Ledger]) -> Iterator[Callable[..., LedgerStore]]:
    """Give unopened stores of one place, all closed after the test; `patient` ones wait long for a lock."""
    made: list[LedgerStore] = []

    def make(*, patient: bool = False) -> LedgerStore:
        ledger = make_ledger()
        made.append(ledger.place.store() if patient else ledger.store)
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store: Callable[..., LedgerStore]) -> LedgerStore:
    """An open one."""
    store = make_store()
    store.open("shop", NOW)
    return store


def change(store: LedgerStore, *statements: str) -> None:
    with store.writing() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def look(store: LedgerStore, query: str = COUNT) -> object:
    with store.reading() as connection:
        return connection.exec_driver_sql(query).scalar()


def at_once(actions: list[Callable[[], object]]) -> list[object]:
    """Do all of these in threads that begin together; what they gave, in order of their ends."""
    together = threading.Barrier(len(actions))
    answers: list[object] = []

    def act(action: Callable[[], object]) -> None:
        together.wait()
        try:
            answers.append(action())
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            answers.append(error)

    threads = [threading.Thread(target=act, args=[action]) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_a_new_ledger_is_told_from_one_that_was_there(make_store: Callable[..., LedgerStore]) -> None:
    opened = [make_store().open("shop", NOW) for _ in range(2)]

    assert [(one.is_new, one.is_migrated, one.found_version) for one in opened] == [
        (True, False, None),
        (False, False, VERSION),
    ]


def test_the_ledger_says_its_version_and_project(store: LedgerStore, make_ledger: Callable[[], Ledger]) -> None:
    facts = dict(rows(make_ledger(), "SELECT name, value FROM ledger"))

    assert facts == {"version": str(VERSION), "project": "shop", "created_at": "2026-01-01T00:00:00+00:00"}


def test_a_newer_ledger_is_refused_and_unchanged(
    store: LedgerStore, make_store: Callable[..., LedgerStore], make_ledger: Callable[[], Ledger]
) -> None:
    change(store, "UPDATE ledger SET value = '99' WHERE name = 'version'")
    before = rows(make_ledger(), "SELECT * FROM ledger ORDER BY name")

    with pytest.raises(LedgerError, match=f"has version 99 and this pinstripe writes version {VERSION}: install"):
        make_store().open("shop", NOW)

    assert rows(make_ledger(), "SELECT * FROM ledger ORDER BY name") == before


def test_another_projects_ledger_is_refused(store: LedgerStore, make_store: Callable[..., LedgerStore]) -> None:
    with pytest.raises(LedgerError, match="belongs to the project 'shop', and this one is 'bank'"):
        make_store().open("bank", NOW)


def test_a_ledger_inside_the_project_goes_with_its_new_name(
    store: LedgerStore, make_store: Callable[..., LedgerStore], make_ledger: Callable[[], Ledger]
) -> None:
    make_store().open("renamed", NOW, is_own=True)

    assert rows(make_ledger(), "SELECT value FROM ledger WHERE name = 'project'") == [("renamed",)]


def test_of_many_that_make_the_ledger_at_once_one_does(make_store: Callable[..., LedgerStore]) -> None:
    stores = [make_store(patient=True) for _ in range(8)]

    opened = at_once([lambda store=store: store.open("shop", NOW).is_new for store in stores])

    assert sorted(opened, key=str) == [False] * 7 + [True]


def test_of_two_projects_that_make_the_ledger_at_once_one_is_refused(make_store: Callable[..., LedgerStore]) -> None:
    stores = {name: make_store(patient=True) for name in ("shop", "bank")}

    opened = at_once([lambda name=name, store=store: store.open(name, NOW).is_new for name, store in stores.items()])

    assert sorted(type(answer) for answer in opened if answer is not True) == [LedgerError]


def test_a_lock_longer_than_the_time_out_makes_the_ledger_unavailable(
    store: LedgerStore, make_ledger: Callable[[], Ledger]
) -> None:
    with locked(make_ledger()), pytest.raises(LedgerUnavailable, match=r"does not answer: .*lock"):
        change(store, DELETE)

    assert look(store) == 3


def test_after_the_lock_is_gone_the_next_transaction_works(
    store: LedgerStore, make_ledger: Callable[[], Ledger]
) -> None:
    with locked(make_ledger()), pytest.raises(LedgerUnavailable):
        change(store, DELETE)

    change(store, DELETE)

    assert look(store) == 0


def test_a_locked_ledger_can_still_be_read(store: LedgerStore, make_ledger: Callable[[], Ledger]) -> None:
    with locked(make_ledger()):
        assert look(store) == 3


def test_an_error_inside_a_transaction_undoes_it(store: LedgerStore) -> None:
    def delete_and_fail() -> None:
        with store.writing() as connection:
            connection.exec_driver_sql(DELETE)
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        delete_and_fail()

    assert look(store) == 3


def test_after_an_error_the_next_transaction_works(store: LedgerStore) -> None:
    with pytest.raises(ZeroDivisionError), store.writing():
        _ = 1 / 0

    change(store, DELETE)

    assert look(store) == 0


def test_a_statement_that_cannot_be_is_told_and_undone(store: LedgerStore) -> None:
    with pytest.raises(LedgerUnavailable, match="does not answer"):
        change(store, DELETE, "SELECT nothing FROM nowhere")

    assert look(store) == 3


def test_what_is_written_is_seen_by_others_only_at_the_end(store: LedgerStore) -> None:
    with store.writing() as connection:
        connection.exec_driver_sql(DELETE)
        before = look(store)

    assert (before, look(store)) == (3, 0)


def test_one_look_sees_one_state_and_the_next_one_the_newest(store: LedgerStore) -> None:
    with store.reading() as connection:
        seen = [connection.exec_driver_sql(COUNT).scalar()]
        change(store, DELETE)
        seen.append(connection.exec_driver_sql(COUNT).scalar())

    assert [*seen, look(store)] == [3, 3, 0]


def test_a_second_writer_sees_what_the_first_has_written(
    store: LedgerStore, make_store: Callable[..., LedgerStore]
) -> None:
    other = make_store()
    other.open("shop", NOW)
    change(other, DELETE)

    with store.writing() as connection:
        count = connection.exec_driver_sql(COUNT).scalar()

    assert count == 0


def test_a_reader_cannot_write(store: LedgerStore) -> None:
    with pytest.raises(LedgerUnavailable, match=r"read-?only"), store.reading() as connection:
        connection.exec_driver_sql(DELETE)


def test_after_an_error_a_reader_reads_again(store: LedgerStore) -> None:
    with pytest.raises(LedgerUnavailable), store.reading() as connection:
        connection.exec_driver_sql("SELECT nothing FROM nowhere")

    assert look(store) == 3


def test_a_look_that_waits_too_long_behind_others_finds_the_ledger_unavailable(store: LedgerStore) -> None:
    assert store._readers is not None
    pool = store._readers.pool
    assert isinstance(pool, QueuePool)
    pool._timeout = 0
    with ExitStack() as others:
        for _ in range(pool.size() + pool._max_overflow):
            others.enter_context(store.reading())

        with pytest.raises(LedgerUnavailable, match="too many look at it at once"):
            look(store)

    assert look(store) == 3


def test_a_closed_store_says_so(store: LedgerStore) -> None:
    store.close()
    store.close()

    with pytest.raises(LedgerUnavailable, match="is closed"), store.writing():
        pass
    with pytest.raises(LedgerUnavailable, match="is closed"), store.reading():
        pass


def test_a_closed_store_can_be_opened_again(store: LedgerStore) -> None:
    store.close()

    assert not store.open("shop", NOW).is_new


def test_there_is_nothing_to_read_before_there_is_a_ledger(make_store: Callable[..., LedgerStore]) -> None:
    store = make_store()

    assert not store.open_for_reading()

    with pytest.raises(LedgerUnavailable, match="is closed"):
        look(store)


def test_a_ledger_that_is_opened_for_reading_can_only_be_read(
    store: LedgerStore, make_store: Callable[..., LedgerStore]
) -> None:
    reader = make_store()

    assert reader.open_for_reading()

    assert look(reader) == 3
    with pytest.raises(LedgerUnavailable):
        change(reader, DELETE)


def test_an_older_ledger_is_not_read_but_says_what_to_do(
    store: LedgerStore, make_store: Callable[..., LedgerStore]
) -> None:
    change(store, "UPDATE ledger SET value = '1' WHERE name = 'version'")

    with pytest.raises(LedgerError, match=f"has version 1, older than {VERSION}: start the bot once, which migrates"):
        make_store().open_for_reading()


def test_a_newer_ledger_is_not_read(store: LedgerStore, make_store: Callable[..., LedgerStore]) -> None:
    change(store, "UPDATE ledger SET value = '99' WHERE name = 'version'")

    with pytest.raises(LedgerError, match="install the newer pinstripe"):
        make_store().open_for_reading()


def test_a_migration_that_fails_changes_nothing(
    store: LedgerStore, make_store: Callable[..., LedgerStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    def migrate(connection: object) -> None:
        connection.exec_driver_sql("ALTER TABLE bots ADD COLUMN mood VARCHAR")  # type: ignore[attr-defined]
        connection.exec_driver_sql("DROP TABLE nothing_like_it")  # type: ignore[attr-defined]

    before = str(VERSION - 1)
    change(store, f"UPDATE ledger SET value = '{before}' WHERE name = 'version'")
    monkeypatch.setitem(ledger_migrations.MIGRATIONS, VERSION, migrate)

    with pytest.raises(LedgerUnavailable, match="nothing_like_it"):
        make_store().open("shop", NOW)

    assert look(store, "SELECT value FROM ledger WHERE name = 'version'") == before
    with pytest.raises(LedgerUnavailable, match="mood"):
        look(store, "SELECT mood FROM bots")
