"""The strips: the newest stripes of each job, oldest first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import DAWN, FAR, ODD, minute, put_passed, put_run

from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_strips import Stretch, Wanted, p50_of, read_strips

MINUTE = timedelta(minutes=1)


def strips(ledger: Ledger, *jobs: str, tenants: bool = False, stripes: int = 60) -> dict[str, list[Stretch]]:
    with ledger.store.reading() as connection:
        wanted = [Wanted(job, tenants, MINUTE) for job in jobs or ("sweep",)]
        return read_strips(connection, wanted, stripes=stripes)


def states(ledger: Ledger, **options: Any) -> list[str]:
    return [one.state for one in strips(ledger, **options)["sweep"]]


def put_instant(ledger: Ledger, *those: str, due_at: Any = DAWN) -> None:
    """Runs of one instant, one for each tenant, in these states."""
    first = put_run(ledger, tenant="t0", state=those[0], due_at=due_at)
    ((occurrence,),) = _rows(ledger, f"SELECT occurrence_id FROM runs WHERE id = {first}")
    for number, state in enumerate(those[1:], start=1):
        put_run(ledger, tenant=f"t{number}", state=state, due_at=due_at, occurrence=occurrence, took=number + 1)


def _rows(ledger: Ledger, query: str) -> list[Any]:
    with ledger.store.reading() as connection:
        return list(connection.exec_driver_sql(query).all())


def test_no_job_has_no_strip(ledger: Ledger) -> None:
    with ledger.store.reading() as connection:
        assert read_strips(connection, []) == {}


def test_a_job_that_never_ran_has_an_empty_strip(ledger: Ledger) -> None:
    assert strips(ledger, "sweep", ODD) == {"sweep": [], ODD: []}


def test_each_job_has_its_own_stripes(ledger: Ledger) -> None:
    put_run(ledger, "sweep")
    put_run(ledger, ODD, state="failed")
    put_passed(ledger, ODD, due_at=minute(1))
    put_run(ledger, "other")

    found = strips(ledger, "sweep", ODD)

    assert {job: [one.state for one in each] for job, each in found.items()} == {
        "sweep": ["succeeded"],
        ODD: ["failed", "missed"],
    }


def test_the_newest_stripes_are_shown_oldest_first(ledger: Ledger) -> None:
    for number in range(5):
        put_run(ledger, due_at=minute(number))
        put_passed(ledger, due_at=minute(number + 0.5))

    found = strips(ledger, stripes=3)["sweep"]

    assert [(one.state, one.due_at) for one in found] == [
        ("missed", minute(3.5)),
        ("succeeded", minute(4)),
        ("missed", minute(4.5)),
    ]


def test_a_stripe_tells_of_its_run(ledger: Ledger) -> None:
    put_run(ledger, due_at=minute(1), started_at=minute(3), took=2.5)

    (stripe,) = strips(ledger)["sweep"]

    assert stripe == Stretch(
        "sweep", minute(1), "succeeded", 1, minute(3), timedelta(seconds=2.5), is_late=True, count=1, bad=0
    )


def test_a_run_that_waits_has_neither_start_nor_length(ledger: Ledger) -> None:
    put_run(ledger, state="queued", started_at=None)

    (stripe,) = strips(ledger)["sweep"]

    assert (stripe.state, stripe.started_at, stripe.took, stripe.is_late) == ("queued", None, None, False)


def test_a_retry_is_not_late(ledger: Ledger) -> None:
    put_run(ledger, started_at=minute(30), attempt=2)

    assert not strips(ledger)["sweep"][0].is_late


def test_a_run_that_ended_before_it_began_took_no_time(ledger: Ledger) -> None:
    put_run(ledger, started_at=minute(9), finished_at=minute(1))

    assert strips(ledger)["sweep"][0].took == timedelta(0)


def test_a_stretch_that_did_not_run_is_one_stripe(ledger: Ledger) -> None:
    put_passed(ledger, due_at=DAWN, until_at=FAR, count=2**31 - 1)

    (stripe,) = strips(ledger)["sweep"]

    assert (stripe.state, stripe.count, stripe.reason, stripe.run) == ("missed", 2**31 - 1, "bot_down", None)


def test_an_instant_that_was_asked_for_by_hand_and_did_not_run_is_no_stripe(ledger: Ledger) -> None:
    put_passed(ledger, schedule="manual", decision="skipped")

    assert states(ledger) == []


@pytest.mark.parametrize(
    ("those", "state"),
    [
        (["succeeded", "failed", "succeeded"], "failed"),
        (["succeeded", "running"], "running"),
        (["succeeded", "skipped"], "skipped"),
        (["timed_out", "interrupted"], "timed_out"),
        (["queued", "cancelled"], "queued"),
    ],
)
def test_the_runs_of_one_instant_are_one_stripe_of_the_worst(ledger: Ledger, those: list[str], state: str) -> None:
    put_instant(ledger, *those)

    (stripe,) = strips(ledger, tenants=True)["sweep"]

    assert (stripe.state, stripe.count) == (state, len(those))


def test_a_stripe_of_many_tenants_counts_what_went_wrong_and_has_the_longest(ledger: Ledger) -> None:
    put_instant(ledger, "succeeded", "failed", "timed_out", "running")

    (stripe,) = strips(ledger, tenants=True)["sweep"]

    assert (stripe.count, stripe.bad, stripe.run) == (4, 2, 4)
    assert stripe.took == timedelta(seconds=4)


def test_one_look_serves_jobs_with_and_without_tenants(ledger: Ledger) -> None:
    put_run(ledger, "plain")
    put_instant(ledger, "failed", "succeeded")

    with ledger.store.reading() as connection:
        found = read_strips(connection, [Wanted("plain", False, MINUTE), Wanted("sweep", True, MINUTE)])

    assert [one.count for one in found["sweep"]] == [2]
    assert [one.count for one in found["plain"]] == [1]


# The median


def test_the_median_is_of_what_has_succeeded() -> None:
    those = [(1, "succeeded"), (90, "failed"), (3, "succeeded"), (2, "succeeded"), (None, "succeeded")]
    stripes = [
        Stretch("sweep", DAWN, state, took=None if took is None else timedelta(seconds=took)) for took, state in those
    ]

    assert p50_of(stripes) == timedelta(seconds=2)


def test_where_nothing_has_succeeded_there_is_no_median() -> None:
    assert p50_of([]) is None
    assert p50_of([Stretch("sweep", DAWN, "failed", took=MINUTE)]) is None


@given(st.lists(st.integers(0, 10**9), min_size=1))
def test_as_many_are_shorter_than_the_median_as_are_longer(took: list[int]) -> None:
    median = p50_of([Stretch("sweep", DAWN, "succeeded", took=timedelta(microseconds=one)) for one in took])

    assert median is not None
    assert sum(timedelta(microseconds=one) < median for one in took) <= len(took) / 2
    assert sum(timedelta(microseconds=one) > median for one in took) <= len(took) / 2
