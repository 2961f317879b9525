"""Explanations in words: every wording once, as a person reads it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from explained import berlin, explain
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import make_schedule

from pinstripe_bot.explanation_words import sentences
from pinstripe_bot.schedule import Schedule

GAP = "02:30 does not exist in Europe/Berlin on Sun 2026-03-29: the clocks went from 02:00 CET to 03:00 CEST."
FOLD = "02:30 exists twice in Europe/Berlin on Sun 2026-10-25: the clocks went back from 03:00 CEST to 02:00 CET."


def told(schedule: Schedule, written: str) -> list[str]:
    return list(sentences(explain(schedule, written)))


def test_a_due_instant():
    assert told(berlin("30 2 * * *"), "2026-07-01 02:30") == [
        "The schedule `30 2 * * *` came due at 02:30 CEST (00:30 UTC) on Wed 2026-07-01 in Europe/Berlin."
    ]


def test_a_due_instant_that_is_still_to_come():
    assert told(berlin("30 2 * * *"), "tomorrow 02:30") == [
        "The schedule `30 2 * * *` comes due at 02:30 CET (01:30 UTC) on Tue 2026-11-24 in Europe/Berlin."
    ]


def test_a_disabled_schedule_has_its_time_and_does_not_come_due():
    disabled = replace(make_schedule("0 9 * * *", "UTC"), enabled=False)

    (sentence,) = told(disabled, "2026-07-01 09:00")

    words = "The schedule `0 9 * * *`, which is disabled now, had its time at 09:00 UTC on Wed 2026-07-01."
    assert sentence == words


def test_in_utc_nothing_is_said_twice():
    assert told(make_schedule("0 9 * * *", "UTC"), "2026-07-01 09:00") == [
        "The schedule `0 9 * * *` came due at 09:00 UTC on Wed 2026-07-01."
    ]


def test_a_schedule_with_a_name_is_called_by_it():
    (sentence,) = told(berlin("30 2 * * *", name="nightly"), "2026-07-01 02:30")

    assert sentence.startswith("The schedule nightly (`30 2 * * *`) came due at 02:30 CEST")


def test_utc_has_its_day_where_it_is_another_one():
    (sentence,) = told(make_schedule("0 9 * * *", "Asia/Tokyo"), "2026-07-01 09:00")
    (early,) = told(make_schedule("0 8 * * *", "Asia/Tokyo"), "2026-07-01 08:00")

    assert "at 09:00 JST (00:00 UTC) on Wed 2026-07-01" in sentence
    assert "at 08:00 JST (Tue 2026-06-30 23:00 UTC) on Wed 2026-07-01" in early


def test_a_time_that_is_not_due():
    assert told(berlin("30 2 * * *"), "2026-07-01 02:31") == [
        "02:31 on Wed 2026-07-01 in Europe/Berlin was not a due instant of the schedule `30 2 * * *`.",
        "The nearest due instants are 02:30 CEST before it and 02:30 CEST on Thu 2026-07-02 after it.",
    ]


def test_a_time_that_will_not_be_due():
    first, _ = told(berlin("30 2 * * *"), "in 10m")

    assert first == "13:10 on Mon 2026-11-23 in Europe/Berlin is not a due instant of the schedule `30 2 * * *`."


def test_a_time_without_a_due_instant_after_it():
    assert told(make_schedule("0 0 29 2 *", "UTC"), "9998-01-01 00:00")[1] == (
        "The last due instant before it is 00:00 UTC on Thu 9996-02-29; there is none after it."
    )


def test_a_time_without_a_due_instant_before_it():
    assert told(make_schedule("0 0 29 2 *", "UTC"), "0002-01-01 00:00")[1] == (
        "The first due instant after it is 00:00 UTC on Sun 0004-02-29; there is none before it."
    )


def test_a_skipped_time_that_came_due_after_the_gap():
    assert told(berlin("30 2 * * *"), "2026-03-29T02:30") == [
        GAP,
        "The schedule `30 2 * * *` came due at 03:00 CEST (01:00 UTC) instead, once.",
    ]


def test_a_skipped_time_that_is_still_to_come():
    assert told(berlin("30 2 * * *"), "2027-03-28T02:30") == [
        "02:30 does not exist in Europe/Berlin on Sun 2027-03-28: the clocks go from 02:00 CET to 03:00 CEST.",
        "The schedule `30 2 * * *` comes due at 03:00 CEST (01:00 UTC) instead, once.",
    ]


def test_a_skipped_time_that_came_due_together_with_another():
    assert told(berlin("0,30 2-3 * * *"), "2026-03-29T02:30") == [
        GAP,
        "The schedule `0,30 2-3 * * *` came due at 03:00 CEST (01:00 UTC) instead, once, together with its own time"
        " then.",
    ]


def test_a_skipped_minute_of_seconds():
    assert told(berlin("*/20 30 2 * * *"), "2026-03-29T02:30") == [
        GAP,
        "The schedule `*/20 30 2 * * *` came due at 03:00:00 CEST (01:00:00 UTC, the first of 3 in that minute)"
        " instead.",
    ]


def test_a_skipped_time_of_another_schedule():
    assert told(berlin("30 2 * * *"), "2026-03-29T02:40")[1:] == [
        "It was no time of the schedule `30 2 * * *` either.",
        "The nearest due instants are 02:30 CET on Sat 2026-03-28 before it and 03:00 CEST after it.",
    ]


def test_a_skipped_time_by_the_wall():
    assert told(berlin("30 2 * * *", dst="wall"), "2026-03-29T02:30") == [
        GAP,
        'The schedule `30 2 * * *` did not come due in its place: with dst="wall" it follows what the clock shows.',
        "The nearest due instants are 02:30 CET on Sat 2026-03-28 before it and 02:30 CEST on Mon 2026-03-30 after it.",
    ]


def test_a_skipped_time_in_real_time():
    assert told(berlin("*/30 * * * *"), "2026-03-29T02:30") == [
        GAP,
        "The schedule `*/30 * * * *` did not come due in its place: an expression whose minute or hour begins with `*`"
        " follows real time.",
        "The nearest due instants are 01:30 CET before it and 03:00 CEST after it.",
    ]


def test_a_skipped_day():
    assert told(make_schedule("0 9 * * *", "Pacific/Apia"), "2011-12-30 09:00") == [
        "09:00 does not exist in Pacific/Apia on Fri 2011-12-30: the clocks went from 00:00 -10 to 00:00 +14 on Sat"
        " 2011-12-31.",
        "The schedule `0 9 * * *` did not come due in its place: a jump of more than three hours is followed as it is.",
        "The nearest due instants are 09:00 -10 on Thu 2011-12-29 before it and 09:00 +14 on Sat 2011-12-31 after it.",
    ]


def test_the_time_that_stands_in_for_a_skipped_one():
    assert told(berlin("30 2 * * *"), "2026-03-29 03:00") == [
        "The schedule `30 2 * * *` came due at 03:00 CEST (01:00 UTC) on Sun 2026-03-29 in Europe/Berlin, in place of"
        " a time between 02:00 CET and 03:00 CEST, which the clocks skipped."
    ]


def test_a_repeated_time():
    assert told(berlin("30 2 * * *"), "2026-10-25 02:30") == [
        FOLD,
        "The schedule `30 2 * * *` came due the first time, at 02:30 CEST (00:30 UTC), and not again at 02:30 CET.",
    ]


def test_the_second_of_two_equal_times():
    assert told(berlin("30 2 * * *"), "2026-10-25T01:30Z") == [
        FOLD,
        "You asked for the second time, 02:30 CET (01:30 UTC).",
        "The schedule `30 2 * * *` came due the first time, at 02:30 CEST (00:30 UTC), and not again at 02:30 CET.",
    ]


def test_the_first_of_two_equal_times():
    assert told(berlin("30 2 * * *"), "2026-10-25T00:30Z")[1] == "You asked for the first time, 02:30 CEST (00:30 UTC)."


def test_a_repeated_time_by_the_wall():
    assert told(berlin("30 2 * * *", dst="wall"), "2026-10-25 02:30")[1] == (
        "The schedule `30 2 * * *` came due both times, at 02:30 CEST (00:30 UTC) and at 02:30 CET (01:30 UTC):"
        ' with dst="wall" it follows what the clock shows.'
    )


def test_a_repeated_time_in_real_time():
    assert told(berlin("30 * * * *"), "2026-10-25 02:30")[1] == (
        "The schedule `30 * * * *` came due both times, at 02:30 CEST (00:30 UTC) and at 02:30 CET (01:30 UTC):"
        " an expression whose minute or hour begins with `*` follows real time."
    )


def test_a_repeated_time_that_is_not_due():
    assert told(berlin("0 * * * *"), "2026-10-25 02:30") == [
        FOLD,
        "Neither was a due instant of the schedule `0 * * * *`.",
        "The nearest due instants are 02:00 CEST, 02:00 CET and 03:00 CET.",
    ]


def test_a_repeated_time_that_only_the_spread_makes_due():
    assert told(berlin("45 2 * * *", offset_s=1800), "2026-10-25 02:15")[1:] == [
        "The schedule `45 2 * * *` came due the second time, at 02:15 CET (01:15 UTC), and not the first time,"
        " at 02:15 CEST.",
        "Its spread adds 30m to every due instant.",
    ]


@pytest.mark.parametrize("written", ["2026-07-01 02:30", "2026-07-01 02:34", "2026-07-01 02:34:05"])
def test_with_spread_both_times_find_the_due_instant(written):
    first, second = told(berlin("30 2 * * *", offset_s=245), written)

    assert first.startswith("The schedule `30 2 * * *` came due at 02:34:05 CEST (00:34:05 UTC) on Wed 2026-07-01")
    assert second == "Its spread adds 4m 5s to every due instant."


def test_a_spread_over_midnight_says_the_day():
    (first, _) = told(berlin("58 23 * * *", offset_s=245), "2026-07-01 23:58")

    assert "came due at 00:02:05 CEST on Thu 2026-07-02 (Wed 2026-07-01 22:02:05 UTC) in Europe/Berlin." in first


def test_a_time_with_seconds_is_shown_with_them():
    (first, _) = told(berlin("30 2 * * *"), "2026-07-01 02:30:01")

    assert first.startswith("02:30:01 on Wed 2026-07-01 in Europe/Berlin was not a due instant")


@pytest.mark.parametrize(
    ("name", "expression", "written", "clocks", "due"),
    [
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2026-10-04 02:15",
            "the clocks went from 02:00 +1030 to 02:30 +11",
            "came due at 02:30 +11 (Sat 2026-10-03 15:30 UTC) instead, once",
        ),
        (
            "Antarctica/Troll",
            "30 1 * * *",
            "2026-03-29 01:30",
            "the clocks went from 01:00 +00 to 03:00 +02",
            "came due at 03:00 +02 (01:00 UTC) instead, once",
        ),
        (
            "Africa/Casablanca",
            "30 2 * * *",
            "2026-02-15 02:30",
            "the clocks went back from 03:00 +01 to 02:00 +00",
            "came due the first time, at 02:30 +01 (01:30 UTC), and not again at 02:30 +00",
        ),
        (
            "America/Santiago",
            "30 0 * * *",
            "2024-09-08 00:30",
            "the clocks went from 00:00 -04 to 01:00 -03",
            "came due at 01:00 -03 (04:00 UTC) instead, once",
        ),
        (
            "America/Santiago",
            "30 23 * * *",
            "2024-04-06 23:30",
            "the clocks went back from 00:00 -03 on Sun 2024-04-07 to 23:00 -04",
            "came due the first time, at 23:30 -03 (Sun 2024-04-07 02:30 UTC), and not again at 23:30 -04",
        ),
        (
            "Pacific/Kiritimati",
            "0 0 * * *",
            "1994-12-31 00:00",
            "the clocks went from 00:00 -10 to 00:00 +14 on Sun 1995-01-01",
            "did not come due in its place: a jump of more than three hours is followed as it is",
        ),
        (
            "Africa/Monrovia",
            "30 0 * * *",
            "1972-01-07 00:30",
            "the clocks went from 00:00 MMT to 00:44:30 GMT",
            "came due at 00:45 GMT (00:45 UTC) instead, once",
        ),
    ],
)
def test_odd_shifts(name: str, expression: str, written: str, clocks: str, due: str) -> None:
    first, second, *_ = told(make_schedule(expression, name), written)

    assert first.endswith(f": {clocks}.")
    assert second == f"The schedule `{expression}` {due}."


@settings(derandomize=True, deadline=None)
@given(
    schedule=st.builds(
        make_schedule,
        st.sampled_from(["30 2 * * *", "*/7 * * * *", "15,45 */20 1-3 * * *", "0 0 29 2 *"]),
        st.sampled_from(["Europe/Berlin", "Pacific/Apia", "Antarctica/Vostok", "America/Havana", "UTC"]),
        dst=st.sampled_from(["once", "wall"]),
        offset_s=st.sampled_from([0, 245]),
    ),
    ts=st.integers(0, 2_100_000_000),
)
def test_every_answer_is_a_few_short_sentences(schedule: Schedule, ts: int) -> None:
    spoken = told(schedule, f"{datetime.fromtimestamp(ts, UTC):%Y-%m-%d %H:%M}")

    assert 1 <= len(spoken) <= 4
    assert all(each.endswith(".") and len(each) < 220 for each in spoken)


def test_utc_is_utc_by_whichever_name():
    told = " ".join(sentences(explain(make_schedule("0 9 * * *", "Etc/UTC"), "2026-11-20 09:00")))

    assert "Etc/UTC" not in told
