"""Time-outs and cancelling, through a bot: what listens, what does not, and what becomes of its thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from bots import PATIENCE_S, WAITING, Ears, decisions, job, let_go, names_in, rows, states

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

LIMITED = "'* * * * *', timeout='30s', kill_after='5s'"

LISTENING = f"begun.set(); go.wait({PATIENCE_S}); workspace.checkpoint()"
"""The body of a job that asks whether it was told to end, once its `go` is set."""


def begin(bot: Bot, clock: TravelClock, name: str = "sweep") -> None:
    """Let the job come due, and wait until its code runs; deadlines are looked at only by the test."""
    bot.dispatcher._runner.deadlines.close()
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, name)["begun"].wait(PATIENCE_S)


def pass_time(bot: Bot, clock: TravelClock, seconds: float) -> None:
    """Let time pass, and the deadlines see it."""
    clock.travel(seconds=seconds)
    bot.dispatcher._runner.deadlines.look()


def end(bot: Bot, name: str = "sweep") -> None:
    names_in(bot, name)["go"].set()
    bot.dispatcher.wait_until_idle(PATIENCE_S)


def give_up(bot: Bot, clock: TravelClock) -> None:
    """Let the time of a job pass that does not listen, and the time after that."""
    begin(bot, clock)
    pass_time(bot, clock, 30)
    pass_time(bot, clock, 5)
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)


def come_back_before(bot: Bot, room: Any, method: str) -> None:
    """Let the code of the job end, and its thread tell so, when this method of a room is called; then call it."""
    came_back, call, is_back = bot.dispatcher.came_back, getattr(room, method), threading.Event()

    def come_back(*arguments: Any) -> None:
        is_back.set()
        came_back(*arguments)

    def call_later(*arguments: Any, **options: Any) -> Any:
        names_in(bot, "sweep")["go"].set()
        assert is_back.wait(PATIENCE_S)
        bot.dispatcher._recorder._let_go()
        return call(*arguments, **options)

    bot.dispatcher.came_back = come_back  # type: ignore[method-assign]
    setattr(room, method, call_later)


def last_run(bot: Bot) -> Run:
    return bot.ledger.history.runs(limit=1)[0]


def test_a_job_that_listens_is_timed_out(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(LISTENING, LIMITED))
    begin(bot, clock)

    pass_time(bot, clock, 30)

    end(bot)
    assert states(bot) == [("timed_out", "timeout")]


def test_an_async_job_is_cancelled_where_it_waits(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("begun.set(); await asyncio.Event().wait()", LIMITED))
    begin(bot, clock)

    pass_time(bot, clock, 30)

    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert states(bot) == [("timed_out", "timeout")]


def test_what_a_job_raises_after_its_time_out_is_kept(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(f"begun.set(); go.wait({PATIENCE_S}); raise OSError('the line is cut')", LIMITED))
    begin(bot, clock)

    pass_time(bot, clock, 30)

    end(bot)
    run = last_run(bot)
    assert run.error is not None
    assert (run.state, run.error.message) == ("timed_out", "the line is cut")


def test_a_job_that_ends_well_all_the_same_has_succeeded(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING, LIMITED))
    begin(bot, clock)

    pass_time(bot, clock, 30)

    end(bot)
    assert states(bot) == [("succeeded", None)]


def test_a_job_that_does_not_listen_is_timed_out_and_says_where_it_is(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING, LIMITED))

    give_up(bot, clock)

    run = last_run(bot)
    assert run.error is not None
    assert (run.state, run.error.type) == ("timed_out", "DoesNotListen")
    assert "sweep.py" in run.error.traceback
    assert bot.dispatcher.running.lingering.jobs == ["sweep"]
    end(bot)


def test_its_thread_is_replaced(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot({"workers": 1}, sweep=job(WAITING, LIMITED), other=job("return 1", "'2 * * * *'"))
    give_up(bot, clock)
    clock.travel(minutes=1)

    bot.tick()

    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert ("succeeded", None) in states(bot)
    end(bot)


def test_it_still_counts_for_overlap_until_it_ends(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING, LIMITED))
    give_up(bot, clock)
    clock.travel(seconds=25)
    bot.tick()
    with Ears() as ears:
        names_in(bot, "sweep")["go"].set()
        ears.wait_for("run_came_back")
    bot.dispatcher._recorder._let_go()
    lingering = rows(bot.ledger, "SELECT lingers FROM runs")
    clock.travel(minutes=1)

    bot.tick()

    assert lingering == [(0,)]
    bot.dispatcher.wait_until_idle(PATIENCE_S)
    reasons = [(decision, reason) for _, decision, reason, _ in decisions(bot)]
    assert reasons == [("run", None), ("skipped", "overlap"), ("run", None)]


@pytest.mark.parametrize(
    ("room", "method"),
    [
        (lambda bot: bot.dispatcher.running.lingering, "add"),
        (lambda bot: bot.dispatcher._recorder, "record"),
    ],
    ids=["before it lingers", "before its end is handed over"],
)
def test_a_thread_that_comes_back_while_its_run_is_given_up_lingers_no_more(
    make_bot: MakeBot, clock: TravelClock, room: Callable[[Bot], Any], method: str
) -> None:
    bot = make_bot(sweep=job(WAITING, LIMITED))
    come_back_before(bot, room(bot), method)

    with Ears() as ears:
        give_up(bot, clock)
        ears.wait_for("run_came_back")

    bot.dispatcher._recorder._let_go()
    assert rows(bot.ledger, "SELECT state, lingers FROM runs") == [("timed_out", 0)]
    assert bot.dispatcher.running.lingering.jobs == []


def test_what_it_does_later_changes_nothing(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(f"{WAITING}; return 'too late'", LIMITED))
    give_up(bot, clock)

    with Ears() as ears:
        names_in(bot, "sweep")["go"].set()
        ears.wait_for("run_came_back")

    assert (last_run(bot).state, last_run(bot).result) == ("timed_out", None)
    assert ears.names("run_succeeded", "outcome_refused") == []


def test_as_many_may_linger_as_there_are_workers(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot({"workers": 1}, sweep=job(WAITING, LIMITED))
    give_up(bot, clock)

    reasons = bot.readiness.reasons_not_ready()

    assert reasons[1:] == ["1 runs do not end although their time is over, and no more can: sweep"]
    end(bot)


def test_a_run_that_a_person_cancels_ends_as_cancelled(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(LISTENING))
    begin(bot, clock)

    bot.dispatcher.running.cancel(last_run(bot).id, 1)

    end(bot)
    assert states(bot) == [("cancelled", "cancelled")]


def test_a_cancelled_run_is_not_tried_again_whatever_it_raises(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(f"begun.set(); go.wait({PATIENCE_S}); raise OSError", "'* * * * *', retries=5"))
    begin(bot, clock)

    bot.dispatcher.running.cancel(last_run(bot).id, 1)

    end(bot)
    assert states(bot) == [("cancelled", "cancelled")]


def test_an_earlier_attempt_cannot_be_cancelled_any_more(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(LISTENING))
    begin(bot, clock)

    bot.dispatcher.running.cancel(last_run(bot).id, 2)

    end(bot)
    assert states(bot) == [("succeeded", None)]


@pytest.mark.parametrize("event", ["attempt_ended", "run_failed"])
def test_a_failed_run_is_tried_again_until_its_retries_are_over(
    make_bot: MakeBot, clock: TravelClock, event: str
) -> None:
    bot = make_bot(sweep=job("raise OSError(workspace.attempt)", "'* * * * *', retries=1, backoff='10s'"))
    clock.travel(minutes=1)
    with Ears() as ears:
        bot.tick()
        bot.dispatcher.wait_until_idle(PATIENCE_S)
        clock.travel(seconds=10)

        bot.parts.look()

        bot.dispatcher.wait_until_idle(PATIENCE_S)
    told = ears.wait_for(event)
    assert (told["attempt"], "retry_at" in told) == ((1, True) if event == "attempt_ended" else (2, False))
    assert rows(bot.ledger, "SELECT attempt, state FROM attempts") == [(1, "failed")]
    assert rows(bot.ledger, "SELECT attempt, state FROM runs") == [(2, "failed")]


def test_before_its_backoff_is_over_nothing_is_tried(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("raise OSError", "'* * * * *', retries=1, backoff='10s'"))
    clock.travel(minutes=1)
    bot.tick()
    bot.dispatcher.wait_until_idle(PATIENCE_S)
    clock.travel(seconds=4)

    bot.parts.look()

    assert rows(bot.ledger, "SELECT attempt, state, owner FROM runs") == [(2, "queued", None)]


def test_a_run_that_timed_out_is_tried_again_when_its_thread_has_ended(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING, f"{LIMITED}, retries=1, backoff='1s'"))
    give_up(bot, clock)
    clock.travel(seconds=2)
    bot.parts.look()
    held_back = rows(bot.ledger, "SELECT attempt, state, owner FROM runs")
    with Ears() as ears:
        names_in(bot, "sweep")["go"].set()
        ears.wait_for("run_came_back")
    bot.ledger.let_go([last_run(bot).id])

    bot.parts.look()

    bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert held_back == [(2, "queued", None)]
    assert states(bot) == [("succeeded", None)]


def test_a_run_by_hand_that_fails_is_not_tried_again(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("raise OSError", "'* * * * *', retries=3"))

    run = bot.run_background_job("sweep")

    assert (run.state, run.attempt, states(bot)) == ("failed", 1, [("failed", None)])


def test_two_attempts_of_one_run_in_one_bot_end_without_harm(
    make_bot: MakeBot, make_ledger: Callable[[], Ledger], clock: TravelClock
) -> None:
    gates = "gates = {1: threading.Event(), 2: threading.Event()}"
    waiting = f"begun.set(); assert gates[workspace.attempt].wait({PATIENCE_S})"
    bot = make_bot(sweep=job(waiting, "'* * * * *', on_interrupt='retry'", head=gates))
    begin(bot, clock)
    names = names_in(bot, "sweep")
    names["begun"].clear()
    take_for_dead(bot, make_ledger, clock)
    bot.parts.look()
    assert names["begun"].wait(PATIENCE_S)

    with Ears() as ears:
        names["gates"][1].set()
        ears.wait_for("outcome_refused")
        names["gates"][2].set()
        assert bot.dispatcher.wait_until_idle(PATIENCE_S)

    assert rows(bot.ledger, "SELECT state, attempt FROM runs") == [("succeeded", 2)]
    assert all(thread.is_alive() for thread in bot.dispatcher._threads)
    assert (ears.names("worker_failed"), bot.dispatcher.running.runs) == ([], [])


def take_for_dead(bot: Bot, make_ledger: Callable[[], Ledger], clock: TravelClock) -> None:
    """Let another bot end the runs of this one, which lives on; they are tried again at once."""
    other = make_ledger()
    other.open("shop", clock.now())
    let_go(bot.ledger)
    other.bury(clock.now(), retry_at=lambda run: clock.now())
    other.close(clock.now())


def test_an_async_job_is_cancelled_with_the_job_that_has_called_it(make_bot: MakeBot, clock: TravelClock) -> None:
    outer = job("workspace.run_background_job('inner')", LIMITED)
    bot = make_bot(outer=outer, inner=job("begun.set(); await asyncio.Event().wait()", ""))
    begin(bot, clock, "inner")

    pass_time(bot, clock, 30)

    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert states(bot) == [("timed_out", "timeout"), ("timed_out", "timeout")]


def test_a_run_that_fails_before_it_hears_of_its_cancel_ends_once_and_is_not_tried_again(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job(f"{WAITING}; raise OSError", "'* * * * *', retries=3"))
    begin(bot, clock)
    Acts(bot.ledger.store, bot.project, Person("ada", "command on web-1")).cancel(last_run(bot).id, clock.now())

    with Ears() as ears:
        end(bot)

    assert ears.names("attempt_ended", *(f"run_{state}" for state in RunState)) == ["run_failed"]
    assert rows(bot.ledger, "SELECT state, attempt FROM runs") == [("failed", 1)]


def test_a_caller_is_not_told_the_secrets_of_the_job_that_it_runs(make_bot: Callable[..., Bot]) -> None:
    bot = make_bot(
        callee=job(
            "raise ValueError(code)", takes="code: Secret | None = None", head="from pinstripe_bot import Secret"
        ),
        caller=job("workspace.run_background_job('callee', code=' '.join(['open', 'sesame']))"),
    )

    caller = bot.run_background_job("caller")

    assert caller.error is not None
    assert "ValueError" in caller.error.message
    assert "open sesame" not in f"{caller.error} {caller.output}"
