"""Dots over time."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console.scatters import Percentile, Point, duration_scatter, lateness_scatter
from pinstripe_bot.zones import zone

from .drawn import HOSTILE, at, named, parsed, starts, words

BERLIN = zone("Europe/Berlin")
BEGIN, END = at(24, month=7), at(22)
DAY = timedelta(days=1)


def durations(points: Sequence[Point], line: Sequence[Percentile] = (), *, limit_s: float | None = None) -> str:
    return duration_scatter(points, line, BEGIN, END, BERLIN, label="durations", limit_s=limit_s)


def lateness(points: Sequence[Point], line: Sequence[Percentile] = (), *, late_after_s: float = 60) -> str:
    return lateness_scatter(points, line, BEGIN, END, BERLIN, label="lateness", late_after_s=late_after_s)


def label_ys(svg: str) -> list[float]:
    return [float(each.get("y", "")) for each in named(svg, "lab")]


def test_time_goes_to_the_right_and_duration_upwards() -> None:
    svg = durations(
        [Point(BEGIN, 0, "succeeded"), Point(BEGIN + 45 * DAY, 240, "succeeded"), Point(END, 480, "succeeded")]
    )

    assert starts(svg, "d-succeeded") == [(44, 154), (420, 81), (796, 8)]
    assert {"0 s", "2 m", "4 m", "6 m", "8 m", "today"} <= {*words(svg)}


def test_each_state_has_one_path_of_its_shape() -> None:
    states = ["succeeded", "failed", "timed_out", "interrupted", "cancelled"]

    svg = durations([Point(END - DAY * index, 10, state) for index, state in enumerate(states * 2)])

    counts = {css: (len(named(svg, css)), len(starts(svg, css))) for css in ("d-succeeded", "d-late", "f-timed_out")}
    assert counts == {"d-succeeded": (1, 2), "d-late": (1, 2), "f-timed_out": (1, 2)}
    assert len(named(svg, "s-bad")) == len(named(svg, "f-cancelled")) == 1


def test_a_run_outside_the_window_is_left_out() -> None:
    svg = durations([Point(BEGIN - DAY, 1, "succeeded"), Point(END + DAY, 1, "failed")])

    assert named(svg, "dots") == []
    assert named(svg, "s-bad") == []


def test_one_giant_touches_the_top_and_does_not_flatten_the_others() -> None:
    svg = durations([Point(END - DAY, 4, "succeeded")] * 99 + [Point(END, 40_000, "succeeded")])

    (_, usual_y), (_, giant_y) = starts(svg, "d-succeeded")
    assert usual_y < 100
    assert giant_y == 8


def test_both_lines_reach_the_right_edge_and_are_named_there() -> None:
    svg = durations([], [Percentile(BEGIN, 100, 200), Percentile(END - DAY, 224, 338)])

    assert words(svg)[-2:] == ["p50 3 m 44 s", "p95 5 m 38 s"]
    assert named(svg, "s-p50")[0].get("d", "").endswith("H796")


def test_a_single_percentile_is_a_line_too() -> None:
    svg = durations([], [Percentile(END - 10 * DAY, 5, 6)])

    assert re.fullmatch(r"M[\d.]+ [\d.]+H796", named(svg, "s-p95")[0].get("d", ""))


@pytest.mark.parametrize("seconds", [0, 5, 9.9, 10])
def test_names_of_lines_that_coincide_do_not_overlap(seconds: float) -> None:
    svg = durations([Point(END, 10, "succeeded")], [Percentile(END, seconds, seconds)])

    p50_y, p95_y = label_ys(svg)
    assert p50_y - p95_y >= 13.9
    assert 8 <= p95_y <= p50_y <= 160


def test_a_time_out_in_reach_is_drawn_and_one_far_away_does_not_flatten_the_dots() -> None:
    points = [Point(END, 400, "succeeded")]

    assert "time-out 10 m" in words(durations(points, limit_s=600))
    assert named(durations(points, limit_s=86400), "s-lim") == []


def test_lateness_takes_equal_steps_for_equal_factors() -> None:
    svg = lateness([Point(END - DAY * index, 2**index, "succeeded") for index in range(4)])

    ys = [y for _, y in starts(svg, "d-succeeded")]
    steps = [before - after for before, after in pairwise(ys)]
    assert max(steps) - min(steps) < 0.3


def test_a_late_run_stands_over_the_line_in_its_own_colour() -> None:
    svg = lateness([Point(END - DAY, 1.5, "succeeded"), Point(END, 120, "succeeded", is_late=True)])

    ((_, limit_y),) = starts(svg, "s-lim")
    ((_, late_y),) = starts(svg, "d-late")
    assert late_y < limit_y
    assert "late after 1 m" in words(svg)


def test_a_run_that_was_not_late_at_all_lies_on_the_axis() -> None:
    svg = lateness([Point(END, 0, "succeeded"), Point(END - DAY, -3, "succeeded")])

    assert {y for _, y in starts(svg, "d-succeeded")} == {154}


def test_a_window_of_hours_is_labelled_with_hours() -> None:
    svg = duration_scatter([], [], at(25, 0), at(25, 6), BERLIN, label="the night of the change")

    assert words(svg)[-7:] == ["02:00", "02:00", "03:00", "04:00", "05:00", "06:00", "now"]


def test_no_runs_leave_the_axes() -> None:
    for svg in (durations([]), lateness([])):
        assert named(svg, "dots") == []
        assert "today" in words(svg)


def test_two_thousand_runs_are_a_small_picture() -> None:
    chance = random.Random(1)
    points = [
        Point(BEGIN + DAY * 90 * chance.random(), chance.lognormvariate(3, 1), chance.choice(["succeeded", "failed"]))
        for _ in range(2000)
    ]

    assert len(durations(points)) < 80_000
    assert len(lateness(points * 20)) < 150_000


def test_a_hostile_label_stays_a_label() -> None:
    assert "alert" in parsed(duration_scatter([], [], BEGIN, END, BERLIN, label=HOSTILE)).get("aria-label", "")


INSTANTS = st.integers(1_780_000_000, 1_800_000_000).map(lambda ts: datetime.fromtimestamp(ts, UTC))
STATES = st.sampled_from(["succeeded", "failed", "timed_out", "interrupted", "cancelled", "unheard_of"])


@given(
    st.lists(st.builds(Point, INSTANTS, st.floats(), STATES, st.booleans()), max_size=30),
    st.lists(st.builds(Percentile, INSTANTS, st.floats(), st.floats()), max_size=5),
    INSTANTS,
    INSTANTS,
    st.floats(min_value=0) | st.just(math.nan),
)
def test_any_runs_make_a_picture(
    points: list[Point], line: list[Percentile], begins_at: datetime, ends_at: datetime, limit_s: float
) -> None:
    durations_svg = duration_scatter(points, line, begins_at, ends_at, BERLIN, label="any", limit_s=limit_s)
    lateness_svg = lateness_scatter(points, line, begins_at, ends_at, BERLIN, label="any", late_after_s=limit_s)

    for svg in (durations_svg, lateness_svg):
        assert all(0 <= y <= 176 and 40 <= x <= 810 for x, y in starts(svg, "dots") + starts(svg, "s-bad"))
        for p50_y, p95_y in [label_ys(svg)] if label_ys(svg) else []:
            assert 12 <= p95_y <= p50_y - 13.9 <= 144.2
