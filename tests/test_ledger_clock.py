"""A bot's clock beside the database's."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from bots import Ears

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_clock import LedgerClock
from pinstripe_bot.ledger_postgres import PostgresStore
from pinstripe_bot.testing import TravelClock

SAID = ("clock_differs", "clock_agrees")


class OffClock(TravelClock):
    """A machine's clock that is wrong by `off`, on the server's own machine."""

    off = timedelta(0)
    takes = timedelta(0)  # what passes from one look at it to the next

    def now(self) -> datetime:
        self.off += self.takes
        return SystemClock().now() + self.off


@pytest.fixture
def off_clock() -> OffClock:
    return OffClock()


@pytest.fixture
def compared(ledger: Ledger, off_clock: OffClock) -> LedgerClock:
    if not isinstance(ledger.store, PostgresStore):
        pytest.skip("a SQLite file has no clock of its own")
    return LedgerClock(ledger.store, off_clock)


def said(compared: LedgerClock, clock: OffClock, *offsets_s: float) -> list[tuple[str, int]]:
    """(event, offset in whole seconds) of what is said when the clock is off by so much, one after the other."""
    with Ears() as ears:
        for offset_s in offsets_s:
            clock.off = timedelta(seconds=offset_s)
            compared.compare()
    return [(one["event"], round(one["offset_s"])) for one in ears.heard if one["event"] in SAID]


def test_clocks_that_agree_are_not_spoken_of(compared: LedgerClock, off_clock: OffClock) -> None:
    assert said(compared, off_clock, 0, 0.5, -0.5) == []
    assert abs(compared.stats["clock_offset_ms"] + 500) < 400


def test_a_clock_that_is_off_is_told_once(compared: LedgerClock, off_clock: OffClock) -> None:
    assert said(compared, off_clock, 3, 3, 3.2) == [("clock_differs", 3)]
    assert abs(compared.stats["clock_offset_ms"] - 3200) < 400


def test_one_that_is_behind_is_told_too(compared: LedgerClock, off_clock: OffClock) -> None:
    assert said(compared, off_clock, -3600) == [("clock_differs", -3600)]


def test_one_that_goes_further_off_is_told_again_and_one_that_comes_closer_is_not(
    compared: LedgerClock, off_clock: OffClock
) -> None:
    found = said(compared, off_clock, 3, 5, 4, 3, 7)

    assert found == [("clock_differs", 3), ("clock_differs", 5), ("clock_differs", 7)]


def test_that_it_is_over_is_told_once(compared: LedgerClock, off_clock: OffClock) -> None:
    assert said(compared, off_clock, 3, 0, 0, 3) == [("clock_differs", 3), ("clock_agrees", 0), ("clock_differs", 3)]


def test_the_time_that_the_answer_took_is_no_difference(compared: LedgerClock, off_clock: OffClock) -> None:
    off_clock.takes = timedelta(seconds=5)

    assert said(compared, off_clock, -9) == []  # 4 s behind when it is asked, 1 s ahead when the answer comes
    assert abs(compared.stats["clock_offset_ms"] + 1500) < 400


def test_a_ledger_of_one_machine_is_not_asked(ledger: Ledger, clock: TravelClock) -> None:
    if isinstance(ledger.store, PostgresStore):
        pytest.skip("that is asked")
    compared = LedgerClock(ledger.store, clock)

    compared.compare()

    assert compared.stats == {}
