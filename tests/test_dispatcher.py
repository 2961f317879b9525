from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from bots import CROWD, PATIENCE_S, WAITING, Ears, claim_only, job, leave_crowd, let_go, locked, names_in, rows, states

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


def many(number: int, body: str) -> dict[str, str]:
    """The files of so many jobs."""
    return {f"sweep_{one}": job(body) for one in range(number)}


def test_every_dispatched_run_ends(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot({"workers": 4}, **many(40, "return 1"))
    clock.travel(minutes=1)

    bot.tick()

    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert states(bot) == [("succeeded", None)] * 40


def test_no_more_runs_at_once_than_workers(make_bot: MakeBot, clock: TravelClock) -> None:
    body = f"{WAITING}\nreturn threading.current_thread().name"
    bot = make_bot({"workers": 2}, **many(5, body))
    clock.travel(minutes=1)

    bot.tick()

    for name in ("sweep-0", "sweep-1"):
        assert names_in(bot, name)["begun"].wait(PATIENCE_S)
    assert not any(names_in(bot, f"sweep-{one}")["begun"].is_set() for one in (2, 3, 4))
    for one in range(5):
        names_in(bot, f"sweep-{one}")["go"].set()
    bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert {run.result for run in bot.ledger.history.runs()} == {"pinstripe-worker-1", "pinstripe-worker-2"}


def test_only_as_many_runs_are_marked_as_started_as_workers_are_free(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot({"workers": 2}, **many(5, WAITING))
    clock.travel(minutes=1)

    bot.tick()

    for name in ("sweep-0", "sweep-1"):
        assert names_in(bot, name)["begun"].wait(PATIENCE_S)
    assert sorted(states(bot)) == [("queued", None)] * 3 + [("running", None)] * 2
    for one in range(5):
        names_in(bot, f"sweep-{one}")["go"].set()


def test_dispatching_nothing_is_harmless(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job())

    bot.dispatcher.dispatch([])

    assert bot.dispatcher.wait_until_idle(0)


def test_a_run_that_is_no_longer_ours_is_not_started(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claimed = claim_only(bot)
    bot.ledger.release(claimed)

    bot.dispatcher.dispatch(claimed)

    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert states(bot) == [("queued", None)]


def test_performing_gives_the_runs_in_the_order_asked(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot({"workers": 4}, **many(10, "return 1"))
    clock.travel(minutes=1)
    claimed = claim_only(bot)

    ended = bot.dispatcher.perform(claimed)

    assert [run.id for run in ended] == [run.id for run in claimed]


def test_after_the_flag_no_run_starts_and_what_waits_is_released(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot({"workers": 1}, **many(3, WAITING))
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "sweep-0")["begun"].wait(PATIENCE_S)

    bot.dispatcher.is_closing = True
    bot.dispatcher.stop_starting()

    names_in(bot, "sweep-0")["go"].set()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert states(bot) == [("succeeded", None), ("queued", None), ("queued", None)]
    assert rows(bot.ledger, "SELECT owner FROM runs WHERE state = 'queued'") == [(None,), (None,)]


def test_what_is_dispatched_after_the_stop_is_released(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(**many(3, "return 1"))
    clock.travel(minutes=1)
    claimed = claim_only(bot)
    bot.dispatcher.stop_starting()

    bot.dispatcher.dispatch(claimed)

    assert bot.dispatcher.wait_until_idle(0)
    assert rows(bot.ledger, "SELECT DISTINCT state, owner FROM runs") == [("queued", None)]


def test_stopping_while_a_herd_is_dispatched_loses_nothing(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot({"workers": 4}, **many(60, "return 1"))
    clock.travel(minutes=1)
    claimed = claim_only(bot)
    begun = threading.Event()

    def stop() -> None:
        begun.wait()
        bot.dispatcher.is_closing = True
        bot.dispatcher.stop_starting()

    stopping = threading.Thread(target=stop)
    stopping.start()
    for run in claimed:
        bot.dispatcher.dispatch([run])
        begun.set()

    stopping.join()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert set(rows(bot.ledger, "SELECT state, owner FROM runs")) <= {
        ("succeeded", bot.ledger.bot),
        ("queued", None),
    }


def test_whoever_waits_for_a_run_that_is_released_goes_on(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claimed = claim_only(bot)
    bot.dispatcher.is_closing = True  # the sign to close comes later: the starter releases what waits already

    ended = bot.dispatcher.perform(claimed)

    assert ended == []
    assert states(bot) == [("queued", None)]


def test_while_the_ledger_is_locked_a_run_waits_and_then_starts(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("begun.set()\nreturn 1"))
    clock.travel(minutes=1)
    claimed = claim_only(bot)

    with Ears() as ears:
        with locked(bot.ledger):
            bot.dispatcher.dispatch(claimed)
            ears.wait_for("starts_delayed")
            assert not names_in(bot, "sweep")["begun"].is_set()
        assert bot.dispatcher.wait_until_idle(PATIENCE_S)

    assert states(bot) == [("succeeded", None)]


def test_closing_ends_every_thread(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("await asyncio.sleep(0)"))
    clock.travel(minutes=1)
    bot.tick()
    bot.dispatcher.wait_until_idle(PATIENCE_S)

    bot.dispatcher.close()

    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pinstripe-")] == []


def test_closing_twice_is_harmless(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job())

    bot.dispatcher.close()
    bot.dispatcher.close()


def test_the_progress_of_running_jobs_can_be_asked(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(f"workspace.progress(3, 10)\n{WAITING}"))
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)

    progress = bot.dispatcher.running.progress()

    names_in(bot, "sweep")["go"].set()
    assert progress == [(3, 10)]


def test_closing_gives_up_on_a_locked_ledger(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING))
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)
    with Ears() as ears, locked(bot.ledger):
        names_in(bot, "sweep")["go"].set()
        ears.wait_for("outcomes_kept")

        bot.dispatcher.close(0.1)

    assert bot.dispatcher.open_runs == []
    assert states(bot) == [("running", None)]


def test_an_error_of_the_runner_itself_is_a_recorded_failure_and_ends_no_worker(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot({"workers": 1}, sweep=job())
    begin = bot.dispatcher._runner.deadlines.begin
    bot.dispatcher._runner.deadlines.begin = no_thread  # type: ignore[method-assign]
    clock.travel(minutes=1)

    with Ears() as ears:
        bot.tick()
        assert bot.dispatcher.wait_until_idle(PATIENCE_S)

    (failed,) = bot.ledger.history.runs()
    assert failed.error is not None
    assert (failed.state, failed.error.message) == ("failed", "can't start new thread")
    assert ears.names("worker_failed", "run_failed") == ["worker_failed", "run_failed"]
    assert bot.dispatcher.running.is_empty
    bot.dispatcher._runner.deadlines.begin = begin  # type: ignore[method-assign]
    assert bot.run_background_job("sweep").state == "succeeded"


def no_thread(*_arguments: object) -> NoReturn:
    raise RuntimeError("can't start new thread")


def test_what_another_bot_has_ended_of_one_that_it_took_for_dead_commits_nothing_more(
    make_bot: MakeBot, make_ledger: Callable[[], Ledger], clock: TravelClock, root: Path
) -> None:
    database = sqlite3.connect(root / "shop.db")
    database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    body = f"""
        begun.set()
        go.wait({PATIENCE_S})
        try:
            workspace.database.orders.insert(id=1)
        except BaseException as error:
            calls.append(type(error).__name__)
        finally:
            tried.set()
    """
    bot = make_bot({"database.url": "sqlite:///shop.db"}, sweep=job(body, head="tried = threading.Event()"))
    clock.travel(minutes=1)
    bot.tick()
    names = names_in(bot, "sweep")
    assert names["begun"].wait(PATIENCE_S)
    other = make_ledger()
    other.open("shop", clock.now())
    let_go(bot.ledger)
    other.bury(clock.now(), retry_at=lambda run: None)
    clock.travel(minutes=1)

    bot.dispatcher._recorder._beat()

    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    names["go"].set()
    assert names["tried"].wait(PATIENCE_S)
    assert names["calls"] == ["RunCancelled"]
    assert database.execute("SELECT count(*) FROM orders").fetchall() == [(0,)]
    assert states(bot) == [("interrupted", "bot_died")]
    database.close()
    other.close(clock.now())


def enter(bot: Bot, size: int) -> dict[str, Any]:
    """Wait until so many runs of the crowd have begun; the names in its file."""
    names = names_in(bot, "crowd")
    for _ in range(size):
        assert names["entered"].acquire(timeout=PATIENCE_S)
    return names


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_ten_thousand_waiting_runs_of_one_job_delay_another_job_by_no_more_than_one_runs_length(
    make_bot: MakeBot, clock: TravelClock, workers: int
) -> None:
    bot = make_bot({"workers": workers}, crowd=CROWD, sweep=job("begun.set()"))
    leave_crowd(bot.ledger, "crowd", 10_000)
    bot.parts.look()
    crowd = enter(bot, min(workers, 4))
    clock.travel(minutes=1)

    bot.tick()
    if workers < 4:
        crowd["go"].release()  # one run of the crowd ends, and no other

    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)
    crowd["go"].release(10_000)


def test_no_more_runs_of_a_job_for_tenants_go_at_once_than_it_allows(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot({"workers": 8}, crowd=CROWD)
    leave_crowd(bot.ledger, "crowd", 100)
    bot.parts.look()
    crowd = enter(bot, 4)
    running = rows(bot.ledger, "SELECT count(*) FROM runs WHERE state = 'running'")

    crowd["go"].release(100)

    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert running == [(4,)]
    assert max(crowd["peaks"]) == 4
    assert states(bot) == [("succeeded", None)] * 100


def test_the_runs_of_a_job_without_tenants_are_not_counted(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot({"workers": 8}, crowd=CROWD.replace(", multi_tenant=True, tenant_concurrency=4", ""))
    leave_crowd(bot.ledger, "crowd", 8)

    bot.parts.look()

    enter(bot, 8)["go"].release(8)
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)


def test_a_run_that_lingers_leaves_its_place_among_its_jobs_runs_to_the_next(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    alone = CROWD.replace("tenant_concurrency=4", "tenant_concurrency=1, timeout='30s', kill_after='5s'")
    bot = make_bot(crowd=alone)
    deadlines = bot.dispatcher._runner.deadlines
    deadlines.close()
    leave_crowd(bot.ledger, "crowd", 2)
    bot.parts.look()
    enter(bot, 1)

    for seconds in (30, 5):
        clock.travel(seconds=seconds)
        deadlines.look()

    enter(bot, 1)["go"].release(2)
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert states(bot) == [("timed_out", "timeout"), ("succeeded", None)]
