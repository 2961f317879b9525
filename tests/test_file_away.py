"""What a bot does whose ledger is a SQLite file that is gone, read-only or full."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bots import PATIENCE_S, Ears, job, path_of, rows

from pinstripe_bot.bot import Bot
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

LOST_AND_FOUND = ["ledger_lost", "ledger_found"]


def test_a_file_that_was_removed_is_not_written_into(ledger: Ledger, clock: TravelClock) -> None:
    path = path_of(ledger)
    path.rename(path.with_suffix(".elsewhere"))

    with pytest.raises(LedgerUnavailable, match="was removed or replaced while it was open: put it back, or start"):
        ledger.beat(clock.now())

    path.with_suffix(".elsewhere").rename(path)
    assert ledger.beat(clock.now())


def test_a_ledger_that_may_only_be_read_starts_nothing_and_catches_up(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    writer = bot.ledger.store._writer.connection
    assert writer is not None

    with Ears() as ears:
        writer.exec_driver_sql("PRAGMA query_only = 1")
        for _ in range(3):
            clock.travel(minutes=1)
            bot.tick()
        while_away = rows(bot.ledger, "SELECT count(*) FROM occurrences")
        writer.exec_driver_sql("PRAGMA query_only = 0")
        bot.tick()

    assert while_away == [(0,)]
    assert "read-only" in ears.wait_for("ledger_lost")["error"]
    assert ears.names(*LOST_AND_FOUND) == LOST_AND_FOUND
    decided = rows(bot.ledger, "SELECT decision, reason, count FROM occurrences ORDER BY due_at")
    assert decided == [("missed", "coalesced", 2), ("run", None, 1)]


def test_a_full_file_starts_nothing_and_catches_up(make_bot: MakeBot, clock: TravelClock) -> None:
    files = {f"job_{number}": job() for number in range(40)}
    bot = make_bot(**files)
    writer = bot.ledger.store._writer.connection
    assert writer is not None

    with Ears() as ears:
        writer.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite makes it the size that the file has now
        clock.travel(minutes=1)
        while "ledger_lost" not in ears.names():
            bot.tick()
            bot.dispatcher.wait_until_idle(PATIENCE_S)
            clock.travel(minutes=1)
        (before,) = rows(bot.ledger, "SELECT max(planned_to) FROM schedules")[0]
        writer.exec_driver_sql("PRAGMA max_page_count = 1000000")
        bot.tick()

    assert "full" in ears.wait_for("ledger_lost")["error"]
    assert ears.names(*LOST_AND_FOUND) == LOST_AND_FOUND
    holes = rows(
        bot.ledger,
        "SELECT count(*) FROM schedules AS s WHERE (planned_to - effective_from) / 60000000 <>"
        " (SELECT sum(count) FROM occurrences AS o WHERE o.job = s.job)",
    )
    assert holes == [(0,)]
    assert before < int(clock.now().timestamp()) * 1_000_000
