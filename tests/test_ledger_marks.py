from __future__ import annotations

from collections.abc import Callable

from bots import EVERY_MINUTE, Ears, decisions, job, rows, states

from pinstripe_bot.bot import Bot
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


def test_a_schedule_seen_for_the_first_time_starts_from_now(make_bot: MakeBot, clock: TravelClock) -> None:
    clock.travel(hours=1)
    bot = make_bot(sweep=job())

    bot.tick()

    assert decisions(bot) == []


def test_the_second_of_the_first_sight_is_past(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())  # exactly at a due instant

    bot.tick()
    clock.travel(minutes=1)
    bot.tick()

    assert decisions(bot) == [(EVERY_MINUTE, "run", None, 1)]


def test_after_downtime_a_schedule_goes_on_from_its_mark(make_bot: MakeBot, clock: TravelClock) -> None:
    make_bot(sweep=job()).stop()
    clock.travel(minutes=5)

    bot = make_bot()
    bot.tick()

    assert decisions(bot) == [(EVERY_MINUTE, "missed", "coalesced", 4), (EVERY_MINUTE, "run", None, 1)]


def test_an_edited_schedule_starts_from_now(make_bot: MakeBot, clock: TravelClock) -> None:
    make_bot(sweep=job("return 1", "'* * * * *', name='often'")).stop()
    clock.travel(minutes=5)

    bot = make_bot(sweep=job("return 1", "'*/2 * * * *', name='often'"))
    bot.tick()

    assert decisions(bot) == [("often", "missed", "edited", 5)]


def test_a_schedule_whose_zone_is_edited_starts_from_now(make_bot: MakeBot, clock: TravelClock) -> None:
    make_bot(sweep=job()).stop()
    clock.travel(minutes=5)

    bot = make_bot(sweep=job("return 1", "'* * * * *', timezone='Asia/Tokyo'"))
    bot.tick()

    assert decisions(bot) == [(EVERY_MINUTE, "missed", "edited", 5)]


def test_other_parameters_do_not_edit_a_schedule(make_bot: MakeBot, clock: TravelClock) -> None:
    make_bot(sweep=job()).stop()
    clock.travel(minutes=1)

    bot = make_bot(sweep=job("return 1", "'* * * * *', params={'deep': True}"))
    bot.tick()

    assert decisions(bot) == [(EVERY_MINUTE, "run", None, 1)]


def test_a_removed_schedule_that_comes_back_starts_from_now(make_bot: MakeBot, clock: TravelClock) -> None:
    make_bot(sweep=job()).stop()
    make_bot(sweep="", other=job()).stop()
    clock.travel(minutes=5)

    bot = make_bot(sweep=job(), other="")
    bot.tick()

    assert decisions(bot) == [(EVERY_MINUTE, "missed", "removed", 5)]
    assert [one.occurrence.job for one in bot.ledger.history.passed()] == ["other"]


def test_what_came_due_before_a_schedule_was_removed_is_missed(make_bot: MakeBot, clock: TravelClock) -> None:
    make_bot(sweep=job(), other=job()).stop()
    clock.travel(minutes=5)

    bot = make_bot(sweep="")

    jobs = "SELECT job, decision, reason, count FROM occurrences"
    assert rows(bot.ledger, jobs) == [("sweep", "missed", "removed", 5)]


def test_a_form_that_cannot_be_read_any_more_is_left_alone(make_bot: MakeBot, clock: TravelClock) -> None:
    first = make_bot(sweep=job())
    with first.ledger.store.writing() as connection:
        connection.exec_driver_sql("UPDATE schedules SET fingerprint = 'at noon | Mars/Olympus | once | 0'")
    first.stop()
    clock.travel(minutes=5)

    bot = make_bot()

    assert decisions(bot) == []


def test_a_removed_schedule_keeps_its_row(make_bot: MakeBot) -> None:
    make_bot(sweep=job()).stop()

    bot = make_bot(sweep="", other=job())

    removed = rows(bot.ledger, "SELECT job FROM schedules WHERE removed_at IS NOT NULL")
    assert removed == [("sweep",)]


def test_a_schedule_that_is_enabled_again_starts_from_now(make_bot: MakeBot, clock: TravelClock) -> None:
    make_bot(sweep=job()).stop()
    make_bot(sweep=job("return 1", "'* * * * *', enabled=False")).stop()
    clock.travel(minutes=5)

    bot = make_bot(sweep=job())
    bot.tick()

    assert decisions(bot) == []


def test_a_broken_file_is_not_a_removed_job(make_bot: MakeBot, clock: TravelClock) -> None:
    make_bot(sweep=job()).stop()
    make_bot(sweep="this is not Python").stop()
    clock.travel(minutes=5)

    bot = make_bot(sweep=job())
    bot.tick()

    assert decisions(bot) == [(EVERY_MINUTE, "missed", "coalesced", 4), (EVERY_MINUTE, "run", None, 1)]


def test_a_newer_bot_plans_an_edited_schedule_and_the_old_one_stops(make_bot: MakeBot, clock: TravelClock) -> None:
    old = make_bot(sweep=job("return 'old'", "'* * * * *', name='often'"))
    new = make_bot(sweep=job("return 'new'", "'*/2 * * * *', name='often'"))
    clock.travel(minutes=2)

    old.tick()
    new.tick()

    new.dispatcher.wait_until_idle()
    assert [run.result for run in new.ledger.history.runs()] == ["new"]
    assert len(old.timetable) == 0


def test_a_bot_that_is_superseded_in_one_schedule_plans_the_others(make_bot: MakeBot, clock: TravelClock) -> None:
    old = make_bot(sweep=job("return 1", "'* * * * *', name='often'"), other=job())
    make_bot(sweep=job("return 1", "'*/2 * * * *', name='often'"))
    clock.travel(minutes=1)

    old.tick()

    old.dispatcher.wait_until_idle()
    assert [run.job for run in old.ledger.history.runs()] == ["other"]


def test_a_mark_moves_with_every_claim(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1, seconds=7)

    bot.tick()

    marks = rows(bot.ledger, "SELECT planned_to FROM schedules")
    assert marks == [(int(clock.now().timestamp()) * 1_000_000,)]


def test_when_the_clock_goes_back_nothing_runs_again(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=3)
    bot.tick()
    clock.jump(minutes=-2)

    bot.tick()
    clock.travel(minutes=2)
    bot.tick()

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("succeeded", None)]


def test_a_restart_after_the_clock_went_back_runs_nothing_again(make_bot: MakeBot, clock: TravelClock) -> None:
    first = make_bot(sweep=job())
    clock.travel(minutes=3)
    first.tick()
    first.dispatcher.wait_until_idle()
    first.stop()
    clock.jump(minutes=-2)

    bot = make_bot()
    clock.travel(minutes=2)
    bot.tick()

    assert states(bot) == [("succeeded", None)]


OFTEN = "'* * * * *', name='often'"
SELDOM = "'*/2 * * * *', name='often'"


def test_a_form_that_no_living_bot_plans_is_taken_back(make_bot: MakeBot, clock: TravelClock) -> None:
    old = make_bot(sweep=job("return 'old'", OFTEN))
    new = make_bot(sweep=job("return 'new'", SELDOM))
    clock.travel(minutes=1)
    old.tick()
    new.stop()

    clock.travel(seconds=10)
    with Ears() as ears:
        old.tick()
        clock.travel(minutes=1)
        old.tick()
        old.dispatcher.wait_until_idle()

    assert ears.wait_for("schedule_taken_back")["starts_from_now"] is True
    assert [run.result for run in old.ledger.history.runs()] == ["old"]


def test_a_form_that_another_living_bot_plans_is_left_to_it(make_bot: MakeBot, clock: TravelClock) -> None:
    old = make_bot(sweep=job("return 'old'", OFTEN))
    first, second = make_bot(sweep=job("return 'new'", SELDOM)), make_bot()
    clock.travel(minutes=1)
    old.tick()
    first.stop()

    clock.travel(minutes=3)
    old.tick()
    second.tick()

    second.dispatcher.wait_until_idle()
    assert [run.result for run in second.ledger.history.runs()] == ["new"]
    assert len(old.timetable) == 0


def test_after_a_rollback_elsewhere_the_old_form_goes_on_from_its_mark(make_bot: MakeBot, clock: TravelClock) -> None:
    old = make_bot(sweep=job("return 'old'", OFTEN))
    new = make_bot(sweep=job("return 'new'", SELDOM))
    clock.travel(minutes=1)
    old.tick()
    rolled_back = make_bot(sweep=job("return 'old'", OFTEN))
    new.stop()
    rolled_back.stop()
    clock.travel(minutes=1)

    old.tick()

    old.dispatcher.wait_until_idle()
    assert [run.result for run in old.ledger.history.runs()] == ["old"]
