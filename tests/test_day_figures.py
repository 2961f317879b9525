from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from pinstripe_bot.day_figures import Day, DaySum, percentile

DAY = Day.of(datetime(2026, 3, 29, 17, tzinfo=UTC))


def at(hour: int, minute: int = 0) -> datetime:
    return DAY.begins_at + timedelta(hours=hour, minutes=minute)


def test_a_day_is_one_of_utc() -> None:
    assert (str(DAY), DAY.begins_at, DAY.ends_at) == (
        "2026-03-29",
        datetime(2026, 3, 29, tzinfo=UTC),
        datetime(2026, 3, 30, tzinfo=UTC),
    )


def test_an_empty_day_has_no_figures() -> None:
    figures = DaySum(DAY).figures()

    assert (figures.worst, figures.counts, figures.duration_p50_ms) == ((None,) * 12, {}, None)


def test_each_twelfth_shows_the_worst_that_happened_in_it() -> None:
    day = DaySum(DAY)

    for instant, state in [(at(0), "succeeded"), (at(1, 59), "failed"), (at(1, 30), "missed"), (at(2), "succeeded")]:
        day.add(instant, state)

    assert day.figures().worst == ("failed", "succeeded", *(None,) * 10)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("succeeded", "skipped"),
        ("skipped", "cancelled"),
        ("cancelled", "missed"),
        ("missed", "interrupted"),
        ("interrupted", "timed_out"),
        ("timed_out", "failed"),
    ],
)
def test_what_is_worse_counts_in_whatever_order_it_came(better: str, worse: str) -> None:
    day = DaySum(DAY)

    for hour, states in [(0, (better, worse)), (2, (worse, better))]:
        for state in states:
            day.add(at(hour), state)

    assert day.figures().worst[:2] == (worse, worse)


def test_the_last_second_is_in_the_last_twelfth() -> None:
    day = DaySum(DAY)

    day.add(DAY.ends_at - timedelta(microseconds=1), "succeeded")

    assert day.figures().worst == (*(None,) * 11, "succeeded")


def test_runs_are_counted_by_state_and_what_did_not_run_by_its_reason() -> None:
    day = DaySum(DAY)

    day.add(at(1), "succeeded")
    day.add(at(2), "succeeded")
    day.add(at(3), "interrupted", "bot_died")
    day.add(at(4), "skipped", "overlap")
    day.add(at(5), "missed", "bot_down")

    assert day.figures().counts == {"interrupted": 1, "missed bot_down": 1, "skipped overlap": 1, "succeeded": 2}


def test_a_stretch_counts_with_its_number_where_it_begins() -> None:
    day = DaySum(DAY)

    day.add(at(23), "missed", "coalesced", count=86_400)

    assert day.figures().counts == {"missed coalesced": 86_400}
    assert day.figures().worst == (*(None,) * 11, "missed")


def test_durations_and_latenesses_have_percentiles_in_milliseconds() -> None:
    day = DaySum(DAY)

    for number in range(1, 101):
        day.add_times(duration=timedelta(milliseconds=number), lateness=timedelta(milliseconds=2 * number))
    day.add_times(duration=None, lateness=None)

    figures = day.figures()
    assert (figures.duration_p50_ms, figures.duration_p95_ms) == (50, 95)
    assert (figures.lateness_p50_ms, figures.lateness_p95_ms) == (100, 190)


def test_times_stay_within_what_their_column_holds() -> None:
    day = DaySum(DAY)

    day.add_times(duration=timedelta(days=1000), lateness=timedelta(seconds=-1))

    assert (day.figures().duration_p50_ms, day.figures().lateness_p50_ms) == (2**31 - 1, 0)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, None), ([7], 50, 7), ([7], 95, 7), ([1, 2], 50, 1), ([1, 2, 3], 50, 2), ([1, 1, 1, 9], 95, 9)],
)
def test_a_percentile_is_one_of_the_values(values: list[int], percent: int, expected: int | None) -> None:
    assert percentile(Counter(values), percent) == expected
