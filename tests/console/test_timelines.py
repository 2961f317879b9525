"""What ran and what is due around now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console.timelines import Lane, Mark, timeline
from pinstripe_bot.zones import zone

from .drawn import HOSTILE, at, named, parsed, starts, titles, words
from .test_timeline_marks import INSTANTS, MARKS

BERLIN = zone("Europe/Berlin")
NOW = at(22, 12, 32)
HOUR = timedelta(hours=1)
RAN = Mark("succeeded", NOW - HOUR, NOW - HOUR / 2)


def lane(name: str = "issue-invoices", *marks: Mark, note: str = "", every: str = "") -> Lane:
    return Lane(name, f"/_pinstripe/jobs/{name}", note, marks, every)


def drawn(
    *lanes: Lane,
    before: timedelta = 24 * HOUR,
    after: timedelta = 24 * HOUR,
    downs: Sequence[tuple[datetime, datetime, str]] = (),
    busy: Sequence[float] = (),
    now: datetime = NOW,
) -> str:
    return timeline(lanes, NOW - before, NOW + after, now, BERLIN, label="the timeline", downs=downs, busy=busy)


def next_hour(*lanes: Lane) -> str:
    return drawn(*lanes, before=timedelta(minutes=10), after=HOUR)


def test_now_is_in_the_middle_of_a_day_before_and_a_day_after() -> None:
    svg = drawn(lane())

    assert starts(svg, "s-now") == [(808, 18)]
    assert "now 14:32" in words(svg)
    assert parsed(svg).get("viewBox") == "0 0 1408 62"


def test_days_stand_above_their_hours() -> None:
    svg = drawn(lane())

    bold = [each.text for each in named(svg, "b")]
    assert bold == ["Wednesday 21 October", "Thursday 22 October", "Friday 23 October", "now 14:32"]
    assert [word for word in words(svg) if len(word) == 2] == [
        *("15", "18", "21", "00", "03", "06", "09", "12"),
        *("18", "21", "00", "03", "06", "09", "12"),
    ]
    assert len(starts(svg, "axis")) == 2


def test_the_next_hour_has_minutes_and_lanes_that_are_a_bit_closer() -> None:
    svg = next_hour(lane(), lane())

    assert {"14:30", "14:40", "15:30", "now"} <= {*words(svg)}
    assert "14:35" not in words(svg)
    assert parsed(svg).get("viewBox") == "0 0 1408 72"


def test_a_fortnight_has_days_below_their_month() -> None:
    svg = drawn(lane(), before=168 * HOUR, after=168 * HOUR)

    assert "October 2026" in words(svg)
    assert {"Fri 16", "Thu 29"} <= {*words(svg)}


def test_a_day_of_twenty_five_hours_is_as_long_as_it_is() -> None:
    svg = timeline([lane()], at(24, 22), at(25, 23), at(20), BERLIN, label="winter time from here")

    assert [word for word in words(svg) if len(word) == 2] == [f"{hour:02}" for hour in (*range(0, 24, 2), 0)]
    one, two, four, *_ = sorted({x for x, _ in starts(svg, "grid") + starts(svg, "axis") if x >= 208})
    assert (two - one, four - two) == (96, 144)


def test_a_lane_leads_to_its_job_and_says_its_note() -> None:
    svg = drawn(lane("issue-invoices", RAN, note="3 m 44 s"))

    (link,) = parsed(svg).iter("a")
    assert link.get("href") == "/_pinstripe/jobs/issue-invoices"
    assert [each.text for each in named(svg, "e")] == ["3 m 44 s"]


def test_a_name_that_is_too_long_is_cut_and_told_in_full() -> None:
    name = "send-abandoned-cart-mails-to-everybody"

    svg = drawn(lane(name, note="19 s"))

    assert [(each.text or "")[-1] for each in named(svg, "lab")] == ["…"]
    assert titles(svg) == [name]


def test_a_dense_lane_says_how_often_it_is_due() -> None:
    svg = drawn(lane("sync-stock-levels", every="every 2 minutes"))

    assert "every 2 minutes" in words(svg)
    assert len(named(svg, "f-card")) == 1
    assert starts(svg, "f-succeeded")[0][0] == 208


def test_how_often_stands_amid_the_ticks() -> None:
    dues = [Mark("due", NOW + HOUR * index / 30, None) for index in range(1, 360)]

    svg = drawn(lane("sync", *dues, every="every 2 minutes"))

    (words_x,) = [float(each.get("x", "")) for each in named(svg, "m") if each.text == "every 2 minutes"]
    assert words_x == pytest.approx(808 + 12 * 25 / 2, abs=1)


def test_how_often_is_left_out_where_there_is_no_room() -> None:
    assert "every 2 minutes" not in words(drawn(lane("sync", every="every 2 minutes"), after=HOUR))


def test_a_stretch_without_a_bot_is_a_grey_column_with_its_length_below() -> None:
    svg = drawn(lane(), downs=[(NOW - 9 * HOUR, NOW - 8 * HOUR, "bot down 1 h 00 m")])

    (column,) = named(svg, "f-track")
    assert column.get("width") == "25"
    assert words(svg).count("bot down 1 h 00 m") == 1
    assert titles(svg) == ["bot down 1 h 00 m"]
    assert parsed(svg).get("viewBox") == "0 0 1408 78"


def test_lengths_of_downtimes_do_not_overlap() -> None:
    downs = [
        (NOW - 9 * HOUR + HOUR * index / 6, NOW - 9 * HOUR + HOUR * index / 6, "bot down 1 m") for index in range(9)
    ]

    svg = drawn(lane(), downs=downs)

    assert len(named(svg, "f-track")) == 9
    assert words(svg).count("bot down 1 m") == 1


def test_busy_workers_are_grey_and_paler_after_now() -> None:
    svg = drawn(lane(), busy=[1, 0, 2, 1.5])

    assert len(starts(svg, "f-load")) == 3
    assert len(named(svg, "f-soft")) == 1
    assert {"workers busy", "at most 2"} <= {*words(svg)}
    assert max(y for _, y in starts(svg, "s-now")) == 18


def test_nobody_busy_at_all_is_no_picture_of_bars() -> None:
    assert named(drawn(lane(), busy=[0, 0]), "f-load") == []


def test_no_lanes_are_said_in_words() -> None:
    assert "Nothing ran and nothing is due in this window." in words(drawn())


def test_a_window_of_the_past_has_no_now() -> None:
    svg = drawn(lane("issue-invoices", RAN), now=NOW + 100 * HOUR)

    assert named(svg, "s-now") == []
    assert not [word for word in words(svg) if "now" in word]


def test_forty_jobs_with_thousands_of_runs_stay_a_small_picture() -> None:
    minutes = range(-1440, 1440)
    marks = [Mark("succeeded" if minute <= 0 else "due", NOW + HOUR * minute / 60, None) for minute in minutes]

    svg = drawn(
        *[lane(f"job-{index}", *marks) for index in range(10)], *[lane("dense", *marks, every="every minute")] * 30
    )

    assert len(svg) < 150_000


def test_no_name_breaks_out_of_a_lane() -> None:
    svg = drawn(Lane(HOSTILE, HOSTILE, HOSTILE, (Mark(HOSTILE, NOW, None),), HOSTILE), downs=[(NOW, NOW, HOSTILE)])

    parsed(svg)


LANES = st.builds(
    Lane,
    st.text(max_size=40),
    st.text(max_size=9),
    st.text(max_size=9),
    st.lists(MARKS, max_size=9).map(tuple),
    st.sampled_from(["", "every minute"]),
)


@given(
    st.lists(LANES, max_size=4),
    INSTANTS,
    INSTANTS,
    st.lists(st.tuples(INSTANTS, INSTANTS, st.text(max_size=9)), max_size=3),
    st.lists(st.floats(), max_size=9),
    st.integers(0, 2000),
)
def test_any_lanes_make_a_picture(
    lanes: list[Lane],
    begins_at: datetime,
    ends_at: datetime,
    downs: list[tuple[datetime, datetime, str]],
    busy: list[float],
    width: int,
) -> None:
    svg = timeline(lanes, begins_at, ends_at, NOW, BERLIN, label="any", downs=downs, busy=busy, width=width)

    assert len(svg) < 150_000
    parsed(svg)


def test_a_window_of_no_length_is_a_picture() -> None:
    parsed(timeline([lane()], NOW, NOW, NOW, BERLIN, label="no time", busy=[1]))


def test_a_window_of_years_is_a_picture() -> None:
    svg = timeline(
        [lane()], datetime(1990, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC), NOW, BERLIN, label="long"
    )

    assert len(svg) < 10_000
