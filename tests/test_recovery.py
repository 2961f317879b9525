from __future__ import annotations

from collections.abc import Callable

from bots import Ears, claim_only, crash, job, names_in, rows, states

from pinstripe_bot.bot import Bot
from pinstripe_bot.recovery import recover_orphans
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


def leave_queued(make_bot: MakeBot, clock: TravelClock, **files: str) -> None:
    """A bot claims what is due, and dies."""
    dead = make_bot(**files)
    clock.travel(minutes=1)
    claim_only(dead)
    crash(dead.ledger)


def test_parameters_are_cast_again(make_bot: MakeBot, clock: TravelClock) -> None:
    dated = job(
        "return day.isoformat()",
        "'* * * * *', params={'day': '2026-02-28'}",
        head="import datetime",
        takes="day: datetime.date",
    )
    leave_queued(make_bot, clock, sweep=dated)

    bot = make_bot()

    bot.dispatcher.wait_until_idle()
    assert bot.ledger.history()[0].result == "2026-02-28"


def test_a_run_whose_parameters_fit_no_more_fails_and_the_bot_starts(make_bot: MakeBot, clock: TravelClock) -> None:
    leave_queued(make_bot, clock, sweep=job("return day", "'* * * * *', params={'day': 'monday'}", takes="day"))

    with Ears() as ears:
        bot = make_bot(sweep=job("return day", "'* * * * *', params={'day': 1}", takes="day: int"))

    (run,) = bot.ledger.history()
    assert run.error is not None
    assert (run.state, run.error.type, run.started_at) == ("failed", "InvalidParams", None)
    assert ears.names("run_refused", "bot_started") == ["run_refused", "bot_started"]


def test_a_run_whose_job_is_gone_is_skipped(make_bot: MakeBot, clock: TravelClock) -> None:
    leave_queued(make_bot, clock, sweep=job(), other=job("return 1", "'0 0 1 1 *'"))

    bot = make_bot(sweep="")

    assert states(bot) == [("skipped", "job_removed")]


def test_a_run_whose_file_is_broken_waits_for_a_sound_one(make_bot: MakeBot, clock: TravelClock) -> None:
    leave_queued(make_bot, clock, sweep=job(), other=job("return 1", "'0 0 1 1 *'"))
    broken = make_bot(sweep="this is not Python")
    waiting = states(broken)
    broken.stop()

    bot = make_bot(sweep=job("return 'sound again'"))

    bot.dispatcher.wait_until_idle()
    assert waiting == [("queued", None)]
    assert bot.ledger.history()[0].result == "sound again"


def test_a_run_whose_schedule_is_gone_runs_all_the_same(make_bot: MakeBot, clock: TravelClock) -> None:
    leave_queued(make_bot, clock, sweep=job())

    bot = make_bot(sweep=job("return 1", "'0 0 1 1 *'"))

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("succeeded", None)]


def test_a_bot_takes_over_what_another_one_left_that_died_beside_it(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, dead = make_bot(sweep=job("return 1")), make_bot()
    clock.travel(minutes=1)
    claim_only(dead)
    crash(dead.ledger)

    startable = recover_orphans(bot.project, bot.ledger, clock.now())

    bot.dispatcher.perform(startable)
    assert states(bot) == [("succeeded", None)]


def test_a_live_bot_beside_it_loses_nothing(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, other = make_bot(sweep=job("return 1")), make_bot()
    clock.travel(minutes=1)
    claim_only(other)

    assert recover_orphans(bot.project, bot.ledger, clock.now()) == []


def test_a_bot_of_an_older_release_leaves_the_runs_of_new_jobs_alone(make_bot: MakeBot, clock: TravelClock) -> None:
    old = make_bot(sweep=job("return 1", "'0 0 1 1 *'"))
    new = make_bot(added=job("return 'new'"))
    clock.travel(minutes=1)
    claim_only(new)
    crash(new.ledger)

    startable = recover_orphans(old.project, old.ledger, clock.now())

    assert startable == []
    assert states(old) == [("queued", None)]
    following = make_bot()
    following.dispatcher.wait_until_idle()
    assert states(following) == [("succeeded", None)]


def test_what_is_taken_over_runs_oldest_first(make_bot: MakeBot, clock: TravelClock) -> None:
    leave_queued(make_bot, clock, late=job("calls.append(1)"), early=job("return 1", "'1 * * * *'"))

    bot = make_bot({"workers": 1})

    bot.dispatcher.wait_until_idle()
    started = rows(bot.ledger.path, "SELECT job FROM runs ORDER BY due_at, id")
    assert sorted(started) == [("early",), ("late",)]
    assert names_in(bot, "late")["calls"] == [1]


def test_a_dead_bots_run_that_was_cut_off_is_logged(make_bot: MakeBot, clock: TravelClock) -> None:
    dead = make_bot(sweep=job())
    clock.travel(minutes=1)
    dead.ledger.start(claim_only(dead), clock.now())
    crash(dead.ledger)

    with Ears() as ears:
        make_bot()

    event = ears.wait_for("run_interrupted")
    assert (event["job"], event["reason"]) == ("sweep", "bot_died")


def test_a_dead_bots_run_keeps_no_instant_from_running(make_bot: MakeBot, clock: TravelClock) -> None:
    dead = make_bot(sweep=job())
    clock.travel(minutes=1)
    dead.ledger.start(claim_only(dead), clock.now())
    crash(dead.ledger)
    bot = make_bot()
    clock.travel(minutes=1)

    bot.tick()

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("interrupted", "bot_died"), ("succeeded", None)]
