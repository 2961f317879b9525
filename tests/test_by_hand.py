from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bots import PATIENCE_S, WAITING, Ears, job, locked, names_in, rows, states

from pinstripe_bot.bot import Bot
from pinstripe_bot.errors import InvalidParams, LedgerUnavailable, UnknownJob, WouldWait
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

CALLING = "run = workspace.run_background_job('callee')\nreturn [run.job, str(run.state), run.result]"
CALLING_ASYNC = CALLING.replace("workspace.run_background_job", "await workspace.run_background_job_async")

both_forms = pytest.mark.parametrize("calling", [CALLING, CALLING_ASYNC], ids=["plain", "async"])


@pytest.fixture
def database(root: Path) -> str:
    """The settings of a project with a database that has a table."""
    connection = sqlite3.connect(root / "shop.db")
    connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    connection.commit()
    connection.close()
    return "sqlite:///shop.db"


def test_a_run_by_hand_is_recorded_under_a_schedule_of_its_own(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return workspace.schedule_name"))

    run = bot.run_background_job("sweep")

    assert (run.schedule, run.result) == ("manual", "manual")
    assert bot.ledger.history.runs() == [run]


def test_a_job_may_be_named_in_any_case(make_bot: MakeBot) -> None:
    bot = make_bot(purge_old=job("return 1"))

    states = [bot.run_background_job(name).state for name in ("purge-old", "purge_old", "PurgeOld")]

    assert states == ["succeeded"] * 3


def test_two_runs_by_hand_in_one_second_are_two(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return 1"))

    ids = {bot.run_background_job("sweep").id for _ in range(2)}

    assert len(ids) == 2


def test_an_unknown_job_leaves_no_trace(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job())

    with pytest.raises(UnknownJob, match="did you mean 'sweep'"):
        bot.run_background_job("swep")

    assert states(bot) == []


def test_parameters_are_cast_and_kept(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return limit + 1", takes="limit: int = 1"))

    run = bot.run_background_job("sweep", {"limit": "5"})

    assert run.result == 6
    assert rows(bot.ledger, "SELECT params FROM runs") == [('{"limit":5}',)]


def test_parameters_that_do_not_fit_leave_no_trace(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return limit", takes="limit: int = 1"))

    with pytest.raises(InvalidParams):
        bot.run_background_job("sweep", {"limit": "many"})

    assert states(bot) == []


def test_a_run_by_hand_may_be_for_any_instant(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return workspace.due_at"))

    run = bot.run_background_job("sweep", at=datetime(2020, 2, 29, 1, 2, 3, tzinfo=UTC))

    assert run.result == "2020-02-29T01:02:03Z"


def test_an_overlap_gives_the_run_as_skipped(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING))
    clock.travel(minutes=1)
    bot.tick()

    run = bot.run_background_job("sweep")

    names_in(bot, "sweep")["go"].set()
    assert (run.state, run.reason, run.started_at) == ("skipped", "overlap", None)


def test_an_overlap_can_be_forced(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("calls.append(1)\nif len(calls) == 1: begun.set(); go.wait(9)"))
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)

    run = bot.run_background_job("sweep", force=True)

    names_in(bot, "sweep")["go"].set()
    assert run.state == "succeeded"


def test_a_job_that_allows_overlap_is_never_skipped(make_bot: MakeBot, clock: TravelClock) -> None:
    body = "calls.append(1)\nif len(calls) == 1: begun.set(); go.wait(9)"
    head = "from pinstripe_bot import BackgroundJob"
    bot = make_bot(sweep=job(body, "'* * * * *', overlap='allow'", head=head))
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)

    run = bot.run_background_job("sweep", force=True)

    names_in(bot, "sweep")["go"].set()
    assert run.state == "succeeded"


@both_forms
def test_a_job_calls_another_and_gets_its_finished_run(make_bot: MakeBot, calling: str) -> None:
    bot = make_bot({"workers": 1}, caller=job(calling), callee=job("return 7"))

    run = bot.run_background_job("caller")

    assert run.result == ["callee", "succeeded", 7]


@both_forms
def test_an_async_job_can_be_called(make_bot: MakeBot, calling: str) -> None:
    bot = make_bot({"workers": 1}, caller=job(calling), callee=job("await asyncio.sleep(0)\nreturn 7"))

    run = bot.run_background_job("caller")

    assert run.result == ["callee", "succeeded", 7]


@both_forms
def test_a_called_job_that_fails_raises_from_its_own_error(make_bot: MakeBot, calling: str) -> None:
    head = "from pinstripe_bot import RunFailed"
    telling = "return [str(error), repr(error.__cause__), error.run.id]"
    catching = f"try:\n    {calling.splitlines()[0]}\nexcept RunFailed as error:\n    {telling}"
    bot = make_bot(caller=job(catching, head=head), callee=job("raise KeyError('shop')"))

    run = bot.run_background_job("caller")

    callee = bot.ledger.history.runs("callee")[0]
    told = "the job 'callee' failed: KeyError: 'shop'"
    assert run.result == [told, "KeyError('shop')", callee.id]


def test_a_failed_call_that_nobody_catches_fails_the_caller(make_bot: MakeBot) -> None:
    bot = make_bot(caller=job(CALLING), callee=job("raise KeyError('shop')"))

    run = bot.run_background_job("caller")

    assert run.error is not None
    assert (run.state, run.error.type) == ("failed", "RunFailed")


def test_a_call_that_overlaps_gives_the_run_as_skipped(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(caller=job(CALLING, "'0 0 1 1 *'"), callee=job(WAITING))
    clock.travel(minutes=1)
    bot.tick()

    run = bot.run_background_job("caller")

    names_in(bot, "callee")["go"].set()
    assert run.result == ["callee", "skipped", None]


def test_a_job_that_calls_itself_meets_its_own_run(make_bot: MakeBot) -> None:
    bot = make_bot(caller=job("return str(workspace.run_background_job('caller').state)"))

    run = bot.run_background_job("caller")

    assert run.result == "skipped"


def test_a_job_may_call_itself_with_other_parameters(make_bot: MakeBot) -> None:
    body = "return depth and 1 + workspace.run_background_job('caller', depth=depth - 1).result"
    bot = make_bot({"workers": 1}, caller=job(body, takes="depth=0"))

    run = bot.run_background_job("caller", {"depth": 20})

    assert run.result == 20


def test_calls_nest_through_async_jobs(make_bot: MakeBot) -> None:
    bot = make_bot(
        {"workers": 1},
        first=job("return (await workspace.run_background_job_async('second')).result + 1"),
        second=job("return (await workspace.run_background_job_async('third')).result + 1"),
        third=job("return workspace.run_background_job('fourth').result + 1"),
        fourth=job("await asyncio.sleep(0)\nreturn 1"),
    )

    run = bot.run_background_job("first")

    assert run.result == 4


def test_the_plain_call_inside_an_event_loop_is_refused(make_bot: MakeBot) -> None:
    bot = make_bot(caller=job(f"await asyncio.sleep(0)\n{CALLING}"), callee=job())

    run = bot.run_background_job("caller")

    assert run.error is not None
    assert "await self.run_background_job_async('callee')" in run.error.message
    assert bot.ledger.history.runs("callee") == []


def test_a_call_inside_a_transaction_on_sqlite_is_refused(make_bot: MakeBot, database: str) -> None:
    body = f"with workspace.database.transaction():\n    {CALLING.splitlines()[0]}"
    bot = make_bot({"database.url": database}, caller=job(body), callee=job())

    run = bot.run_background_job("caller")

    assert run.error is not None
    assert (run.error.type, "call it after the transaction" in run.error.message) == ("WouldWait", True)
    assert bot.ledger.history.runs("callee") == []


def test_an_async_call_inside_a_transaction_on_sqlite_is_refused(make_bot: MakeBot, database: str) -> None:
    body = f"with workspace.database.transaction():\n    {CALLING_ASYNC.splitlines()[0]}"
    bot = make_bot({"database.url": database}, caller=job(body), callee=job())

    run = bot.run_background_job("caller")

    assert run.error is not None
    assert run.error.type == WouldWait.__name__


def test_a_call_after_a_transaction_works(make_bot: MakeBot, database: str) -> None:
    body = f"with workspace.database.transaction():\n    workspace.database.orders.insert(id=1)\n{CALLING}"
    bot = make_bot({"database.url": database}, caller=job(body), callee=job("return workspace.database.orders.count()"))

    run = bot.run_background_job("caller")

    assert run.result == ["callee", "succeeded", 1]


def test_what_is_called_has_ended_before_its_caller(make_bot: MakeBot) -> None:
    bot = make_bot(caller=job(CALLING), callee=job("return 7"))

    with Ears() as ears:
        bot.run_background_job("caller")

    ended = [event["job"] for event in ears.heard if event["event"] == "run_succeeded"]
    assert ended == ["callee", "caller"]


def test_a_call_while_the_ledger_is_locked_fails_the_caller_and_leaves_nothing(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(caller=job(f"{WAITING}\n{CALLING}"), callee=job("return 7", "'0 0 1 1 *'"))
    clock.travel(minutes=1)
    bot.tick()
    names = names_in(bot, "caller")
    assert names["begun"].wait(PATIENCE_S)

    with Ears() as ears, locked(bot.ledger):
        names["go"].set()
        failed = ears.wait_for("run_failed")

    assert failed["error_type"] == LedgerUnavailable.__name__
    assert bot.ledger.history.runs("callee") == []


@both_forms
def test_a_cancelled_job_takes_the_one_it_called_along(make_bot: MakeBot, calling: str) -> None:
    bot = make_bot(
        caller=job(calling, "'0 0 1 1 *'"),
        callee=job("while True:\n    begun.set(); workspace.checkpoint()", "'0 0 1 1 *'"),
    )
    caller = threading.Thread(target=bot.run_background_job, args=["caller"])
    caller.start()
    assert names_in(bot, "callee")["begun"].wait(PATIENCE_S)

    bot.dispatcher.running.cancel_all()

    caller.join(PATIENCE_S)
    assert states(bot) == [("interrupted", "shutdown")] * 2


def test_a_cancelled_job_calls_no_other(make_bot: MakeBot) -> None:
    bot = make_bot(caller=job(f"begun.set()\nwhile not workspace.cancelled: pass\n{CALLING}"), callee=job("return 7"))
    caller = threading.Thread(target=bot.run_background_job, args=["caller"])
    caller.start()
    assert names_in(bot, "caller")["begun"].wait(PATIENCE_S)

    bot.dispatcher.running.cancel_all()

    caller.join(PATIENCE_S)
    assert states(bot) == [("interrupted", "shutdown")]


@pytest.mark.parametrize("call", ["run_background_job('sweep')", "run_background_jobs(1767225660)"])
@pytest.mark.parametrize("form", ["workspace.bot.{}", "await asyncio.to_thread(lambda: workspace.bot.{})"])
def test_a_job_that_asks_the_bot_for_a_worker_is_refused(make_bot: MakeBot, call: str, form: str) -> None:
    bot = make_bot({"workers": 1}, caller=job(form.format(call), "'0 0 1 1 *'"), sweep=job())

    run = bot.run_background_job("caller")

    assert run.error is not None
    assert (run.error.type, "call self.run_background_job(name)" in run.error.message) == (WouldWait.__name__, True)
    assert bot.ledger.history.runs("sweep") == []
