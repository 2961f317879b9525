from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bots import crash, rows
from sqlalchemy import insert, make_url

from pinstripe_bot.config import Config, DatabaseConfig, LedgerConfig
from pinstripe_bot.errors import LedgerError, LedgerUnavailable
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_copy import CHUNK
from pinstripe_bot.ledger_move import LedgerMove, give_up
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_schema import (
    attempts,
    audit,
    bots,
    days,
    listings,
    occurrences,
    pauses,
    residences,
    runs,
    schedules,
    skips,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)

TABLES = sorted(
    [
        "attempts",
        "audit",
        "bots",
        "days",
        "occurrences",
        "pauses",
        "runs",
        "schedules",
        "skips",
        "listings",
        "residences",
    ]
)


@dataclasses.dataclass
class Places:
    """From where to where: from the kind of ledger under test to the other one."""

    root: Path
    config: Config  # leads to the source
    target: str

    @property
    def moved_config(self) -> Config:
        return Config(ledger=LedgerConfig(url=self.target))

    def move(self, config: Config | None = None) -> LedgerMove:
        return LedgerMove(config or self.config, self.root, "shop", self.target)

    def source(self) -> Ledger:
        return Ledger(ledger_place(self.config, self.root), locks=self.root / ".pinstripe" / "bots")

    def at_target(self) -> Ledger:
        return Ledger(ledger_place(self.moved_config, self.root), locks=self.root / ".pinstripe" / "bots")


@pytest.fixture
def places(ledger_kind: str, root: Path, fresh_postgres_url: str) -> Places:
    if ledger_kind == "sqlite":
        return Places(root, Config(), fresh_postgres_url)
    return Places(root, Config(ledger=LedgerConfig(url=fresh_postgres_url)), "sqlite:///elsewhere/ledger.db")


def fill(ledger: Ledger, count: int = 5) -> None:
    """Something in every table; so many runs."""
    numbers = range(1, count + 1)
    instants = {"due_at": 5, "claimed_at": 6}
    bot = {"kind": "bot", "host": "h", "boot_id": "", "pid": 1, "version": "1", "started_at": 0, "heartbeat_at": 0}
    schedule = {"schedule": "s", "fingerprint": "f", "effective_from": 0, "planned_to": 0}
    decided = {"schedule": "s", "decision": "run", "bot": "b"} | instants
    ran = {"schedule": "s", "state": "failed", "params": "{}", "params_key": "", "available_at": 0} | instants
    values: list[tuple[Any, list[dict[str, Any]]]] = [
        (bots, [bot | {"id": name, "stopped_at": 1} for name in ("b", "Ä", "a", "B")]),
        (schedules, [schedule | {"job": job} for job in ("z", "a-b", "ab")]),
        (occurrences, [decided | {"id": number * 2, "job": f"job {number}"} for number in numbers]),
        (runs, [ran | {"id": number, "occurrence_id": number * 2, "job": f"job {number}"} for number in numbers]),
        (
            listings,
            [
                {"occurrence_id": number * 2, "params": "{}", "params_key": "", "overlap": "skip", "available_at": 0}
                for number in numbers
            ],
        ),
        (residences, [{"tenant": name, "zone": "UTC", "formers": "[]"} for name in ("ä", "a", "B")]),
        (attempts, [{"run_id": 1, "attempt": number, "state": "failed", "output": "x"} for number in (1, 2, 3)]),
        (pauses, [{"job": "", "paused_at": 1, "who": "me"}]),
        (skips, [{"job": "a", "remaining": 1, "who": "me", "asked_at": 1}]),
        (audit, [{"at": 1, "who": "me", "origin": "here", "action": "pause"}]),
        (days, [{"job": f"job {number}", "day": "2026-01-01", "worst": "[]", "counts": "{}"} for number in numbers]),
    ]
    with ledger.store.writing() as connection:
        for table, its_rows in values:
            connection.execute(insert(table), its_rows)


@pytest.fixture
def filled(places: Places) -> Places:
    """With a ledger at the source that no bot uses."""
    ledger = places.source()
    ledger.open("shop", NOW)
    fill(ledger)
    ledger.close(NOW)
    return places


def contents(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables but `ledger`."""
    return {table: sorted(rows(ledger, f"SELECT * FROM {table}"), key=repr) for table in TABLES}


def facts(ledger: Ledger) -> dict[str, str]:
    return dict(rows(ledger, "SELECT name, value FROM ledger"))


def ignore(_done: int, _total: int) -> None:
    """Nobody looks at the progress."""


def test_what_a_cluster_carries_waits_for_whoever_is_there_after_the_move(filled: Places) -> None:
    source = filled.source()
    source.open("shop", NOW)
    with source.store.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET carrier = 7")
        connection.exec_driver_sql("UPDATE runs SET state = 'queued' WHERE id = 1")
    source.close(NOW)

    filled.move().run(NOW, ignore)

    target = filled.at_target()
    target.open("shop", NOW)
    assert rows(target, "SELECT id FROM runs WHERE carrier IS NULL") == [(1,)]
    target.close(NOW)


class Cut(Exception):
    """Stands for a kill."""


def cut_after(chunks: int) -> Callable[[int, int], None]:
    """A progress that ends the move after so many chunks."""
    told = 0

    def tell(_done: int, _total: int) -> None:
        nonlocal told
        told += 1
        if told > chunks:
            raise Cut

    return tell


def test_everything_arrives_as_it_was(filled: Places) -> None:
    before = contents(filled.source())

    moved = filled.move().run(NOW, ignore)

    assert contents(filled.at_target()) == before
    assert moved.rows == {table: len(found) for table, found in before.items()}


def test_long_tables_arrive_chunk_by_chunk(places: Places) -> None:
    ledger = places.source()
    ledger.open("shop", NOW)
    fill(ledger, CHUNK + 3)
    ledger.close(NOW)
    with pytest.raises(Cut):
        places.move().run(NOW, cut_after(7))

    places.move().run(NOW, ignore)

    assert contents(places.at_target()) == contents(ledger)


def test_new_rows_are_numbered_after_those_that_came(filled: Places) -> None:
    filled.move().run(NOW, ignore)

    ledger = filled.at_target()
    ledger.open("shop", NOW)
    with ledger.store.writing() as connection:
        entry = {"at": 1, "who": "me", "origin": "here", "action": "pause"}
        (number,) = connection.execute(insert(audit).values(entry)).inserted_primary_key
        mark = {"job": "new", "schedule": "s", "fingerprint": "f", "effective_from": 0, "planned_to": 0}
        (row,) = connection.execute(insert(schedules).values(mark)).inserted_primary_key
    ledger.close(NOW)

    assert (number, row) == (2, 4)


def test_progress_is_told_up_to_the_end(filled: Places) -> None:
    told: list[tuple[int, int]] = []

    moved = filled.move().run(NOW, lambda done, total: told.append((done, total)))

    total = sum(moved.rows.values())
    assert (told[0], told[-1]) == ((0, total), (total, total))
    assert sorted(told) == told


def test_the_source_is_refused_afterwards(filled: Places) -> None:
    filled.move().run(NOW, ignore)

    with pytest.raises(LedgerError, match=r"has moved to .*: set ledger.url to that place"):
        filled.source().open("shop", NOW)


@pytest.mark.parametrize("chunks", [0, 1, 2, 3, 5, 8])
def test_a_move_that_was_cut_off_goes_on_where_it_was(filled: Places, chunks: int) -> None:
    before = contents(filled.source())
    with pytest.raises(Cut):
        filled.move().run(NOW, cut_after(chunks))
    told: list[int] = []

    filled.move().run(NOW, lambda done, _total: told.append(done))

    assert contents(filled.at_target()) == before
    assert (told[0] > 0) is (chunks > 0)


def test_while_it_is_half_done_no_bot_opens_either(filled: Places) -> None:
    with pytest.raises(Cut):
        filled.move().run(NOW, cut_after(2))

    for ledger in (filled.source(), filled.at_target()):
        with pytest.raises(LedgerError, match=r"is being moved .*move-ledger --give-up"):
            ledger.open("shop", NOW)


def test_one_that_was_cut_off_right_after_the_source_was_marked_is_ended(filled: Places) -> None:
    before = contents(filled.source())
    move = filled.move()
    move._look_at_source(NOW)
    move._open(NOW)
    move._begin(NOW)
    move._copy(0, ignore)
    move._switch_over(NOW)
    move._source.close()
    move._target.close()
    with pytest.raises(LedgerError, match="has moved to"):
        filled.source().open("shop", NOW)
    with pytest.raises(LedgerError, match="is being moved here from"):
        filled.at_target().open("shop", NOW)

    filled.move().run(NOW, ignore)

    assert contents(filled.at_target()) == before
    ledger = filled.at_target()
    ledger.open("shop", NOW)
    ledger.close(NOW)


def test_a_move_that_is_given_up_leaves_the_source_as_it_was(filled: Places) -> None:
    before = contents(filled.source())
    with pytest.raises(Cut):
        filled.move().run(NOW, cut_after(2))

    answers = [give_up(filled.config, filled.root, "shop", NOW) for _ in range(2)]

    assert answers == [True, False]
    assert contents(filled.source()) == before
    assert facts(filled.source()).keys() == {"version", "project", "created_at"}


def test_after_one_that_was_given_up_another_begins_anew(filled: Places) -> None:
    with pytest.raises(Cut):
        filled.move().run(NOW, cut_after(5))
    give_up(filled.config, filled.root, "shop", NOW)
    source = filled.source()
    source.open("shop", NOW)
    with source.store.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET state = 'succeeded'")
        connection.exec_driver_sql("DELETE FROM attempts")
    source.close(NOW)
    before = contents(source)

    filled.move().run(NOW, ignore)

    assert contents(filled.at_target()) == before


def test_one_that_has_ended_cannot_be_given_up(filled: Places) -> None:
    filled.move().run(NOW, ignore)

    with pytest.raises(LedgerError, match="cannot be given up"):
        give_up(filled.config, filled.root, "shop", NOW)


def test_a_move_is_given_up_at_its_source(filled: Places) -> None:
    with pytest.raises(Cut):
        filled.move().run(NOW, cut_after(1))

    with pytest.raises(LedgerError, match="is where the ledger moves to"):
        give_up(filled.moved_config, filled.root, "shop", NOW)


def test_a_living_bot_at_the_source_is_named(filled: Places) -> None:
    bot = filled.source()
    bot.open("shop", NOW)

    with pytest.raises(LedgerError, match=r"is in use by a bot on .* \(process \d+\): stop that first"):
        filled.move().run(NOW, ignore)

    bot.close(NOW)
    assert "moving_to" not in facts(filled.source())


def test_a_dead_bot_at_the_source_is_no_hindrance(filled: Places) -> None:
    bot = filled.source()
    bot.open("shop", NOW)
    crash(bot)

    filled.move().run(NOW, ignore)

    assert len(rows(filled.at_target(), "SELECT * FROM bots WHERE stopped_at IS NULL")) == 1


def test_a_bot_that_comes_in_between_undoes_nothing(filled: Places) -> None:
    bot = filled.source()
    bot.store.serves_move = True  # as one that had opened it just before

    def sign_in(_done: int, _total: int) -> None:
        if bot._lock is None:
            bot.open("shop", NOW)

    with pytest.raises(LedgerError, match="is in use by"):
        filled.move().run(NOW, sign_in)

    bot.close(NOW)
    assert "moved_to" not in facts(filled.source())


def test_a_copy_that_differs_is_refused(filled: Places) -> None:
    source = filled.source()

    def change(done: int, total: int) -> None:
        if done == total:
            source.store.serves_move = True
            source.store.open("shop", NOW)
            with source.store.writing() as connection:
                connection.exec_driver_sql("UPDATE attempts SET attempt = 7 WHERE attempt = 3")
            source.store.close()

    with pytest.raises(LedgerError, match=r"attempts has 3 rows with the sum 3, 10 at .* and 4 rows with"):
        filled.move().run(NOW, change)

    assert "moved_to" not in facts(source)


def test_a_target_in_use_is_refused(filled: Places) -> None:
    other = filled.at_target()
    other.open("shop", NOW)
    other.close(NOW)

    with pytest.raises(LedgerError, match="two cannot be made one"):
        filled.move().run(NOW, ignore)

    assert "moving_to" not in facts(filled.source())


def test_another_projects_ledger_is_refused_as_target(filled: Places) -> None:
    other = filled.at_target()
    other.open("bank", NOW)
    other.close(NOW)

    with pytest.raises(LedgerError, match="belongs to the project 'bank'"):
        filled.move().run(NOW, ignore)


def test_there_and_back_again_needs_a_new_place(filled: Places) -> None:
    filled.move().run(NOW, ignore)
    back = LedgerMove(filled.moved_config, filled.root, "shop", "sqlite:///back.db")

    back.run(NOW, ignore)

    with pytest.raises(LedgerError, match=r"has moved to .*back\.db, and not to"):
        LedgerMove(filled.moved_config, filled.root, "shop", "sqlite:///third.db").run(NOW, ignore)


def test_to_where_it_is_already_is_refused(filled: Places) -> None:
    with pytest.raises(LedgerError, match=r"the ledger is at .* already"):
        LedgerMove(filled.moved_config, filled.root / "else", "shop", filled.target)


def test_without_a_ledger_there_is_nothing_to_move(places: Places) -> None:
    with pytest.raises(LedgerError, match="there is no ledger at"):
        places.move().run(NOW, ignore)


def test_a_look_changes_nothing(filled: Places) -> None:
    before = (contents(filled.source()), facts(filled.source()))

    moved = filled.move().look(NOW)

    assert (contents(filled.source()), facts(filled.source())) == before
    assert moved.rows["runs"] == 5
    assert not ledger_place(filled.moved_config, filled.root).store().open_for_reading()


def test_a_second_call_after_the_end_changes_nothing(filled: Places) -> None:
    filled.move().run(NOW, ignore)
    bot = filled.at_target()
    bot.open("shop", NOW)
    before = contents(bot)

    filled.move().run(NOW, ignore)

    assert contents(bot) == before
    bot.close(NOW)


def test_a_nul_in_an_output_arrives_as_what_can_be_kept(filled: Places, ledger_kind: str) -> None:
    if ledger_kind == "postgres":
        pytest.skip("PostgreSQL cannot hold one")
    source = filled.source()
    source.open("shop", NOW)
    with source.store.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET output = ? WHERE id = 1", ("a\0b",))
    source.close(NOW)

    filled.move().run(NOW, ignore)

    assert rows(filled.at_target(), "SELECT output FROM runs WHERE id = 1") == [("a\N{REPLACEMENT CHARACTER}b",)]


def default_file(places: Places) -> Path:
    return places.root / ".pinstripe" / "ledger.db"


def test_the_default_file_is_renamed_where_the_database_of_the_project_takes_its_place(
    filled: Places, ledger_kind: str
) -> None:
    if ledger_kind == "postgres":
        pytest.skip("its source is no file")
    config = Config(database=DatabaseConfig(url=filled.target))

    moved = filled.move(config).run(NOW, ignore)

    assert (moved.renamed_to, moved.to_set) == (default_file(filled).with_name("ledger.db.moved"), None)
    assert not default_file(filled).exists()
    ledger = Ledger.of(config, filled.root)
    assert not ledger.open("shop", NOW).is_new
    ledger.close(NOW)


def test_one_that_was_cut_off_before_it_was_renamed_is_renamed_by_the_next_call(
    filled: Places, ledger_kind: str
) -> None:
    if ledger_kind == "postgres":
        pytest.skip("its source is no file")
    filled.move().run(NOW, ignore)  # not renamed: with these settings nobody would find the target
    assert default_file(filled).exists()

    moved = filled.move(filled.moved_config).run(NOW, ignore)

    assert moved.renamed_to is not None
    assert not default_file(filled).exists()


def test_where_the_target_has_to_be_set_the_file_stays_and_says_so(filled: Places) -> None:
    moved = filled.move().run(NOW, ignore)

    assert moved.renamed_to is None
    assert moved.to_set == filled.at_target().place.url.render_as_string(hide_password=True)


def test_no_password_is_told(filled: Places, ledger_kind: str) -> None:
    if ledger_kind == "postgres":
        pytest.skip("its target is no server")
    url = make_url(filled.target).set(password="open-sesame", host="127.0.0.1", port=1)

    with pytest.raises(LedgerUnavailable) as caught:
        LedgerMove(filled.config, filled.root, "shop", url.render_as_string(hide_password=False)).run(NOW, ignore)

    assert "open-sesame" not in str(caught.value)
    assert "***" in str(caught.value)
