"""A shape for each state."""

from __future__ import annotations

import re

import pytest

from pinstripe_bot.console.glyphs import glyph, state_words

from .drawn import HOSTILE, parsed

STATES = (
    *("succeeded", "failed", "timed_out", "interrupted", "running", "queued"),
    *("skipped", "missed", "cancelled", "late", "paused", "broken"),
)


@pytest.mark.parametrize("state", STATES)
def test_a_glyph_names_its_state(state: str) -> None:
    root = parsed(glyph(state))

    assert root.get("class") == f"g g-{state}"
    assert root.get("role") == "img"
    assert root.get("aria-label") == state_words(state)


def test_every_state_has_a_shape_of_its_own() -> None:
    shapes = {re.sub(r"^<svg[^>]*>", "", glyph(state)) for state in STATES}

    assert len(shapes) == len(STATES)


def test_a_glyph_beside_its_word_is_hidden_from_those_who_listen() -> None:
    root = parsed(glyph("failed", ""))

    assert root.get("aria-hidden") == "true"
    assert root.get("role") is None


def test_a_glyph_may_be_named_otherwise() -> None:
    assert parsed(glyph("succeeded", "bot is running")).get("aria-label") == "bot is running"


def test_a_state_of_a_later_version_is_drawn_too() -> None:
    parsed(glyph(HOSTILE, HOSTILE))
