from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta

import procrastinate.sql
import pytest
from bots import PATIENCE_S, Ears, decisions, job, rows, states
from clusters import SWEEP, asked, carried, carriers
from msgspec.structs import replace

from pinstripe_bot import cluster
from pinstripe_bot.bot import Bot
from pinstripe_bot.enqueueing import wish_of
from pinstripe_bot.errors import InvalidConfig, LedgerError
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


def acts_of(bot: Bot) -> Acts:
    return Acts(bot.ledger.store, bot.project, Person("anna", "test"))


def test_what_is_claimed_is_carried_and_not_run_here(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=SWEEP)
    clock.travel(minutes=1)

    bot.tick()

    assert carried(bot) == [("sweep", 1, 1, "default")]
    assert rows(bot.ledger, "SELECT state, owner FROM runs") == [("queued", None)]
    assert bot.dispatcher.open_count == 0


def test_a_bot_of_a_cluster_tells_of_no_worker_threads(make_carrying: MakeBot) -> None:
    bot = make_carrying(sweep=SWEEP)

    assert bot.dispatcher.stats()["workers"] == 0


def test_a_job_names_its_queue(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=SWEEP, report=job("return 1", "'* * * * *', queue='reports'"))
    clock.travel(minutes=1)

    bot.tick()

    assert sorted(carried(bot)) == [("report", 1, 1, "reports"), ("sweep", 2, 1, "default")]
    assert rows(bot.ledger, "SELECT job, queue FROM runs ORDER BY id") == [("report", "reports"), ("sweep", "default")]


def test_a_queue_may_have_a_long_name(make_carrying: MakeBot, clock: TravelClock) -> None:
    queue = "q" * 63
    bot = make_carrying(**{"a" * 80: job("return 1", f"'* * * * *', queue={queue!r}")})
    clock.travel(minutes=1)

    bot.tick()

    assert carried(bot) == [("a" * 80, 1, 1, queue)]


def test_what_waits_where_its_job_wants_it_no_more_is_carried_anew_at_a_start(
    make_carrying: MakeBot, clock: TravelClock
) -> None:
    bot = make_carrying(sweep=SWEEP, other=SWEEP)
    clock.travel(minutes=1)
    bot.tick()
    before = carriers(bot)

    bot = make_carrying(sweep=job("return 1", "'* * * * *', queue='slow'"))

    moved = [old != new for old, new in zip(before, carriers(bot), strict=True)]
    assert dict(zip(rows(bot.ledger, "SELECT job FROM runs ORDER BY id"), moved, strict=True)) == {
        ("other",): False,
        ("sweep",): True,
    }
    assert ("sweep", "slow") in [(job, queue) for job, _, _, queue in carried(bot)]


def test_of_two_bots_one_sends(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot, other = make_carrying(sweep=SWEEP), make_carrying()
    clock.travel(minutes=1)

    bot.tick()
    other.tick()

    assert len(carried(bot)) == 1


def test_where_the_carrier_cannot_be_written_nothing_is_claimed(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=SWEEP)
    asked(bot, "ALTER TABLE procrastinate_jobs RENAME TO away")
    clock.travel(minutes=1)
    bot.tick()
    before = decisions(bot)
    asked(bot, "ALTER TABLE away RENAME TO procrastinate_jobs")

    bot.tick()

    assert before == []
    assert decisions(bot) == [("* * * * *", "run", None, 1)]
    assert len(carried(bot)) == 1


def test_the_installed_procrastinate_takes_jobs_in_the_form_that_is_replaced() -> None:
    assert cluster.HerdConnector.GIVEN in procrastinate.sql.queries["defer_jobs"]


def test_what_a_command_enqueues_is_carried_at_the_next_look(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=SWEEP)
    bot.ledger.store.outbox, outbox = None, bot.ledger.store.outbox  # a command has none
    acts_of(bot).enqueue(wish_of(bot.project, "sweep", {}, None, clock.now()), clock.now())
    bot.ledger.store.outbox = outbox
    before = carried(bot)

    bot.parts.look()

    assert before == []
    assert carried(bot) == [("sweep", 1, 1, "default")]


def test_what_is_enqueued_for_later_is_carried_when_its_time_has_come(
    make_carrying: MakeBot, clock: TravelClock
) -> None:
    bot = make_carrying(sweep=job("return 1", "'0 0 1 1 *'"))
    acts_of(bot).enqueue(wish_of(bot.project, "sweep", {}, timedelta(seconds=30), clock.now()), clock.now())
    bot.parts.look()
    before = carried(bot)
    clock.travel(seconds=30)

    bot.parts.look()

    assert before == []
    assert len(carried(bot)) == 1


def test_a_retry_is_carried_in_the_transaction_that_asks_for_it(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=SWEEP)
    clock.travel(minutes=1)
    bot.tick()
    asked(bot, "UPDATE runs SET state = 'failed', finished_at = due_at")
    asked(bot, "DELETE FROM procrastinate_jobs")

    acts_of(bot).retry(1, clock.now())

    assert carried(bot) == [("sweep", 1, 2, "default")]


def test_what_waits_for_its_turn_is_carried_when_the_run_before_has_ended(
    make_carrying: MakeBot, clock: TravelClock
) -> None:
    bot = make_carrying(sweep=job("return 1", "'* * * * *', overlap='queue'"))
    for _ in range(2):
        clock.travel(minutes=1)
        bot.tick()
    before = carried(bot)
    (run,) = bot.ledger.carriers.adopt([(1, 1, 1)], clock.now())
    (started,) = bot.ledger.start([run], clock.now())
    done = {"state": "succeeded", "finished_at": clock.now()}

    bot.ledger.finish([replace(started, **done)])

    assert [run_id for _, run_id, *_ in before] == [1]
    assert [run_id for _, run_id, *_ in carried(bot)] == [1, 2]


def test_of_a_job_with_tenants_as_many_are_carried_as_it_says(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=job("return 1", "'* * * * *', multi_tenant=True, tenant_concurrency=2"))
    clock.travel(minutes=1)
    bot.tick()

    bot.parts.lister.list_now()

    assert len(carried(bot)) == 2
    assert [carrier is None for carrier in carriers(bot)] == [False, False, True]


def test_of_one_jobs_crowd_so_many_are_carried_and_the_rest_waits(
    make_carrying: MakeBot, clock: TravelClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "AHEAD", 3)
    bot = make_carrying(sweep=job("return 1", "'0 0 1 1 *', overlap='allow'"))

    for _ in range(5):
        acts_of(bot).enqueue(wish_of(bot.project, "sweep", {}, None, clock.now()), clock.now())

    assert len(carried(bot)) == 3


def test_runs_of_jobs_that_this_bot_does_not_have_are_left_to_others(
    make_carrying: MakeBot, clock: TravelClock
) -> None:
    bot = make_carrying(sweep=SWEEP)
    clock.travel(minutes=1)
    bot.tick()
    asked(bot, "UPDATE runs SET carrier = NULL, job = 'of-another-release'")
    asked(bot, "DELETE FROM procrastinate_jobs")

    bot.parts.look()

    assert carried(bot) == []


def test_a_cancelled_run_is_carried_no_more(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=SWEEP)
    clock.travel(minutes=1)
    bot.tick()
    acts_of(bot).cancel(1, clock.now())

    with Ears() as ears:
        bot.parts.look()

    assert carried(bot) == []
    assert ears.wait_for("carriers_mended")["cancelled"] == 1
    assert states(bot) == [("cancelled", "cancelled")]


def test_without_the_tables_the_start_says_what_to_do(make_carrying: MakeBot, fresh_postgres_url: str) -> None:
    first = make_carrying(sweep=SWEEP)
    first.stop()
    asked(first, "DROP SCHEMA pinstripe_cluster CASCADE")

    with pytest.raises(LedgerError, match="has no tables for a cluster yet: run `pinstripe init-cluster` once"):
        make_carrying()

    assert rows(first.ledger, "SELECT count(*) FROM bots WHERE stopped_at IS NULL") == [(0,)]


def test_a_ledger_in_a_file_is_refused(make_bot: MakeBot) -> None:
    with pytest.raises(InvalidConfig, match='dispatcher = "cluster" needs a ledger in PostgreSQL'):
        make_bot({"dispatcher": "cluster"}, sweep=SWEEP)


def test_without_procrastinate_the_start_says_what_to_install(
    make_carrying: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pinstripe_bot.cluster")
    monkeypatch.setitem(sys.modules, "procrastinate", None)

    with pytest.raises(InvalidConfig, match=r"install pinstripe-bot\[cluster\]"):
        make_carrying(sweep=SWEEP)


def test_what_an_older_release_sends_meanwhile_waits_where_the_newest_one_looks(
    make_carrying: MakeBot, clock: TravelClock
) -> None:
    old = make_carrying(sweep=SWEEP)
    new = make_carrying(sweep=job("return 1", "'* * * * *', queue='reports'"))
    clock.travel(minutes=1)
    old.tick()
    before = carried(new)

    for bot in (new, old):
        clock.travel(minutes=1)
        bot.parts.cluster.look()

    assert [queue for *_, queue in before] == ["default"]
    assert [(run_id, queue) for _, run_id, _, queue in carried(new)][-1] == (1, "reports")
    assert len(set(carriers(new))) == 1


def test_what_a_cluster_that_is_given_up_has_carried_runs_at_the_next_bot(
    make_carrying: MakeBot, clock: TravelClock
) -> None:
    bot = make_carrying(sweep=SWEEP)
    clock.travel(minutes=1)
    bot.tick()
    bot.stop()

    alone = make_carrying({"dispatcher": "threads"})

    assert alone.dispatcher.wait_until_idle(PATIENCE_S)
    assert states(alone) == [("succeeded", None)]


def test_what_is_carried_is_left_to_a_worker_that_lives(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=SWEEP)
    clock.travel(minutes=1)
    bot.tick()
    worker = make_carrying(planned=False)
    worker.open(kind="worker")
    bot.stop()

    alone = make_carrying({"dispatcher": "threads"})

    assert alone.dispatcher.wait_until_idle(PATIENCE_S)
    assert states(alone) == [("queued", None)]
