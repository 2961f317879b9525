from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bots import EVERY_MINUTE, claim_only, decisions, job, rows
from sqlalchemy import insert

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_schema import skips
from pinstripe_bot.ledger_skips import Pause, end_pause, read_pauses, write_pause
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

ASKED = (EVERY_MINUTE, "skipped", "skip_asked", 1)
RUN = (EVERY_MINUTE, "run", None, 1)


def skip(bot: Bot, count: int, *, job: str = "sweep", schedule: str = "") -> None:
    row = {"job": job, "schedule": schedule, "remaining": count, "who": "ann", "asked_at": to_column(bot.clock.now())}
    with bot.ledger.store.writing() as connection:
        connection.execute(insert(skips).values(row))


def claim_minutes(bot: Bot, clock: TravelClock, count: int) -> None:
    for _ in range(count):
        clock.travel(minutes=1)
        bot.tick()
        bot.dispatcher.wait_until_idle()


def remaining(bot: Bot) -> list[tuple[object, ...]]:
    return rows(bot.ledger, "SELECT schedule, remaining FROM skips ORDER BY schedule")


def pauses_after(ledger: Ledger, *written: Pause) -> dict[str, Pause]:
    with ledger.store.writing() as connection:
        for pause in written:
            write_pause(connection, pause)
        return read_pauses(connection)


def test_the_next_instants_are_skipped_and_then_the_wish_is_gone(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    skip(bot, 2)

    claim_minutes(bot, clock, 3)

    assert decisions(bot) == [ASKED, ASKED, RUN]
    assert remaining(bot) == []


def test_a_skip_counts_down(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    skip(bot, 3)

    claim_minutes(bot, clock, 1)

    assert remaining(bot) == [("", 2)]


def test_a_skip_of_one_schedule_leaves_the_others_alone(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'* * * * *'", "'*/2 * * * *', name='even', params={'a': 1}", takes="a=0"))
    skip(bot, 1, schedule="even")

    claim_minutes(bot, clock, 2)

    assert sorted(decisions(bot)) == [RUN, RUN, ("even", "skipped", "skip_asked", 1)]


def test_a_skip_of_another_job_skips_nothing(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    skip(bot, 1, job="other")

    claim_minutes(bot, clock, 1)

    assert decisions(bot) == [RUN]
    assert remaining(bot) == [("", 1)]


def test_a_skip_of_a_job_is_for_all_its_schedules_that_are_due_at_that_instant(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job("return 1", "'* * * * *'", "'*/1 * * * *', name='too'"))
    skip(bot, 1)

    claim_minutes(bot, clock, 1)

    assert sorted(decisions(bot)) == [ASKED, ("too", "skipped", "skip_asked", 1)]
    assert remaining(bot) == []


def test_after_downtime_the_instant_that_would_run_is_skipped(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    skip(bot, 2)
    clock.travel(minutes=3)

    claim_only(bot)

    assert decisions(bot) == [(EVERY_MINUTE, "missed", "coalesced", 2), ASKED]
    assert remaining(bot) == [("", 1)]


def test_two_bots_skip_an_instant_once(make_bot: MakeBot, clock: TravelClock) -> None:
    one, other = make_bot(sweep=job()), make_bot()
    skip(one, 2)
    clock.travel(minutes=1)

    one.tick()
    other.tick()

    assert decisions(one) == [ASKED]
    assert remaining(one) == [("", 1)]


def test_a_run_by_hand_uses_no_skip(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job())
    skip(bot, 1)

    run = bot.run_background_job("sweep")

    assert run.state == "succeeded"
    assert remaining(bot) == [("", 1)]


def test_a_pause_comes_back_as_it_was_written(ledger: Ledger, clock: TravelClock) -> None:
    pause = Pause("sweep", clock.now(), clock.now() + timedelta(hours=1), "ann", "a release")

    found = pauses_after(ledger, pause)

    assert found == {"sweep": pause}


def test_a_pause_that_is_changed_keeps_its_beginning(ledger: Ledger, clock: TravelClock) -> None:
    first = Pause("sweep", clock.now(), None, "ann", "")
    later = Pause("sweep", clock.now() + timedelta(hours=1), clock.now() + timedelta(hours=2), "ben", "longer")

    found = pauses_after(ledger, first, later)

    assert found["sweep"] == Pause("sweep", first.paused_at, later.until_at, "ben", "longer")


def test_a_pause_after_one_that_is_over_begins_anew(ledger: Ledger, clock: TravelClock) -> None:
    first = Pause("sweep", clock.now(), clock.now() + timedelta(minutes=1), "ann", "")
    later = Pause("sweep", clock.now() + timedelta(hours=1), None, "ben", "")

    found = pauses_after(ledger, first, later)

    assert found["sweep"] == later


def test_an_ended_pause_is_over_from_then_on(ledger: Ledger, clock: TravelClock) -> None:
    end_at = clock.now() + timedelta(minutes=5)
    with ledger.store.writing() as connection:
        write_pause(connection, Pause("sweep", clock.now(), None, "ann", ""))

        answers = [end_pause(connection, "sweep", end_at) for _ in range(2)]

        assert answers == [True, False]
        assert not read_pauses(connection)["sweep"].lasts(end_at)


def test_a_pause_that_was_never_made_cannot_end(ledger: Ledger, clock: TravelClock) -> None:
    with ledger.store.writing() as connection:
        assert not end_pause(connection, "sweep", clock.now())
