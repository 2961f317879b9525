"""SVG as text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console import svg

from .drawn import HOSTILE, parsed


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (1.04, "1"), (1.25, "1.2"), (-0.04, "0"), (0.0, "0"), (1234.56, "1234.6"), (math.nan, "0"), (-5, "-5")],
)
def test_a_coordinate_has_one_decimal_at_most(value: float, text: str) -> None:
    assert svg.number(value) == text


@given(st.floats())
def test_every_number_has_a_form_that_svg_reads(value: float) -> None:
    assert math.isfinite(float(svg.number(value)))


@given(st.text(st.characters(), max_size=50))
def test_every_text_is_safe_in_an_element_and_in_an_attribute(told: str) -> None:
    picture = svg.picture(10, 10, told, svg.text(1, 1, told) + svg.titled(told, "<path/>"))

    parsed(picture)


def test_what_turns_or_breaks_a_text_is_replaced() -> None:
    escaped = svg.escape(HOSTILE)

    assert "<" not in escaped
    assert not {"\x00", "\x1b", "\u202e", "\ud800"} & {*escaped}
    assert "שלום" in escaped


def test_a_name_that_is_too_long_ends_in_an_ellipsis() -> None:
    assert svg.fitted("issue-invoices", 200) == "issue-invoices"
    assert svg.fitted("issue-invoices", 40).endswith("…")
    assert svg.text_width(svg.fitted("w" * 400, 100)) <= 100


def test_nothing_fits_into_no_width() -> None:
    assert svg.fitted("issue-invoices", 0) == "…"


def test_a_picture_says_what_is_to_be_seen() -> None:
    root = parsed(svg.picture(360, 32, "60 runs", "", css="strip", fit="none"))

    assert root.attrib == {
        "class": "strip",
        "viewBox": "0 0 360 32",
        "role": "img",
        "aria-label": "60 runs",
        "preserveAspectRatio": "none",
    }


def test_a_picture_without_a_label_is_hidden_from_those_who_listen() -> None:
    assert parsed(svg.picture(1, 1, "", "")).get("aria-hidden") == "true"


def test_a_picture_with_links_is_no_image_whose_parts_nobody_can_reach() -> None:
    assert parsed(svg.picture(1, 1, "3 jobs", "", has_links=True)).get("role") == "group"


def test_pieces_are_short() -> None:
    assert svg.bar_d(1, 32, 4, 16.9) == "M1 32v-16.9h4v16.9z"
    assert svg.box_d(1, 2, 3, -1) == "M1 2h3v0h-3z"
    assert svg.line_d(1, 2, 1, 9) == "M1 2V9"
    assert svg.line_d(1, 2, 9, 2) == "M1 2H9"
    assert svg.line_d(1, 2, 3, 4) == "M1 2L3 4"
    assert svg.cross_d(10, 10) == "M7.5 7.5l5 5m0 -5l-5 5"


def test_empty_words_and_paths_leave_nothing_behind() -> None:
    assert svg.text(1, 1, "") == ""
    assert svg.path("", "dots") == ""
    assert svg.titled("", "<path/>") == "<path/>"
