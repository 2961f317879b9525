"""Text without what a terminal or a reader would be fooled by."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.escapes import escape_controls, escape_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("שלום ünï 漢字 \U0001f9b4", "שלום ünï 漢字 \U0001f9b4"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("bell\x07", "bell\\x07"),
        ("nul\x00", "nul\\x00"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202edcb", "abc\\u202edcb"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("a\u2028b", "a\\u2028b"),
        ("back\\slash", "back\\slash"),
    ],
)
def test_what_a_terminal_obeys_is_written_out(text: str, shown: str) -> None:
    assert escape_controls(text) == shown
    assert escape_line(text) == shown


def test_lines_and_tabs_stay_and_those_of_windows_become_ours() -> None:
    assert escape_controls("a\tb\r\nc\nd") == "a\tb\nc\nd"
    assert escape_controls("a\rb") == "a\\rb"


def test_one_line_stays_one() -> None:
    assert escape_line("a\tb\r\nc\nd\u2029e") == "a\\tb\\nc\\nd\\u2029e"


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    assert not [one for one in escape_line(text) if unicodedata.category(one) in ("Cc", "Zl", "Zp")]


@given(st.text())
def test_what_was_escaped_is_not_escaped_again(text: str) -> None:
    assert escape_line(escape_line(text)) == escape_line(text)
