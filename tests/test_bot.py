from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bots import EVERY_MINUTE, PATIENCE_S, WAITING, Ears, decisions, job, locked, names_in, path_of, rows, states

from pinstripe_bot.bot import Bot
from pinstripe_bot.errors import DatabaseError, LedgerError, LedgerUnavailable, WouldWait
from pinstripe_bot.project import Project
from pinstripe_bot.scripting import run_in_new_workspace
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

YEARLY = "'0 0 1 1 *'"


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pinstripe-")]


def begin(bot: Bot, clock: TravelClock) -> None:
    """Start the loop, and let `sweep` come due and begin."""
    bot.start()
    clock.travel(minutes=1)
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)


# Ticks


def test_a_due_job_runs_once(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)

    bot.tick()
    bot.tick()

    bot.dispatcher.wait_until_idle()
    assert states(bot) == [("succeeded", None)]


def test_a_tick_with_nothing_due_asks_nobody(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(seconds=59)

    with locked(bot.ledger):
        bot.tick()

    assert bot._trouble.error is None


def test_a_claim_that_failed_is_offered_again_and_nothing_is_lost(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), other=job("return 1", "'1 * * * *'"))
    clock.travel(minutes=1)
    with locked(bot.ledger):
        bot.tick()
        clock.travel(minutes=1)
        bot.tick()

    bot.tick()

    assert decisions(bot) == [
        ("1 * * * *", "run", None, 1),
        (EVERY_MINUTE, "missed", "coalesced", 1),
        (EVERY_MINUTE, "run", None, 1),
    ]


def test_a_ledger_that_is_lost_is_said_once_and_once_when_it_is_back(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())

    with Ears() as ears:
        with locked(bot.ledger):
            for _ in range(3):
                clock.travel(minutes=1)
                bot.tick()
        bot.tick()
        bot.tick()

    assert ears.names("ledger_lost", "ledger_found") == ["ledger_lost", "ledger_found"]


def test_a_bot_without_its_ledger_is_not_ready(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    bot.start()
    with Ears() as ears, locked(bot.ledger):
        clock.travel(minutes=1)
        ears.wait_for("ledger_lost")

        reasons = bot.reasons_not_ready()

    assert any("does not answer" in reason for reason in reasons)
    assert bot.reasons_not_alive() == []


def test_what_a_claim_passed_is_logged(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=3)

    with Ears() as ears:
        bot.tick()

    missed = ears.wait_for("occurrence_missed")
    assert (missed["job"], missed["reason"], missed["count"]) == ("sweep", "coalesced", 2)


def test_a_clock_that_is_set_back_is_told_and_nothing_runs_again(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=2)
    bot.tick()
    decided = decisions(bot)

    with Ears() as ears:
        clock.jump(minutes=-2)
        bot.tick()
        clock.travel(minutes=2)
        bot.tick()

    assert ears.wait_for("clock_jumped")["direction"] == "backwards"
    assert ears.names("clock_jumped") == ["clock_jumped"]
    assert decisions(bot) == decided


def test_a_tick_that_raises_does_not_end_the_loop(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("begun.set()"))
    timetable = bot.timetable
    bot.start()
    with Ears() as ears:
        bot.timetable = None  # type: ignore[assignment]
        clock.travel(minutes=1)
        ears.wait_for("tick_failed")
        bot.timetable = timetable
        clock.travel(minutes=1)
        assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)


# The loop


def test_the_loop_runs_what_comes_due(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("begun.set()"), planned=False)

    handle = bot.start()

    clock.travel(minutes=1)
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)
    assert handle.is_running


def test_starting_twice_gives_the_same_handle(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job(), planned=False)

    handles = [bot.start(), bot.start()]

    assert handles[0] is handles[1]


def test_stopping_ends_the_loop_and_every_thread(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("begun.set()"), planned=False)
    begin(bot, clock)
    handle = bot.start()

    bot.stop()

    assert not handle.is_running
    handle.join(PATIENCE_S)
    assert threads() == []


def test_the_handle_stops_the_loop_too(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job(), planned=False)
    handle = bot.start()

    handle.stop()

    assert not handle.is_running


def test_stopping_twice_is_harmless(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job(), planned=False)
    bot.start()

    bot.stop()
    bot.destroy()


def test_stopping_before_the_start_is_harmless(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job(), planned=False)

    bot.stop()

    assert not path_of(bot.ledger).exists()


def test_a_stopped_bot_can_start_again(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("begun.set()"), planned=False)
    for _ in range(20):
        bot.start()
        bot.stop()

    begin(bot, clock)

    assert bot.reasons_not_ready() == []


def test_a_bot_that_starts_again_has_another_handle(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job(), planned=False)
    first = bot.start()
    bot.stop()

    second = bot.start()

    assert second is not first
    assert (first.is_running, second.is_running) == (False, True)


def test_starting_after_a_mere_request_to_stop_waits_and_starts_anew(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job(), planned=False)
    first = bot.start()
    bot.request_stop()

    second = bot.start()

    assert second is not first
    assert second.is_running


def test_a_signal_before_the_loop_begins_is_not_lost(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job(), planned=False)

    bot.request_stop()

    assert bot.run() == 0


def test_a_signal_before_the_loop_begins_keeps_a_taken_over_run_from_starting(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    before = make_bot(sweep=job())
    clock.travel(minutes=1)
    before.request_stop()
    before.tick()
    before.stop()
    bot = make_bot(planned=False)

    bot.request_stop()
    bot.run()

    assert states(bot) == [("queued", None)]


def test_the_loop_runs_in_the_calling_thread_until_it_is_stopped(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("workspace.bot.stop()"), planned=False)
    travelling = threading.Thread(target=lambda: clock.travel(minutes=1))
    with Ears() as ears:
        waiting = threading.Thread(target=lambda: (ears.wait_for("bot_started"), travelling.start()))
        waiting.start()

        cut_off = bot.run()

    assert cut_off == 0
    assert states(bot) == [("succeeded", None)]


def test_a_bot_that_loops_already_is_not_run_again(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job(), planned=False)
    bot.start()

    with pytest.raises(WouldWait, match="the bot runs already, in the thread 'pinstripe-bot'"):
        bot.run()


def test_starting_beside_a_loop_in_another_thread_gives_its_handle(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job(), planned=False)
    with Ears() as ears:
        runner = threading.Thread(target=bot.run)
        runner.start()
        ears.wait_for("bot_started")

        handle = bot.start()

    assert handle.thread is runner
    bot.stop()
    runner.join(PATIENCE_S)


def test_a_bot_that_cannot_start_raises_in_the_caller_and_leaves_nothing_open(make_bot: MakeBot, root: Path) -> None:
    bot = make_bot(sweep=job(), planned=False)
    root.joinpath(".pinstripe").mkdir()
    sqlite3.connect(root / ".pinstripe/ledger.db").execute("CREATE TABLE accounts (id)").connection.close()

    with pytest.raises(LedgerError, match="another program's database"):
        bot.start()

    assert threads() == []
    assert bot.looping is None


def test_a_ledger_that_locks_while_the_bot_plans_leaves_nothing_open(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), planned=False)
    bot.open()
    lock = path_of(bot.ledger).parent / "bots" / f"{bot.ledger.bot}.lock"

    with locked(bot.ledger), pytest.raises(LedgerUnavailable):
        bot.start()

    assert not lock.exists()
    assert threads() == []


def test_a_wrong_database_url_opens_no_ledger(make_bot: MakeBot) -> None:
    bot = make_bot({"database.url": "mysql://host/shop"}, sweep=job(), planned=False)

    with pytest.raises(DatabaseError):
        bot.start()

    assert not path_of(bot.ledger).exists()


def test_many_bots_leave_no_file_open(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("await asyncio.sleep(0)"), planned=False)
    bot.run_background_job("sweep")
    bot.stop()
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(5):
        bot.run_background_job("sweep")
        bot.stop()

    assert len(os.listdir("/proc/self/fd")) <= before


# Stopping


def test_stopping_waits_for_running_jobs(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(f"{WAITING}\nreturn 'done'"), planned=False)
    begin(bot, clock)
    stopping = threading.Thread(target=bot.stop)
    with Ears() as ears:
        stopping.start()
        ears.wait_for("bot_stopping")

    names_in(bot, "sweep")["go"].set()

    stopping.join(PATIENCE_S)
    assert states(bot) == [("succeeded", None)]


def test_whoever_stops_a_stopping_bot_waits_too(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING), planned=False)
    begin(bot, clock)
    stopping = [threading.Thread(target=bot.stop) for _ in range(3)]
    with Ears() as ears:
        for thread in stopping:
            thread.start()
        ears.wait_for("bot_stopping")

    assert all(thread.is_alive() for thread in stopping)
    names_in(bot, "sweep")["go"].set()

    for thread in stopping:
        thread.join(PATIENCE_S)
    assert threads() == []


@pytest.mark.parametrize("stop", ["workspace.bot.stop()", "await asyncio.to_thread(workspace.bot.stop)"])
def test_a_job_that_stops_the_bot_only_requests_it(make_bot: MakeBot, clock: TravelClock, stop: str) -> None:
    bot = make_bot(sweep=job(f"{stop}\nbegun.set()\nreturn 'went on'"), planned=False)
    handle = bot.start()
    clock.travel(minutes=1)

    handle.join(PATIENCE_S)

    assert not handle.is_running
    assert states(bot) == [("succeeded", None)]


def test_a_job_that_stops_a_bot_without_a_loop_only_requests_it(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("workspace.bot.stop()\nreturn 1"), planned=False)

    run = bot.run_background_job("sweep")

    assert run.state == "succeeded"


def test_what_has_not_started_is_left_to_the_next_bot_with_its_parameters(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    day = "import datetime"
    body, schedule = "return [day.year, str(type(day))]", "'* * * * *', params={'day': '2026-02-28'}"
    dated = job(body, schedule, head=day, takes="day: datetime.date")
    bot = make_bot({"workers": 1}, a_busy=job(WAITING), sweep=dated, planned=False)
    bot.start()
    clock.travel(minutes=1)
    assert names_in(bot, "a-busy")["begun"].wait(PATIENCE_S)
    stopping = threading.Thread(target=bot.stop)
    with Ears() as ears:
        stopping.start()
        ears.wait_for("runs_released")
    names_in(bot, "a-busy")["go"].set()
    stopping.join(PATIENCE_S)

    following = make_bot()

    following.dispatcher.wait_until_idle()
    (run,) = following.ledger.history.runs("sweep")
    assert (run.state, run.result) == ("succeeded", [2026, "<class 'datetime.date'>"])


def test_when_the_time_is_over_a_listening_job_is_cancelled(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("while True:\n    begun.set(); workspace.checkpoint()"), planned=False)
    begin(bot, clock)
    stopping = threading.Thread(target=bot.stop)
    with Ears() as ears:
        stopping.start()
        ears.wait_for("bot_stopping")

        clock.travel(seconds=25)
        stopping.join(PATIENCE_S)

    assert ears.names("runs_cancelled") == ["runs_cancelled"]
    assert states(bot) == [("interrupted", "shutdown")]


def test_before_the_time_is_over_nothing_is_cancelled(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING), planned=False)
    begin(bot, clock)
    stopping = threading.Thread(target=bot.stop)
    with Ears() as ears:
        stopping.start()
        ears.wait_for("bot_stopping")
        clock.travel(seconds=24)
        names_in(bot, "sweep")["go"].set()
        stopping.join(PATIENCE_S)

    assert ears.names("runs_cancelled") == []


def test_a_second_signal_cancels_an_async_job_at_once(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("begun.set()\nawait asyncio.sleep(3600)"), planned=False)
    begin(bot, clock)
    bot.request_stop()

    bot.cut_short()
    bot.stop()

    assert states(bot) == [("interrupted", "shutdown")]


def test_a_deaf_job_is_recorded_as_interrupted_and_can_commit_nothing_more(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    database = sqlite3.connect(root / "shop.db")
    database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    database.commit()
    body = """
        workspace.database.orders.insert(id=1)
        begun.set()
        go.wait(20)
        try:
            workspace.database.orders.insert(id=2)
        except BaseException as error:
            calls.append(type(error).__name__)
        finally:
            tried.set()
    """
    bot = make_bot(
        {"database.url": "sqlite:///shop.db"}, sweep=job(body, head="tried = threading.Event()"), planned=False
    )
    begin(bot, clock)
    bot.request_stop()
    bot.cut_short()
    bot.stop()

    names_in(bot, "sweep")["go"].set()

    assert names_in(bot, "sweep")["tried"].wait(PATIENCE_S)
    assert names_in(bot, "sweep")["calls"] == ["RunCancelled"]
    assert database.execute("SELECT id FROM orders").fetchall() == [(1,)]
    database.close()
    assert states(bot) == [("interrupted", "shutdown")]


@pytest.mark.parametrize(
    "body",
    ["begun.set()\nwhile not go.wait(0.005): workspace.checkpoint()", WAITING],
    ids=["listening", "deaf"],
)
def test_a_run_that_a_shutdown_cuts_off_is_left_to_the_next_bot_where_its_job_wants_it(
    make_bot: MakeBot, clock: TravelClock, body: str
) -> None:
    bot = make_bot(sweep=job(body, "'* * * * *', on_interrupt='retry'"), planned=False)
    begin(bot, clock)
    bot.request_stop()

    bot.cut_short()
    bot.stop()

    names_in(bot, "sweep")["go"].set()
    assert rows(bot.ledger, "SELECT attempt, state, owner FROM runs") == [(2, "queued", None)]
    assert rows(bot.ledger, "SELECT attempt, state, reason FROM attempts") == [(1, "interrupted", "shutdown")]


def test_the_number_of_runs_that_were_cut_off_is_returned(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("begun.set()\nawait asyncio.sleep(3600)"), planned=False)
    found: list[int] = []
    runner = threading.Thread(target=lambda: found.append(bot.run()))
    with Ears() as ears:
        runner.start()
        ears.wait_for("bot_started")
        clock.travel(minutes=1)
        assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)

    bot.request_stop()
    bot.cut_short()

    runner.join(PATIENCE_S)
    assert found == [1]


def test_a_stopping_bot_takes_no_run_by_hand(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING), other=job("return 1", YEARLY), planned=False)
    begin(bot, clock)
    bot.request_stop()

    with pytest.raises(WouldWait, match="the bot is stopping"):
        bot.run_background_job("other")

    names_in(bot, "sweep")["go"].set()
    bot.stop()
    assert path_of(bot.ledger).exists()
    assert rows(bot.ledger, "SELECT count(*) FROM runs WHERE job = 'other'") == [(0,)]


def test_a_service_that_fails_to_close_does_not_keep_the_bot_from_closing(make_bot: MakeBot, root: Path) -> None:
    root.joinpath("lib/services").mkdir(parents=True)
    root.joinpath("lib/services/mail.py").write_text(
        "import sys\nscope = 'process'\ndef create(config):\n    yield 'mail'\n    sys.exit(1)\n"
    )
    bot = make_bot(sweep=job("return workspace.mail"), planned=False)
    run = bot.run_background_job("sweep")

    with Ears() as ears:
        bot.stop()

    assert run.result == "mail"
    assert ears.names("service_close_failed") == ["service_close_failed"]
    assert rows(bot.ledger, "SELECT count(*) FROM bots WHERE stopped_at IS NULL") == [(0,)]


# A second by hand


def test_the_jobs_of_a_second_run_and_come_back_finished(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1"), other=job("return 2", "'1 * * * *'"), third=job("return 3", "'2 * * * *'"))

    runs = bot.run_background_jobs(clock.now().timestamp() + 60)

    assert [(run.job, run.state, run.result) for run in runs] == [("other", "succeeded", 2), ("sweep", "succeeded", 1)]


def test_a_second_is_run_once(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    instant = clock.now().timestamp() + 60
    bot.run_background_jobs(instant)

    assert bot.run_background_jobs(instant) == []


def test_a_second_in_which_nothing_is_due_gives_nothing(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())

    assert bot.run_background_jobs(clock.now().timestamp() + 61) == []


def test_an_instant_claimed_ahead_does_not_fire_again(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    bot.run_background_jobs(clock.now().timestamp() + 60)
    clock.travel(minutes=1)

    bot.tick()

    assert states(bot) == [("succeeded", None)]


def test_a_second_works_without_a_loop_and_without_a_plan(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), planned=False)

    runs = bot.run_background_jobs(clock.now().timestamp())

    assert [run.state for run in runs] == ["succeeded"]


def test_a_second_of_long_ago_runs_whatever_max_lateness_says(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return 1", "'0 0 * * *', max_lateness=1, catch_up='none'"))

    runs = bot.run_background_jobs(datetime(2020, 2, 29, tzinfo=UTC).timestamp())

    assert [run.state for run in runs] == ["succeeded"]


def test_a_second_moves_no_mark(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    before = rows(bot.ledger, "SELECT planned_to FROM schedules")

    bot.run_background_jobs((clock.now() + timedelta(days=1)).timestamp())

    assert rows(bot.ledger, "SELECT planned_to FROM schedules") == before


def test_a_disabled_schedule_is_never_due(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'* * * * *', enabled=False"))

    assert bot.run_background_jobs(clock.now().timestamp()) == []


def test_a_second_compares_overlap_and_same_instants(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'*/5 * * * *'", "'* * * * *'"))

    runs = bot.run_background_jobs(clock.now().timestamp())

    assert [run.schedule for run in runs] == ["*/5 * * * *"]
    assert decisions(bot)[1] == (EVERY_MINUTE, "skipped", "same_instant", 1)


def test_two_bots_run_a_second_once(make_bot: MakeBot, clock: TravelClock) -> None:
    bots = [make_bot(sweep=job()), make_bot()]

    found = [bot.run_background_jobs(clock.now().timestamp()) for bot in bots]

    assert [len(runs) for runs in found] == [1, 0]


# Health


def test_a_bot_that_has_not_started_is_alive_but_not_ready(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job(), planned=False)

    assert (bot.reasons_not_alive(), bot.reasons_not_ready()) == ([], ["the bot has not started"])


def test_a_loop_that_stands_still_is_not_alive(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    bot.tick()
    bot.looping = threading.current_thread()
    clock.travel(seconds=31)

    assert bot.reasons_not_alive() == ["the last tick was 31 s ago"]
    bot.looping = None


def test_a_stopping_bot_is_not_ready(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job())

    bot.request_stop()

    assert bot.reasons_not_ready() == ["the bot is stopping"]


# Workspaces without a run


def test_a_function_runs_in_a_workspace_of_its_own(make_bot: MakeBot, root: Path) -> None:
    make_bot(sweep=job(), planned=False)

    name = run_in_new_workspace(Project.load(root, environ={}), lambda workspace: workspace.project.name)

    assert name == "shop"
    assert threads() == []


def test_an_error_in_a_workspace_reaches_its_caller_and_closes_it(make_bot: MakeBot, root: Path) -> None:
    make_bot(sweep=job(), planned=False)

    with pytest.raises(ZeroDivisionError):
        run_in_new_workspace(Project.load(root, environ={}), lambda _workspace: 1 / 0)

    found = rows(root / ".pinstripe/ledger.db", "SELECT kind, stopped_at IS NULL FROM bots")
    assert found == [("command", 0)]
