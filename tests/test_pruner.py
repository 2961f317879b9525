from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from bots import Ears, job, rows
from sqlalchemy import insert

from pinstripe_bot.bot import Bot
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_prune import CHUNK, Keeping
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_schema import occurrences
from pinstripe_bot.pruner import FIRST_AFTER_S, FOR_EVER, PASS_EVERY_S, Pruner, keeping_of
from pinstripe_bot.testing import TravelClock


class Work:
    """Whether work waits."""

    waits = False


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def pruner(ledger: Ledger, clock: TravelClock, work: Work) -> Pruner:
    return Pruner(ledger.store, lambda: Keeping(timedelta(days=30)), clock, is_idle=lambda: not work.waits)


def fill(ledger: Ledger, count: int, begin: datetime) -> None:
    """So many missed minutes from `begin` on."""
    missed = {"job": "sweep", "schedule": "s", "decision": "missed", "reason": "bot_down", "bot": "b"}
    instants = [to_column(begin + timedelta(minutes=number)) for number in range(count)]
    with ledger.store.writing() as connection:
        values = [missed | {"due_at": instant, "claimed_at": instant} for instant in instants]
        connection.execute(insert(occurrences), values)


@pytest.fixture(autouse=True)
def old_rows(ledger: Ledger, clock: TravelClock) -> None:
    """1200 of them, of one day."""
    fill(ledger, 1200, clock.now() - timedelta(days=40))


def left(ledger: Ledger) -> int:
    ((count,),) = rows(ledger, "SELECT count(*) FROM occurrences")
    return int(count)


def test_one_look_writes_one_small_transaction(pruner: Pruner, ledger: Ledger, clock: TravelClock) -> None:
    clock.travel(seconds=FIRST_AFTER_S)

    pruner.look()

    assert left(ledger) == 1200 - CHUNK


def test_a_second_look_within_a_second_does_nothing(pruner: Pruner, ledger: Ledger, clock: TravelClock) -> None:
    clock.travel(seconds=FIRST_AFTER_S)
    pruner.look()

    pruner.look()

    assert left(ledger) == 1200 - CHUNK


def test_pruning_goes_on_with_each_second_and_says_so_at_the_end(
    pruner: Pruner, ledger: Ledger, clock: TravelClock
) -> None:
    clock.travel(seconds=FIRST_AFTER_S)

    with Ears() as ears:
        for _ in range(6):
            pruner.look()
            clock.travel(seconds=1)

    assert left(ledger) == 0
    assert [(event["event"], event["rows"]) for event in ears.heard] == [("ledger_pruned", 1200)]


def test_nothing_is_pruned_while_work_waits(pruner: Pruner, ledger: Ledger, clock: TravelClock, work: Work) -> None:
    clock.travel(seconds=FIRST_AFTER_S)
    work.waits = True

    pruner.look()
    before = left(ledger)
    work.waits = False
    pruner.look()

    assert (before, left(ledger)) == (1200, 1200 - CHUNK)


def test_the_next_pass_comes_after_an_hour(pruner: Pruner, ledger: Ledger, clock: TravelClock) -> None:
    clock.travel(seconds=FIRST_AFTER_S)
    for _ in range(6):
        pruner.look()
        clock.travel(seconds=1)
    fill(ledger, 3, clock.now() - timedelta(days=50))

    pruner.look()
    before = left(ledger)
    clock.travel(seconds=PASS_EVERY_S)
    pruner.look()

    assert (before, left(ledger)) == (3, 0)


def test_a_bot_that_has_just_begun_prunes_nothing(pruner: Pruner, ledger: Ledger, clock: TravelClock) -> None:
    clock.travel(seconds=FIRST_AFTER_S - 1)

    pruner.look()

    assert left(ledger) == 1200


def test_a_clock_that_jumps_is_not_believed_for_a_while(pruner: Pruner, ledger: Ledger, clock: TravelClock) -> None:
    fill(ledger, 60, clock.now() - timedelta(days=1))
    clock.travel(seconds=FIRST_AFTER_S)
    clock.jump(days=3650)

    pruner.look()
    clock.jump(days=-3650)
    clock.travel(seconds=1)
    pruner.look()
    before = left(ledger)
    clock.travel(seconds=FIRST_AFTER_S)
    pruner.look()

    assert (before, left(ledger)) == (1260, 1260 - CHUNK)


def test_after_an_error_the_pass_begins_anew(pruner: Pruner, ledger: Ledger, clock: TravelClock) -> None:
    clock.travel(seconds=FIRST_AFTER_S)
    ledger.store.close()
    with pytest.raises(LedgerUnavailable):
        pruner.look()
    ledger.store.open("shop", clock.now())

    clock.travel(seconds=FIRST_AFTER_S)
    pruner.look()

    assert left(ledger) == 1200 - CHUNK


def test_a_job_says_how_long_its_rows_are_kept_and_a_broken_one_keeps_all(make_bot: Callable[..., Bot]) -> None:
    bot = make_bot(
        {"retention": "7d"},
        planned=False,
        plain=job(),
        audited=job("return 1", "'* * * * *', retention='365d'"),
        broken="this is not Python",
        switched_off=job("return 1", "'0 0 1 1 *', enabled=False"),
    )

    keeping = keeping_of(bot.project)

    assert keeping.retention == timedelta(days=7)
    assert keeping.by_job == {"audited": timedelta(days=365), "broken": FOR_EVER}
    assert {schedule.job for schedule in keeping.planned} == {"audited", "plain"}
