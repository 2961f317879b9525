from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bots import claim_only, crash, job, let_go, rows, states
from msgspec.structs import replace

from pinstripe_bot.bot import Bot
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


def test_what_a_dead_bot_left_queued_is_taken_over_and_runs(make_bot: MakeBot, clock: TravelClock) -> None:
    dead = make_bot(sweep=job())
    clock.travel(minutes=1)
    claim_only(dead)
    crash(dead.ledger)

    bot = make_bot()

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("succeeded", None)]


def test_what_a_dead_bot_had_started_is_interrupted(make_bot: MakeBot, clock: TravelClock) -> None:
    dead = make_bot(sweep=job())
    clock.travel(minutes=1)
    dead.ledger.start(claim_only(dead), clock.now())
    crash(dead.ledger)

    bot = make_bot()

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("interrupted", "bot_died")]


def test_an_interrupted_run_says_when_it_was_found(make_bot: MakeBot, clock: TravelClock) -> None:
    dead = make_bot(sweep=job())
    clock.travel(minutes=1)
    dead.ledger.start(claim_only(dead), clock.now())
    crash(dead.ledger)
    clock.travel(hours=1)

    bot = make_bot()

    (run,) = bot.ledger.history.runs()
    assert run.finished_at == clock.now()


def test_the_runs_of_a_live_bot_stay_its_own(make_bot: MakeBot, clock: TravelClock) -> None:
    alive = make_bot(sweep=job(), other=job())
    clock.travel(minutes=1)
    queued, _ = claim_only(alive)
    alive.ledger.start([queued], clock.now())

    bot = make_bot()

    owners = rows(bot.ledger, "SELECT DISTINCT owner FROM runs")
    assert owners == [(alive.ledger.bot,)]
    assert states(bot) == [("running", None), ("queued", None)]


def test_after_a_restart_of_the_machine_a_released_run_is_taken_over(make_bot: MakeBot, clock: TravelClock) -> None:
    stopped = make_bot(sweep=job())
    clock.travel(minutes=1)
    stopped.ledger.release(claim_only(stopped))
    with stopped.ledger.store.writing() as connection:
        connection.exec_driver_sql("UPDATE bots SET boot_id = 'the boot before'")
    stopped.stop()

    bot = make_bot()

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("succeeded", None)]


def test_a_dead_bot_is_signed_out(make_bot: MakeBot) -> None:
    dead = make_bot(sweep=job())
    crash(dead.ledger)

    bot = make_bot()

    signed_out = rows(bot.ledger, "SELECT id FROM bots WHERE stopped_at IS NOT NULL")
    assert signed_out == [(dead.ledger.bot,)]


def test_a_command_takes_nothing_over_but_a_dead_run_is_in_nobodys_way(make_bot: MakeBot, clock: TravelClock) -> None:
    dead = make_bot(sweep=job(), other=job())
    clock.travel(minutes=1)
    started, _ = sorted(claim_only(dead), key=lambda run: run.job, reverse=True)
    dead.ledger.start([started], clock.now())
    crash(dead.ledger)
    command = make_bot(planned=False)
    command.open(kind="command")

    run = command.run_background_job("sweep")

    assert run.state == "succeeded"
    assert sorted(states(command)) == [("interrupted", "bot_died"), ("queued", None), ("succeeded", None)]


def test_two_bots_that_start_at_once_take_a_run_over_once(make_bot: MakeBot, clock: TravelClock) -> None:
    dead = make_bot(sweep=job("calls.append(1)"))
    clock.travel(minutes=1)
    claim_only(dead)
    crash(dead.ledger)
    bots = [make_bot(planned=False), make_bot(planned=False)]

    for bot in bots:
        bot.plan()

    for bot in bots:
        bot.dispatcher.wait_until_idle()
    assert states(dead) == [("succeeded", None)]


def test_a_bot_that_was_taken_for_dead_can_start_and_record_nothing(make_bot: MakeBot, clock: TravelClock) -> None:
    dead = make_bot(sweep=job(), other=job())
    clock.travel(minutes=1)
    claimed = claim_only(dead)
    started = dead.ledger.start(claimed[:1], clock.now())
    let_go(dead.ledger)
    make_bot().dispatcher.wait_until_idle()

    again = dead.ledger.start(claimed[1:], clock.now())
    recorded = dead.ledger.finish([replace(run, state=RunState.SUCCEEDED, finished_at=clock.now()) for run in started])

    assert (again, recorded) == ([], set())


def test_a_bot_that_was_taken_for_dead_gives_back_no_later_attempt(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, asleep = make_bot(sweep=job("return 1", "'* * * * *', on_interrupt='retry'")), make_bot()
    clock.travel(minutes=1)
    (first,) = asleep.ledger.start(claim_only(asleep), clock.now())
    let_go(asleep.ledger)
    bot.ledger.bury(clock.now(), retry_at=lambda run: clock.now())
    again = asleep.ledger.waiting.take_available({"sweep"}, clock.now(), most=1)
    asleep.ledger.start(again, clock.now())

    asleep.ledger.release([first])

    assert rows(bot.ledger, "SELECT state, attempt, owner FROM runs") == [("running", 2, asleep.ledger.bot)]


def test_what_a_dead_bot_had_started_is_tried_again_where_its_job_wants_it(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    dead, bot = make_bot(sweep=job("return 1", "'* * * * *', on_interrupt='retry'")), make_bot()
    clock.travel(minutes=1)
    (run,) = dead.ledger.start(claim_only(dead), clock.now())
    crash(dead.ledger)

    (buried,) = bot.ledger.bury(clock.now(), retry_at=lambda run: clock.now() + timedelta(seconds=5))

    assert (buried.id, buried.state, buried.retry_at) == (run.id, "interrupted", clock.now() + timedelta(seconds=5))
    assert rows(bot.ledger, "SELECT state, attempt, owner, reason FROM runs") == [("queued", 2, None, None)]
    assert rows(bot.ledger, "SELECT state, reason, owner FROM attempts") == [
        ("interrupted", "bot_died", dead.ledger.bot)
    ]


def test_what_died_with_a_newer_release_is_left_to_one_that_knows_its_job(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    old = make_bot(other=job("return 1", "'0 0 1 1 *'"))
    clock.travel(seconds=1)
    dead = make_bot(sweep=job("return 1", "'* * * * *', on_interrupt='retry'"))
    clock.travel(seconds=1)
    new = make_bot()
    clock.travel(minutes=1)
    dead.ledger.start(claim_only(dead), clock.now())
    crash(dead.ledger)

    old.parts.rounds.bury()
    before = rows(new.ledger, "SELECT state, attempt FROM runs")
    new.parts.rounds.bury()

    assert before == [("running", 1)]
    assert rows(new.ledger, "SELECT state, attempt FROM runs") == [("queued", 2)]


def test_what_died_of_a_job_that_nobody_knows_is_interrupted(make_bot: MakeBot, clock: TravelClock) -> None:
    old = make_bot(other=job("return 1", "'0 0 1 1 *'"))
    clock.travel(seconds=1)
    dead = make_bot(sweep=job("return 1", "'* * * * *', on_interrupt='retry'"))
    clock.travel(minutes=1)
    dead.ledger.start(claim_only(dead), clock.now())
    crash(dead.ledger)

    old.parts.rounds.bury()

    assert states(old) == [("interrupted", "bot_died")]


def test_a_run_is_asked_after_once_when_it_is_buried(make_bot: MakeBot, clock: TravelClock) -> None:
    dead, bot = make_bot(sweep=job(), other=job()), make_bot()
    clock.travel(minutes=1)
    dead.ledger.start(claim_only(dead)[:1], clock.now())
    crash(dead.ledger)
    asked: list[tuple[str, str | None]] = []

    def remember(run: Run) -> None:
        asked.append((run.state, run.reason))

    for _ in range(2):
        bot.ledger.bury(clock.now(), retry_at=remember)

    assert asked == [("interrupted", "bot_died")]


def test_a_run_that_lingered_when_its_bot_died_keeps_nobody_waiting(make_bot: MakeBot, clock: TravelClock) -> None:
    dead, bot = make_bot(sweep=job()), make_bot()
    clock.travel(minutes=1)
    (run,) = dead.ledger.start(claim_only(dead), clock.now())
    dead.ledger.finish([replace(run, state=RunState.TIMED_OUT, finished_at=clock.now())], lingering=[run.id])
    crash(dead.ledger)

    buried = bot.ledger.bury(clock.now(), retry_at=lambda run: None)

    assert buried == []
    assert rows(bot.ledger, "SELECT state, lingers FROM runs") == [("timed_out", 0)]


def test_what_nobody_has_of_an_unknown_job_is_taken_whatever_it_waits_for(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job("return 1", "'* * * * *', catch_up='all', catch_up_spacing='1h'"))
    clock.travel(minutes=3)
    claim_only(bot)

    taken = bot.ledger.waiting.take_removed(["other"])

    assert [run.due_at.minute for run in taken] == [1, 2, 3]
    assert bot.ledger.waiting.take_removed(["sweep"]) == []
