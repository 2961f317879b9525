"""A run as a stripe."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console.strips import Stripe, key_stripe, mini_strip, strip, top_of, worst_of

from .drawn import HOSTILE, bars, named, parsed, starts, titles

STATES = (
    *("succeeded", "failed", "timed_out", "interrupted", "running"),
    *("queued", "skipped", "missed", "cancelled"),
)
STRIPES = st.builds(
    Stripe,
    state=st.sampled_from([*STATES, "unheard_of"]),
    duration_s=st.none() | st.floats(),
    is_late=st.booleans(),
    count=st.integers(0, 10**6),
    told=st.text(max_size=20),
)


def test_the_newest_run_is_at_the_right() -> None:
    svg = strip([Stripe("succeeded", 1), Stripe("succeeded", 2)], label="two runs")

    assert [(x, foot) for x, foot, _ in bars(svg, "f-succeeded")] == [(349, 32), (355, 32)]
    assert parsed(svg).get("viewBox") == "0 0 360 32"


def test_a_place_that_no_run_has_had_is_a_pin_stripe() -> None:
    svg = strip([Stripe("succeeded", 1)], label="one run")

    assert starts(svg, "pin")[0] == (2.5, 4)
    assert len(starts(svg, "pin")) == 59


def test_plain_runs_share_one_path_and_the_others_say_what_they_are() -> None:
    svg = strip(
        [Stripe("succeeded", 1)] * 58 + [Stripe("failed", 1, told="Fri 02:30 failed"), Stripe("skipped")], label=""
    )

    assert len(named(svg, "f-succeeded")) == 1
    assert titles(svg) == ["Fri 02:30 failed", "skipped"]


def test_only_the_newest_runs_are_shown() -> None:
    svg = strip([Stripe("failed", 1)] * 500 + [Stripe("succeeded", 1)] * 60, label="")

    assert named(svg, "f-failed") == []
    assert len(bars(svg, "f-succeeded")) == 60


def test_one_giant_does_not_flatten_the_rest() -> None:
    svg = strip([Stripe("succeeded", 10)] * 59 + [Stripe("succeeded", 10_000)], label="")

    heights = [height for _, _, height in bars(svg, "f-succeeded")]
    assert heights[0] == pytest.approx(27 / 1.15, abs=0.1)
    assert heights[-1] == 27


def test_a_giant_among_a_few_does_not_flatten_them_either() -> None:
    svg = strip([Stripe("succeeded", 10)] * 5 + [Stripe("succeeded", 10_000)], label="")

    assert min(height for _, _, height in bars(svg, "f-succeeded")) > 20


def test_a_failed_run_is_cut_near_its_foot_and_high_enough_to_be_seen() -> None:
    svg = strip([Stripe("succeeded", 100)] * 59 + [Stripe("failed", 0)], label="")

    assert bars(svg, "f-failed") == [(355, 32, 10)]
    assert starts(svg, "s-cut") == [(354.5, 27.5)]


def test_a_run_that_timed_out_has_hit_a_ceiling() -> None:
    svg = strip([Stripe("timed_out", 100)], label="")

    bar, cap = starts(svg, "f-timed_out")
    assert bar == (355, 32)
    assert cap[0] == 354
    assert starts(svg, "s-cut")[0][1] == pytest.approx(cap[1] + 3.5)


def test_a_late_run_has_a_block_above_its_bar() -> None:
    svg = strip([Stripe("succeeded", 1, is_late=True)], label="")

    ((x, foot, height),) = bars(svg, "f-succeeded")
    ((block_x, block_y),) = starts(svg, "f-late")
    assert (block_x, block_y) == (x, pytest.approx(foot - height - 5, abs=0.1))


def test_the_block_of_the_longest_run_stays_inside_the_picture() -> None:
    svg = strip([Stripe("succeeded", 1)] * 59 + [Stripe("succeeded", 99, is_late=True)], label="")

    assert starts(svg, "f-late") == [(355, 0)]


def test_a_run_of_no_time_is_seen() -> None:
    svg = strip([Stripe("succeeded", 0)] * 3, label="")

    assert {height for _, _, height in bars(svg, "f-succeeded")} == {1.5}


@pytest.mark.parametrize("draw", [strip, mini_strip])
def test_what_did_not_run_is_hollow_and_each_has_its_height(draw: Callable[..., str]) -> None:
    tops = {
        state: starts(draw([Stripe(state)], label=""), f"f-{state}")[0][1] for state in ("skipped", "queued", "missed")
    }

    assert tops["queued"] + 3 < tops["missed"]
    assert tops["missed"] + 3 <= tops["skipped"]


def test_a_mini_strip_has_thirty_places() -> None:
    svg = mini_strip([Stripe("succeeded", 1)] * 31, label="last 30 runs")

    assert parsed(svg).get("viewBox") == "0 0 120 20"
    assert [x for x, _, _ in bars(svg, "f-succeeded")][:2] == [0.5, 4.5]
    assert len(bars(svg, "f-succeeded")) == 30


@pytest.mark.parametrize("state", [*STATES, "late"])
def test_every_state_has_a_stripe_in_the_legend(state: str) -> None:
    assert named(key_stripe(state), f"f-{state}")


def test_the_worst_speaks_for_several() -> None:
    worst = worst_of([Stripe("succeeded", 9), Stripe("failed", 1), Stripe("failed", 2), Stripe("skipped")])

    assert (worst.state, worst.duration_s) == ("failed", 2)


def test_nothing_has_no_top() -> None:
    assert top_of([]) == 0
    assert top_of([Stripe("succeeded", math.inf), Stripe("failed", -1)]) == 0


def test_several_runs_in_one_stripe_are_counted() -> None:
    assert titles(strip([Stripe("failed", 1, is_late=True, count=12)], label="")) == ["12 runs: failed, late"]


def test_no_name_breaks_out_of_a_strip() -> None:
    svg = strip([Stripe("failed", 1, told=HOSTILE)], label=HOSTILE)

    assert "alert" in titles(svg)[0]


@given(st.lists(STRIPES, max_size=80), st.integers(-1, 100))
def test_any_runs_make_a_picture(stripes: list[Stripe], places: int) -> None:
    for svg in (strip(stripes, label="any", places=places), mini_strip(stripes, label="any", places=places)):
        assert all(-0.5 <= y <= 32 for each in parsed(svg).iter("path") for _, y in starts(svg, each.get("class", "")))
