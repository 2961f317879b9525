"""The trends: half hours, days that are summed up, single runs, and quantiles."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, text
from stored import DAWN, FAR, ODD, minute, put_passed, put_run

from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_schema import days
from pinstripe_bot.ledger_trends import (
    Slot,
    SummedDay,
    count_of_runs,
    quantiles,
    read_points,
    read_slots,
    read_summed,
)

SECOND = timedelta(seconds=1)


def slots(ledger: Ledger, job: str = "sweep", since: datetime = DAWN) -> list[Slot]:
    with ledger.store.reading() as connection:
        return read_slots(connection, job, since)


def points(ledger: Ledger, job: str = "sweep", since: datetime = DAWN) -> list[Any]:
    with ledger.store.reading() as connection:
        return read_points(connection, job, since)[0]


# Half hours


def test_a_job_that_never_ran_has_no_half_hour(ledger: Ledger) -> None:
    put_run(ledger, "other")

    assert slots(ledger) == []


def test_what_happened_is_counted_half_hour_by_half_hour(ledger: Ledger) -> None:
    for at, took in ((0, 3), (29, 5), (30, 1)):
        put_run(ledger, due_at=minute(at), took=took)
    put_run(ledger, due_at=minute(1), state="failed", took=9)

    found = slots(ledger)

    assert sorted(found, key=lambda one: (one.begins_at, one.state)) == [
        Slot(minute(0), "failed", 1, 9 * SECOND),
        Slot(minute(0), "succeeded", 2, 5 * SECOND),
        Slot(minute(30), "succeeded", 1, SECOND),
    ]


def test_half_hours_come_oldest_first_also_those_in_which_nothing_ran(ledger: Ledger) -> None:
    put_run(ledger, due_at=minute(90))
    put_passed(ledger, due_at=minute(35), count=7)
    put_passed(ledger, due_at=minute(36), count=2**31 - 1)
    put_passed(ledger, due_at=minute(5), decision="skipped")
    put_passed(ledger, due_at=minute(5), schedule="manual", decision="skipped")

    found = [(one.begins_at, one.state, one.count) for one in slots(ledger)]

    assert found == [
        (minute(0), "skipped", 1),
        (minute(30), "missed", 7 + 2**31 - 1),
        (minute(90), "succeeded", 1),
    ]


def test_a_run_that_has_not_ended_has_no_length(ledger: Ledger) -> None:
    put_run(ledger, state="running", took=None)

    assert [one.longest for one in slots(ledger)] == [None]


def test_a_half_hour_bears_clocks_that_were_set_back_and_the_far_future(ledger: Ledger) -> None:
    put_run(ledger, ODD, started_at=minute(9), finished_at=minute(1))
    put_run(ledger, ODD, due_at=FAR, claimed_at=minute(9))

    back, far = slots(ledger, ODD)

    assert back.longest == timedelta(0)
    assert far.begins_at == FAR.replace(minute=30, second=0)


def test_what_was_due_before_is_left_out(ledger: Ledger) -> None:
    put_run(ledger, due_at=minute(-31))
    put_passed(ledger, due_at=minute(-31))

    assert slots(ledger) == []


# Days that are summed up


def put_day(ledger: Ledger, day: str, **facts: Any) -> None:
    row = {"job": "sweep", "day": day, "worst": "[]", "counts": "{}"} | facts
    with ledger.store.writing() as connection:
        connection.execute(insert(days).values(row))


def test_a_day_whose_rows_are_gone_is_read_as_it_was_summed_up(ledger: Ledger) -> None:
    put_day(ledger, "2026-01-02", worst='["failed",null]', duration_p50_ms=1500)
    put_day(ledger, "2026-01-03")
    put_day(ledger, "2025-12-31")
    put_day(ledger, "2026-01-04", tenant="acme")
    put_day(ledger, "2026-01-05", job="other")

    with ledger.store.reading() as connection:
        found = read_summed(connection, "sweep", DAWN)

    assert sorted(found, key=lambda one: one.day) == [
        SummedDay("2026-01-02", ("failed", None), timedelta(seconds=1.5)),
        SummedDay("2026-01-03", (), None),
    ]


# Single runs


def test_the_points_come_oldest_first_with_length_and_lateness(ledger: Ledger) -> None:
    put_run(ledger, due_at=minute(1), started_at=minute(2), took=3)
    put_run(ledger, due_at=minute(2), took=1, attempt=2)
    put_run(ledger, due_at=minute(3), state="running", took=None)
    put_run(ledger, due_at=minute(4), state="queued", started_at=None)

    found = [(one.due_at, one.state, one.took, one.lateness) for one in points(ledger)]

    assert found == [
        (minute(1), "succeeded", 3 * SECOND, 60 * SECOND),
        (minute(2), "succeeded", SECOND, None),
        (minute(3), "running", None, timedelta(0)),
    ]


def test_a_tenants_run_is_late_from_when_it_was_to_start(ledger: Ledger) -> None:
    put_run(ledger, tenant="acme", available_at=minute(10), started_at=minute(11))

    assert [one.lateness for one in points(ledger)] == [60 * SECOND]


def test_a_point_bears_a_clock_that_was_set_back(ledger: Ledger) -> None:
    put_run(ledger, due_at=minute(5), started_at=minute(4), finished_at=minute(1))

    assert [(one.took, one.lateness) for one in points(ledger)] == [(timedelta(0), timedelta(0))]


def test_of_many_runs_some_are_shown_and_all_that_went_wrong(ledger: Ledger) -> None:
    occurrence = put_passed(ledger)
    with ledger.store.writing() as connection:
        connection.execute(text(_MANY), {"most": 4500, "occurrence": occurrence})

    found = points(ledger)

    assert sum(one.state == "succeeded" for one in found) == pytest.approx(1500, abs=20)
    assert sum(one.state == "failed" for one in found) == 45


_MANY = """
WITH RECURSIVE numbers AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < :most)
INSERT INTO runs (occurrence_id, tenant, job, schedule, due_at, state, params, params_key, available_at, claimed_at,
                  started_at, finished_at)
SELECT :occurrence, CAST(n AS text), 'sweep', 's', 1767225600000000 + n,
       CASE WHEN n % 100 = 1 THEN 'failed' ELSE 'succeeded' END,
       '{}', '', 1, 1, 1767225600000000 + n, 1767225600000000 + n + 1
FROM numbers
"""


def test_the_runs_of_one_job_are_counted(ledger: Ledger) -> None:
    put_run(ledger)
    put_run(ledger, "other")

    with ledger.store.reading() as connection:
        assert [count_of_runs(connection, job) for job in ("sweep", "other", ODD)] == [1, 1, 0]


# Quantiles


def test_quantiles_are_taken_step_by_step_where_there_are_runs() -> None:
    those = [(minute(at), timedelta(seconds=took)) for at, took in [(1, 1), (2, 3), (2, 2), (21, 9)]]

    found = quantiles(those, DAWN, minute(30), step=timedelta(minutes=10))

    assert [(one.begins_at, one.p50, one.p95) for one in found] == [
        (minute(0), 2 * SECOND, 3 * SECOND),
        (minute(20), 9 * SECOND, 9 * SECOND),
    ]


def test_the_last_step_ends_with_the_time() -> None:
    (found,) = quantiles([(minute(11), SECOND)], DAWN, minute(12), step=timedelta(minutes=10))

    assert (found.begins_at, found.ends_at, found.middle_at) == (minute(10), minute(12), minute(11))


def test_of_no_time_there_are_no_quantiles() -> None:
    assert quantiles([(minute(1), SECOND)], DAWN, DAWN, step=SECOND) == []
    assert quantiles([(minute(1), SECOND)], FAR, DAWN, step=SECOND) == []


@given(st.lists(st.tuples(st.floats(0, 59), st.integers(0, 10**6)), min_size=1))
def test_half_of_the_runs_take_no_longer_than_the_median(those: list[tuple[float, int]]) -> None:
    given_points = [(minute(at), timedelta(milliseconds=took)) for at, took in those]

    (found,) = quantiles(given_points, DAWN, minute(60), step=timedelta(hours=1))

    assert found.p50 <= found.p95 <= max(span for _, span in given_points)
    assert sum(span <= found.p50 for _, span in given_points) >= len(those) / 2
