"""A quarter of a year as a cloth."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console.calendars import DayPatch, calendar
from pinstripe_bot.console.strips import Stripe

from .drawn import HOSTILE, bars, named, parsed, starts, titles, words
from .test_strips import STRIPES

THURSDAY = date(2026, 10, 22)
FINE = DayPatch((Stripe("succeeded", 60),) * 12, "12 runs, 0 failed")


def days_before(last: date, count: int, patch: DayPatch = FINE) -> dict[date, DayPatch]:
    return {last - timedelta(days=back): patch for back in range(count)}


def test_monday_is_on_top_and_the_last_week_is_at_the_right() -> None:
    svg = calendar({THURSDAY: FINE}, THURSDAY, label="one day")

    x, foot, _ = bars(svg, "f-succeeded")[0]
    assert foot == 46 + 3 * 31
    assert x == pytest.approx(896 - 61.5 + 0.5, abs=0.2)


def test_a_patch_ends_where_the_picture_ends() -> None:
    svg = calendar({THURSDAY: FINE}, THURSDAY, label="one day")

    assert max(x for x, _, _ in bars(svg, "f-succeeded")) + 3.6 <= 896


def test_a_base_line_says_that_a_day_is_over() -> None:
    svg = calendar(days_before(THURSDAY, 3), THURSDAY, label="three days")

    assert [y for _, y in starts(svg, "axis")] == [46.5 + 31, 46.5 + 62]


def test_a_day_on_which_nothing_was_due_has_its_base_line_only() -> None:
    known = {THURSDAY: FINE, THURSDAY - timedelta(days=2): FINE}

    svg = calendar(known, THURSDAY, label="every other day")

    assert len(starts(svg, "axis")) == 2
    assert len(titles(svg)) == 2


def test_days_to_come_and_days_before_the_first_are_pin_striped() -> None:
    svg = calendar(days_before(THURSDAY, 4), THURSDAY, label="four days")

    assert len(starts(svg, "pin")) == (13 * 7 - 4) * 12


def test_a_job_that_never_ran_is_pin_stripes_only() -> None:
    svg = calendar({}, THURSDAY, label="no runs yet")

    assert len(starts(svg, "pin")) == 13 * 7 * 12
    assert starts(svg, "axis") == []


def test_a_day_has_twelve_stripes_at_most_and_the_worst_speaks_for_the_others() -> None:
    stripes = (Stripe("succeeded", 1),) * 287 + (Stripe("failed", 1),)

    svg = calendar({THURSDAY: DayPatch(stripes, "288 runs, 1 failed")}, THURSDAY, label="every 5 minutes")

    assert len(bars(svg, "f-succeeded")) == 11
    assert len(bars(svg, "f-failed")) == 1


def test_a_tenant_that_was_not_there_leaves_its_place_free() -> None:
    stripes = (None, Stripe("succeeded", 1), *[None] * 10)

    svg = calendar({THURSDAY: DayPatch(stripes, "1 run")}, THURSDAY, label="")

    ((x, _, _),) = bars(svg, "f-succeeded")
    assert x == pytest.approx(896 - 61.5 + 0.5 + 5.04, abs=0.2)


def test_months_are_named_above_the_weeks_in_which_they_begin() -> None:
    svg = calendar({}, THURSDAY, label="")

    assert words(svg) == ["Mon", "Wed", "Fri", "Sun", "July", "August", "September", "October"]


def test_a_month_without_room_is_not_named() -> None:
    svg = calendar({}, THURSDAY, weeks=104, label="")

    assert "September" not in words(svg)
    assert "May" in words(svg)


def test_a_patch_says_its_sum() -> None:
    svg = calendar({THURSDAY: DayPatch((Stripe("failed", 1),), HOSTILE)}, THURSDAY, label=HOSTILE)

    assert "alert" in titles(svg)[0]


def test_ninety_days_of_nothing_but_failures_are_a_small_picture() -> None:
    patch = DayPatch((Stripe("timed_out", 3600, is_late=True),) * 12, "12 runs, 12 timed out, 12 late")

    svg = calendar(days_before(THURSDAY, 91, patch), THURSDAY, label="a bad quarter")

    assert len(named(svg, "f-timed_out")) == 88
    assert len(svg) < 150_000


@given(
    st.dictionaries(
        st.dates(date(2026, 7, 1), date(2026, 11, 30)),
        st.builds(DayPatch, st.lists(st.none() | STRIPES, max_size=40).map(tuple), st.text(max_size=9)),
        max_size=20,
    ),
    st.dates(date(2026, 7, 1), date(2026, 11, 30)),
    st.integers(-1, 60),
)
def test_any_days_make_a_picture(days: dict[date, DayPatch], last: date, weeks: int) -> None:
    parsed(calendar(days, last, weeks=weeks, label="any"))


def test_of_a_day_with_few_runs_each_is_wide() -> None:
    def width(*stripes: Stripe) -> float:
        svg = calendar({THURSDAY: DayPatch(stripes, "")}, THURSDAY, label="")
        d = "".join(each.get("d", "") for each in named(svg, "f-succeeded"))
        return float(d.partition("h")[2].partition("v")[0])

    assert width(Stripe("succeeded", 1)) == pytest.approx(3 * width(*[Stripe("succeeded", 1)] * 12), rel=0.05)
