"""What whoever only looks is told: runs, what did not run, the overview, the story of an instant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from bots import WAITING, claim_only, crash, job, names_in
from sqlalchemy import update
from stored import DAWN

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.ledger_overview import Overview, read_overview
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_schema import bots
from pinstripe_bot.ledger_story import Stories
from pinstripe_bot.occurrence import Decision, Reason, RunState
from pinstripe_bot.records import RunRecord
from pinstripe_bot.story import Standing, Story
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

FAILING = "raise ValueError('out of paper')"


def tick(bot: Bot, clock: TravelClock, times: int = 1, **units: float) -> None:
    for _ in range(times):
        clock.travel(timedelta(**(units or {"minutes": 1})))
        bot.tick()
        bot.dispatcher.wait_until_idle()


def overview(bot: Bot, clock: TravelClock) -> Overview:
    return read_overview(
        bot.ledger.store, bot.project.schedules, since=clock.now() - timedelta(hours=24), now=clock.now()
    )


def story(bot: Bot, clock: TravelClock, due_at: datetime, *, index: int = 0) -> Story:
    with bot.ledger.store.reading() as connection:
        stories = Stories(connection, bot.ledger.store, clock.now(), timedelta(days=30))
        return stories.tell(bot.project.schedules[index], due_at)


def record(bot: Bot, run_id: int, clock: TravelClock) -> RunRecord:
    found = bot.ledger.history.run(run_id, clock.now())
    assert found is not None
    return found


# Runs


def test_runs_are_found_by_state_and_by_time(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), paper=job(FAILING))
    tick(bot, clock, 3)
    history = bot.ledger.history

    failed = history.runs(states=[RunState.FAILED])
    recent = history.runs(since=clock.now() - timedelta(minutes=1))

    assert [run.job for run in failed] == ["paper"] * 3
    assert [(run.job, run.due_at.minute) for run in recent] == [("sweep", 3), ("paper", 3), ("sweep", 2), ("paper", 2)]


def test_a_time_after_all_runs_finds_none(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    tick(bot, clock)

    assert bot.ledger.history.runs(since=clock.now() + timedelta(seconds=1)) == []


def test_what_did_not_run_is_found(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    tick(bot, clock, hours=1)

    (missed,) = bot.ledger.history.passed("sweep")

    assert missed.occurrence.decision is Decision.MISSED
    assert missed.occurrence.reason is Reason.COALESCED
    assert missed.occurrence.count == 59
    assert missed.last_due_at == clock.now() - timedelta(minutes=1)
    assert bot.ledger.history.passed("sweep", decisions=[Decision.SKIPPED]) == []


def test_a_run_has_its_bot_its_progress_and_its_earlier_attempts(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(paper=job(FAILING, "'* * * * *', retries=1, backoff='10s'"))
    tick(bot, clock)

    found = record(bot, 1, clock)

    assert (found.run.state, found.run.attempt) == (RunState.QUEUED, 2)
    assert found.available_at > clock.now()
    (attempt,) = found.attempts
    assert attempt.error is not None
    assert (attempt.state, attempt.error.message) == (RunState.FAILED, "out of paper")
    assert attempt.bot is not None
    assert attempt.bot.is_alive


def test_a_run_that_is_not_there_is_none(make_bot: MakeBot, clock: TravelClock) -> None:
    assert make_bot(sweep=job()).ledger.history.run(7, clock.now()) is None


def test_the_runs_of_a_job_are_followed_one_by_one(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    tick(bot, clock, 3)
    history = bot.ledger.history

    following = history.following("sweep", 1, clock.now())

    assert following is not None
    assert following.run.id == 2
    assert history.following("sweep", 3, clock.now()) is None


def test_a_job_that_the_project_no_longer_has_is_known(make_bot: MakeBot, clock: TravelClock) -> None:
    history = make_bot(sweep=job()).ledger.history

    assert [history.knows("sweep"), history.knows("swoop")] == [True, False]


# The overview


def test_nothing_is_wrong_where_all_succeeded(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    tick(bot, clock, 2)

    seen = overview(bot, clock)

    assert (seen.troubles, seen.passed, seen.running, seen.waiting) == ((), (), (), ())
    assert seen.has_bot


def test_failures_of_one_job_are_one_trouble(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(paper=job(FAILING))
    tick(bot, clock, 5)

    (trouble,) = overview(bot, clock).troubles

    assert (trouble.kind, trouble.count, trouble.newest.id, trouble.is_over) == ("failed", 5, 5, False)


def test_a_trouble_is_over_once_the_job_has_succeeded(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(paper=job("if workspace.due_at.minute == 1: raise ValueError"))
    tick(bot, clock, 2)

    (trouble,) = overview(bot, clock).troubles

    assert (trouble.count, trouble.is_over) == (1, True)


def test_trouble_of_the_day_before_is_left_out(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(paper=job(FAILING))
    tick(bot, clock)

    clock.travel(hours=25)

    assert overview(bot, clock).troubles == ()


def test_a_run_that_started_late_is_a_trouble(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'0 * * * *'"), calm=job("return 1", "'0 * * * *', late_after='1h'"))
    clock.travel(hours=1, minutes=5)
    bot.tick()
    bot.dispatcher.wait_until_idle()

    (trouble,) = overview(bot, clock).troubles

    assert (trouble.kind, trouble.newest.job, trouble.count) == ("late", "sweep", 1)


def test_what_died_with_its_bot_is_a_trouble(make_bot: MakeBot, clock: TravelClock) -> None:
    dead = make_bot(sweep=job())
    clock.travel(minutes=1)
    dead.ledger.start(claim_only(dead), clock.now())
    crash(dead.ledger)
    bot = make_bot()

    (trouble,) = overview(bot, clock).troubles

    assert (trouble.kind, trouble.newest.reason) == ("interrupted", Reason.BOT_DIED)


def test_what_runs_and_what_waits_are_apart(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(slow=job(WAITING, "'* * * * *', overlap='queue'"))
    for _ in range(2):
        clock.travel(minutes=1)
        bot.tick()
    assert names_in(bot, "slow")["begun"].wait(10)

    seen = overview(bot, clock)

    names_in(bot, "slow")["go"].set()
    assert [(one.run.id, one.run.state) for one in seen.running] == [(1, RunState.RUNNING)]
    assert [(one.run.id, one.is_in_turn) for one in seen.waiting] == [(2, True)]
    assert seen.running[0].bot is not None


def test_a_dead_bot_is_told_from_a_live_one(make_bot: MakeBot, clock: TravelClock) -> None:
    alive, dead = make_bot(sweep=job()), make_bot()
    dead_id = dead.ledger.bot
    crash(dead.ledger)

    seen = overview(alive, clock)

    assert {bot.id: bot.is_alive for bot in seen.bots} == {alive.ledger.bot: True, dead_id: False}


def test_a_pause_says_how_many_instants_it_passed_over(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), other=job())
    acts_of(bot).pause("sweep", clock.now(), why="stocktaking")
    tick(bot, clock, 3)

    seen = overview(bot, clock)

    (pause,) = seen.pauses
    assert (pause.job, pause.why) == ("sweep", "stocktaking")
    assert seen.paused_counts == {"sweep": 3}


def acts_of(bot: Bot) -> Acts:
    return Acts(bot.ledger.store, bot.project, Person("kim", "test"))


# The story of an instant


def test_what_ran_is_told_with_its_run(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    tick(bot, clock)

    told = story(bot, clock, clock.now())

    assert told.standing is Standing.DECIDED
    assert [one.run.state for one in told.runs] == [RunState.SUCCEEDED]


def test_an_overlap_names_the_run_in_the_way(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(slow=job(WAITING))
    for _ in range(2):
        clock.travel(minutes=1)
        bot.tick()
    names_in(bot, "slow")["go"].set()
    bot.dispatcher.wait_until_idle()

    told = story(bot, clock, clock.now())

    assert told.passed is not None
    assert told.passed.occurrence.reason is Reason.OVERLAP
    assert told.other is not None
    assert told.other.id == 1


def test_the_same_instant_names_the_schedule_that_ran(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'* * * * *'", "'*/1 * * * *', name='again'"))
    tick(bot, clock)

    told = story(bot, clock, clock.now(), index=1)

    assert told.passed is not None
    assert told.passed.occurrence.reason is Reason.SAME_INSTANT
    assert told.other is not None
    assert told.other.schedule == "* * * * *"


def test_an_instant_inside_a_stretch_names_the_one_that_took_its_place(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    start = clock.now()
    tick(bot, clock, hours=1)

    told = story(bot, clock, start + timedelta(minutes=30))

    assert told.passed is not None
    assert told.passed.occurrence.count == 59
    assert told.other is not None
    assert told.other.due_at == clock.now()


def test_a_pause_is_told_with_who_asked_and_why_also_when_it_is_over(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    acts_of(bot).pause("sweep", clock.now(), why="stocktaking")
    tick(bot, clock, 2)
    paused_at = clock.now()

    during = story(bot, clock, paused_at)
    acts_of(bot).resume("sweep", clock.now())
    after = story(bot, clock, paused_at)

    for told in (during, after):
        assert told.act is not None
        assert (told.act.who, told.act.why) == ("kim", "stocktaking")


def test_a_skip_is_told_with_who_asked(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    acts_of(bot).skip("sweep", 1, clock.now(), why="holiday")
    tick(bot, clock)

    told = story(bot, clock, clock.now())

    assert told.act is not None
    assert (told.act.action, told.act.who, told.act.why) == ("skip", "kim", "holiday")


@pytest.mark.parametrize(
    ("minutes", "standing"),
    [(5, Standing.TO_COME), (2, Standing.UNDECIDED), (0, Standing.BEFORE), (-5, Standing.BEFORE)],
)
def test_what_is_not_decided_says_why(make_bot: MakeBot, clock: TravelClock, minutes: int, standing: Standing) -> None:
    bot = make_bot(sweep=job())
    start = clock.now()
    tick(bot, clock)
    clock.travel(minutes=2)

    told = story(bot, clock, start + timedelta(minutes=minutes))

    assert told.standing is standing
    assert told.mark is not None


def test_the_time_without_a_bot_is_told(make_bot: MakeBot, clock: TravelClock) -> None:
    first = make_bot(sweep=job())
    tick(first, clock)
    gone = first.ledger.bot
    first.stop()
    stopped_at = clock.now()
    clock.travel(hours=1)
    bot = make_bot()
    bot.tick()
    bot.dispatcher.wait_until_idle()

    with bot.ledger.store.writing() as connection:  # on PostgreSQL they were heard by the server's clock
        old, new = (update(bots).where(bots.c.id == one) for one in (gone, bot.ledger.bot))
        connection.execute(old.values(started_at=to_column(DAWN), stopped_at=to_column(stopped_at)))
        connection.execute(new.values(started_at=to_column(clock.now())))

    told = story(bot, clock, stopped_at + timedelta(minutes=30))

    assert told.gap is not None
    assert (told.gap.since, told.gap.until) == (stopped_at, clock.now())


def test_what_the_explained_schedules_do_not_have_is_told_besides(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    tick(bot, clock)
    by_hand = bot.run_background_job("sweep", at=clock.now())

    with bot.ledger.store.reading() as connection:
        stories = Stories(connection, bot.ledger.store, clock.now(), timedelta(days=30))
        stories.tell(bot.project.schedules[0], clock.now())
        others = stories.others("sweep", clock.now(), clock.now() + timedelta(minutes=1))

    assert [(one.schedule, one.runs[0].run.id) for one in others] == [("manual", by_hand.id)]
