from __future__ import annotations

from collections.abc import Callable

import pytest
from bots import CROWD, PATIENCE_S, WAITING, Ears, claim_only, crash, job, leave_crowd, locked, names_in, rows, states

from pinstripe_bot import intake, rounds
from pinstripe_bot.bot import Bot
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.occurrence import Run
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
    assert bot.ledger.history.runs()[0].result == "2026-02-28"


def test_a_run_whose_parameters_fit_no_more_fails_and_the_bot_starts(make_bot: MakeBot, clock: TravelClock) -> None:
    leave_queued(make_bot, clock, sweep=job("return day", "'* * * * *', params={'day': 'monday'}", takes="day"))

    with Ears() as ears:
        bot = make_bot(sweep=job("return day", "'* * * * *', params={'day': 1}", takes="day: int"))

    (run,) = bot.ledger.history.runs()
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
    assert bot.ledger.history.runs()[0].result == "sound again"


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
    if not bot.ledger.store.is_one_machine:  # there the leases of those who wake up get more time
        clock.travel(seconds=rounds.SEARCH_EVERY_S)

    bot.parts.look()

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("succeeded", None)]


def test_a_live_bot_beside_it_loses_nothing(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, other = make_bot(sweep=job("return 1")), make_bot()
    clock.travel(minutes=1)
    claim_only(other)

    bot.parts.look()

    assert rows(bot.ledger, "SELECT state, owner FROM runs") == [("queued", other.ledger.bot)]


def test_a_bot_of_an_older_release_leaves_the_runs_of_new_jobs_alone(make_bot: MakeBot, clock: TravelClock) -> None:
    old = make_bot(sweep=job("return 1", "'0 0 1 1 *'"))
    new = make_bot(added=job("return 'new'"))
    clock.travel(minutes=1)
    claim_only(new)
    crash(new.ledger)

    old.parts.look()

    assert rows(old.ledger, "SELECT state, owner FROM runs") == [("queued", None)]
    following = make_bot()
    following.dispatcher.wait_until_idle()
    assert states(following) == [("succeeded", None)]


def test_what_is_taken_over_runs_oldest_first(make_bot: MakeBot, clock: TravelClock) -> None:
    leave_queued(make_bot, clock, late=job("calls.append(1)"), early=job("return 1", "'1 * * * *'"))

    bot = make_bot({"workers": 1})

    bot.dispatcher.wait_until_idle()
    started = rows(bot.ledger, "SELECT job FROM runs ORDER BY due_at, id")
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


def release(bot: Bot, clock: TravelClock) -> list[Run]:
    """Claim what is due, and leave it to whoever comes."""
    clock.travel(minutes=1)
    claimed = claim_only(bot)
    bot.ledger.release(claimed)
    return claimed


def look_twice(bot: Bot, clock: TravelClock) -> None:
    """As the poller does, so far apart that it looks each time for what was lost."""
    for _ in range(2):
        clock.travel(seconds=rounds.SEARCH_EVERY_S)
        bot.parts.look()


def test_a_look_that_finds_nothing_writes_nothing(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job())

    with locked(bot.ledger):
        bot.parts.look()


def test_what_was_released_runs_at_the_next_look(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    release(bot, clock)

    bot.parts.look()

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("succeeded", None)]


def test_what_could_not_be_taken_is_taken_at_the_next_look(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    release(bot, clock)
    with locked(bot.ledger), pytest.raises(LedgerUnavailable):
        bot.parts.intake.look()

    bot.parts.look()

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("succeeded", None)]


def owned(bot: Bot) -> dict[str, int]:
    """{job: how many of its runs somebody has}."""
    return dict(rows(bot.ledger, "SELECT job, count(*) FROM runs WHERE owner IS NOT NULL GROUP BY job"))


def test_no_more_is_taken_than_can_wait_here(make_bot: MakeBot) -> None:
    bot = make_bot({"workers": 1}, crowd=CROWD)
    leave_crowd(bot.ledger, "crowd", intake.MOST + 100)

    for _ in range(5):
        bot.parts.look()

    taken = owned(bot)
    names_in(bot, "crowd")["go"].release(1000)
    assert intake.MOST // 2 <= taken["crowd"] <= intake.MOST


def test_the_crowd_of_one_job_keeps_no_other_one_out(make_bot: MakeBot) -> None:
    bot = make_bot({"workers": 1}, crowd=CROWD, other=job("return 1"))
    leave_crowd(bot.ledger, "crowd", intake.MOST + 100)
    bot.parts.look()
    leave_crowd(bot.ledger, "other", 1)

    bot.parts.look()

    taken = owned(bot)
    names_in(bot, "crowd")["go"].release(1000)
    assert taken["other"] == 1


def test_of_a_crowd_more_is_taken_before_all_is_worked_off(make_bot: MakeBot) -> None:
    bot = make_bot(crowd=CROWD)
    leave_crowd(bot.ledger, "crowd", intake.MOST)
    bot.parts.look()
    names_in(bot, "crowd")["go"].release(intake.MOST)

    is_taking = bot.parts.intake.is_taking
    bot.parts.look()

    assert is_taking
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert states(bot) == [("succeeded", None)] * intake.MOST


def test_while_enough_of_a_crowd_wait_here_nobody_looks_for_more(make_bot: MakeBot) -> None:
    bot = make_bot({"workers": 1}, crowd=CROWD)
    leave_crowd(bot.ledger, "crowd", intake.MOST + 100)

    for _ in range(5):
        bot.parts.look()

    is_taking = bot.parts.intake.is_taking
    names_in(bot, "crowd")["go"].release(1000)
    assert not is_taking


def test_the_dead_are_found_at_the_next_look_where_locks_tell(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, dead = make_bot(sweep=job("return 1")), make_bot()
    clock.travel(minutes=1)
    claim_only(dead)
    bot.parts.look()
    crash(dead.ledger)
    clock.travel(seconds=rounds.ROUND_EVERY_S)
    if not bot.ledger.store.is_one_machine:  # there the leases of those who wake up get more time
        clock.travel(seconds=rounds.SEARCH_EVERY_S)

    bot.parts.look()

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("succeeded", None)]


def test_a_burial_that_failed_is_tried_again_at_the_next_look(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, dead = make_bot(sweep=job("return 1")), make_bot()
    clock.travel(minutes=1)
    claim_only(dead)
    crash(dead.ledger)
    with locked(bot.ledger), pytest.raises(LedgerUnavailable):
        bot.parts.rounds.look()

    bot.parts.look()

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("succeeded", None)]


def test_what_died_with_its_bot_is_tried_again_where_its_job_wants_it(make_bot: MakeBot, clock: TravelClock) -> None:
    dead = make_bot(sweep=job("return 1", "'* * * * *', on_interrupt='retry'"))
    clock.travel(minutes=1)
    dead.ledger.start(claim_only(dead), clock.now())
    crash(dead.ledger)

    with Ears() as ears:
        bot = make_bot()
        bot.dispatcher.wait_until_idle()

    assert rows(bot.ledger, "SELECT state, attempt FROM runs") == [("succeeded", 2)]
    assert rows(bot.ledger, "SELECT attempt, state, reason FROM attempts") == [(1, "interrupted", "bot_died")]
    assert ears.names("attempt_ended", "run_interrupted") == ["attempt_ended"]


def test_a_wish_to_cancel_reaches_the_run(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("begun.set()\nawait asyncio.sleep(60)"))
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)
    with bot.ledger.store.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET cancel_requested_at = 1, cancelled_by = 'ann'")

    bot.parts.look()

    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert states(bot) == [("cancelled", "cancelled")]


def test_a_queued_run_whose_claim_was_answered_to_nobody_is_taken_up(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claim_only(bot)

    look_twice(bot, clock)

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("succeeded", None)]


def test_a_run_is_not_lost_at_the_first_look(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claim_only(bot)

    bot.parts.look()

    assert bot.dispatcher.open_runs == []
    assert states(bot) == [("queued", None)]


def test_a_lost_run_gets_its_parameters_cast_too(make_bot: MakeBot, clock: TravelClock) -> None:
    dated = job(
        "return day.isoformat()",
        "'* * * * *', params={'day': '2026-02-28'}",
        head="import datetime",
        takes="day: datetime.date",
    )
    bot = make_bot(sweep=dated)
    clock.travel(minutes=1)
    claim_only(bot)
    with bot.ledger.store.writing() as connection:
        connection.exec_driver_sql("""UPDATE runs SET params = '{"day":"2026-03-01"}'""")

    look_twice(bot, clock)

    bot.dispatcher.wait_until_idle()
    assert bot.ledger.history.runs()[0].result == "2026-03-01"


def test_a_lost_run_whose_parameters_fit_no_more_fails(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", takes="day: int = 1"))
    clock.travel(minutes=1)
    claim_only(bot)
    with bot.ledger.store.writing() as connection:
        connection.exec_driver_sql("""UPDATE runs SET params = '{"day":"monday"}'""")

    look_twice(bot, clock)

    assert states(bot) == [("failed", None)]


def test_a_running_run_that_nobody_performs_is_interrupted(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    bot.ledger.start(claim_only(bot), clock.now())

    with Ears() as ears:
        look_twice(bot, clock)
        ears.wait_for("run_interrupted")

    bot.stop()
    assert states(bot) == [("interrupted", "bot_died")]


def test_a_run_that_is_performed_is_never_lost(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING))
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)

    look_twice(bot, clock)

    names_in(bot, "sweep")["go"].set()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert states(bot) == [("succeeded", None)]


def test_a_started_run_of_a_broken_job_waits_for_a_bot_that_knows_whether_to_try_again(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    again = job("return workspace.attempt", "'* * * * *', on_interrupt='retry'")
    dead = make_bot(sweep=again)
    clock.travel(minutes=1)
    dead.ledger.start(claim_only(dead), clock.now())
    crash(dead.ledger)

    broken = make_bot(sweep="this is not Python")
    broken.parts.look()
    meanwhile = states(broken)
    mended = make_bot(sweep=again)
    mended.parts.look()
    mended.dispatcher.wait_until_idle()

    assert meanwhile == [("running", None)]
    assert [run.result for run in mended.ledger.history.runs()] == [2]
