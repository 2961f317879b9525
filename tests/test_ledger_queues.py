from __future__ import annotations

from collections.abc import Callable

import pytest
from bots import job
from clusters import asked

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger_queues import read_queues
from pinstripe_bot.ledger_roll import read_bots
from pinstripe_bot.records import QueueRecord
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


def queues_of(bot: Bot, **queue_of: str) -> list[QueueRecord]:
    now = bot.clock.now()
    with bot.ledger.store.reading() as connection:
        return read_queues(connection, read_bots(connection, bot.ledger.store, now).values(), queue_of, now)


def sign_in_worker(make_carrying: MakeBot, *queues: str) -> Bot:
    """A process that is a worker of these queues, as the ledger sees it."""
    worker = make_carrying(planned=False)
    worker.open(kind="worker")
    worker.ledger.beat(worker.clock.now(), stats={"queues": list(queues)})
    return worker


def test_a_queue_tells_what_waits_and_since_when(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(report=job("return 1", "'* * * * *', queue='reports'"), sweep=job())
    clock.travel(minutes=1)
    bot.tick()
    due_at = clock.now()
    clock.travel(seconds=7)

    queues = queues_of(bot)

    assert queues == [QueueRecord("default", 1, 0, due_at, 0), QueueRecord("reports", 1, 0, due_at, 0)]
    assert all(queue.is_unserved for queue in queues)


def test_what_has_started_runs_and_waits_no_more(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=job())
    clock.travel(minutes=1)
    bot.tick()
    bot.ledger.start(bot.ledger.carriers.adopt([(1, 1, 1)], clock.now()), clock.now())

    assert queues_of(bot) == [QueueRecord("default", 0, 1, None, 0)]


def test_what_is_not_carried_yet_waits_in_the_queue_of_its_job(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=job())
    clock.travel(minutes=1)
    bot.tick()
    due_at = clock.now()
    asked(bot, "UPDATE runs SET carrier = NULL")

    queues = queues_of(bot, sweep="reports")

    assert queues == [QueueRecord("reports", 1, 0, due_at, 0)]


@pytest.mark.parametrize("waits", ["available_at = available_at + 1000000", "lingers = 1"])
def test_what_waits_for_its_time_or_its_thread_is_in_no_queue(
    make_carrying: MakeBot, clock: TravelClock, waits: str
) -> None:
    bot = make_carrying(sweep=job())
    clock.travel(minutes=1)
    bot.tick()
    asked(bot, f"UPDATE runs SET carrier = NULL, {waits}")

    queues = queues_of(bot, sweep="default")

    assert queues == [QueueRecord("default", 0, 0, None, 0)]


def test_of_those_that_take_turns_the_first_is_in_the_queue(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=job("return 1", "'* * * * *', overlap='queue'"))
    for _ in range(2):
        clock.travel(minutes=1)
        bot.tick()
    asked(bot, "UPDATE runs SET carrier = NULL")

    queues = queues_of(bot, sweep="default")

    assert [(queue.name, queue.waiting) for queue in queues] == [("default", 1)]


def test_workers_serve_the_queues_that_they_name_or_all(make_carrying: MakeBot) -> None:
    bot = make_carrying(sweep=job())
    sign_in_worker(make_carrying)
    sign_in_worker(make_carrying, "reports")

    queues = queues_of(bot, sweep="default")

    assert [(queue.name, queue.workers) for queue in queues] == [("default", 1), ("reports", 2)]


def test_a_dead_worker_serves_nothing(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=job())
    worker = sign_in_worker(make_carrying, "reports")
    asked(bot, "UPDATE bots SET stopped_at = heartbeat_at WHERE id = %s", worker.ledger.bot)

    assert queues_of(bot, sweep="default") == [QueueRecord("default", 0, 0, None, 0)]


def test_without_a_cluster_there_is_no_queue(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'* * * * *', queue='reports'"))
    clock.travel(minutes=1)
    bot.tick()

    assert queues_of(bot) == []


def test_a_worker_takes_up_what_waits_where_no_bot_is_left(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=job())
    worker = sign_in_worker(make_carrying)
    before = worker.ledger.history.has_bot(clock.now())
    bot.stop()

    after = worker.ledger.history.has_bot(clock.now())
    worker.stop()

    assert (before, after) == (True, True)
