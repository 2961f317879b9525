"""Schedules in words, as people say them."""

from __future__ import annotations

import pytest

from pinstripe_bot.console.schedule_words import plainly
from pinstripe_bot.cron_words import in_words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("*/5 * * * *", "every 5 minutes"),
        ("0 7 * * *", "every day at 07:00"),
        ("0 7 * * mon", "Monday at 07:00"),
        ("5 15 * * mon-fri", "Monday to Friday at 15:05"),
        ("0 5 1 * *", "at 05:00 on day 1 of the month"),
        ("10 * * * *", "10 minutes past every hour"),
        ("30 30 2 * * *", "every day at 02:30:30"),
        ("0 0 1 1 *", "at 00:00 on day 1 of the month, only in January"),
        ("*/20 6-22 * * *", "every 20 minutes, between 06:00 and 22:59"),
    ],
)
def test_a_schedule_is_told_as_people_say_it(expression: str, words: str) -> None:
    assert plainly(in_words(expression)) == words
