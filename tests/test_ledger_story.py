"""The story of the instant that a run was for; that of an instant is told in test_ledger_history.py."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bots import job, rows, write_jobs
from stored import FAR, ODD, put_run
from tenancy import come_due

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger_story import Stories
from pinstripe_bot.occurrence import Reason, RunState
from pinstripe_bot.project import Project
from pinstripe_bot.story import Standing, Story
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


def story_of(bot: Bot, clock: TravelClock, run: int, *, tenant: str = "", job: str = "sweep") -> Story | None:
    declared = bot.project.jobs[job].schedules if job in bot.project.jobs else ()
    with bot.ledger.store.reading() as connection:
        stories = Stories(connection, bot.ledger.store, clock.now(), timedelta(days=30), tenant=tenant)
        return stories.of_run(run, declared)


def tick(bot: Bot, clock: TravelClock) -> None:
    clock.travel(minutes=1)
    bot.tick()
    bot.dispatcher.wait_until_idle()


def test_a_run_has_the_story_of_its_instant(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    tick(bot, clock)
    due_at = clock.now()
    tick(bot, clock)

    told = story_of(bot, clock, 1)

    assert told is not None
    assert (told.standing, told.due_at, told.schedule) == (Standing.DECIDED, due_at, "* * * * *")
    assert [(one.run.id, one.run.state) for one in told.runs] == [(1, RunState.SUCCEEDED)]
    assert told.declared == bot.project.schedules[0]


def test_a_run_that_is_not_there_has_no_story(make_bot: MakeBot, clock: TravelClock) -> None:
    assert story_of(make_bot(sweep=job()), clock, 7) is None


def test_a_run_by_hand_has_a_story_without_a_schedule(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    run = bot.run_background_job("sweep")

    told = story_of(bot, clock, run.id)

    assert told is not None
    assert (told.schedule, told.declared, told.zone) == ("manual", None, None)
    assert [one.run.id for one in told.runs] == [run.id]


def test_a_run_of_a_job_that_is_no_more_has_its_story(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    put_run(bot.ledger, ODD, schedule=ODD, due_at=FAR, claimed_at=clock.now())

    told = story_of(bot, clock, 1, job=ODD)

    assert told is not None
    assert (told.job, told.schedule, told.due_at, told.declared) == (ODD, ODD, FAR, None)
    assert len(told.runs) == 1


def test_a_run_of_a_schedule_that_was_edited_is_told_without_it(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    tick(bot, clock)
    write_jobs(bot.project.root, sweep=job("return None", "'0 * * * *'"))
    edited = Project.load(bot.project.root, environ={}).jobs["sweep"].schedules

    with bot.ledger.store.reading() as connection:
        told = Stories(connection, bot.ledger.store, clock.now(), timedelta(days=30)).of_run(1, edited)

    assert told is not None
    assert told.declared is None


def test_a_run_that_was_skipped_is_told_with_its_reason(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    number = put_run(bot.ledger, state="skipped", reason="overlap", schedule="manual", started_at=None)

    told = story_of(bot, clock, number)

    assert told is not None
    assert [(one.run.state, one.run.reason) for one in told.runs] == [(RunState.SKIPPED, Reason.OVERLAP)]


def test_a_tenants_run_is_told_with_its_listing_and_without_the_others(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return None", "'* * * * *', multi_tenant=True"))
    come_due(bot, clock)
    ((number,),) = rows(bot.ledger, "SELECT id FROM runs WHERE tenant = ?", "beta")

    told = story_of(bot, clock, number, tenant="beta")

    assert told is not None
    assert told.listing is not None
    assert [one.run.tenant for one in told.runs] == ["beta"]
