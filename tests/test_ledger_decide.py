from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from bots import EVERY_MINUTE, claim_only, decisions, job, rows
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger_skips import EVERY_JOB, Pause, end_pause, write_pause
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

PAUSED = (EVERY_MINUTE, "skipped", "paused")
RUN = (EVERY_MINUTE, "run", None, 1)


def pause(bot: Bot, job: str = "sweep", *, until_at: datetime | None = None) -> None:
    with bot.ledger.store.writing() as connection:
        write_pause(connection, Pause(job, bot.clock.now(), until_at, "ann", "a release"))


def resume(bot: Bot, job: str = "sweep") -> bool:
    with bot.ledger.store.writing() as connection:
        return end_pause(connection, job, bot.clock.now())


@contextmanager
def refusing(bot: Bot, statement: str) -> Iterator[None]:
    """The database fails at each statement of the bot that begins like this."""

    def fail(_connection: object, _cursor: object, said: str, *_more: object) -> None:
        if said.strip().startswith(statement):
            raise OperationalError(said, {}, sqlite3.OperationalError("disk I/O error"))

    with bot.ledger.store.writing() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", fail)


def tick(bot: Bot, clock: TravelClock, *, minutes: int = 1) -> None:
    for _ in range(minutes):
        clock.travel(minutes=1)
        bot.tick()
        bot.dispatcher.wait_until_idle()


def test_a_paused_job_does_not_run(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    pause(bot)

    tick(bot, clock)

    assert decisions(bot) == [(*PAUSED, 1)]


def test_what_comes_due_in_a_pause_is_one_row_that_grows(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    start = int(clock.now().timestamp())
    pause(bot)

    tick(bot, clock, minutes=5)

    stretch = rows(bot.ledger, "SELECT due_at, until_at, count FROM occurrences")
    assert stretch == [((start + 60) * 1_000_000, (start + 300) * 1_000_000, 5)]


def test_every_instant_of_a_pause_is_told_as_it_comes(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    pause(bot)
    told = []
    for minutes in (1, 3):
        clock.travel(minutes=minutes)
        dues = bot.timetable.due(int(clock.now().timestamp()))

        claim = bot.ledger.claim(dues, clock.now())

        bot.timetable.advance(dues)
        told += [(one.reason, one.count, one.due_at.minute) for one in claim.passed]

    assert told == [("paused", 1, 1), ("paused", 3, 2)]


def test_a_pause_with_an_end_splits_the_window(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    pause(bot, until_at=clock.now() + timedelta(minutes=3, seconds=30))
    clock.travel(minutes=6)

    bot.tick()

    assert decisions(bot) == [(*PAUSED, 3), (EVERY_MINUTE, "missed", "coalesced", 2), RUN]


def test_what_comes_due_at_the_very_end_of_a_pause_runs(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    pause(bot, until_at=clock.now() + timedelta(minutes=2))

    tick(bot, clock, minutes=3)

    assert decisions(bot) == [(*PAUSED, 1), RUN, RUN]


@pytest.mark.parametrize(
    ("catch_up", "after"),
    [
        ("all", [RUN, RUN, RUN]),
        ("none", [(EVERY_MINUTE, "missed", "too_late", 2), RUN]),
    ],
)
def test_after_the_pause_the_policy_decides(
    make_bot: MakeBot, clock: TravelClock, catch_up: str, after: list[tuple[object, ...]]
) -> None:
    bot = make_bot(sweep=job("return 1", f"'* * * * *', catch_up='{catch_up}', late_after='30s'"))
    pause(bot, until_at=clock.now() + timedelta(minutes=3, seconds=30))
    clock.travel(minutes=6)

    claim_only(bot)

    assert decisions(bot) == [(*PAUSED, 3), *after]


def test_a_pause_of_every_job_pauses_each(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), other=job())
    pause(bot, EVERY_JOB)

    tick(bot, clock, minutes=2)

    assert decisions(bot) == [(*PAUSED, 2), (*PAUSED, 2)]


def test_a_pause_of_one_job_pauses_no_other(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), other=job())
    pause(bot, "other")

    tick(bot, clock)

    assert rows(bot.ledger, "SELECT job FROM runs") == [("sweep",)]


def test_of_two_pauses_the_longer_one_holds(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    pause(bot, until_at=clock.now() + timedelta(minutes=1, seconds=30))
    pause(bot, EVERY_JOB, until_at=clock.now() + timedelta(minutes=3, seconds=30))

    tick(bot, clock, minutes=4)

    assert decisions(bot) == [(*PAUSED, 3), RUN]


def test_a_paused_job_runs_by_hand(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job())
    pause(bot)

    assert bot.run_background_job("sweep").state == "succeeded"


def test_a_paused_job_that_was_waiting_in_the_queue_runs(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claimed = claim_only(bot)

    pause(bot)

    assert [run.state for run in bot.dispatcher.perform(claimed)] == ["succeeded"]


def test_after_a_resume_only_what_comes_due_then_runs(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    pause(bot)
    tick(bot, clock, minutes=3)
    clock.travel(seconds=30)

    assert resume(bot)

    clock.travel(seconds=30)
    bot.tick()
    assert decisions(bot) == [(*PAUSED, 3), RUN]


def test_what_came_due_in_a_pause_that_ended_while_no_bot_ran_stays_paused(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job("return 1", "'* * * * *', catch_up='all'"))
    pause(bot)
    clock.travel(minutes=3, seconds=30)
    resume(bot)
    clock.travel(minutes=1)

    claim_only(bot)

    assert decisions(bot) == [(*PAUSED, 3), RUN]


def test_a_pause_after_another_one_begins_a_row_of_its_own(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    pause(bot)
    tick(bot, clock, minutes=2)
    clock.travel(seconds=10)
    resume(bot)
    clock.travel(seconds=10)
    pause(bot)
    clock.travel(seconds=40)

    bot.tick()

    assert decisions(bot) == [(*PAUSED, 2), (*PAUSED, 1)]


def test_a_pause_that_was_made_while_no_bot_ran_is_one_row_too(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=3, seconds=30)
    pause(bot)
    clock.travel(minutes=2, seconds=30)
    bot.tick()

    tick(bot, clock)

    assert decisions(bot) == [(EVERY_MINUTE, "missed", "bot_down", 3), (*PAUSED, 4)]


def test_what_came_due_before_a_pause_is_missed_and_not_paused(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'* * * * *', catch_up='all'"))
    clock.travel(minutes=3)
    pause(bot)
    clock.travel(minutes=2)

    bot.tick()

    assert decisions(bot) == [(EVERY_MINUTE, "missed", "bot_down", 2), (*PAUSED, 3)]


def test_a_database_that_fails_while_a_pause_goes_on_quarantines_no_schedule(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job())
    pause(bot)
    tick(bot, clock)

    with refusing(bot, "UPDATE occurrences"):
        tick(bot, clock)

    assert not bot.timetable.quarantined
    assert decisions(bot) == [(*PAUSED, 1)]
    tick(bot, clock)
    assert decisions(bot) == [(*PAUSED, 3)]


def test_an_instant_that_was_claimed_ahead_splits_a_paused_stretch(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    bot.run_background_jobs(clock.now().timestamp() + 120)
    pause(bot)
    clock.travel(minutes=4)

    bot.tick()

    assert decisions(bot) == [(*PAUSED, 1), RUN, (*PAUSED, 2)]


def test_two_bots_write_one_row_of_a_pause(make_bot: MakeBot, clock: TravelClock) -> None:
    one, other = make_bot(sweep=job()), make_bot()
    pause(one)
    for turn in range(4):
        clock.travel(minutes=1)
        for bot in (one, other) if turn % 2 else (other, one):
            bot.tick()

    assert decisions(one) == [(*PAUSED, 4)]


def test_an_instant_in_a_paused_stretch_is_decided(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    start = clock.now()
    pause(bot)
    clock.travel(minutes=4)
    bot.tick()

    assert bot.run_background_jobs((start + timedelta(minutes=2)).timestamp()) == []
