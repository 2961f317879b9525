from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from bots import claim_only, crash, job, let_go, rows, states

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.occurrence import Run
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]
MakeLedger = Callable[[], Ledger]


def never(_run: Run) -> datetime | None:
    return None


def fails(_run: Run) -> datetime | None:
    raise OSError("the disk is gone")


def opened(make_ledger: MakeLedger, clock: TravelClock, *, kind: str = "bot") -> Ledger:
    ledger = make_ledger()
    ledger.open("shop", clock.now(), kind=kind)
    return ledger


def test_signing_in_tells_where_a_bot_is(ledger: Ledger) -> None:
    (row,) = rows(ledger, "SELECT host <> '', boot_id <> '', pid > 1, lock, stats FROM bots")

    assert row == (True, True, True, str(ledger._locks / f"{ledger.bot}.lock"), "{}")


def test_signing_in_gives_a_lease(ledger: Ledger) -> None:
    assert rows(ledger, "SELECT lease_until > 0 FROM bots") == [(True,)]


def test_a_beat_renews_the_lease(ledger: Ledger, clock: TravelClock) -> None:
    (before,) = rows(ledger, "SELECT lease_until FROM bots")
    clock.travel(seconds=5)

    assert ledger.beat(clock.now(), stats={"busy": 2})

    (after,) = rows(ledger, "SELECT lease_until FROM bots")
    assert after > before
    assert rows(ledger, "SELECT stats FROM bots") == [('{"busy":2}',)]


def test_alone_nobody_is_dead(ledger: Ledger, clock: TravelClock) -> None:
    assert not ledger.has_dead_bots(clock.now())


def test_who_has_signed_out_is_not_dead(ledger: Ledger, make_ledger: MakeLedger, clock: TravelClock) -> None:
    opened(make_ledger, clock).close(clock.now())

    assert not ledger.has_dead_bots(clock.now())


def test_who_lives_beside_it_is_not_dead(ledger: Ledger, make_ledger: MakeLedger, clock: TravelClock) -> None:
    other = opened(make_ledger, clock, kind="command")

    assert not ledger.has_dead_bots(clock.now())

    other.close(clock.now())


def test_who_died_is_dead_at_once_and_buried_once(ledger: Ledger, make_ledger: MakeLedger, clock: TravelClock) -> None:
    crash(opened(make_ledger, clock))
    before = ledger.has_dead_bots(clock.now())

    ledger.bury(clock.now(), retry_at=never)

    assert [before, ledger.has_dead_bots(clock.now())] == [True, False]


def test_the_dead_are_signed_out_at_their_last_heartbeat(
    ledger: Ledger, make_ledger: MakeLedger, clock: TravelClock
) -> None:
    dead = opened(make_ledger, clock)
    clock.travel(seconds=5)
    dead.beat(clock.now())
    crash(dead)
    clock.travel(hours=1)

    ledger.bury(clock.now(), retry_at=never)

    query = "SELECT stopped_at - heartbeat_at, heartbeat_at > started_at FROM bots WHERE stopped_at IS NOT NULL"
    assert rows(ledger, query) == [(0, True)]


def test_the_lock_file_of_a_dead_bot_is_removed(ledger: Ledger, make_ledger: MakeLedger, clock: TravelClock) -> None:
    crash(opened(make_ledger, clock))

    ledger.bury(clock.now(), retry_at=never)

    assert [path.stem for path in ledger._locks.iterdir()] == [ledger.bot]


def test_a_burial_that_is_undone_leaves_the_lock_file_by_which_the_next_look_tells_who_is_dead(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot, dying = make_bot(sweep=job()), make_bot()
    clock.travel(minutes=1)
    dying.ledger.start(claim_only(dying), clock.now())
    crash(dying.ledger)

    with pytest.raises(OSError, match="the disk is gone"):
        bot.ledger.bury(clock.now(), retry_at=fails)

    assert bot.ledger.has_dead_bots(clock.now())
    (run,) = bot.ledger.bury(clock.now(), retry_at=never)
    assert run.state == "interrupted"


def test_who_was_taken_for_dead_hears_it_at_the_next_beat_and_lives_again(
    ledger: Ledger, make_ledger: MakeLedger, clock: TravelClock
) -> None:
    other = opened(make_ledger, clock)
    let_go(other)
    ledger.bury(clock.now(), retry_at=never)

    beats = [other.beat(clock.now()) for _ in range(2)]

    assert beats == [False, True]
    assert rows(ledger, "SELECT count(*) FROM bots WHERE stopped_at IS NOT NULL") == [(0,)]
    other.close(clock.now())


def test_a_bot_that_another_one_took_for_dead_does_not_bury_itself(
    make_bot: MakeBot, make_ledger: MakeLedger, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job())
    other = opened(make_ledger, clock)
    let_go(bot.ledger)
    other.bury(clock.now(), retry_at=never)
    clock.travel(minutes=1)
    bot.ledger.start(claim_only(bot), clock.now())

    assert bot.ledger.bury(clock.now(), retry_at=never) == []

    assert states(bot) == [("running", None)]
    other.close(clock.now())


def test_what_a_bot_left_running_that_signed_out_is_found(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, stopped = make_bot(sweep=job()), make_bot()
    clock.travel(minutes=1)
    dues = stopped.timetable.due(int(clock.now().timestamp()))
    stopped.ledger.start(stopped.ledger.claim(dues, clock.now()).runs, clock.now())
    stopped.ledger.close(clock.now())

    assert bot.ledger.has_dead_bots(clock.now())

    (run,) = bot.ledger.bury(clock.now(), retry_at=never)
    assert run.state == "interrupted"
    assert not bot.ledger.has_dead_bots(clock.now())
