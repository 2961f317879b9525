"""Why an instant is not decided, and the sentences for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pinstripe_bot.records import Act, MarkRecord
from pinstripe_bot.story import Gap, Standing, Story, standing_of
from pinstripe_bot.story_commands import story_commands
from pinstripe_bot.story_words import story_sentences
from pinstripe_bot.zones import zone

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DUE_AT = NOW - timedelta(hours=2)
DAYS = timedelta(days=1)
MARK = MarkRecord("form", NOW - 90 * DAYS, NOW - timedelta(hours=1), None)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("due_at", "mark", "form", "is_enabled", "standing"),
    [
        (NOW + HOUR, MARK, "form", True, Standing.TO_COME),
        (NOW + HOUR, MARK, None, True, Standing.REMOVED),
        (DUE_AT, MARK, "form", False, Standing.DISABLED),
        (DUE_AT, None, "form", True, Standing.UNPLANNED),
        (DUE_AT, MARK, "another form", True, Standing.EDITED),
        (NOW - 91 * DAYS, MARK, "form", True, Standing.BEFORE),
        (NOW, MARK, "form", True, Standing.UNDECIDED),
        (NOW - 40 * DAYS, MARK, "form", True, Standing.PRUNED),
        (DUE_AT, MARK, "form", True, Standing.UNKNOWN),
        (NOW, MarkRecord("form", MARK.effective_from, DUE_AT, DUE_AT), "form", True, Standing.REMOVED),
    ],
)
def test_what_has_no_row_stands_somewhere(
    due_at: datetime, mark: MarkRecord | None, form: str | None, is_enabled: bool, standing: Standing
) -> None:
    assert standing_of(due_at, mark, form=form, is_enabled=is_enabled, now=NOW, retention=30 * DAYS) is standing


@pytest.mark.parametrize(
    ("standing", "sentence"),
    [
        (Standing.EDITED, "The ledger has the schedule in another form (form): no bot has been started since its file"),
        (Standing.UNPLANNED, "No bot has planned this schedule yet: it counts from the first start of a bot on."),
        (Standing.DISABLED, "The schedule is disabled: no bot plans it."),
        (Standing.REMOVED, "The schedule was removed or disabled: no bot plans it."),
        (Standing.PRUNED, "The ledger has no record of it any more: records are kept for 30d."),
        (Standing.UNKNOWN, "The ledger has no record of it, though all up to 11:00:00 UTC is decided."),
        (
            Standing.BEFORE,
            "The schedule counts from 12:00:00 UTC on Tue 2026-08-25 on, when it was new, edited, resumed",
        ),
    ],
)
def test_each_standing_has_its_sentence(standing: Standing, sentence: str) -> None:
    story = Story("sweep", "* * * * *", DUE_AT, standing, mark=MARK)

    (told,) = story_sentences(story, zone("UTC"), NOW)

    assert told.startswith(sentence)


def test_what_was_due_shortly_before_its_schedule_was_removed_says_so() -> None:
    mark = MarkRecord("form", NOW - 90 * DAYS, DUE_AT - HOUR, DUE_AT + HOUR)
    before = Story("sweep", "* * * * *", DUE_AT, Standing.REMOVED, mark=mark)
    after = Story("sweep", "* * * * *", NOW, Standing.REMOVED, mark=mark)

    told = [story_sentences(story, zone("UTC"), NOW) for story in (before, after)]

    removed = "The schedule was removed or disabled at 11:00:00 UTC"
    assert told == [
        [f"{removed}, before a bot had decided this instant: it does not run."],
        [f"{removed}: no bot has planned it since."],
    ]


def test_what_comes_due_in_a_pause_will_be_skipped() -> None:
    act = Act("pause", "kim", NOW - HOUR, "stocktaking", NOW + 2 * HOUR, job="sweep")
    story = Story("sweep", "* * * * *", NOW + HOUR, Standing.TO_COME, act=act, has_bot=True)

    told = story_sentences(story, zone("UTC"), NOW)

    assert told == [
        "It is still to come, in 1 h 00 m.",
        "It will be skipped: kim paused it at 11:00:00 UTC until 14:00:00 UTC (stocktaking).",
    ]
    assert story_commands(story) == ["pinstripe resume sweep"]


@pytest.mark.parametrize(
    ("facts", "command"),
    [
        ({}, "pinstripe resume --all"),
        ({"tenant": "a b"}, "pinstripe resume --all --tenant 'a b'"),
        ({"job": "sweep", "tenant": "7"}, "pinstripe resume sweep --tenant 7"),
    ],
)
def test_what_ends_the_pause_that_keeps_it_is_told(facts: dict[str, str], command: str) -> None:
    act = Act("pause", "kim", NOW - HOUR, **facts)
    story = Story("sweep", "* * * * *", NOW + HOUR, Standing.TO_COME, act=act, has_bot=True)

    assert story_commands(story) == [command]


def test_without_a_bot_what_comes_says_since_when() -> None:
    story = Story("sweep", "* * * * *", NOW + HOUR, Standing.TO_COME, gap=Gap(NOW - HOUR, None))

    assert story_sentences(story, zone("UTC"), NOW)[1] == "No bot is running since 11:00:00 UTC."
