"""Small pictures of bars."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console.bars import latencies, meter, quarters, same_instant, workers
from pinstripe_bot.console.strips import Stripe

from .drawn import HOSTILE, bars, named, parsed, starts, titles, words
from .test_strips import STRIPES


def test_a_day_has_ninety_six_quarters_and_now_at_the_right() -> None:
    svg = quarters([5] * 95 + [10], [], [(14, "18:00"), (38, "00:00")], label="1,359 runs")

    assert bars(svg, "f-load")[0] == (0, 86, 43)
    assert bars(svg, "f-load")[-1] == (380, 86, 86)
    assert words(svg) == ["now", "18:00", "00:00"]


def test_trouble_stands_under_the_base_line_and_the_worst_is_shown() -> None:
    svg = quarters([1] * 96, [(3, "late"), (3, "failed"), (50, "missed"), (95, "late")], [], label="")

    assert starts(svg, "f-failed") == [(12, 89)]
    assert starts(svg, "f-missed") == [(201.5, 90)]
    assert starts(svg, "f-late") == [(380, 89)]


def test_a_quarter_in_which_nothing_ran_has_no_bar() -> None:
    assert len(bars(quarters([0, 3, 0, 1], [], [], label=""), "f-load")) == 2


def test_an_hour_too_near_to_now_is_not_named() -> None:
    assert words(quarters([1] * 96, [], [(94, "14:00"), (0, "14:30")], label="")) == ["now"]


@given(
    st.lists(st.integers(), max_size=200),
    st.lists(st.tuples(st.integers(), st.sampled_from(["failed", "late", "missed", "running", "x"])), max_size=9),
    st.lists(st.tuples(st.integers(-99, 999), st.text(max_size=9)), max_size=5),
    st.text(max_size=9),
)
def test_any_counts_make_a_picture(
    counts: list[int], troubles: list[tuple[int, str]], hours: list[tuple[int, str]], label: str
) -> None:
    parsed(quarters(counts, troubles, hours, label=label))


def test_a_busy_worker_is_full_and_an_idle_one_pin_striped() -> None:
    svg = workers(3, 8, label="3 of 8 workers busy")

    assert [each.get("x") for each in named(svg, "f-running")] == ["0", "44.5", "89"]
    assert {each.get("width") for each in named(svg, "f-running")} == {"40.5"}
    assert len(named(svg, "hollow")) == 5
    assert starts(svg, "pin")[0] == (136.5, 0)


def test_all_pins_lie_inside_their_cells() -> None:
    svg = workers(0, 1, label="")

    assert max(x for x, _ in starts(svg, "pin")) < 352


def test_many_workers_are_one_bar() -> None:
    svg = workers(250, 1000, label="")

    assert [each.get("width") for each in named(svg, "f-running")] == ["88"]


@given(st.integers(-3, 5000), st.integers(-3, 5000))
def test_any_number_of_workers_makes_a_picture(busy: int, total: int) -> None:
    svg = workers(busy, total, label="any")

    assert len(svg) < 30_000
    assert all(float(each.get("width", "0")) <= 352 for each in parsed(svg).iter("rect"))


def test_latencies_are_grey_and_the_newest_is_at_the_right() -> None:
    svg = latencies([1.0, 2.0, 4.0], label="the last hour")

    assert [x for x, _, _ in bars(svg, "f-load")] == [335, 341, 347]
    assert named(svg, "f-late") == []


@given(st.lists(st.floats(), max_size=100))
def test_any_latencies_stay_inside(ms: list[float]) -> None:
    assert all(1 <= x <= 347 and 0 < height <= 32 for x, _, height in bars(latencies(ms, label="any"), "f-load"))


def widths(svg: str) -> list[str | None]:
    return [each.get("width") for each in named(svg, "f-running")]


def test_a_meter_shows_what_is_done() -> None:
    assert widths(meter(31_418, 44_120)) == ["250.7"]
    assert widths(meter(0, 10)) == []
    assert widths(meter(99, 10)) == ["352"]
    assert parsed(meter(1, 2)).get("preserveAspectRatio") == "none"


def test_a_meter_goes_by_the_usual_time_where_nothing_is_reported() -> None:
    assert widths(meter(None, None, expected=0.5)) == ["176"]
    assert widths(meter(5, None, expected=0.5)) == ["176"]


@pytest.mark.parametrize("expected", [None, 1.5, -1, float("nan")])
def test_a_meter_is_striped_where_no_end_is_in_sight(expected: float | None) -> None:
    svg = meter(None, None, expected=expected)

    assert len(named(svg, "f-soft")) == 1
    assert len(starts(svg, "f-running")) == 59


def test_the_runs_of_an_instant_stand_side_by_side_with_their_initials() -> None:
    stripes = [Stripe("succeeded", 30, told="alpenglueck: 30 s"), Stripe("failed", 60, told="nordlicht: failed")]

    svg = same_instant(stripes, 1, label="2 tenants")

    assert [height for _, _, height in bars(svg, "f-succeeded") + bars(svg, "f-failed")] == [19, 38]
    assert words(svg) == ["A", "N"]
    assert [each.text for each in named(svg, "b")] == ["N"]
    assert titles(svg) == ["alpenglueck: 30 s", "nordlicht: failed"]


def test_many_tenants_have_no_initials_but_mine_is_named() -> None:
    svg = same_instant([Stripe("succeeded", 1, told="t")] * 50, 10, label="")

    assert words(svg) == ["this run"]


def test_of_thousands_of_tenants_the_worst_are_seen_and_mine_stands_alone() -> None:
    stripes = [Stripe("succeeded", 1, told=f"tenant {index}") for index in range(5000)]
    stripes[17] = Stripe("failed", 1, told="tenant 17")

    svg = same_instant(stripes, 4000, label="")

    assert len(svg) < 30_000
    assert "tenant 4000" in titles(svg)
    assert len(bars(svg, "f-failed")) == 1


@given(st.lists(STRIPES, max_size=200), st.integers(-2, 300))
def test_any_runs_of_an_instant_make_a_picture(stripes: list[Stripe], mine: int) -> None:
    parsed(same_instant(stripes, mine, label=HOSTILE))
