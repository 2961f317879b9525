"""The reasons in words."""

from __future__ import annotations

from pinstripe_bot.occurrence import Reason
from pinstripe_bot.reason_words import REASON_WORDS, reason_in_words


def test_every_reason_has_words() -> None:
    assert set(REASON_WORDS) == set(Reason)


def test_no_reason_has_no_words() -> None:
    assert reason_in_words(None) == ""
