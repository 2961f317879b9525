"""The marks of one job on a timeline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console.scales import TimeScale
from pinstripe_bot.console.svg import picture
from pinstripe_bot.console.timeline_marks import Mark, Track, draw_marks, key_mark

from .drawn import HOSTILE, at, named, parsed, starts, titles

NOW = at(22, 12)
MINUTE = timedelta(minutes=1)
TRACK = Track(TimeScale(at(22), at(23), 0, 1440), NOW, middle=50, bar_height=8)
"""A pixel is a minute."""


def drawn(
    *marks: Mark, is_dense: bool = False, downs: Sequence[tuple[datetime, datetime]] = (), track: Track = TRACK
) -> str:
    return picture(1440, 100, "marks", draw_marks(marks, track, is_dense=is_dense, downs=downs))


def boxes(svg: str, css: str) -> list[tuple[float, float]]:
    """The boxes with this class: from x to x."""
    found = []
    for each in named(svg, css):
        if each.tag == "rect":
            x, width = float(each.get("x", "")), float(each.get("width", ""))
            found.append((x, x + width))
        for piece in each.get("d", "").split("M")[1:]:
            x, width = float(piece.split()[0]), float(piece.partition("h")[2].partition("v")[0] or 0)
            found.append((x, x + width))
    return found


def test_a_run_is_as_long_as_it_took() -> None:
    svg = drawn(Mark("succeeded", at(22, 3), at(22, 4)))

    assert boxes(svg, "f-succeeded") == [(180, 240)]
    assert titles(svg) == []


def test_a_run_of_no_time_can_be_seen() -> None:
    assert boxes(drawn(Mark("succeeded", at(22, 3), at(22, 3))), "f-succeeded") == [(180, 182.5)]


def test_a_run_that_began_before_the_window_begins_at_its_edge() -> None:
    assert boxes(drawn(Mark("succeeded", at(21), at(22, 1))), "f-succeeded") == [(0, 60)]


def test_what_lies_outside_is_left_out() -> None:
    svg = drawn(Mark("failed", at(20), at(21)), Mark("due", at(24), None), Mark("skipped", at(21), None))

    assert len([*parsed(svg).iter()]) == 1


def test_runs_that_touch_are_a_pale_band_and_do_not_look_like_a_long_one() -> None:
    svg = drawn(
        *(Mark("succeeded", at(22, 1, minute), None) for minute in range(0, 60, 3)),
        Mark("succeeded", at(22, 3), at(22, 4)),
    )

    assert boxes(svg, "f-soft") == [(60, 119.5)]
    assert boxes(svg, "f-succeeded") == [(60, 119.5), (180, 240)]


def test_a_late_run_has_a_whisker_from_due_to_started() -> None:
    svg = drawn(Mark("succeeded", at(22, 3, 10), at(22, 4), due_at=at(22, 3)))

    (whisker,) = named(svg, "s-late")
    assert whisker.get("d") == "M180 45V55M180 50H190"
    assert titles(svg) == ["succeeded, late"]


def test_a_run_that_lasts_reaches_now_and_is_dashed_to_its_expected_end() -> None:
    svg = drawn(Mark("running", at(22, 11), at(22, 12, 30)))

    assert boxes(svg, "f-running") == [(660, 720)]
    assert boxes(svg, "f-exp") == [(720, 750)]


def test_a_run_that_should_have_ended_is_not_dashed() -> None:
    assert named(drawn(Mark("running", at(22, 11), at(22, 11, 5))), "f-exp") == []


def test_what_is_due_is_a_tick_and_from_five_pixels_on_a_hollow_bar() -> None:
    svg = drawn(
        Mark("due", at(22, 13), at(22, 13, 4)), Mark("due", at(22, 14), at(22, 14, 5)), Mark("due", at(22, 15), None)
    )

    assert [x for x, _ in starts(svg, "tick")] == [780, 900]
    assert boxes(svg, "f-due") == [(840.5, 844.5)]


def test_a_skipped_instant_is_a_ring_on_the_bar_that_held_it_up() -> None:
    svg = drawn(Mark("skipped", at(22, 11, 30), None), Mark("running", at(22, 11), None))

    assert starts(svg, "f-skipped") == [(690, 47)]
    assert [each.get("class") for each in parsed(svg).iter() if each.get("class", "").startswith("f-")] == [
        "f-running",
        "f-skipped",
    ]


def test_a_missed_instant_is_a_diamond_and_a_stretch_of_them_a_hollow_bar() -> None:
    svg = drawn(Mark("missed", at(22, 3), None), Mark("missed", at(22, 5), at(22, 6), count=8))

    assert starts(svg, "f-missed") == [(180, 46)]
    assert [each.get("width") for each in named(svg, "f-missed") if each.tag == "rect"] == ["59"]
    assert titles(svg) == ["missed", "8 missed"]


def test_a_run_that_timed_out_ends_at_a_wall() -> None:
    assert boxes(drawn(Mark("timed_out", at(22, 3), at(22, 4))), "f-timed_out") == [(180, 240), (239, 241)]


@pytest.mark.parametrize("kind", ["failed", "interrupted"])
def test_a_long_run_that_did_not_end_well_is_cut(kind: str) -> None:
    assert len(named(drawn(Mark(kind, at(22, 3), at(22, 4))), "s-cut")) == 1
    assert named(drawn(Mark(kind, at(22, 3), None)), "s-cut") == []


def test_a_dense_job_is_a_pale_band_with_its_exceptions_on_it() -> None:
    runs = [Mark("succeeded", at(22, 0, minute), None) for minute in range(0, 60, 5)]

    svg = drawn(*runs, Mark("failed", at(22, 0, 12), None), is_dense=True)

    assert boxes(svg, "f-succeeded") == [(0, 57.5)]
    assert len(boxes(svg, "f-failed")) == 1


def test_a_band_is_interrupted_where_nothing_ran_for_long() -> None:
    runs = [Mark("succeeded", at(22, hour, minute), None) for hour in (1, 5) for minute in range(0, 60, 5)]

    assert boxes(drawn(*runs, is_dense=True), "f-succeeded") == [(60, 117.5), (300, 357.5)]


def test_a_band_without_runs_to_go_by_lasts_from_the_edge_to_now_but_for_downtimes() -> None:
    svg = drawn(is_dense=True, downs=[(at(22, 3), at(22, 4))])

    assert boxes(svg, "f-succeeded") == [(0, 180), (240, 720)]


def test_ticks_of_a_dense_job_are_pale_and_leave_room_between_them() -> None:
    dues = [Mark("due", NOW + MINUTE * index, None) for index in range(1, 600)]

    svg = drawn(*dues, is_dense=True)

    assert len(named(svg, "f-soft")) == 2
    xs = [x for x, _ in starts(svg, "tick")]
    assert min(after - before for before, after in pairwise(xs)) >= 3


def test_marks_that_would_hide_each_other_are_counted() -> None:
    marks = [Mark("failed", at(22, 3, second=second), None, told=f"at {second}") for second in range(0, 60, 10)]

    svg = drawn(*marks)

    assert titles(svg) == ["6 failed; the last: at 50"]


@pytest.mark.parametrize("kind", ["succeeded", "failed", "timed_out", "skipped", "missed", "due", "running"])
@pytest.mark.parametrize("is_dense", [True, False])
def test_thousands_of_marks_stay_small(kind: str, is_dense: bool) -> None:
    marks = [Mark(kind, at(22) + timedelta(seconds=17 * index), None, told="x" * 80) for index in range(5000)]

    assert len(drawn(*marks, is_dense=is_dense)) < 20_000


def test_what_a_mark_says_stays_a_title() -> None:
    assert "alert" in titles(drawn(Mark("failed", at(22, 3), None, told=HOSTILE)))[0]


INSTANTS = st.integers(-5000, 5000).map(lambda minutes: NOW + MINUTE * minutes)
KINDS = st.sampled_from(
    [
        *("succeeded", "failed", "timed_out", "interrupted", "running", "queued"),
        *("skipped", "missed", "due", "unheard_of"),
    ]
)
MARKS = st.builds(
    Mark, KINDS, INSTANTS, st.none() | INSTANTS, st.none() | INSTANTS, st.integers(0, 9), st.text(max_size=9)
)


@given(st.lists(MARKS, max_size=40), st.booleans(), st.lists(st.tuples(INSTANTS, INSTANTS), max_size=3), INSTANTS)
def test_any_marks_stay_inside_the_window(
    marks: list[Mark], is_dense: bool, downs: list[tuple[datetime, datetime]], now: datetime
) -> None:
    track = Track(TRACK.x, now, middle=50, bar_height=8)

    svg = drawn(*marks, is_dense=is_dense, downs=downs, track=track)

    for css in ("f-succeeded", "f-failed", "f-running", "f-exp", "f-due", "f-missed"):
        assert all(-4 <= left <= right <= 1445 for left, right in boxes(svg, css))
    assert not [each for each in parsed(svg).iter() if "nan" in each.get("d", "")]


@pytest.mark.parametrize(
    "kind",
    ["succeeded", "failed", "timed_out", "interrupted", "running", "queued", "cancelled", "skipped", "missed", "due"],
)
def test_every_mark_has_its_place_in_the_legend(kind: str) -> None:
    assert all(left >= 0 and right <= 14 for left, right in boxes(key_mark(kind), f"f-{kind}"))
    assert named(key_mark(kind), f"f-{kind}")


def test_a_late_start_is_in_the_legend_with_its_whisker() -> None:
    assert len(named(key_mark("late"), "s-late")) == 1


def test_instants_are_placed_by_time_and_not_by_the_wall_clock() -> None:
    night = Track(TimeScale(at(24, 22), at(25, 4), 0, 360), datetime(2026, 10, 26, tzinfo=UTC), 50, 8)

    svg = drawn(Mark("succeeded", at(25, 0, 30), at(25, 1, 30)), track=night)

    assert boxes(svg, "f-succeeded") == [(150, 210)]
