from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from bots import EVERY_MINUTE, WAITING, job, locked, names_in
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.bot import Bot
from pinstripe_bot.metrics import DURATION_S, LATENESS_S, OTHER, Histogram, JobTally, Tally
from pinstripe_bot.occurrence import Decision, Occurrence, Reason, Run, RunState
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def ticked(bot: Bot, clock: TravelClock, **passed: float) -> JobTally:
    """What `sweep` has come to after this time and a tick, when all has ended."""
    clock.travel(**passed)
    bot.tick()
    bot.dispatcher.wait_until_idle(10)
    return bot.tally.jobs()["sweep"]


def tally_of(*jobs: str) -> Tally:
    return Tally(jobs, lambda: 0.0)


def run_of(job: str = "sweep", **facts: object) -> Run:
    known = {"id": 1, "schedule": EVERY_MINUTE, "due_at": NOW, "claimed_at": NOW, "params": {}, "started_at": NOW}
    return Run(job=job, **{**known, "state": RunState.SUCCEEDED, "finished_at": NOW, **facts})  # type: ignore[arg-type]


# A bot


def test_what_comes_due_starts_and_ends_is_counted_once(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())

    ticked(bot, clock, minutes=1)
    bot.tick()  # nothing new is due
    found = ticked(bot, clock, minutes=1)

    assert (found.due, found.started, found.finished) == (2, 2, {RunState.SUCCEEDED: 2})
    assert (found.skipped, found.missed, found.retried) == ({}, {}, {})


def test_a_run_that_fails_is_counted_as_failed(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("1 / 0"))

    found = ticked(bot, clock, minutes=1)

    assert (found.started, found.finished) == (1, {RunState.FAILED: 1})


def test_an_attempt_that_is_tried_again_has_not_finished(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("1 / 0", f"{EVERY_MINUTE!r}, retries=1"))

    found = ticked(bot, clock, minutes=1)

    assert (found.started, found.retried, found.finished) == (1, {RunState.FAILED: 1}, {})


def test_an_instant_that_meets_a_run_is_skipped(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING))
    clock.travel(minutes=1)
    bot.tick()
    names_in(bot, "sweep")["begun"].wait(10)

    clock.travel(minutes=1)
    bot.tick()
    names_in(bot, "sweep")["go"].set()
    bot.dispatcher.wait_until_idle(10)

    found = bot.tally.jobs()["sweep"]
    assert (found.due, found.started, found.skipped) == (2, 1, {Reason.OVERLAP: 1})


def test_each_instant_of_a_missed_stretch_counts(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())

    found = ticked(bot, clock, hours=10)

    assert (found.due, found.started, found.missed) == (600, 1, {Reason.COALESCED: 599})
    assert bot.tally.catch_up_depth == 599


def test_the_next_claim_has_nothing_to_catch_up_with(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    ticked(bot, clock, hours=10)

    ticked(bot, clock, minutes=1)

    assert bot.tally.catch_up_depth == 0


def test_instants_that_wait_for_their_turn_are_due(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", f"{EVERY_MINUTE!r}, catch_up='all'"))

    found = ticked(bot, clock, minutes=5)

    assert (found.due, found.missed, bot.tally.catch_up_depth) == (5, {}, 4)


def test_how_late_a_run_begins_and_how_long_it_takes_is_timed(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING))
    clock.travel(seconds=90)
    bot.tick()
    names_in(bot, "sweep")["begun"].wait(10)

    clock.travel(seconds=20)
    names_in(bot, "sweep")["go"].set()
    bot.dispatcher.wait_until_idle(10)

    found = bot.tally.jobs()["sweep"]
    assert found.lateness.total_s == 30
    assert found.duration.total_s == 20
    assert found.lateness.counts[LATENESS_S.index(60)] == found.duration.counts[DURATION_S.index(60)] == 1


def test_runs_by_hand_and_runs_inside_runs_start_and_end_too(make_bot: MakeBot, clock: TravelClock) -> None:
    outer = job("workspace.run_background_job('sweep')", "'0 0 1 1 *'")
    bot = make_bot(sweep=job(), outer=outer)

    bot.run_background_job("outer")

    found = bot.tally.jobs()
    assert {name: (one.due, one.started, sum(one.finished.values())) for name, one in found.items()} == {
        "outer": (0, 1, 1),
        "sweep": (0, 1, 1),
    }


def test_an_instant_for_tenants_is_due_once_and_runs_for_each(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", f"{EVERY_MINUTE!r}, multi_tenant=True"))

    bot.run_background_jobs((NOW + timedelta(minutes=1)).timestamp())
    found = ticked(bot, clock, minutes=2)

    assert (found.due, found.started, found.finished) == (1, 3, {RunState.SUCCEEDED: 3})


def test_the_ledger_is_timed_at_each_step(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())

    ticked(bot, clock, minutes=1)

    assert {step: sum(found.counts) for step, found in bot.tally.ledger().items()} == {
        "claim": 1,
        "start": 1,
        "finish": 1,
    }


def test_a_claim_that_was_not_answered_is_timed_and_nothing_is_counted(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)

    with locked(bot.ledger):
        bot.tick()

    assert sum(bot.tally.ledger()["claim"].counts) == 1
    assert bot.tally.jobs()["sweep"].due == 0


# The tally


def test_tenants_that_have_no_run_are_not_instants() -> None:
    tally = tally_of("sweep")
    of_tenant = Occurrence("sweep", "a", NOW, Decision.SKIPPED, Reason.PAUSED, tenant="acme")

    tally.claimed(["sweep"], [], windows=1)
    tally.passed_at_listing([of_tenant])

    found = tally.jobs()["sweep"]
    assert (found.due, found.skipped, found.tenants_skipped) == (1, {}, {Reason.PAUSED: 1})


def test_an_instant_whose_tenants_cannot_be_listed_is_due_once() -> None:
    tally = tally_of("sweep")

    tally.claimed(["sweep"], [], windows=1)
    tally.passed_at_listing([Occurrence("sweep", "a", NOW, Decision.MISSED, Reason.NOT_LISTED)])

    found = tally.jobs()["sweep"]
    assert (found.due, found.missed) == (1, {Reason.NOT_LISTED: 1})


def test_jobs_that_the_project_has_not_are_counted_as_one() -> None:
    tally = tally_of("sweep")

    tally.runs_ended([run_of("gone"), run_of("forgotten"), run_of("sweep")])

    assert {name: sum(one.finished.values()) for name, one in tally.jobs().items()} == {OTHER: 2, "sweep": 1}


def test_a_retry_is_not_called_late() -> None:
    tally = tally_of("sweep")

    tally.run_started(run_of(attempt=2, started_at=NOW + timedelta(hours=1)))

    assert sum(tally.jobs()["sweep"].lateness.counts) == 0


def test_what_is_looked_at_is_a_copy() -> None:
    tally = tally_of("sweep")
    tally.runs_ended([run_of()])

    before = tally.jobs()
    tally.runs_ended([run_of()])

    assert sum(before["sweep"].finished.values()) == 1


def test_what_many_threads_tell_while_others_look_is_counted_once() -> None:
    tally = tally_of("sweep")

    def tell() -> None:
        for _ in range(500):
            tally.run_started(run_of())
            tally.runs_ended([run_of()])
            tally.jobs()

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = tally.jobs()["sweep"]
    assert (found.started, found.finished, sum(found.duration.counts)) == (2000, {RunState.SUCCEEDED: 2000}, 2000)


@pytest.mark.parametrize("bounds", [LATENESS_S, DURATION_S])
@given(seconds=st.lists(st.floats(0, 1e6)))
def test_each_value_lies_in_the_one_bucket_that_it_fits(bounds: tuple[float, ...], seconds: list[float]) -> None:
    histogram = Histogram(bounds)

    for value in seconds:
        histogram.observe(value)

    up_to = [sum(histogram.counts[: index + 1]) for index in range(len(bounds))]
    assert up_to == [sum(value <= bound for value in seconds) for bound in bounds]
    assert sum(histogram.counts) == len(seconds)


PASSED = st.builds(
    Occurrence,
    st.sampled_from(["sweep", "mail"]),
    st.just("a"),
    st.just(NOW),
    st.sampled_from([Decision.SKIPPED, Decision.MISSED]),
    st.sampled_from(Reason),
    count=st.integers(1, 1000),
)


@given(st.lists(st.sampled_from(["sweep", "mail"])), st.lists(PASSED))
def test_what_is_due_runs_or_is_skipped_or_missed(to_run: list[str], passed: list[Occurrence]) -> None:
    tally = tally_of("sweep", "mail")

    tally.claimed(to_run, passed, windows=0)
    tally.passed(passed)

    jobs, runs = tally.jobs(), Counter(to_run)
    assert all(
        one.due == runs[name] + sum(one.skipped.values()) + sum(one.missed.values()) for name, one in jobs.items()
    )
    assert tally.catch_up_depth == sum(one.due for one in jobs.values())
