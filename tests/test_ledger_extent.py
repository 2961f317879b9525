"""The extent of a ledger."""

from __future__ import annotations

from stored import DAWN, minute, put_run

from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_extent import Extent, read_extent


def extent(ledger: Ledger) -> Extent:
    with ledger.store.reading() as connection:
        return read_extent(connection)


def test_an_empty_ledger_has_no_extent(ledger: Ledger) -> None:
    assert extent(ledger) == Extent(0, None, 0)


def test_one_run_is_the_oldest_and_the_newest(ledger: Ledger) -> None:
    put_run(ledger, due_at=minute(3))

    assert extent(ledger) == Extent(1, minute(3), 0)


def test_the_extent_reaches_from_the_oldest_run_to_the_newest(ledger: Ledger) -> None:
    for number in range(5):
        put_run(ledger, due_at=minute(number))
    with ledger.store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM runs WHERE id IN (1, 3)")

    assert extent(ledger) == Extent(4, minute(1), 0)


def test_runs_that_wait_run_or_linger_are_open(ledger: Ledger) -> None:
    for state in ("queued", "running", "succeeded", "failed"):
        put_run(ledger, state=state)
    put_run(ledger, state="timed_out", lingers=1)

    found = extent(ledger)

    assert (found.open, found.oldest_at) == (3, DAWN)
