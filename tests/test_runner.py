from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from bots import PATIENCE_S, job, names_in
from structlog.testing import capture_logs

from pinstripe_bot.bot import Bot
from pinstripe_bot.occurrence import Run
from pinstripe_bot.output import print_capture
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


def perform(make_bot: MakeBot, body: str, settings: dict[str, Any] | None = None, **options: str) -> Run:
    """The finished run of a job with this body."""
    return make_bot(settings, sweep=job(body, **options)).run_background_job("sweep")


def test_what_a_job_returns_is_its_result(make_bot: MakeBot) -> None:
    run = perform(make_bot, "return {'deleted': 3}")

    assert (run.state, run.result) == ("succeeded", {"deleted": 3})


def test_an_async_job_runs_to_its_end(make_bot: MakeBot) -> None:
    run = perform(make_bot, "await asyncio.sleep(0)\nreturn 5")

    assert (run.state, run.result) == ("succeeded", 5)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("sys.exit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise BaseException('no')", "BaseException"),
        ("raise StopIteration", "StopIteration"),
        ("raise asyncio.CancelledError", "CancelledError"),
        ("def deeper(): deeper()\ndeeper()", "RecursionError"),
        ("raise ExceptionGroup('two', [ValueError(), KeyError()])", "ExceptionGroup"),
        ("await asyncio.sleep(0)\nraise SystemExit(3)", "SystemExit"),
        ("await asyncio.sleep(0)\nraise KeyboardInterrupt", "KeyboardInterrupt"),
        ("await asyncio.sleep(0)\nasyncio.current_task().cancel()\nawait asyncio.sleep(0)", "CancelledError"),
        ("asyncio.get_running_loop().stop()\nawait asyncio.sleep(0)\nawait asyncio.sleep(9)", "RuntimeError"),
    ],
)
def test_whatever_a_job_raises_fails_its_run_and_the_next_one_works(make_bot: MakeBot, body: str, kind: str) -> None:
    bot = make_bot({"workers": 1}, bad=job(body), good=job("await asyncio.sleep(0)\nreturn 1"))

    bad, good = bot.run_background_job("bad"), bot.run_background_job("good")

    assert bad.error is not None
    assert (bad.state, bad.error.type, good.state) == ("failed", kind, "succeeded")


@pytest.mark.parametrize(
    "error",
    [
        "class Mute(Exception):\n    def __str__(self): raise SystemExit",
        "class Mute(Exception):\n    __str__ = None",
        "class Mute(Exception):\n    def __str__(self): return '\\ud800'",
        "class Mute(Exception):\n    def __str__(self): return 'x' * 10_000_000",
    ],
)
def test_an_error_that_cannot_be_told_fails_its_run_all_the_same(make_bot: MakeBot, error: str) -> None:
    run = perform(make_bot, "raise Mute", head=error)

    assert run.error is not None
    assert (run.state, run.error.type) == ("failed", "Mute")
    assert len(run.error.message) <= 64 * 1024


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_object_that_raises_when_it_goes_harms_nobody(make_bot: MakeBot) -> None:
    bot = make_bot(
        {"workers": 1},
        bad=job("Bad()", head="class Bad:\n    def __del__(self): sys.exit(1)"),
        good=job("return 1"),
    )

    states = [bot.run_background_job(name).state for name in ("bad", "good")]

    assert states == ["succeeded", "succeeded"]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("None", None),
        ("False", False),
        ("''", ""),
        ("(1, 2)", [1, 2]),
        ("workspace.due_at", "2026-01-01T00:00:00Z"),
    ],
)
def test_a_result_is_kept_as_json(make_bot: MakeBot, value: str, kept: object) -> None:
    run = perform(make_bot, f"return {value}")

    assert run.result == kept


@pytest.mark.parametrize(
    "value",
    ["object()", "{(1, 2): 3}", "'\\ud800'", "threading.Lock()"],
)
def test_a_result_that_json_cannot_say_is_noted_and_fails_nothing(make_bot: MakeBot, value: str) -> None:
    run = perform(make_bot, f"return {value}")

    assert run.state == "succeeded"
    assert "cannot be written as JSON" in run.result["not_kept"]


def test_a_result_of_more_than_64_kib_is_noted(make_bot: MakeBot) -> None:
    run = perform(make_bot, "return 'x' * 65535")

    assert run.result == {"not_kept": "65537 bytes of JSON; 65536 are kept"}


def test_a_result_of_64_kib_is_kept(make_bot: MakeBot) -> None:
    run = perform(make_bot, "return 'x' * 65534")

    assert len(run.result) == 65534


def test_what_a_job_prints_is_kept_with_its_run(make_bot: MakeBot) -> None:
    with capture_logs(), print_capture():
        run = perform(make_bot, "print('three rows')")

    assert run.output == "three rows\n"


def test_what_every_async_job_prints_is_kept_with_its_own_run(make_bot: MakeBot) -> None:
    bot = make_bot({"workers": 1}, sweep=job("await asyncio.sleep(0)\nprint(workspace.run_id)"))

    with capture_logs(), print_capture():
        runs = [bot.run_background_job("sweep") for _ in range(3)]

    assert [run.output for run in runs] == [f"{run.id}\n" for run in runs]


def test_a_run_sees_its_facts(make_bot: MakeBot, clock: TravelClock) -> None:
    body = "w = workspace\nreturn [w.job_name, w.schedule_name, w.run_id, w.attempt, w.due_at, *w.window]"
    bot = make_bot(sweep=job(body, "'*/5 * * * *'"))
    clock.travel(minutes=5)

    bot.tick()

    bot.dispatcher.wait_until_idle()
    (run,) = bot.ledger.history.runs()
    before, now = "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"
    assert run.result == ["sweep", "*/5 * * * *", run.id, 1, now, before, now]


def test_a_job_cannot_change_the_parameters_of_the_next_run(make_bot: MakeBot, clock: TravelClock) -> None:
    body = "workspace.params['shops'].append(2)\nreturn workspace.params"
    bot = make_bot(sweep=job(body, "'* * * * *', params={'shops': [1]}"))
    for _ in range(2):
        clock.travel(minutes=1)
        bot.tick()
        bot.dispatcher.wait_until_idle()

    assert [run.result for run in bot.ledger.history.runs()] == [{"shops": [1, 2]}] * 2


def test_a_run_ends_in_one_event(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return 1"), bad=job("1 / 0"))

    with capture_logs() as events:
        bot.run_background_job("sweep")
        bot.run_background_job("bad")

    ends = [event["event"] for event in events if event["event"].startswith("run_") and event["event"] != "run_started"]
    assert ends == ["run_succeeded", "run_failed"]


def test_the_async_jobs_of_a_worker_share_an_event_loop(make_bot: MakeBot) -> None:
    bot = make_bot({"workers": 1}, sweep=job("await asyncio.sleep(0)\nreturn id(asyncio.get_running_loop())"))

    loops = {bot.run_background_job("sweep").result for _ in range(3)}

    assert len(loops) == 1


def test_a_task_that_a_job_leaves_behind_ends_with_its_run(make_bot: MakeBot) -> None:
    leaving = """
        async def linger():
            try:
                begun.set(); await asyncio.sleep(3600)
            finally:
                calls.append('ended')
        calls.append(asyncio.create_task(linger()))
        await asyncio.sleep(0)
    """
    bot = make_bot({"workers": 1}, leaving=job(leaving), next=job("await asyncio.sleep(0)\nreturn 1"))

    left = bot.run_background_job("leaving")

    assert left.state == "succeeded"
    assert names_in(bot, "leaving")["calls"][1:] == ["ended"]
    assert bot.run_background_job("next").state == "succeeded"


def test_a_cancelled_run_that_tidies_up_is_interrupted(make_bot: MakeBot) -> None:
    body = """
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            calls.append('tidied')
    """
    bot = make_bot(sweep=job(body))

    run = _cancelled(bot)

    assert (run.state, run.reason) == ("interrupted", "shutdown")
    assert names_in(bot, "sweep")["calls"] == ["tidied"]


def test_a_run_cancelled_in_a_group_of_tasks_is_interrupted(make_bot: MakeBot) -> None:
    body = """
        async def look():
            while True:
                workspace.checkpoint(); begun.set(); await asyncio.sleep(0)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(look())
            tasks.create_task(asyncio.sleep(3600))
    """
    bot = make_bot(sweep=job(body))

    run = _cancelled(bot)

    assert (run.state, run.reason) == ("interrupted", "shutdown")


def test_a_thread_job_is_cancelled_at_its_checkpoint(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("while True:\n    begun.set(); workspace.checkpoint()"))

    run = _cancelled(bot)

    assert (run.state, run.reason) == ("interrupted", "shutdown")


def test_a_run_that_ends_by_itself_after_it_was_cancelled_has_succeeded(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("begun.set()\nwhile not workspace.cancelled: pass\nreturn 'saved'"))

    run = _cancelled(bot)

    assert (run.state, run.result) == ("succeeded", "saved")


def test_a_run_that_fails_after_it_was_cancelled_has_failed(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("begun.set()\nwhile not workspace.cancelled: pass\nraise OSError"))

    run = _cancelled(bot)

    assert run.state == "failed"


def test_the_loop_of_a_cancelled_run_is_not_given_to_the_next(make_bot: MakeBot) -> None:
    body = "loop = id(asyncio.get_running_loop())\ncalls.append(asyncio.get_running_loop())\nbegun.set()\nawait go_on()"
    endless = "async def go_on(): await asyncio.sleep(3600)"
    bot = make_bot({"workers": 1}, sweep=job(body, head=endless), next=job("await asyncio.sleep(0)\nreturn 1"))
    _cancelled(bot)

    run = bot.run_background_job("next")

    (loop,) = names_in(bot, "sweep")["calls"]
    assert loop.is_closed()
    assert run.state == "succeeded"


def _cancelled(bot: Bot) -> Run:
    """The run of `sweep`, told to end once it has begun."""
    found: list[Run] = []
    caller = threading.Thread(target=lambda: found.append(bot.run_background_job("sweep")))
    caller.start()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)
    bot.dispatcher.running.cancel_all()
    caller.join(PATIENCE_S)
    return found[0]


def test_what_a_failed_job_held_is_let_go(make_bot: MakeBot) -> None:
    body = "held = Held()\ncalls.append(weakref.ref(held))\nraise ValueError"
    bot = make_bot({"workers": 1}, sweep=job(body, head="import weakref\nclass Held: pass"))

    bot.run_background_job("sweep")

    (held,) = names_in(bot, "sweep")["calls"]
    assert isinstance(held, weakref.ref)
    gc.collect()
    assert held() is None


def test_a_run_that_has_ended_is_no_longer_watched(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return 1"))

    bot.run_background_job("sweep")

    assert bot.dispatcher.running.is_empty
