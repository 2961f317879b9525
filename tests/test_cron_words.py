"""Expressions in English."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot import cron
from pinstripe_bot.cron_words import in_words
from pinstripe_bot.errors import InvalidSchedule


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "Every minute"),
        ("* * * * * *", "Every second"),
        ("*/5 * * * *", "Every 5 minutes"),
        ("30 2 * * *", "At 02:30"),
        ("15 30 2 * * *", "At 02:30:15"),
        ("0 9 * * mon-fri", "At 09:00, Monday through Friday"),
        ("0 0 1 1 *", "At 00:00, on day 1 of the month, only in January"),
        ("0 12 * * 7", "At 12:00, only on Sunday"),
    ],
)
def test_an_expression_is_told_in_words(expression: str, words: str) -> None:
    assert in_words(expression) == words


@pytest.mark.parametrize("expression", ["*/45 * * * *", "0 */45 * * * *"])
def test_a_step_that_does_not_go_evenly_is_told_minute_by_minute(expression: str) -> None:
    assert "45" in in_words(expression)
    assert "every 45" not in in_words(expression).lower()


def test_an_uneven_step_of_hours_is_told_hour_by_hour() -> None:
    assert "every 5 hours" not in in_words("0 */5 * * *").lower()


@pytest.mark.parametrize("expression", ["nonsense", "* *", "* * * *"])
def test_for_what_is_no_expression_there_are_no_words(expression: str) -> None:
    assert in_words(expression) == ""


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.integers(1, high - low + 1).map("*/{}".format),
        st.tuples(number, number).map(lambda pair: "{}-{}".format(*sorted(pair))),
        st.lists(number, min_size=1, max_size=3).map(lambda those: ",".join(map(str, those))),
        st.tuples(st.integers(low, high - 1), st.integers(1, 5)).map(lambda pair: f"{pair[0]}-{high}/{pair[1]}"),
    )


_FIELDS = [_field(*each) for each in [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]]


@given(st.one_of(st.tuples(*_FIELDS), st.tuples(*_FIELDS[1:])).map(" ".join))
def test_every_expression_that_we_take_has_words(expression: str) -> None:
    try:
        normalized = cron.parse(expression).normalized
    except InvalidSchedule:
        return

    assert in_words(normalized)
