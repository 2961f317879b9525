"""Times, counts and names in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console.words import (
    ago,
    and_list,
    at_clock,
    at_millisecond,
    at_second,
    count_in_words,
    on_day,
    roughly,
    sentence,
    state_word,
    took,
)
from pinstripe_bot.occurrence import RunState
from pinstripe_bot.zones import zone

from .drawn import HOSTILE, at

BERLIN = zone("Europe/Berlin")
NOW = at(26, 12)


@pytest.mark.parametrize(
    ("instant", "words"),
    [
        (NOW, "13:00"),
        (at(25, 23), "00:00"),
        (at(25, 22, 59), "Sun 25 Oct 23:59"),
        (at(27, 9), "Tue 27 Oct 10:00"),
        (at(25, 0, 30), "Sun 25 Oct 02:30"),
        (at(25, 1, 30), "Sun 25 Oct 02:30"),
        (NOW.replace(year=2027), "26 Oct 2027 14:00"),
        (datetime(2025, 12, 31, 23, 30, tzinfo=UTC), "Thu 1 Jan 00:30"),
        (datetime(1, 1, 1, 12, tzinfo=UTC), "1 Jan 1 12:53"),
    ],
)
def test_an_instant_is_told_by_the_clock_with_as_much_of_its_day_as_is_needed(instant: datetime, words: str) -> None:
    assert at_clock(instant, NOW, BERLIN) == words


@pytest.mark.parametrize("name", ["Asia/Tokyo", "America/New_York", "UTC", "Pacific/Kiritimati"])
def test_the_last_instant_there_is_has_words_in_every_zone(name: str) -> None:
    last = datetime.max.replace(tzinfo=UTC)

    for told in (at_clock(last, NOW, zone(name)), at_second(last, NOW, zone(name)), on_day(last, NOW, zone(name))):
        assert "9999" in told


def test_an_instant_is_told_to_the_second_and_to_the_millisecond() -> None:
    instant = at(26, 9, 5, 7.0419)

    assert at_second(instant, NOW, BERLIN) == "10:05:07"
    assert at_second(at(25, 9, 5, 7), NOW, BERLIN) == "Sun 25 Oct 10:05:07"
    assert at_millisecond(instant, BERLIN) == "10:05:07.041"


def test_a_day_is_told_as_today_or_by_its_date() -> None:
    assert on_day(at(25, 23), NOW, BERLIN) == "today"
    assert on_day(at(25, 22, 59), NOW, BERLIN) == "Sun 25 Oct"
    assert on_day(NOW.replace(year=2024), NOW, BERLIN) == "26 Oct 2024"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s ago"),
        (-0.4, "in 0 s"),
        (-112, "in 1 m 52 s"),
        (119, "119 s ago"),
        (120, "2 m ago"),
        (7199, "119 m ago"),
        (7200, "2 h ago"),
        (172_799, "47 h ago"),
        (172_800, "2 d ago"),
        (10**10, "115740 d ago"),
    ],
)
def test_how_long_ago_is_told_in_one_unit(seconds: float, words: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == words


def test_a_length_is_never_negative() -> None:
    assert roughly(timedelta(seconds=-5)) == "0 s"
    assert took(timedelta(seconds=-5)) == "0 s"
    assert took(None) == ""
    assert took(timedelta.max)


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "no things"), (1, "one thing"), (12, "twelve things"), (13, "13 things"), (1376, "1,376 things")],
)
def test_a_number_up_to_twelve_is_a_word(number: int, words: str) -> None:
    assert count_in_words(number, "thing") == words


def test_a_noun_may_have_a_plural_of_its_own() -> None:
    assert count_in_words(2, "entry", "entries") == "two entries"
    assert count_in_words(1, "entry", "entries") == "one entry"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c", "d"], "a, b, c and d"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)
def test_names_are_listed_with_an_and(names: list[str], words: str) -> None:
    assert and_list(names) == words


@given(st.lists(st.text("xyz", min_size=1), min_size=1, max_size=30), st.integers(1, 6))
def test_no_name_of_a_list_is_uncounted(names: list[str], most: int) -> None:
    words = and_list(names, most)

    shown = words.replace(" and ", ", ").split(", ")
    more = int(shown.pop().split()[0]) if shown[-1].endswith(" more") else 0
    assert len(shown) + more == len(names)


def test_a_state_is_told_as_a_sentence_says_it() -> None:
    assert state_word(RunState.TIMED_OUT) == "timed out"
    assert state_word("succeeded") == "succeeded"


@pytest.mark.parametrize(
    ("text", "whole"),
    [("it runs", "It runs."), ("Why?", "Why?"), ("ünï:", "Ünï:"), ("7 runs", "7 runs."), (HOSTILE, f"{HOSTILE}.")],
)
def test_a_sentence_has_a_capital_and_an_end(text: str, whole: str) -> None:
    assert sentence(text) == whole
