"""Runs that programs enqueue: from anywhere, and from a job, inside its transaction or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from time import monotonic

import psycopg
import pytest
from bots import EVERY_MINUTE, PATIENCE_S, WAITING, Ears, claim_only, crash, job, names_in, rows, states, write_jobs
from msgspec.structs import replace

from pinstripe_bot import enqueue
from pinstripe_bot.bot import Bot
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.config import Config, LedgerConfig
from pinstripe_bot.database_engine import database_url
from pinstripe_bot.enqueueing import pollers
from pinstripe_bot.errors import InvalidParams, InvalidSchedule, LedgerError, RunCancelled, UnknownJob
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_queue import is_same_database
from pinstripe_bot.occurrence import RunState
from pinstripe_bot.project import Project
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

BY_HAND = ""
"""What stands in the decorator of a job without a schedule."""


@pytest.fixture
def clock() -> TravelClock:
    """The machine's time, which `enqueue` reads, standing still."""
    return TravelClock(SystemClock().now())


def calling(*lines: str) -> str:
    """A job that does this, and returns the state of `run`."""
    return job("\n".join([*lines, "return [run.id, str(run.state)]"]), BY_HAND)


# From any process


def test_an_enqueued_run_waits_for_a_bot(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("calls.append(limit)", BY_HAND, takes="limit: int"))

    run = enqueue(bot.project, "Sweep", params={"limit": "5"})

    assert (run.job, run.state, run.schedule, run.params) == ("sweep", "queued", "manual", {"limit": 5})
    assert rows(bot.ledger, "SELECT id, owner, params FROM runs") == [(run.id, None, '{"limit":5}')]
    with Ears() as ears:
        clock.travel(seconds=1)
        bot.parts.look()
        ears.wait_for("run_succeeded")
    assert names_in(bot, "sweep")["calls"] == [5]


def test_a_project_may_be_named_by_its_folder_and_need_no_bot_yet(root: Path) -> None:
    write_jobs(root, sweep=job("return None", BY_HAND))

    runs = [enqueue(root, "sweep"), enqueue(str(root), "sweep", params={"other": 1})]

    assert [run.state for run in runs] == ["queued", "queued"]
    assert rows(root / ".pinstripe/ledger.db", "SELECT count(*) FROM bots") == [(0,)]


@pytest.mark.parametrize("delay", [600, "10m", timedelta(minutes=10)])
def test_a_delayed_run_starts_no_earlier(make_bot: MakeBot, clock: TravelClock, delay: float | str | timedelta) -> None:
    bot = make_bot(sweep=job("calls.append(1)", BY_HAND))

    run = enqueue(bot.project, "sweep", delay=delay)

    assert timedelta(minutes=9, seconds=58) < run.due_at - clock.now() < timedelta(minutes=11)
    clock.travel(minutes=9)
    bot.parts.look()
    assert states(bot) == [("queued", None)]
    clock.travel(minutes=2)
    with Ears() as ears:
        bot.parts.look()
        ears.wait_for("run_succeeded")


def test_what_does_not_fit_is_refused_and_leaves_no_trace(root: Path) -> None:
    write_jobs(root, sweep=job("return None", BY_HAND, takes="limit: int = 1"))
    project = Project.load(root, environ={})

    with pytest.raises(UnknownJob, match="did you mean 'sweep'"):
        enqueue(project, "swep")
    with pytest.raises(InvalidParams, match="limit"):
        enqueue(project, "sweep", params={"limit": "many"})
    with pytest.raises(InvalidSchedule, match="'soon' is not a duration"):
        enqueue(project, "sweep", delay="soon")
    with pytest.raises(InvalidParams, match="year 9999"):
        enqueue(project, "sweep", delay=10**12)

    assert not (root / ".pinstripe").exists()


def test_open_work_lets_an_enqueued_run_pass_as_skipped(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return None", BY_HAND))
    first = enqueue(bot.project, "sweep")

    second = enqueue(bot.project, "sweep")

    assert (first.state, second.state, second.reason) == ("queued", "skipped", "overlap")
    assert states(bot) == [("queued", None), ("skipped", "overlap")]


def test_what_a_dead_bot_has_left_running_is_no_open_work(make_bot: MakeBot, clock: TravelClock) -> None:
    dead = make_bot(sweep=job("return None", repr(EVERY_MINUTE)))
    clock.travel(minutes=1)
    dead.ledger.start(claim_only(dead), clock.now())
    crash(dead.ledger)

    run = enqueue(dead.project, "sweep")

    assert run.state is RunState.QUEUED
    assert states(dead) == [("interrupted", "bot_died"), ("queued", None)]


def test_a_run_that_lingered_in_a_bot_that_has_stopped_is_no_open_work(make_bot: MakeBot, clock: TravelClock) -> None:
    stopped = make_bot(sweep=job("return None", repr(EVERY_MINUTE)))
    clock.travel(minutes=1)
    (run,) = stopped.ledger.start(claim_only(stopped), clock.now())
    ended = replace(run, state=RunState.TIMED_OUT, finished_at=clock.now())
    stopped.ledger.finish([ended], lingering=[run.id])
    stopped.stop()

    assert enqueue(stopped.project, "sweep").state is RunState.QUEUED


def test_nothing_is_enqueued_in_a_ledger_that_has_moved(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return None", BY_HAND))
    with bot.ledger.store.writing() as connection:
        connection.exec_driver_sql("INSERT INTO ledger (name, value) VALUES ('moved_to', 'elsewhere')")

    with pytest.raises(LedgerError, match="has moved to elsewhere"):
        enqueue(bot.project, "sweep")

    assert states(bot) == []


def test_other_parameters_are_other_work(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return None", BY_HAND))

    runs = [enqueue(bot.project, "sweep", params={"page": page}) for page in (1, 2)]

    assert [run.state for run in runs] == ["queued", "queued"]


@pytest.mark.parametrize(("overlap", "expected"), [("queue", ["queued", "skipped"]), ("allow", ["queued", "queued"])])
def test_a_job_that_queues_or_allows_overlaps_is_enqueued_beside_itself(
    make_bot: MakeBot, clock: TravelClock, overlap: str, expected: list[str]
) -> None:
    bot = make_bot(sweep=job("return None", repr(EVERY_MINUTE), f"overlap={overlap!r}"))
    clock.travel(minutes=1)
    claim_only(bot)

    enqueued = [enqueue(bot.project, "sweep").state for _ in range(2)]

    assert enqueued == expected


def test_enqueueing_ten_times_is_quick(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return None", repr(EVERY_MINUTE), "overlap='allow'"))
    begun_s = monotonic()

    for _ in range(10):
        enqueue(bot.project, "sweep")

    assert monotonic() - begun_s < 2  # 6 ms each on an idle machine


# From a job


def test_a_job_enqueues_another_one(make_bot: MakeBot) -> None:
    caller = calling("run = workspace.enqueue_background_job('callee', limit=3)")
    bot = make_bot(caller=caller, callee=job("return None", BY_HAND, takes="limit: int"))

    run = bot.run_background_job("caller")

    assert run.result == [2, "queued"]
    found = rows(bot.ledger, "SELECT job, params, owner, available_at FROM runs WHERE id = 2")
    assert found[0][:3] == ("callee", '{"limit":3}', None)


def test_a_job_enqueues_for_later(make_bot: MakeBot) -> None:
    caller = calling("run = workspace.enqueue_background_job('callee', '10m')")
    bot = make_bot(caller=caller, callee=job("return None", BY_HAND))

    bot.run_background_job("caller")

    ((waits,),) = rows(bot.ledger, "SELECT available_at - claimed_at FROM runs WHERE id = 2")
    assert waits == 600_000_000


def test_an_async_job_enqueues_with_a_plain_call(make_bot: MakeBot) -> None:
    caller = calling("await asyncio.sleep(0)", "run = workspace.enqueue_background_job('callee')")
    bot = make_bot(caller=caller, callee=job("return None", BY_HAND))

    assert bot.run_background_job("caller").result == [2, "queued"]


def test_a_bot_that_runs_starts_what_its_own_job_enqueues_at_once(root: Path) -> None:
    write_jobs(
        root,
        caller=job("calls.append(time.monotonic()); workspace.enqueue_background_job('callee')", BY_HAND),
        callee=job("calls.append(time.monotonic()); begun.set()", BY_HAND),
    )
    bot = Bot(Project.load(root, environ={}))
    bot.start()
    try:
        bot.run_background_job("caller")
        assert names_in(bot, "callee")["begun"].wait(PATIENCE_S)
    finally:
        bot.stop()

    took_s = names_in(bot, "callee")["calls"][0] - names_in(bot, "caller")["calls"][0]
    assert took_s < 0.5  # 20 ms on an idle machine; a look that nobody asked for comes once a second


def test_a_run_that_was_given_up_enqueues_nothing_any_more(make_bot: MakeBot, clock: TravelClock) -> None:
    trying = "workspace.enqueue_background_job('callee')\nexcept BaseException as error: calls.append(error)"
    caller = job(f"{WAITING}\ntry: {trying}\ndone.set()", head="done = threading.Event()")
    bot = make_bot(caller=caller, callee=job("return None", BY_HAND))
    clock.travel(minutes=1)
    bot.tick()
    names = names_in(bot, "caller")
    assert names["begun"].wait(PATIENCE_S)
    bot.dispatcher.running.abandon_all()

    names["go"].set()

    assert names["done"].wait(PATIENCE_S)
    assert isinstance(names["calls"][0], RunCancelled)
    assert callees(bot) == []


# In a transaction


IN_TRANSACTION = """
with workspace.database.transaction():
    workspace.database.orders.insert(id=1)
    run = workspace.enqueue_background_job('callee')
    {end}
"""

FAILS = "raise ValueError('out of paper')"


@pytest.fixture
def shared(root: Path, fresh_postgres_url: str, clock: TravelClock) -> Callable[..., Bot]:
    """Make a bot whose ledger and database are one PostgreSQL database, which has a table."""
    with psycopg.connect(fresh_postgres_url, autocommit=True) as server:
        server.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    made: list[Bot] = []

    def make(**files: str) -> Bot:
        write_jobs(root, **files)
        project = Project.load(root, environ={}, overrides={"workers": 2, "database.url": fresh_postgres_url})
        place = ledger_place(Config(ledger=LedgerConfig(url=fresh_postgres_url)), root)
        bot = Bot(project, clock=clock, ledger=Ledger(place, locks=root / ".pinstripe" / "bots"))
        bot.plan()
        made.append(bot)
        return bot

    yield make
    for bot in made:
        bot.stop()


def orders(url: str) -> int:
    with psycopg.connect(url) as server:
        return server.execute("SELECT count(*) FROM orders").fetchall()[0][0]


def callees(bot: Bot) -> list[tuple[str, str | None]]:
    return rows(bot.ledger, "SELECT state, reason FROM runs WHERE job = 'callee' ORDER BY id")


@pytest.mark.parametrize(("end", "found"), [("pass", 1), (FAILS, 0)], ids=["commit", "rollback"])
def test_an_enqueued_run_commits_and_rolls_back_with_its_transaction(
    shared: Callable[..., Bot], fresh_postgres_url: str, end: str, found: int
) -> None:
    bot = shared(caller=calling(IN_TRANSACTION.format(end=end)), callee=job("return None", BY_HAND))

    bot.run_background_job("caller")

    assert (len(callees(bot)), orders(fresh_postgres_url)) == (found, found)


@pytest.mark.parametrize(("end", "found"), [("pass", 1), (FAILS, 0)], ids=["commit", "rollback"])
def test_an_enqueued_run_commits_and_rolls_back_with_an_atomic_run(
    shared: Callable[..., Bot], end: str, found: int
) -> None:
    body = f"run = workspace.enqueue_background_job('callee')\n{end}"
    bot = shared(caller=job(body, "atomic=True"), callee=job("return None", BY_HAND))

    bot.run_background_job("caller")

    assert len(callees(bot)) == found


def test_a_savepoint_that_is_rolled_back_takes_its_enqueued_run_with_it(shared: Callable[..., Bot]) -> None:
    body = f"""
        with workspace.database.transaction():
            kept = workspace.enqueue_background_job('callee', page=1)
            try:
                with workspace.database.transaction():
                    run = workspace.enqueue_background_job('callee', page=2)
                    {FAILS}
            except ValueError:
                pass
        """
    bot = shared(caller=job(body, BY_HAND), callee=job("return None", BY_HAND))

    assert bot.run_background_job("caller").state is RunState.SUCCEEDED

    assert rows(bot.ledger, "SELECT params FROM runs WHERE job = 'callee'") == [('{"page":1}',)]


def test_the_ledger_stays_open_to_all_while_the_transaction_lasts(
    shared: Callable[..., Bot], clock: TravelClock
) -> None:
    body = IN_TRANSACTION.format(end=WAITING)
    bot = shared(caller=job(body), callee=job("return None", BY_HAND), other=job())
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "caller")["begun"].wait(PATIENCE_S)

    other = bot.run_background_job("other")

    names_in(bot, "caller")["go"].set()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert other.state in (RunState.SUCCEEDED, RunState.SKIPPED)
    assert callees(bot) == [("queued", None)]


def test_work_that_others_claimed_meanwhile_lets_the_run_pass_at_the_commit(
    shared: Callable[..., Bot], clock: TravelClock
) -> None:
    body = IN_TRANSACTION.format(end=WAITING)
    bot = shared(caller=job(body), callee=job("return None", BY_HAND))
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "caller")["begun"].wait(PATIENCE_S)

    first = bot.enqueue_inside(bot.workspace(), "callee", {}, delay=None, joining=None)

    names_in(bot, "caller")["go"].set()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert first.state is RunState.QUEUED
    assert sorted(callees(bot)) == [("queued", None), ("skipped", "overlap")]


def test_in_a_transaction_a_job_that_queues_waits_behind_its_running_one(
    shared: Callable[..., Bot], clock: TravelClock
) -> None:
    bot = shared(caller=calling(IN_TRANSACTION.format(end="pass")), callee=job(WAITING, "overlap='queue'"))
    bot.enqueue_inside(bot.workspace(), "callee", {}, delay=None, joining=None)
    clock.travel(seconds=1)
    bot.parts.look()
    assert names_in(bot, "callee")["begun"].wait(PATIENCE_S)

    bot.run_background_job("caller")

    found = callees(bot)
    names_in(bot, "callee")["go"].set()
    assert found == [("running", None), ("queued", None)]


def test_in_another_database_a_run_is_written_at_once(make_bot: MakeBot, root: Path) -> None:
    connection = sqlite3.connect(root / "shop.db")
    connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    connection.close()
    caller = calling(IN_TRANSACTION.format(end=FAILS))
    bot = make_bot({"database.url": "sqlite:///shop.db"}, caller=caller, callee=job("return None", BY_HAND))

    bot.run_background_job("caller")

    assert callees(bot) == [("queued", None)]


@pytest.mark.parametrize(
    ("ledger", "database", "is_same"),
    [
        ("postgresql://ada:a@web/shop", "postgres://ada:b@web:5432/shop", True),
        ("postgresql://ada@web/shop", "postgresql://bob@web/shop", False),
        ("postgresql://ada@web/shop", "postgresql://ada@web/other", False),
        ("postgresql://ada@web/shop", "sqlite:///shop.db", False),
        ("postgresql:///shop?host=/run", "postgresql:///shop?host=/run", True),
        ("sqlite:///shop.db", "sqlite:///shop.db", False),
    ],
)
def test_only_one_postgresql_database_reached_as_one_user_is_the_same(
    tmp_path: Path, ledger: str, database: str, is_same: bool
) -> None:
    place = ledger_place(Config(ledger=LedgerConfig(url=ledger)), tmp_path)

    assert is_same_database(place.url, database_url(database, tmp_path)) is is_same


def test_what_a_program_enqueues_beside_its_bot_starts_at_once(root: Path) -> None:
    write_jobs(root, callee=job("calls.append(time.monotonic()); begun.set()", BY_HAND))
    bot = Bot(Project.load(root, environ={}))
    bot.start()
    try:
        asked_s = monotonic()
        enqueue(bot.project, "callee")
        assert names_in(bot, "callee")["begun"].wait(PATIENCE_S)
    finally:
        bot.stop()

    assert not list(pollers)
    assert names_in(bot, "callee")["calls"][0] - asked_s < 0.5  # as above
