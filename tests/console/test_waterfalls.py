"""The way of one run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console.waterfalls import Step, waterfall
from pinstripe_bot.zones import zone

from .drawn import HOSTILE, at, named, parsed, starts, words

BERLIN = zone("Europe/Berlin")
DUE = at(22, 0, 30)


def after(seconds: float) -> datetime:
    return DUE + timedelta(seconds=seconds)


def run_steps() -> list[Step]:
    return [
        Step("due", DUE, DUE, "due"),
        Step("claimed", DUE, after(0.412), ""),
        Step("started", after(0.412), after(3.104), ""),
        Step("attempt 1", after(3.104), after(101), "failed"),
        Step("backoff", after(101), after(129), "", "30 s, with jitter"),
        Step("attempt 2", after(129), after(378.611), "failed"),
        Step("finished", after(378.611), None, "failed"),
    ]


def drawn(steps: list[Step], *, now: datetime = DUE + timedelta(hours=12)) -> str:
    return waterfall(steps, BERLIN, label="from due to finished", now=now)


def test_every_step_has_a_row_with_its_clock_and_its_length() -> None:
    svg = drawn(run_steps())

    assert [each.text for each in named(svg, "lab")] == [step.name for step in run_steps()]
    assert [each.text for each in named(svg, "e")] == [
        *("02:30:00.000", "02:30:00.412", "02:30:03.104", "failed", "30 s, with jitter", "failed", "02:36:18.611")
    ]
    assert {"0.41 s", "2.7 s", "1 m 38 s", "28 s", "4 m 10 s"} <= {*words(svg)}
    assert parsed(svg).get("viewBox") == "0 0 896 204"


def test_a_run_that_has_finished_ends_with_its_state_and_its_clock() -> None:
    svg = drawn(run_steps())

    assert words(svg)[-1] == "02:36:18.611"
    assert starts(svg, "f-failed")[-1][0] == pytest.approx(796 - 4)


def test_the_longest_bar_leaves_room_for_its_length() -> None:
    svg = drawn(run_steps())

    last = named(svg, "f-failed")[1]
    assert float(last.get("x", "")) + float(last.get("width", "")) == pytest.approx(796, abs=0.1)


def test_the_axis_counts_from_the_due_instant() -> None:
    svg = drawn(run_steps())

    assert [word for word in words(svg) if word.startswith("+")] == [f"+{minute}:00" for minute in range(7)]


@pytest.mark.parametrize(("seconds", "tick"), [(0.3, "+0.1 s"), (7200, "+30 m"), (200_000, "+12 h")])
def test_the_axis_fits_every_length(seconds: float, tick: str) -> None:
    svg = drawn([Step("attempt 1", DUE, after(seconds), "succeeded")])

    assert tick in words(svg)


def test_an_attempt_that_runs_reaches_now_with_a_round_head() -> None:
    svg = drawn([Step("due", DUE, DUE, "due"), Step("attempt 1", after(60), None, "running")], now=after(120))

    (bar,) = named(svg, "f-running")
    assert bar.tag == "path"
    assert "a5 5 0 0 1 0 10" in bar.get("d", "")
    assert words(svg)[-1] == "1 m 00 s"


def test_an_attempt_that_timed_out_has_hit_a_wall() -> None:
    svg = drawn([Step("attempt 1", DUE, after(60), "timed_out")])

    assert starts(svg, "f-timed_out") == [(795, 27.5)]


def test_a_clock_of_another_day_says_so() -> None:
    late = at(21, 21, 59)

    svg = drawn([Step("due", late, late, "due"), Step("claimed", late, late + timedelta(minutes=2), "")])

    assert [each.text for each in named(svg, "e")] == ["23:59:00.000", "22 Oct 00:01:00.000"]


def test_a_clock_that_went_back_draws_no_bar_backwards() -> None:
    svg = drawn([Step("due", DUE, DUE, "due"), Step("attempt 1", after(10), after(5), "succeeded")])

    (bar,) = named(svg, "f-succeeded")
    assert float(bar.get("width", "")) == 3
    assert words(svg)[-1] == "0 s"


def test_a_run_of_no_time_at_all_is_drawn() -> None:
    svg = drawn([Step("due", DUE, DUE, "due"), Step("attempt 1", DUE, DUE, "succeeded")])

    assert len(named(svg, "f-succeeded")) == 1


def test_of_a_thousand_attempts_the_first_and_the_last_are_shown() -> None:
    svg = drawn([Step(f"attempt {index}", after(index), after(index + 1), "failed") for index in range(1, 1001)])

    assert len(named(svg, "f-failed")) == 36
    assert "964 steps are not shown" in words(svg)
    assert words(svg)[-1] == "1.0 s"


def test_no_steps_are_said_in_words() -> None:
    assert words(drawn([])) == ["Nothing is known yet."]


def test_a_hostile_note_stays_a_note_and_fits() -> None:
    svg = waterfall([Step(HOSTILE, DUE, after(1), HOSTILE, HOSTILE * 9)], BERLIN, label=HOSTILE, now=DUE)

    assert (named(svg, "e")[0].text or "").endswith("…")


INSTANTS = st.integers(0, 3_000_000_000).map(lambda ts: datetime.fromtimestamp(ts, UTC))
KINDS = st.sampled_from(["due", "claimed", "waited", "attempt 1", "backoff", "finished", ""])
STEPS = st.builds(
    Step, KINDS, INSTANTS, st.none() | INSTANTS, st.sampled_from(["failed", "running", "x"]), st.text(max_size=9)
)


@given(st.lists(STEPS, max_size=60), INSTANTS)
def test_any_steps_make_a_picture(steps: list[Step], now: datetime) -> None:
    svg = drawn(steps, now=now)

    assert all(float(bar.get("x", "0")) + float(bar.get("width", "0")) <= 800 for bar in parsed(svg).iter("rect"))
