"""Due instants as people ask for them; what a note says at every kind of shift."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest

from pinstripe_bot import cron
from pinstripe_bot.upcoming import upcoming
from pinstripe_bot.zones import zone


def notes(expression: str, name: str, after: str, count: int, *, dst: str = "once") -> list[tuple[str, str]]:
    """(wall time, note) of the next `count` due instants after the start of a day, UTC."""
    start = datetime.fromisoformat(after).replace(tzinfo=UTC)
    found = islice(upcoming(cron.parse(expression), zone(name), start, dst=dst), count)
    return [(f"{at.local:%d %H:%M %Z}", at.note) for at in found]


def test_an_instant_is_given_in_utc_and_in_the_zone() -> None:
    after = datetime(2026, 7, 1, tzinfo=UTC)

    at = next(upcoming(cron.parse("0 9 * * *"), zone("Asia/Kolkata"), after))

    assert at.due_at == datetime(2026, 7, 1, 3, 30, tzinfo=UTC)
    assert at.due_at.tzinfo is UTC
    assert at.local.isoformat() == "2026-07-01T09:00:00+05:30"
    assert at.note == ""


def test_only_what_comes_strictly_after_counts() -> None:
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)

    at_noon = next(upcoming(cron.parse("0 12 * * *"), zone("UTC"), noon))
    a_moment_before = next(upcoming(cron.parse("0 12 * * *"), zone("UTC"), noon.replace(hour=11, microsecond=1)))

    assert at_noon.due_at.day == 2
    assert a_moment_before.due_at == noon


def test_a_time_in_a_gap_runs_right_after_it() -> None:
    assert notes("30 2 * * *", "Europe/Berlin", "2026-03-28", 3) == [
        ("28 02:30 CET", ""),
        ("29 03:00 CEST", "clocks go forward from 02:00 to 03:00: runs once, right after the gap"),
        ("30 02:30 CEST", ""),
    ]


def test_by_the_wall_a_time_in_a_gap_is_left_out() -> None:
    assert notes("30 2 * * *", "Europe/Berlin", "2026-03-28", 3, dst="wall") == [
        ("28 02:30 CET", ""),
        ("30 02:30 CEST", "clocks went forward 1h since the last one"),
        ("31 02:30 CEST", ""),
    ]


def test_a_repeated_time_runs_the_first_time() -> None:
    assert notes("30 2 * * *", "Europe/Berlin", "2026-10-25", 2) == [
        ("25 02:30 CEST", "this wall time comes twice: runs the first time only"),
        ("26 02:30 CET", "clocks went back 1h since the last one"),
    ]


@pytest.mark.parametrize(("expression", "dst"), [("30 2 * * *", "wall"), ("30 * * * *", "once")])
def test_what_follows_the_clock_or_real_time_runs_both_times(expression: str, dst: str) -> None:
    seen = [one for one in notes(expression, "Europe/Berlin", "2026-10-25", 3, dst=dst) if one[0].startswith("25 02")]

    assert seen == [
        ("25 02:30 CEST", "this wall time comes twice: the first of the two"),
        ("25 02:30 CET", "this wall time comes twice: the second of the two"),
    ]


@pytest.mark.parametrize(
    ("day", "note"),
    [
        ("2026-03-28", "clocks went forward 1h since the last one"),
        ("2026-10-24", "clocks went back 1h since the last one"),
        ("2026-07-01", ""),
    ],
)
def test_a_time_far_from_the_shift_says_that_there_was_one(day: str, note: str) -> None:
    assert [note for _, note in notes("0 12 * * *", "Europe/Berlin", day, 3)] == ["", note, ""]


@pytest.mark.parametrize(
    ("name", "expression", "day", "wall", "note"),
    [
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03", "04 02:30 +11", "clocks go forward from 02:00 to 02:30"),
        ("Antarctica/Troll", "30 1 * * *", "2026-03-29", "29 03:00 +02", "clocks go forward from 01:00 to 03:00"),
        ("Asia/Beirut", "30 0 * * *", "2026-03-28", "29 01:00 EEST", "clocks go forward from 00:00 to 01:00"),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04", "05 01:45 +11", "this wall time comes twice: runs the"),
        ("Antarctica/Troll", "30 2 * * *", "2026-10-25", "25 02:30 +02", "this wall time comes twice: runs the"),
        ("Africa/Monrovia", "0 0 * * *", "1972-01-07", "07 00:45 GMT", "clocks go forward from 00:00 to 00:44"),
    ],
)
def test_odd_shifts(name: str, expression: str, day: str, wall: str, note: str) -> None:
    ((shown, told),) = notes(expression, name, day, 1)

    assert shown == wall
    assert told.startswith(note)


def test_every_second_of_the_minute_after_the_gap_says_so() -> None:
    found = notes("*/20 30 2 * * *", "Europe/Berlin", "2026-03-29", 4)

    assert [bool(note) for _, note in found] == [True, True, True, False]


def test_spread_moves_the_instants_and_no_note() -> None:
    after = datetime(2026, 3, 28, 12, tzinfo=UTC)
    expression, berlin = cron.parse("30 2 * * *"), zone("Europe/Berlin")

    plain = list(islice(upcoming(expression, berlin, after), 3))
    spread = list(islice(upcoming(expression, berlin, after, offset_s=600), 3))

    assert [(at.due_at - before.due_at).total_seconds() for at, before in zip(spread, plain, strict=True)] == [600] * 3
    assert [at.note for at in spread] == [at.note for at in plain]


@pytest.mark.parametrize("name", ["UTC", "Etc/GMT+5", "Asia/Kolkata"])
def test_a_zone_without_shifts_has_no_notes(name: str) -> None:
    assert {note for _, note in notes("0 */6 * * *", name, "2026-01-01", 2000)} == {""}


def test_two_shifts_between_two_instants_cancel_each_other():
    yearly = upcoming(cron.parse("0 0 1 1 *"), zone("Europe/Berlin"), datetime(2026, 6, 1, tzinfo=UTC))

    assert [at.note for at in islice(yearly, 3)] == ["", "", ""]


def test_the_last_instants_of_time_are_shown_and_then_it_ends():
    leap_days = upcoming(cron.parse("0 0 29 2 *"), zone("UTC"), datetime(9990, 1, 1, tzinfo=UTC))

    assert [at.due_at.year for at in leap_days] == [9992, 9996]


def test_a_day_that_the_calendar_skipped_is_a_shift_of_a_day():
    found = notes("0 9 * * *", "Pacific/Apia", "2011-12-29", 2)

    assert found == [("29 09:00 -10", ""), ("31 09:00 +14", "clocks went forward 1d since the last one")]
