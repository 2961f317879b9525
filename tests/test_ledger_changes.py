"""The mark: another one after whatever a page shows, the same one after anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bots import job
from sqlalchemy import insert
from stored import DAWN, FAR, ODD, minute, put_bot, put_passed, put_run

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person, write_audit
from pinstripe_bot.ledger_changes import read_mark
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_schema import listings
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


def mark(ledger: Ledger) -> str:
    with ledger.store.reading() as connection:
        return read_mark(connection)


def write(ledger: Ledger, statement: str) -> None:
    with ledger.store.writing() as connection:
        connection.exec_driver_sql(statement)


def test_nothing_changes_while_nothing_happens(ledger: Ledger) -> None:
    put_run(ledger)

    assert mark(ledger) == mark(ledger)


def test_the_mark_is_text_of_an_empty_ledger_too(ledger: Ledger) -> None:
    assert set(mark(ledger)) <= set("0123456789.")


def act(ledger: Ledger) -> None:
    with ledger.store.writing() as connection:
        write_audit(connection, Person("ada", "here"), DAWN, "pause", job="sweep")


EVENTS: dict[str, Callable[[Ledger], Any]] = {
    "a run": put_run,
    "an instant that did not run": put_passed,
    "an act": act,
    "a bot that starts": lambda ledger: put_bot(ledger, "new", minute(1), None),
    "a bot that stops": lambda ledger: write(ledger, f"UPDATE bots SET stopped_at = {to_column(FAR)}"),
    "a start": lambda ledger: write(ledger, "UPDATE runs SET state = 'running' WHERE id = 2"),
    "an end": lambda ledger: write(ledger, "UPDATE runs SET state = 'failed' WHERE id = 1"),
    "an end of what waits": lambda ledger: write(ledger, "UPDATE runs SET state = 'cancelled' WHERE id = 2"),
    "a retry": lambda ledger: write(ledger, "UPDATE runs SET state = 'queued', attempt = 2 WHERE id = 1"),
    "a retry of what has ended": lambda ledger: write(
        ledger, "UPDATE runs SET state = 'queued', attempt = 2 WHERE id = 3"
    ),
    "progress": lambda ledger: write(ledger, "UPDATE runs SET progress_done = 1 WHERE id = 1"),
    "something printed": lambda ledger: write(ledger, "UPDATE runs SET output = 'hello' WHERE id = 1"),
    "a wish to cancel": lambda ledger: write(ledger, "UPDATE runs SET cancel_requested_at = 1 WHERE id = 1"),
    "a thread that goes on": lambda ledger: write(
        ledger, "UPDATE runs SET state = 'timed_out', lingers = 1 WHERE id = 1"
    ),
}


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_changes_the_mark(ledger: Ledger, event: str) -> None:
    put_run(ledger, state="running", took=None)
    put_run(ledger, state="queued", started_at=None, took=None)
    put_run(ledger, state="failed")
    before = mark(ledger)

    EVENTS[event](ledger)

    assert mark(ledger) != before


def test_a_bot_that_takes_the_place_of_another_one_changes_the_mark(ledger: Ledger) -> None:
    put_bot(ledger, "old", minute(1), None)
    before = mark(ledger)

    write(ledger, f"UPDATE bots SET stopped_at = {to_column(minute(2))} WHERE id = 'old'")
    put_bot(ledger, "new", FAR, None)

    assert mark(ledger) != before


def test_a_listing_that_fails_changes_the_mark(ledger: Ledger) -> None:
    facts = {"params": "{}", "params_key": "", "overlap": "skip", "available_at": 0, "attempt": 1}
    occurrence = put_passed(ledger, decision="run", listing="queued")
    with ledger.store.writing() as connection:
        connection.execute(insert(listings).values(facts | {"occurrence_id": occurrence}))
    before = mark(ledger)

    write(ledger, "UPDATE listings SET attempt = 2, error = 'out of paper'")
    between = mark(ledger)
    write(ledger, "UPDATE listings SET listed = 500")

    assert len({before, between, mark(ledger)}) == 3


def test_a_listing_that_is_given_up_changes_the_mark(ledger: Ledger) -> None:
    put_passed(ledger, decision="run", listing="queued")
    before = mark(ledger)

    write(ledger, "UPDATE occurrences SET listing = 'failed'")

    assert mark(ledger) != before


def test_a_heartbeat_is_no_event(ledger: Ledger) -> None:
    put_run(ledger, ODD)
    before = mark(ledger)

    write(ledger, f"UPDATE bots SET heartbeat_at = {to_column(minute(5))}, stats = '{{}}'")

    assert mark(ledger) == before


def test_the_mark_bears_huge_numbers(ledger: Ledger) -> None:
    for _ in range(3):
        put_run(ledger, state="running", progress_done=2**63 - 1, progress_total=-1)
    before = mark(ledger)

    write(ledger, "UPDATE runs SET progress_done = 5 WHERE id = 2")

    assert mark(ledger) != before


def test_a_tick_without_anything_due_changes_nothing(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'0 * * * *'"))
    before = mark(bot.ledger)

    clock.travel(minutes=1)
    bot.tick()

    assert mark(bot.ledger) == before


def test_acts_change_the_mark_also_where_they_come_to_nothing_new(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    acts = Acts(bot.ledger.store, bot.project, Person("ada", "here"))
    marks = [mark(bot.ledger)]
    for _ in range(2):
        acts.pause("sweep", clock.now())
        marks.append(mark(bot.ledger))

    assert len(set(marks)) == 3


def test_what_a_run_prints_changes_the_mark_also_where_its_beginning_is_not_kept(ledger: Ledger) -> None:
    put_run(ledger, state="running", output=f"[1000 earlier bytes are not kept]\n{'x' * 500}")
    put_run(ledger, state="running", output="[no earlier bytes are not kept]\n[")
    before = mark(ledger)

    write(ledger, f"UPDATE runs SET output = '[1234 earlier bytes are not kept]\n{'y' * 500}' WHERE id = 1")

    assert mark(ledger) != before
