"""Sharing what waits: on PostgreSQL several bots take runs at once, and none waits for another."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
import pytest
from bots import PATIENCE_S, leave_crowd, postgres_dsn, rows
from msgspec.structs import replace
from sqlalchemy import Engine, event, text
from stored import put_run

from pinstripe_bot import ledger_taking
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.ledger_bots import BURY
from pinstripe_bot.ledger_postgres import PostgresStore
from pinstripe_bot.ledger_sql import execute, to_json
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.testing import TravelClock

QUEUED: dict[str, Any] = {"state": "queued", "started_at": None, "took": None}


@pytest.fixture
def three(make_ledger: Callable[[], Ledger], clock: TravelClock) -> Iterator[list[Ledger]]:
    """Three bots of one ledger."""
    ledgers = [make_ledger() for _ in range(3)]
    for ledger in ledgers:
        ledger.open("shop", clock.now())
    yield ledgers
    for ledger in ledgers:
        ledger.close(clock.now())


def on_postgres(ledger: Ledger) -> None:
    if not isinstance(ledger.store, PostgresStore):
        pytest.skip("a SQLite file has one writer")


def deadlocks(ledger: Ledger) -> int:
    with psycopg.connect(postgres_dsn(ledger)) as server:
        server.execute("SELECT pg_stat_clear_snapshot()")
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        found = server.execute(query).fetchone()
    assert found is not None
    return int(found[0])


def in_threads(actions: list[Callable[[], None]]) -> None:
    """Do all of these in threads that begin together; raises what one of them raised."""
    together, errors = threading.Barrier(len(actions)), []

    def act(action: Callable[[], None]) -> None:
        together.wait()
        try:
            action()
        except Exception as error:  # noqa: BLE001 - it is raised below
            errors.append(error)

    threads = [threading.Thread(target=act, args=[action]) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def take_all(ledger: Ledger, taken: list[Run], now: datetime) -> None:
    """Take runs until none is left, and start and finish each group."""
    while True:
        found = ledger.waiting.take_available(["sweep"], now, most=40)
        if not found:
            if rows(ledger, "SELECT count(*) FROM runs WHERE owner IS NULL") == [(0,)]:
                return
            continue
        taken.extend(found)
        started = ledger.start(found, now)
        assert len(started) == len(found)
        ended = [replace(run, state=RunState.SUCCEEDED, finished_at=now) for run in started]
        ledger.beat(now, [(run.id, run.attempt, 1, 1, "so far") for run in started])
        assert len(ledger.finish(ended)) == len(found)


def test_three_bots_take_each_of_two_thousand_runs_once(three: list[Ledger], clock: TravelClock) -> None:
    leave_crowd(three[0], "sweep", 2_000)
    before = deadlocks(three[0]) if isinstance(three[0].store, PostgresStore) else 0
    taken: list[list[Run]] = [[] for _ in three]

    in_threads([lambda at=at: take_all(three[at], taken[at], clock.now()) for at in range(3)])

    counted = Counter(run.id for share in taken for run in share)
    assert len(counted) == 2_000
    assert set(counted.values()) == {1}
    assert rows(three[0], "SELECT DISTINCT state FROM runs") == [("succeeded",)]
    if isinstance(three[0].store, PostgresStore):
        assert min(len(share) for share in taken) > 0
        assert deadlocks(three[0]) == before


def test_who_takes_runs_waits_for_nobody_that_does_the_same(three: list[Ledger], clock: TravelClock) -> None:
    on_postgres(three[0])
    leave_crowd(three[0], "sweep", 10)
    slow, quick = three[0], three[1]

    with slow._taking(clock.now()) as connection:
        first = ledger_taking.take_available(connection, ["sweep"], bot=slow.bot, now=clock.now(), most=4)
        second = quick.waiting.take_available(["sweep"], clock.now(), most=100)
        started = quick.start(second, clock.now())

    assert [len(first), len(second), len(started)] == [4, 6, 6]
    assert not {run.id for run in second} & set(first)


def test_who_works_waits_for_nobody_that_decides(three: list[Ledger], clock: TravelClock) -> None:
    on_postgres(three[0])
    leave_crowd(three[0], "sweep", 10)

    with three[0].store.writing():
        taken = three[1].waiting.take_available(["sweep"], clock.now(), most=100)
        started = three[1].start(taken[:6], clock.now())
        three[1].release(taken[6:])
        ended = [replace(run, state=RunState.SUCCEEDED, finished_at=clock.now()) for run in started]
        recorded = three[1].finish(ended)
        lives = three[1].beat(clock.now())

    assert [len(started), len(recorded), lives] == [6, 6, True]


def test_who_works_in_one_process_waits_for_no_claim_of_the_same_one(three: list[Ledger], clock: TravelClock) -> None:
    on_postgres(three[0])

    with three[0].store.writing():
        assert three[0].beat(clock.now())


def test_of_one_work_one_run_at_a_time_is_taken_in_its_turn(three: list[Ledger], clock: TravelClock) -> None:
    for number in range(30):
        put_run(three[0], tenant=f"t{number % 3}", in_turn=1, **QUEUED)
    order: list[list[Run]] = [[] for _ in three]
    busy: set[str] = set()
    guard = threading.Lock()

    def work(at: int) -> None:
        ledger, looks_left = three[at], 2_000
        while looks_left and rows(ledger, "SELECT count(*) FROM runs WHERE state <> 'succeeded'") != [(0,)]:
            looks_left -= 1
            for run in ledger.waiting.take_available(["sweep"], clock.now(), most=2):
                with guard:
                    assert run.tenant not in busy
                    busy.add(run.tenant)
                    order[at].append(run)
                (started,) = ledger.start([run], clock.now())
                with guard:
                    busy.remove(run.tenant)
                ledger.finish([replace(started, state=RunState.SUCCEEDED, finished_at=clock.now())])

    in_threads([lambda at=at: work(at) for at in range(3)])

    assert sorted(run.id for share in order for run in share) == list(range(1, 31))


def test_an_earlier_run_that_appears_while_a_later_one_is_taken_waits_for_that(
    three: list[Ledger], clock: TravelClock
) -> None:
    """As one that a program enqueues in a transaction of its own, which is numbered long before it is seen."""
    on_postgres(three[0])
    late, later, now = put_run(three[0], in_turn=1, **QUEUED), put_run(three[0], in_turn=1, **QUEUED), clock.now()
    with three[0].store.writing() as connection:
        connection.execute(text(f"UPDATE runs SET job = 'unseen' WHERE id = {late}"))

    with three[0]._taking(now) as connection:
        first = ledger_taking.take_available(connection, ["sweep"], bot=three[0].bot, now=now, most=5)
        with three[1].store.writing() as appearing:
            appearing.execute(text(f"UPDATE runs SET job = 'sweep' WHERE id = {late}"))
        meanwhile = three[1].waiting.take_available(["sweep"], now, most=5)
    afterwards = three[1].waiting.take_available(["sweep"], now, most=5)

    assert (first, meanwhile, afterwards) == ([later], [], [])


def test_a_run_whose_turn_was_another_ones_when_it_was_asked_once_more_is_left(
    three: list[Ledger], clock: TravelClock
) -> None:
    on_postgres(three[0])
    first, second = put_run(three[0], in_turn=1, **QUEUED), put_run(three[0], in_turn=1, **QUEUED)

    with three[0].store.working() as connection:
        query, values = ledger_taking.TAKE_IN_TURN, {"ids": f"[{first}, {second}]", "bot": three[0].bot}
        taken = list(execute(connection, query, **values).scalars())

    assert taken == [first]


def test_a_bot_that_is_taking_runs_is_not_buried(three: list[Ledger], clock: TravelClock) -> None:
    on_postgres(three[0])
    leave_crowd(three[0], "sweep", 2)
    taking, heir = three[0], three[1]
    with psycopg.connect(postgres_dsn(heir), autocommit=True) as server:
        server.execute(
            "UPDATE pinstripe.bots SET lease_until = 1, host = 'web-2', lock = '' WHERE id = %s", [taking.bot]
        )

    with taking._taking(clock.now()) as connection:
        ledger_taking.take_available(connection, ["sweep"], bot=taking.bot, now=clock.now(), most=1)
        heir.bury(clock.now(), retry_at=lambda run: None)
        during = rows(heir, "SELECT count(*) FROM bots WHERE stopped_at IS NOT NULL")
    heir.bury(clock.now(), retry_at=lambda run: None)

    assert during == [(0,)]
    assert rows(heir, "SELECT id FROM bots WHERE stopped_at IS NOT NULL") == [(taking.bot,)]
    assert rows(heir, "SELECT DISTINCT state, owner FROM runs") == [("queued", None)]


def test_a_bot_whose_lease_was_renewed_after_it_was_read_is_not_buried(three: list[Ledger], clock: TravelClock) -> None:
    (lease,) = rows(three[1], "SELECT lease_until FROM bots WHERE id = ?", three[1].bot)[0]

    with three[0].store.writing() as connection:
        buried = execute(connection, BURY, seen=to_json([(three[1].bot, lease - 1)])).scalars().all()
        really = execute(connection, BURY, seen=to_json([(three[1].bot, lease)])).scalars().all()

    assert (buried, really) == ([], [three[1].bot])


def test_what_a_dead_bot_is_writing_just_now_is_left_to_the_next_look(three: list[Ledger], clock: TravelClock) -> None:
    on_postgres(three[0])
    leave_crowd(three[0], "sweep", 3)
    dead, heir = three[0], three[1]
    started = dead.start(dead.waiting.take_available(["sweep"], clock.now(), most=3), clock.now())
    with psycopg.connect(postgres_dsn(heir), autocommit=True) as server:
        server.execute("UPDATE pinstripe.bots SET lease_until = 1, host = 'web-2', lock = '' WHERE id = %s", [dead.bot])

    with dead.store.working() as connection:
        connection.execute(text(f"UPDATE runs SET state = 'succeeded' WHERE id = {started[0].id}"))
        buried = heir.bury(clock.now(), retry_at=lambda run: None)

    assert sorted(run.id for run in buried) == [run.id for run in started[1:]]
    assert heir.bury(clock.now(), retry_at=lambda run: None) == []
    assert rows(heir, "SELECT count(*) FROM runs WHERE state = 'succeeded'") == [(1,)]


@contextmanager
def row_asked_for() -> Iterator[threading.Event]:
    """Set when somebody is about to lock a run that it reads."""
    asked = threading.Event()

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "FROM runs" in statement and "FOR UPDATE" in statement:
            asked.set()

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_a_cancel_that_meets_a_start_asks_the_running_one(three: list[Ledger], clock: TravelClock) -> None:
    on_postgres(three[0])
    leave_crowd(three[0], "sweep", 1)
    (run,) = three[0].waiting.take_available(["sweep"], clock.now(), most=1)
    acts = Acts(three[1].store, None, Person("ann", "test"))  # type: ignore[arg-type] - no job is looked at
    answers: list[Any] = []

    with three[0].store.working() as connection, row_asked_for() as asked:
        connection.execute(text(f"UPDATE runs SET state = 'running' WHERE id = {run.id}"))
        asking = threading.Thread(target=lambda: answers.append(acts.cancel(run.id, clock.now())))
        asking.start()
        assert asked.wait(PATIENCE_S)
    asking.join(PATIENCE_S)

    assert answers[0].run.state == "running"
    assert rows(three[0], "SELECT state, cancelled_by FROM runs") == [("running", "ann")]
