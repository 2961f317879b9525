from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from bots import claim_only, crash, job, let_go, rows, states
from msgspec.structs import replace

from pinstripe_bot.bot import Bot
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.occurrence import Reason, Run, RunError, RunState
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

BROKEN = RunError(type="KeyError", message="'a'", place="sweep.py:1 in work", traceback="Traceback ...")


@pytest.fixture
def bot(make_bot: MakeBot, clock: TravelClock) -> Bot:
    """One whose job has come due."""
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    return bot


def started(bot: Bot) -> Run:
    (run,) = bot.ledger.start(claim_only(bot), bot.clock.now())
    return run


def ended(run: Run, bot: Bot, state: RunState = RunState.SUCCEEDED, *, retry_in_s: float | None = None) -> Run:
    now = bot.clock.now()
    retry_at = None if retry_in_s is None else now + timedelta(seconds=retry_in_s)
    failed = {"error": BROKEN, "output": "halfway\n"} if state is RunState.FAILED else {}
    return replace(run, state=state, finished_at=now, retry_at=retry_at, **failed)


def take(bot: Bot) -> list[Run]:
    return bot.ledger.waiting.take_available(bot.project.jobs, bot.clock.now(), most=10)


def test_a_queued_run_can_be_refused(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    (run,) = claim_only(bot)

    bot.ledger.refuse([replace(run, state=RunState.SKIPPED, reason=Reason.JOB_REMOVED, finished_at=clock.now())])

    assert states(bot) == [("skipped", "job_removed")]


def test_a_run_that_has_started_cannot_be_refused(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    (run,) = bot.ledger.start(claim_only(bot), clock.now())

    bot.ledger.refuse([replace(run, state=RunState.SKIPPED, reason=Reason.JOB_REMOVED, finished_at=clock.now())])

    assert states(bot) == [("running", None)]


def test_a_start_says_when(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claimed = claim_only(bot)
    clock.travel(seconds=2)

    (run,) = bot.ledger.start(claimed, clock.now())

    assert run.started_at == clock.now()
    assert bot.ledger.history.runs() == [run]


def test_a_released_run_has_no_start(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    started = bot.ledger.start(claim_only(bot), clock.now())

    bot.ledger.release(started)

    assert rows(bot.ledger, "SELECT state, owner, started_at FROM runs") == [("queued", None, None)]


def test_a_run_that_has_ended_takes_no_more_progress(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    (run,) = bot.ledger.start(claim_only(bot), clock.now())
    bot.ledger.finish([replace(run, state=RunState.SUCCEEDED, finished_at=clock.now())])

    bot.ledger.beat(clock.now(), [(run.id, run.attempt, 1, None, None)])

    assert rows(bot.ledger, "SELECT progress_done FROM runs") == [(None,)]


# Asked twice: the answer to a commit was lost


def test_an_end_that_is_told_again_is_recorded(bot: Bot) -> None:
    run = started(bot)
    outcome = ended(run, bot)

    answers = [bot.ledger.finish([outcome]) for _ in range(2)]

    assert answers == [{run.id}, {run.id}]
    assert states(bot) == [("succeeded", None)]


def test_an_end_with_a_retry_that_is_told_again_is_recorded_and_makes_one_attempt(bot: Bot) -> None:
    run = started(bot)
    outcome = ended(run, bot, RunState.FAILED, retry_in_s=0)

    answers = [bot.ledger.finish([outcome]) for _ in range(2)]

    assert answers == [{run.id}, {run.id}]
    assert rows(bot.ledger, "SELECT state, attempt FROM runs") == [("queued", 2)]
    assert rows(bot.ledger, "SELECT attempt, state FROM attempts") == [(1, "failed")]


def test_a_retry_that_has_begun_is_not_disturbed_by_an_end_that_is_told_again(bot: Bot) -> None:
    outcome = ended(started(bot), bot, RunState.FAILED, retry_in_s=0)
    bot.ledger.finish([outcome])
    bot.ledger.start(take(bot), bot.clock.now())

    bot.ledger.finish([outcome])

    assert rows(bot.ledger, "SELECT state, attempt FROM runs") == [("running", 2)]


def test_another_end_is_not_the_same_one(bot: Bot, clock: TravelClock) -> None:
    run = started(bot)
    bot.ledger.finish([ended(run, bot)])
    clock.travel(seconds=1)

    assert bot.ledger.finish([ended(run, bot)]) == set()


def test_a_release_that_is_told_again_is_harmless(bot: Bot) -> None:
    claimed = claim_only(bot)

    for _ in range(2):
        bot.ledger.release(claimed)

    assert rows(bot.ledger, "SELECT state, owner FROM runs") == [("queued", None)]


# Retries


def test_a_run_to_be_retried_is_queued_again_for_whoever_comes(bot: Bot) -> None:
    bot.ledger.finish([ended(started(bot), bot, RunState.FAILED, retry_in_s=30)])

    fields = "state, attempt, owner, reason, started_at, finished_at, error, result, output"
    assert rows(bot.ledger, f"SELECT {fields} FROM runs") == [("queued", 2, *[None] * 7)]


def test_what_became_of_an_attempt_is_kept(bot: Bot) -> None:
    run = started(bot)
    owner, at = bot.ledger.bot, int(bot.clock.now().timestamp()) * 1_000_000

    bot.ledger.finish([ended(run, bot, RunState.FAILED, retry_in_s=30)])

    (kept,) = rows(bot.ledger, "SELECT run_id, attempt, state, owner, started_at, finished_at, output FROM attempts")
    assert kept == (run.id, 1, "failed", owner, at, at, "halfway\n")
    assert "KeyError" in rows(bot.ledger, "SELECT error FROM attempts")[0][0]


def test_a_retry_waits_for_its_time(bot: Bot, clock: TravelClock) -> None:
    bot.ledger.finish([ended(started(bot), bot, RunState.FAILED, retry_in_s=30)])
    clock.travel(seconds=29)
    early = take(bot)

    clock.travel(seconds=1)

    assert [len(early), [run.attempt for run in take(bot)]] == [0, [2]]


def test_a_retry_forgets_the_progress_of_the_attempt_before(bot: Bot) -> None:
    run = started(bot)
    bot.ledger.beat(bot.clock.now(), [(run.id, 1, 3, 10, "so far")])

    bot.ledger.finish([ended(run, bot, RunState.FAILED, retry_in_s=0)])

    assert rows(bot.ledger, "SELECT progress_done, progress_total FROM runs") == [(None, None)]


def test_a_run_that_a_person_wants_cancelled_is_not_tried_again(bot: Bot) -> None:
    run = started(bot)
    with bot.ledger.store.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET cancel_requested_at = 1, cancelled_by = 'ann'")

    bot.ledger.finish([ended(run, bot, RunState.FAILED, retry_in_s=0)])

    assert rows(bot.ledger, "SELECT attempt, state FROM runs") == [(1, "failed")]


def test_a_run_may_be_tried_many_times(bot: Bot) -> None:
    run = started(bot)
    for _ in range(3):
        bot.ledger.finish([ended(run, bot, RunState.FAILED, retry_in_s=0)])
        (run,) = bot.ledger.start(take(bot), bot.clock.now())

    bot.ledger.finish([ended(run, bot)])

    assert rows(bot.ledger, "SELECT attempt, state FROM attempts ORDER BY attempt") == [
        (1, "failed"),
        (2, "failed"),
        (3, "failed"),
    ]
    assert rows(bot.ledger, "SELECT state, attempt FROM runs") == [("succeeded", 4)]


def test_a_run_that_was_not_recorded_is_not_retried(bot: Bot) -> None:
    (run,) = claim_only(bot)

    bot.ledger.finish([ended(run, bot, RunState.FAILED, retry_in_s=0)])

    assert rows(bot.ledger, "SELECT state, attempt FROM runs") == [("queued", 1)]
    assert rows(bot.ledger, "SELECT * FROM attempts") == []


def test_of_two_ends_in_one_group_the_first_decides_whether_it_is_retried(bot: Bot) -> None:
    run = started(bot)

    bot.ledger.finish([ended(run, bot), ended(run, bot, RunState.FAILED, retry_in_s=0)])

    assert rows(bot.ledger, "SELECT state, attempt FROM runs") == [("succeeded", 1)]


def test_a_retry_waits_until_the_attempt_before_lets_go(bot: Bot) -> None:
    run = started(bot)
    bot.ledger.finish([ended(run, bot, RunState.TIMED_OUT, retry_in_s=0)], lingering=[run.id])
    waiting = take(bot)

    bot.ledger.let_go([run.id])

    assert [waiting, [one.attempt for one in take(bot)]] == [[], [2]]


def test_a_retry_whose_attempt_before_died_with_its_bot_waits_no_more(
    bot: Bot, make_bot: MakeBot, clock: TravelClock
) -> None:
    other = make_bot()
    run = started(bot)
    bot.ledger.finish([ended(run, bot, RunState.TIMED_OUT, retry_in_s=0)], lingering=[run.id])
    crash(bot.ledger)
    waiting = take(other)

    other.ledger.bury(clock.now(), retry_at=lambda run: None)

    assert [waiting, [one.attempt for one in take(other)]] == [[], [2]]


def test_a_retry_whose_attempt_before_stopped_with_its_bot_waits_no_more(
    bot: Bot, make_bot: MakeBot, clock: TravelClock
) -> None:
    other = make_bot()
    run = started(bot)
    bot.ledger.finish([ended(run, bot, RunState.TIMED_OUT, retry_in_s=0)], lingering=[run.id])
    bot.ledger.close(clock.now())
    is_seen = other.ledger.has_dead_bots(clock.now())

    other.ledger.bury(clock.now(), retry_at=lambda run: None)

    assert is_seen
    assert [one.attempt for one in take(other)] == [2]
    assert not other.ledger.has_dead_bots(clock.now())


# The fence


def test_a_late_end_of_the_attempt_before_is_refused(bot: Bot, clock: TravelClock) -> None:
    first = started(bot)
    bot.ledger.finish([ended(first, bot, RunState.FAILED, retry_in_s=0)])
    (second,) = bot.ledger.start(take(bot), clock.now())
    clock.travel(seconds=1)

    late = bot.ledger.finish([ended(first, bot)])

    assert late == set()
    assert bot.ledger.finish([ended(second, bot)]) == {second.id}


def test_the_attempt_before_cannot_be_started(bot: Bot) -> None:
    run = started(bot)
    bot.ledger.finish([ended(run, bot, RunState.FAILED, retry_in_s=0)])
    take(bot)

    assert bot.ledger.start([run], bot.clock.now()) == []


def test_the_attempt_before_says_nothing_more(bot: Bot) -> None:
    run = started(bot)
    bot.ledger.finish([ended(run, bot, RunState.FAILED, retry_in_s=0)])
    bot.ledger.start(take(bot), bot.clock.now())

    bot.ledger.beat(bot.clock.now(), [(run.id, 1, 3, 10, "late words")])

    assert rows(bot.ledger, "SELECT progress_done, output FROM runs") == [(None, None)]


def test_the_end_of_a_run_that_another_bot_has_buried_is_refused(
    bot: Bot, make_bot: MakeBot, clock: TravelClock
) -> None:
    run = started(bot)
    let_go(bot.ledger)
    make_bot().dispatcher.wait_until_idle()

    recorded = bot.ledger.finish([ended(run, bot)])

    assert recorded == set()
    assert states(bot) == [("interrupted", "bot_died")]


def test_the_end_of_a_run_that_another_bot_has_taken_over_is_refused(bot: Bot, make_bot: MakeBot) -> None:
    run = started(bot)
    bot.ledger.release([run])
    other = make_bot(planned=False)
    other.open()
    other.ledger.start(take(other), other.clock.now())

    assert bot.ledger.finish([ended(run, bot)]) == set()

    assert rows(bot.ledger, "SELECT state, owner FROM runs") == [("running", other.ledger.bot)]


def test_a_running_run_is_mine(bot: Bot) -> None:
    run = started(bot)

    assert bot.ledger.is_mine(run)


def test_a_run_that_has_ended_is_not_mine(bot: Bot) -> None:
    run = started(bot)
    bot.ledger.finish([ended(run, bot)])

    assert not bot.ledger.is_mine(run)


def test_a_run_of_another_bot_or_attempt_is_not_mine(bot: Bot, make_bot: MakeBot) -> None:
    run = started(bot)

    assert not make_bot().ledger.is_mine(run)
    assert not bot.ledger.is_mine(replace(run, attempt=2))


def test_whether_a_run_is_mine_is_not_known_of_a_closed_ledger(bot: Bot) -> None:
    run = started(bot)
    crash(bot.ledger)

    with pytest.raises(LedgerUnavailable):
        bot.ledger.is_mine(run)


# Wishes to cancel


def ask_to_cancel(bot: Bot) -> None:
    with bot.ledger.store.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET cancel_requested_at = 1, cancelled_by = 'ann'")


def test_a_wish_to_cancel_reaches_the_bot_that_runs_it(bot: Bot, make_bot: MakeBot) -> None:
    other = make_bot()
    run = started(bot)
    before = bot.ledger.waiting.asked_to_cancel()

    ask_to_cancel(bot)

    assert [before, bot.ledger.waiting.asked_to_cancel(), other.ledger.waiting.asked_to_cancel()] == [
        [],
        [(run.id, 1)],
        [],
    ]


def test_a_run_that_has_ended_needs_no_cancelling(bot: Bot) -> None:
    bot.ledger.finish([ended(started(bot), bot)])

    ask_to_cancel(bot)

    assert bot.ledger.waiting.asked_to_cancel() == []


# Runs that this bot has, and does not know


def test_own_runs_are_those_that_are_open_here(bot: Bot, make_bot: MakeBot) -> None:
    other = make_bot()
    (run,) = claim_only(bot)

    assert [[one.id for one in ledger.waiting.own_runs([])] for ledger in (bot.ledger, other.ledger)] == [[run.id], []]
    assert bot.ledger.waiting.own_runs([run.id]) == []


def test_a_run_that_lingers_or_has_ended_is_no_open_one(bot: Bot) -> None:
    run = started(bot)
    bot.ledger.finish([ended(run, bot, RunState.TIMED_OUT)], lingering=[run.id])

    assert bot.ledger.waiting.own_runs([]) == []


def test_what_a_running_run_says_is_kept(bot: Bot) -> None:
    run = started(bot)

    bot.ledger.beat(bot.clock.now(), [(run.id, 1, 3, None, "so far\n")])
    bot.ledger.beat(bot.clock.now(), [(run.id, 1, 4, 2**63 - 1, None)])

    found = rows(bot.ledger, "SELECT progress_done, progress_total, output FROM runs")
    assert found == [(4, 2**63 - 1, "so far\n")]
