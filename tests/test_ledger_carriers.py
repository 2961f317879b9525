from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from bots import rows, states
from clusters import SWEEP, asked, carried, carriers, fetch, statuses

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger_mending import Mended
from pinstripe_bot.testing import TravelClock

STALL = timedelta(seconds=30)


@pytest.fixture
def bot(make_carrying: Callable[..., Bot], clock: TravelClock) -> Bot:
    """A bot of a cluster, which has sent one run."""
    bot = make_carrying(sweep=SWEEP)
    clock.travel(minutes=1)
    bot.tick()
    return bot


def test_a_carried_run_is_adopted_by_one(bot: Bot, make_carrying: Callable[..., Bot], clock: TravelClock) -> None:
    other = make_carrying()

    first = bot.ledger.carriers.adopt([(1, 1, 1)], clock.now())
    second = other.ledger.carriers.adopt([(1, 1, 1)], clock.now())

    assert [run.id for run in first] == [1]
    assert second == []


def test_asked_again_the_same_one_gets_it_again(bot: Bot, clock: TravelClock) -> None:
    bot.ledger.carriers.adopt([(1, 1, 1)], clock.now())

    again = bot.ledger.carriers.adopt([(1, 1, 1)], clock.now())

    assert [run.id for run in again] == [1]


@pytest.mark.parametrize(
    "change",
    [
        "carrier = NULL",
        "carrier = 2",
        "attempt = 2",
        "state = 'cancelled'",
        "state = 'running', owner = 'somebody'",
        "owner = 'somebody'",
    ],
)
def test_another_attempt_or_one_that_has_gone_on_or_left_its_carrier_is_not_adopted(
    bot: Bot, clock: TravelClock, change: str
) -> None:
    asked(bot, f"UPDATE runs SET {change}")

    assert bot.ledger.carriers.adopt([(1, 1, 1)], clock.now()) == []


def test_a_job_of_a_worker_that_is_silent_is_offered_again(bot: Bot) -> None:
    fetch(bot, age_s=31)

    mended = bot.ledger.carriers.mend(STALL)

    assert mended == Mended(requeued=1, reconciled=0, cancelled=0)
    assert carried(bot) == [("sweep", 1, 1, "default")]


def test_a_job_of_a_worker_that_is_no_more_is_offered_again(bot: Bot) -> None:
    fetch(bot)
    asked(bot, "DELETE FROM procrastinate_workers")

    assert bot.ledger.carriers.mend(STALL).requeued == 1


@pytest.mark.parametrize(("fetched_ago_s", "is_adopted", "requeued"), [(31, False, 1), (29, False, 0), (31, True, 0)])
def test_a_job_that_a_living_worker_does_not_know_of_is_offered_again(
    bot: Bot, clock: TravelClock, fetched_ago_s: int, is_adopted: bool, requeued: int
) -> None:
    fetch(bot)
    asked(bot, "UPDATE procrastinate_events SET at = now() - %s * INTERVAL '1 second'", fetched_ago_s)
    if is_adopted:
        bot.ledger.carriers.adopt([(1, 1, 1)], clock.now())

    assert bot.ledger.carriers.mend(STALL).requeued == requeued


def test_a_job_of_a_worker_that_lives_stays_there(bot: Bot) -> None:
    fetch(bot, age_s=29)

    mended = bot.ledger.carriers.mend(STALL)

    assert mended == Mended(0, 0, 0)
    assert statuses(bot) == ["doing"]


@pytest.mark.parametrize("end", ["succeeded", "failed", "aborted"])
def test_a_waiting_run_whose_job_is_finished_is_carried_anew(bot: Bot, end: str) -> None:
    carrier = fetch(bot)
    asked(bot, "SELECT procrastinate_finish_job_v1(%s, %s::procrastinate_job_status, false)", carrier, end)

    mended = bot.ledger.carriers.mend(STALL)

    assert mended == Mended(requeued=0, reconciled=1, cancelled=0)
    assert carried(bot) == [("sweep", 1, 1, "default")]
    assert carriers(bot) != [carrier]


def test_a_waiting_run_whose_job_is_gone_is_carried_anew(bot: Bot) -> None:
    asked(bot, "DELETE FROM procrastinate_jobs")

    assert bot.ledger.carriers.mend(STALL).reconciled == 1
    assert len(carried(bot)) == 1


def test_a_waiting_run_whose_jobs_number_carries_another_run_is_carried_anew(
    make_carrying: Callable[..., Bot], clock: TravelClock
) -> None:
    bot = make_carrying(sweep=SWEEP, tidy=SWEEP)
    clock.travel(minutes=1)
    bot.tick()
    asked(bot, "TRUNCATE procrastinate_jobs RESTART IDENTITY CASCADE")  # as where the schema is made anew
    asked(bot, "UPDATE runs SET carrier = NULL WHERE id = 2")
    bot.ledger.carriers.send()
    before = carriers(bot)

    mended = bot.ledger.carriers.mend(STALL)

    assert before == [1, 1]
    assert mended.reconciled == 1
    assert sorted(run_id for _, run_id, *_ in carried(bot)) == [1, 2]


def test_a_job_whose_run_has_ended_is_cancelled(bot: Bot) -> None:
    asked(bot, "UPDATE runs SET state = 'cancelled'")

    mended = bot.ledger.carriers.mend(STALL)

    assert mended == Mended(requeued=0, reconciled=0, cancelled=1)
    assert statuses(bot) == ["cancelled"]


def test_a_job_whose_run_has_another_carrier_is_cancelled(bot: Bot) -> None:
    before = carriers(bot)
    asked(bot, "UPDATE runs SET carrier = NULL")
    bot.ledger.carriers.send()

    assert bot.ledger.carriers.mend(STALL).cancelled == 1
    assert carriers(bot) != before
    assert len(carried(bot)) == 1


def test_mended_once_there_is_nothing_left_to_mend(bot: Bot) -> None:
    fetch(bot, age_s=31)
    bot.ledger.carriers.mend(STALL)

    assert bot.ledger.carriers.mend(STALL) == Mended(0, 0, 0)


def test_what_a_dead_worker_had_adopted_is_carried_anew(bot: Bot, clock: TravelClock) -> None:
    before = carriers(bot)
    bot.ledger.carriers.adopt([(1, 1, 1)], clock.now())

    bot.ledger.release(bot.ledger.waiting.own_runs(besides=()))

    assert rows(bot.ledger, "SELECT state, owner FROM runs") == [("queued", None)]
    assert carriers(bot) != before
    assert None not in carriers(bot)


def test_old_jobs_and_dead_workers_are_deleted(bot: Bot) -> None:
    carrier = fetch(bot, age_s=31)
    asked(bot, "SELECT procrastinate_finish_job_v1(%s, 'succeeded', false)", carrier)
    asked(bot, "UPDATE procrastinate_events SET at = now() - INTERVAL '2 hours'")

    bot.ledger.carriers.prune(STALL)

    assert statuses(bot) == []
    assert asked(bot, "SELECT count(*) FROM procrastinate_workers") == [(0,)]


def test_jobs_that_ended_a_moment_ago_stay_for_whoever_looks(bot: Bot) -> None:
    asked(bot, "SELECT procrastinate_finish_job_v1(%s, 'succeeded', false)", fetch(bot))

    bot.ledger.carriers.prune(STALL)

    assert statuses(bot) == ["succeeded"]


def test_jobs_of_somebody_elses_tasks_are_left_alone(bot: Bot) -> None:
    asked(bot, "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('default', 'theirs')")

    mended = bot.ledger.carriers.mend(STALL)
    bot.ledger.carriers.prune(STALL)

    assert mended == Mended(0, 0, 0)
    assert statuses(bot) == ["todo", "todo"]
    assert states(bot) == [("queued", None)]
