"""What a run has printed, as HTML: colours are classes, everything else is text."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console.printed import Line, printed_lines

from .drawn import HOSTILE

RED, BOLD, OFF = "\x1b[31m", "\x1b[1m", "\x1b[0m"


def html(output: str, search: str = "") -> list[str]:
    return [str(line.html) for line in printed_lines(output, search)]


def plain(line: Line) -> str:
    """What a reader sees."""
    return unescape(re.sub(r"<[^>]*>", "", str(line.html)))


# Lines


def test_empty_lines_at_the_end_are_left_out() -> None:
    assert html("a\n\n\n") == ["a"]
    assert html("") == html("\n\n") == [""]


def test_lines_are_numbered_from_one_and_empty_ones_stay() -> None:
    assert [(line.number, str(line.html)) for line in printed_lines("a\n\nb\n")] == [(1, "a"), (2, ""), (3, "b")]


def test_lines_of_windows_keep_their_text() -> None:
    assert html("one\r\ntwo\r\n") == ["one", "two"]


def test_a_line_that_is_written_over_shows_what_was_written_last() -> None:
    assert html("10 %\r50 %\r100 %\ndone") == ["100 %", "done"]


# Styles


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        (f"{RED}red{OFF} plain", '<span class="a31">red</span> plain'),
        ("\x1b[1;2mboth", '<span class="a1 a2">both</span>'),
        ("\x1b[91mbright", '<span class="a31">bright</span>'),
        ("\x1b[44mblue ground", '<span class="a44">blue ground</span>'),
        ("\x1b[31;42mred on green", '<span class="a31 a42">red on green</span>'),
        (f"a{BOLD}b{RED}c{OFF}d", 'a<span class="a1">b</span><span class="a1 a31">c</span>d'),
        ("\x1b[3;4;9mslanted", "slanted"),
        (f"{RED}{OFF}plain", "plain"),
    ],
)
def test_a_style_is_a_class(output: str, shown: str) -> None:
    assert html(output) == [shown]


def test_a_style_goes_on_in_the_next_line() -> None:
    assert html(f"{RED}a\nb{OFF}\nc") == ['<span class="a31">a</span>', '<span class="a31">b</span>', "c"]


@pytest.mark.parametrize(
    "code",
    ["38;5;200", "38;2;1;2;3", "48;5;255", "38;5;999", "38;5", "38;2;1", "38", "999", ";;;", "4:3", "?25"],
)
def test_a_colour_that_no_theme_knows_is_no_class(code: str) -> None:
    assert html(f"\x1b[{code}mtext") == ["text"]


def test_a_colour_with_more_digits_than_a_number_may_have_is_no_class() -> None:
    assert html(f"\x1b[{'9' * 5000}mtext") == ["text"]
    assert html(f"\x1b[{'9' * 60_000}text") == ["text"]


# What a terminal would obey


@pytest.mark.parametrize(
    "move", ["\x1b[2K", "\x1b[1A", "\x1b[10;20H", "\x1b[?25l", "\x1b[2J", "\x1b7", "\x1bM", "\x1b="]
)
def test_a_movement_of_the_cursor_is_left_out(move: str) -> None:
    assert html(f"a{move}b") == ["ab"]


def test_a_link_is_its_text() -> None:
    assert html("\x1b]8;;javascript:alert(1)\x1b\\here\x1b]8;;\x1b\\ and there") == ["here and there"]


@pytest.mark.parametrize("text", ["\x1b", "a\x1b[", "\x1b]8;;http://x", "\x9b31m", "\x07", "\x00", "\x1b[31", "\x1bP1"])
def test_a_movement_that_was_cut_off_is_harmless(text: str) -> None:
    (line,) = printed_lines(text)

    assert not re.search("[\x00-\x1f\x7f-\x9f]", str(line.html))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"),
        ('"&amp;', "&#34;&amp;amp;"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("bell\x07", "bell"),
        ("שלום\u200b", "שלום\u200b"),
    ],
)
def test_hostile_text_stays_text(text: str, shown: str) -> None:
    assert html(text) == [shown]


def test_markup_of_the_library_is_no_markup() -> None:
    assert html("[bold]not[/bold] [link=x]so[/link]") == ["[bold]not[/bold] [link=x]so[/link]"]


@given(st.text())
def test_anything_that_is_printed_is_shown_without_a_tag_of_its_own(output: str) -> None:
    for line in printed_lines(output):
        assert re.sub(r'</?span(?: class="[a0-9 ]+")?>', "", str(line.html)).count("<") == 0


@given(
    st.text(
        st.characters(
            exclude_categories=["Cc", "Cs", "Zl", "Zp"],
            exclude_characters="\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
        )
    )
)
def test_plain_text_is_shown_as_it_is(output: str) -> None:
    assert "".join(map(plain, printed_lines(output))) == output


# The search


def test_what_is_searched_for_is_marked_in_any_case() -> None:
    lines = printed_lines("Paper out\npaper, PAPER\nnothing", "paper")

    assert [line.is_found for line in lines] == [True, True, False]
    assert str(lines[1].html) == "<mark>paper</mark>, <mark>PAPER</mark>"


def test_what_is_searched_for_is_found_across_styles() -> None:
    (line,) = printed_lines(f"out of pa{RED}per{OFF} now", "paper")

    assert str(line.html) == 'out of <mark>pa</mark><mark><span class="a31">per</span></mark> now'
    assert line.is_found


def test_what_is_searched_for_is_not_a_pattern() -> None:
    assert html("a.c abc", "a.c") == ["<mark>a.c</mark> abc"]
    assert html("<b>", "<") == ["<mark>&lt;</mark>b&gt;"]


def test_no_search_marks_nothing() -> None:
    assert not any(line.is_found for line in printed_lines("abc", ""))


def test_what_overlaps_is_marked_once() -> None:
    assert html("aaa", "aa") == ["<mark>aa</mark>a"]


@pytest.mark.parametrize("output", ["İstanbul paper", "paper İ", "ß paper", "ﬃ paper"])
def test_a_line_with_letters_that_grow_in_another_case_is_searched(output: str) -> None:
    (line,) = printed_lines(output, "PAPER")

    assert line.is_found
    assert "<mark>paper</mark>" in str(line.html)


@given(st.text("aAbİ<\u202e ", max_size=20), st.text("aAb<", max_size=3))
def test_a_mark_changes_no_text(output: str, search: str) -> None:
    assert [plain(line) for line in printed_lines(output, search)] == [plain(line) for line in printed_lines(output)]


def test_hostile_text_is_searched() -> None:
    assert printed_lines(HOSTILE.replace("\ud800", ""), "script")[0].is_found


@pytest.mark.timeout(20)
def test_a_full_output_of_nothing_but_colours_is_shown_at_once() -> None:
    (line,) = printed_lines(f"{RED}a{BOLD}b" * 7000, "a")

    assert line.is_found
    assert plain(line) == "ab" * 7000
