from __future__ import annotations

from collections.abc import Callable

from bots import claim_only, job, rows, states
from msgspec.structs import replace

from pinstripe_bot.bot import Bot
from pinstripe_bot.occurrence import Reason, RunState
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


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
    assert bot.ledger.history() == [run]


def test_a_released_run_has_no_start(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    started = bot.ledger.start(claim_only(bot), clock.now())

    bot.ledger.release(started)

    assert rows(bot.ledger.path, "SELECT state, owner, started_at FROM runs") == [("queued", None, None)]


def test_a_run_that_has_ended_takes_no_more_progress(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    (run,) = bot.ledger.start(claim_only(bot), clock.now())
    bot.ledger.finish([replace(run, state=RunState.SUCCEEDED, finished_at=clock.now())])

    bot.ledger.beat(clock.now(), {run.id: (1, None)})

    assert rows(bot.ledger.path, "SELECT progress_done FROM runs") == [(None,)]
