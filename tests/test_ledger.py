from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from bots import PATIENCE_S, claim_only, decisions, job, locked, rows, seconds_since, states
from msgspec.structs import replace

from pinstripe_bot.bot import Bot
from pinstripe_bot.errors import LedgerError, LedgerUnavailable
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_history import open_history
from pinstripe_bot.occurrence import Run, RunError, RunState
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]
MakeLedger = Callable[[], Ledger]


def ended(run: Run, clock: TravelClock, state: RunState = RunState.SUCCEEDED) -> Run:
    return replace(run, state=state, finished_at=clock.now())


def test_a_bot_signs_in(ledger: Ledger, clock: TravelClock) -> None:
    (row,) = rows(ledger, "SELECT id, kind, started_at, heartbeat_at, stopped_at FROM bots")

    bot, kind, started_at, heartbeat_at, stopped_at = row
    assert (bot, kind, stopped_at) == (ledger.bot, "bot", None)
    assert 0 <= seconds_since(ledger, clock, started_at) < 60
    assert 0 <= seconds_since(ledger, clock, heartbeat_at) < 60


def test_a_bot_signs_out_when_it_closes(ledger: Ledger, clock: TravelClock) -> None:
    clock.travel(seconds=9)

    ledger.close(clock.now())

    ((stopped_at,),) = rows(ledger, "SELECT stopped_at FROM bots")
    assert 0 <= seconds_since(ledger, clock, stopped_at) < 9


def test_a_bot_signs_out_after_its_last_heartbeat_whatever_the_clock_says(ledger: Ledger, clock: TravelClock) -> None:
    clock.travel(seconds=-9)

    ledger.close(clock.now())

    ((has_died,),) = rows(ledger, "SELECT stopped_at <= heartbeat_at FROM bots")
    assert not has_died


def test_closing_twice_is_harmless(ledger: Ledger, clock: TravelClock) -> None:
    ledger.close(clock.now())

    ledger.close(clock.now())


def test_closing_a_locked_ledger_says_so_and_lets_go_of_everything(ledger: Ledger, clock: TravelClock) -> None:
    with locked(ledger), pytest.raises(LedgerUnavailable):
        ledger.close(clock.now())

    assert list(ledger._locks.iterdir()) == []


def test_a_ledger_can_be_opened_again_as_another_bot(ledger: Ledger, clock: TravelClock) -> None:
    first = ledger.bot
    ledger.close(clock.now())

    ledger.open("shop", clock.now())

    assert ledger.bot != first


def test_a_ledger_that_is_not_open_has_no_bot(make_ledger: MakeLedger) -> None:
    with pytest.raises(LedgerError, match="call open"):
        _ = make_ledger().bot


def test_a_folder_of_locks_that_cannot_be_made_leaves_nothing_open(make_ledger: MakeLedger, clock: TravelClock) -> None:
    ledger = make_ledger()
    ledger._locks.parent.mkdir()
    ledger._locks.touch()

    with pytest.raises(LedgerError, match="make it a writable folder"):
        ledger.open("shop", clock.now())

    with pytest.raises(LedgerUnavailable, match="is closed"):
        ledger.history.runs()


def test_a_start_whose_answer_was_lost_is_given_again(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claimed = claim_only(bot)

    started = [bot.ledger.start(claimed, clock.now()) for _ in range(2)]

    assert started[0] == started[1] == bot.ledger.history.runs()


def test_a_start_is_given_to_one_bot(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, other = make_bot(sweep=job()), make_bot()
    clock.travel(minutes=1)
    claimed = claim_only(bot)

    started = [one.ledger.start(claimed, clock.now()) for one in (other, bot)]

    assert [[run.state for run in group] for group in started] == [[], ["running"]]


def test_a_run_that_has_ended_cannot_be_started(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claimed = claim_only(bot)
    bot.ledger.finish([ended(run, clock) for run in bot.ledger.start(claimed, clock.now())])

    assert bot.ledger.start(claimed, clock.now()) == []


def test_an_end_is_recorded_once(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    (run,) = bot.ledger.start(claim_only(bot), clock.now())

    recorded = [
        bot.ledger.finish([ended(run, clock)]),
        bot.ledger.finish([ended(run, clock, RunState.INTERRUPTED)]),
    ]

    assert recorded == [{run.id}, set()]
    assert states(bot) == [("succeeded", None)]


def test_of_two_ends_in_one_group_the_first_counts(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    (run,) = bot.ledger.start(claim_only(bot), clock.now())

    bot.ledger.finish([ended(run, clock), ended(run, clock, RunState.INTERRUPTED)])

    assert states(bot) == [("succeeded", None)]


def test_a_run_that_was_not_started_cannot_end(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    (run,) = claim_only(bot)

    assert bot.ledger.finish([ended(run, clock)]) == set()


def test_another_attempt_cannot_end_a_run(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    (run,) = bot.ledger.start(claim_only(bot), clock.now())

    assert bot.ledger.finish([replace(ended(run, clock), attempt=2)]) == set()


def test_the_end_of_a_run_comes_back_whole(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    (run,) = bot.ledger.start(claim_only(bot), clock.now())
    clock.travel(seconds=1.5)
    error = RunError(type="KeyError", message="'naïve\n\0'", place="a.py:1 in run", traceback="Traceback ...")
    whole = replace(ended(run, clock, RunState.FAILED), error=error, result={"rows": [1, None]}, output="halló\n")

    bot.ledger.finish([whole])

    assert bot.ledger.history.runs() == [whole]


def test_only_the_owner_releases(make_bot: MakeBot, clock: TravelClock) -> None:
    bot, other = make_bot(sweep=job()), make_bot()
    clock.travel(minutes=1)
    claimed = claim_only(bot)

    other.ledger.release(claimed)

    assert rows(bot.ledger, "SELECT owner FROM runs") == [(bot.ledger.bot,)]


def test_a_released_run_cannot_be_started_by_its_former_owner(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claimed = claim_only(bot)

    bot.ledger.release(claimed)

    assert bot.ledger.start(claimed, clock.now()) == []


def test_a_run_that_has_ended_is_not_released(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    started = bot.ledger.start(claim_only(bot), clock.now())
    bot.ledger.finish([ended(run, clock) for run in started])

    bot.ledger.release(started)

    assert states(bot) == [("succeeded", None)]


def test_progress_is_written_with_the_heartbeat(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), planned=False)
    bot.open()
    bot.project.jobs["sweep"]
    bot.ledger.register(bot.project.schedules, clock.now())
    clock.travel(minutes=1)
    runs = bot.ledger.claim_second(bot.project.schedules, int(clock.now().timestamp()), clock.now())
    (run,) = bot.ledger.start(runs, clock.now())

    bot.ledger.beat(clock.now(), [(run.id, run.attempt, 3, 10, None)])

    assert rows(bot.ledger, "SELECT progress_done, progress_total FROM runs") == [(3, 10)]
    ((heartbeat_at,),) = rows(bot.ledger, "SELECT heartbeat_at FROM bots")
    assert 0 <= seconds_since(bot.ledger, clock, heartbeat_at) < 60


def test_the_history_has_the_newest_run_first(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    for _ in range(3):
        clock.travel(minutes=1)
        bot.tick()
        bot.dispatcher.wait_until_idle()

    minutes = [run.due_at.minute for run in bot.ledger.history.runs(limit=2)]

    assert minutes == [3, 2]


def test_the_history_of_one_job_leaves_out_the_others(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), other=job())
    clock.travel(minutes=1)
    claim_only(bot)

    assert [run.job for run in bot.ledger.history.runs("sweep")] == ["sweep"]


def test_the_last_run_of_every_job_is_read_beside_a_running_bot(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), other=job("return 1", "'2 * * * *'"))
    for _ in range(2):
        clock.travel(minutes=1)
        bot.tick()
        bot.dispatcher.wait_until_idle()

    with open_history(bot.ledger.place) as history:
        assert history is not None
        last = history.last_runs()

    assert {name: run.due_at.minute for name, run in last.items()} == {"sweep": 2, "other": 2}


def test_without_a_ledger_there_is_no_history_and_none_is_made(make_ledger: MakeLedger) -> None:
    place = make_ledger().place

    for _ in range(2):
        with open_history(place) as history:
            assert history is None


def test_of_bots_that_claim_at_once_each_instant_goes_to_one(
    make_ledger: MakeLedger, make_bot: MakeBot, clock: TravelClock
) -> None:
    project = make_bot(sweep=job(), other=job("return 1", "'*/2 * * * *'"), third=job()).project
    bots = [
        Bot(project, clock=clock, ledger=Ledger(make_ledger().place, locks=project.root / "locks")) for _ in range(4)
    ]
    together, claimed = Barrier(len(bots)), []

    def claim(bot: Bot) -> None:
        together.wait()
        claimed.extend(bot.ledger.start(claim_only(bot), clock.now()))

    for bot in bots:
        bot.plan()
    for _ in range(5):
        clock.travel(minutes=1)
        threads = [Thread(target=claim, args=[bot]) for bot in bots]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for bot in bots:
            bot.ledger.finish([ended(run, clock) for run in bot.ledger.waiting.own_runs([])])

    assert sorted((run.job, run.due_at.minute) for run in claimed) == [
        *(("other", minute) for minute in (2, 4)),
        *(("sweep", minute) for minute in (1, 2, 3, 4, 5)),
        *(("third", minute) for minute in (1, 2, 3, 4, 5)),
    ]
    for bot in bots:
        bot.stop()


def test_while_the_ledger_is_locked_nothing_is_claimed(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)

    with locked(bot.ledger), pytest.raises(LedgerUnavailable):
        claim_only(bot)

    assert decisions(bot) == []


def test_a_schedule_that_raises_harms_no_other(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), other=job())
    bad, good = sorted(bot.project.schedules, key=lambda schedule: schedule.job == "sweep")
    clock.travel(minutes=1)
    dues = bot.timetable.due(int(clock.now().timestamp()))
    for due in dues:
        if due.schedule is bad:
            object.__setattr__(bad, "policy", None)

    claim = bot.ledger.claim(dues, clock.now())

    assert [run.job for run in claim.runs] == [good.job]
    assert list(claim.failed) == [bad]


def test_a_claimed_second_is_claimed_once(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    instant_ts = int(clock.now().timestamp()) + 60

    claimed = [bot.ledger.claim_second(bot.project.schedules, instant_ts, clock.now()) for _ in range(2)]

    assert [len(runs) for runs in claimed] == [1, 0]


def test_an_instant_within_a_missed_stretch_is_decided(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    start = clock.now()
    clock.travel(minutes=5)
    bot.tick()

    within = [bot.run_background_jobs((start + timedelta(minutes=minute)).timestamp()) for minute in (1, 2, 4)]

    assert within == [[], [], []]


def test_an_instant_before_every_decided_one_can_be_claimed(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    start = clock.now()
    clock.travel(minutes=5)
    bot.tick()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)

    runs = bot.run_background_jobs((start - timedelta(minutes=1)).timestamp())

    assert [run.state for run in runs] == ["succeeded"]
