from __future__ import annotations

import re

import pytest

from pinstripe_bot.cron import parse
from pinstripe_bot.errors import InvalidSchedule

REFUSALS = {
    # how many fields
    "": "it is empty, write five fields such as '*/5 * * * *'.",
    " \t ": "it is empty, write five fields",
    "*": "the number of its fields is 1, write five (minute, hour, day of month, month, day of week), or six",
    "0 0 * *": "the number of its fields is 4, write five",
    "0 0 0 * * * * *": "the number of its fields is 8, write five",
    "0 0 0 1 1 * 2026": "it has seven fields and a year is not known here, write five, or six with the seconds first.",
    "0 0 1 1 * 2026": "'2026' is no day of week, write a number from 0 to 7 or one of sun, mon, tue, wed, thu,",
    "TZ=Europe/Berlin 0 0 * * *": "a zone is not part of it, write timezone='Europe/Berlin', say, next to it.",
    "CRON_TZ=UTC 0 0 * * *": "a zone is not part of it",
    # words
    "@reboot": "a start is not a time, write a time, or call the job from the code that starts.",
    "@dayly": "the word '@dayly' is not known, did you mean @daily?",
    "@hourly * * * *": "the word '@hourly * * * *' is not known",
    "@every 5m": "the word '@every 5m' is not known, write one of @hourly, @daily, @midnight, @weekly, @monthly,",
    "@": "the word '@' is not known",
    # values
    "60 * * * *": "'60' is no minute, write a number from 0 to 59.",
    "60 * * * * *": "'60' is no second, write a number from 0 to 59.",
    "0 24 * * *": "'24' is no hour, write a number from 0 to 23.",
    "0 0 0 * *": "'0' is no day of month, write a number from 1 to 31.",
    "0 0 32 * *": "'32' is no day of month",
    "0 0 * 0 *": "'0' is no month, write a number from 1 to 12 or one of jan, feb, mar, apr, may, jun, jul, aug,",
    "0 0 * 13 *": "'13' is no month",
    "0 0 * sept *": "'sept' is no month",
    "0 0 * * 8": "'8' is no day of week",
    "0 0 * * monday": "'monday' is no day of week",
    "0 0 * jan-13 *": "'13' is no month",
    "5-70 * * * *": "'70' is no minute",
    "70/5 * * * *": "'70' is no minute",
    "-5 * * * *": "'-5' is no minute, write a number, a range such as 1-5, or a step such as */5.",
    "+5 * * * *": "'+5' is no minute",
    "1_0 * * * *": "'1_0' is no minute",
    "1.5 * * * *": "'1.5' is no minute",
    "0x5 * * * *": "'0x5' is no minute",
    "mon * * * *": "'mon' is no minute",
    "\x00 * * * *": "is no minute",
    "1\x1f2 * * * *": "is no minute",
    # lists
    ",1 * * * *": "the minute has an empty item, remove the spare comma.",
    "1,,2 * * * *": "the minute has an empty item",
    "0 1, * * *": "the hour has an empty item",
    # ranges and steps
    "1- * * * *": "'1-' is no minute, write a number, a range such as 1-5, or a step such as */5.",
    "1-5-9 * * * *": "'1-5-9' is no minute",
    "*-5 * * * *": "'*-5' is no minute",
    "** * * * *": "'**' is no minute",
    "*5 * * * *": "'*5' is no minute",
    "*/ * * * *": "'*/' is no minute",
    "/5 * * * *": "'/5' is no minute",
    "*/5/2 * * * *": "'*/5/2' is no minute",
    "*/-5 * * * *": "'*/-5' is no minute",
    "*/5-10 * * * *": "'*/5-10' is no minute",
    "*/mon * * * *": "'*/mon' is no minute",
    "*/0 * * * *": "the step of '*/0' is zero, write 1 or more.",
    "5/00 * * * *": "the step of '5/00' is zero",
    "0 22-2 * * *": "the range '22-2' runs backwards, write '22-23,0-2'.",
    "0 22-2/2 * * *": "the range '22-2/2' runs backwards, write '22,0,2'.",
    "0 0 25-5/4 * *": "the range '25-5/4' runs backwards, write '25,29,2'.",
    "0 23-0 * * *": "the range '23-0' runs backwards, write '23,0'.",
    "0 0 25-5 * *": "the range '25-5' runs backwards, write '25-31,1-5'.",
    "0 0 * nov-feb *": "the range 'nov-feb' runs backwards, write '11-12,1-2'.",
    "0 0 * * 5-1": "the range '5-1' runs backwards, write '5-6,0-1'.",
    "0 0 * * sat-mon": "the range 'sat-mon' runs backwards, write '6,0-1'.",
    "0 0 * * 7-1": "the range '7-1' runs backwards, write '7,0-1'.",
    "0 0 * * 7-0": "the range '7-0' runs backwards",
    # signs of other schedulers
    "? * * * *": "'?' is not known here, write '*' as minute.",
    "0 0 ? * mon": "'?' is not known here, write '*' as day of month.",
    "0 0 12 * * ?": "'?' is not known here, write '*' as day of week.",
    "H * * * *": "'H' chooses the minute by chance, write a number, and spread= to move it.",
    "H/15 * * * *": "'H/15' chooses the minute by chance",
    "0 h(0-5) * * *": "'H(0-5)' chooses the hour by chance",
    "0 0 * * r": "'R' chooses the day of week by chance",
    "0 0 LW * *": "'LW' is not known here, write '31W' for the last weekday of the month.",
    "0 0 L-3 * *": "'L-3' is no day of month, write L for the last one, 15W for the weekday nearest to one.",
    "0 0 W * *": "'W' is no day of month",
    "0 0 0W * *": "'0' is no day of month",
    "0 0 32W * *": "'32' is no day of month",
    "0 0 5-10W * *": "'5-10W' is no day of month",
    "0 0 15W,20 * *": "'15w,20' mixes plain days with special ones, write two schedules.",
    "0 0 15W,20W * *": "'15w,20w' has W more than once, write a schedule for each.",
    "0 0 * * L": "'L' is no day of week, write L5 for the last Friday, FRI#2 for the second one.",
    "0 0 * * 5L": "'5L' is no day of week",
    "0 0 * * Lfri": "'LFRI' is no day of week",
    "0 0 * * L8": "'8' is no day of week",
    "0 0 * * 5#0": "'5#0' is no day of week",
    "0 0 * * 5#6": "'5#6' is no day of week",
    "0 0 * * 5#-1": "'5#-1' is no day of week",
    "0 0 * * 1-5#2": "'1-5#2' is no day of week",
    "0 0 * * *#2": "'*#2' is no day of week",
    "0 0 * * fri-mon#2": "the range 'fri-mon' runs backwards",
    "0 0 * * 1#2,5": "'1#2,5' mixes plain days with special ones, write two schedules.",
    "0 0 * * *,1#2": "'*,1#2' mixes plain days with special ones",
    "L * * * *": "'l' is no minute",
    "0 0 * L *": "'l' is no month",
    "15W * * * *": "'15w' is no minute",
    # both day fields
    "0 0 13 * 5#2": "'5#2' as day of week cannot be joined with '13' as day of month, write '*' there, or two",
    "0 0 L * 5#2": "'5#2' as day of week cannot be joined with 'l' as day of month",
    "0 0 */2 * L5": "'l5' as day of week cannot be joined with '*/2' as day of month",
    "0 0 1-31 * L5": "'l5' as day of week cannot be joined with '1-31' as day of month",
    "0 0 15W * mon": "'15w' as day of month cannot be joined with 'mon' as day of week",
    "0 0 15W * 5,*": "'15w' as day of month cannot be joined with '5,*' as day of week",
    "0 0 15W * L5": "cannot be joined",
    # dates that never come
    "0 0 31 2 *": "such a day never comes, write a day that its months have, or L for the last one.",
    "0 0 30,31 feb *": "such a day never comes",
    "0 0 31 4,6,9,11 *": "such a day never comes",
    "0 0 30 2 */2": "such a day never comes",
}


@pytest.mark.parametrize(("expression", "reason"), REFUSALS.items())
def test_a_refusal_says_what_to_write(expression: str, reason: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        parse(expression)

    sentence = str(refusal.value)
    assert reason in sentence
    assert sentence.startswith(f"{expression!r} is not a schedule: ")
    assert re.search(r"[.?]$", sentence)


@pytest.mark.parametrize("expression", [None, 5, b"* * * * *", ["* * * * *"], object])
def test_what_is_no_text_is_refused(expression: str) -> None:
    with pytest.raises(InvalidSchedule, match="write the cron expression as text"):
        parse(expression)


@pytest.mark.parametrize(
    ("expression", "strange"),
    [
        ("0 0 * * *\u00a0", r"'\xa0'"),  # a no-break space
        ("\u0665 * * * *", "'\u0665'"),  # an Arabic five
        ("0 0 * * 1\u20135", "'\u2013'"),  # a dash for a hyphen
        ("\uff0a * * * *", "'\uff0a'"),  # a wide asterisk
    ],
)
def test_a_character_beyond_ascii_is_named(expression: str, strange: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        parse(expression)

    assert f"{strange} is no ASCII character, type it anew" in str(refusal.value)


def test_a_text_of_512_characters_is_the_longest() -> None:
    longest = "0,1 * * * *".replace(",1", ",1" * 251).ljust(512)

    assert len(longest) == 512
    assert parse(longest)
    with pytest.raises(InvalidSchedule, match="it has 513 characters, write at most 512"):
        parse(longest + " ")


def test_the_sentence_about_a_huge_text_is_short() -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        parse("*" * 10_000_000)

    assert len(str(refusal.value)) < 200


def test_a_refusal_is_repeated() -> None:
    with pytest.raises(InvalidSchedule) as first:
        parse("0 0 31 2 *")
    with pytest.raises(InvalidSchedule) as second:
        parse("0 0 31 2 *")

    assert str(first.value) == str(second.value)
