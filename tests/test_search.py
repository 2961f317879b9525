"""What happens where a zone shifts its clocks. Source: cron(8) of Debian, "Daylight Saving Time"."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pinstripe_bot.cron import parse
from pinstripe_bot.zones import zone


def dues(expression: str, name: str, day: str, until: str | None = None, *, dst: str = "once") -> list[str]:
    """The due instants of these local days, as the wall shows them, with the offset."""
    where = zone(name)
    start = datetime.fromisoformat(day).replace(tzinfo=where.tzinfo)
    end = datetime.fromisoformat(f"{until or day} 23:59:59").replace(tzinfo=where.tzinfo, fold=1)
    found = parse(expression).between(start.astimezone(UTC) - timedelta(seconds=1), end, name, dst=dst)
    return [f"{due.astimezone(where.tzinfo):%d %H:%M:%S %z}" for due in found]


def test_a_skipped_time_comes_due_right_after_the_gap() -> None:
    assert dues("30 2 * * *", "Europe/Berlin", "2025-03-30") == ["30 03:00:00 +0200"]


def test_all_skipped_times_come_due_together() -> None:
    assert dues("0,15,30,45 2 * * *", "Europe/Berlin", "2025-03-30") == ["30 03:00:00 +0200"]


def test_a_skipped_time_and_an_existing_one_at_its_stand_in_are_one() -> None:
    assert dues("0,30 2,3 * * *", "Europe/Berlin", "2025-03-30") == ["30 03:00:00 +0200", "30 03:30:00 +0200"]


def test_the_first_time_after_a_gap_needs_no_stand_in() -> None:
    assert dues("0 3 * * *", "Europe/Berlin", "2025-03-30") == ["30 03:00:00 +0200"]


def test_the_last_time_before_a_gap_is_not_repeated() -> None:
    assert dues("59 1 * * *", "Europe/Berlin", "2025-03-30") == ["30 01:59:00 +0100"]


def test_a_repeated_time_comes_due_the_first_time() -> None:
    assert dues("30 2 * * *", "Europe/Berlin", "2025-10-26") == ["26 02:30:00 +0200"]


def test_the_start_of_a_fold_belongs_to_the_first_time() -> None:
    assert dues("0 2,3 * * *", "Europe/Berlin", "2025-10-26") == ["26 02:00:00 +0200", "26 03:00:00 +0100"]


def test_an_interval_follows_real_time_through_a_gap() -> None:
    assert dues("0 */2 * * *", "Europe/Berlin", "2025-03-30")[:3] == [
        "30 00:00:00 +0100",
        "30 04:00:00 +0200",
        "30 06:00:00 +0200",
    ]


def test_an_interval_follows_real_time_through_a_fold() -> None:
    assert dues("*/30 2 * * *", "Europe/Berlin", "2025-10-26") == [
        "26 02:00:00 +0200",
        "26 02:30:00 +0200",
        "26 02:00:00 +0100",
        "26 02:30:00 +0100",
    ]


def test_a_list_that_names_every_hour_is_fixed_and_a_star_is_not() -> None:
    assert len(dues("30 0-23 * * *", "Europe/Berlin", "2025-10-26")) == 24
    assert len(dues("30 * * * *", "Europe/Berlin", "2025-10-26")) == 25
    assert len(dues("30 1,* * * *", "Europe/Berlin", "2025-10-26")) == 24
    assert len(dues("30 *,1 * * *", "Europe/Berlin", "2025-10-26")) == 25


def test_the_wall_rule_never_fires_in_a_gap() -> None:
    assert dues("30 2 * * *", "Europe/Berlin", "2025-03-30", dst="wall") == []


def test_the_wall_rule_fires_twice_in_a_fold() -> None:
    assert dues("30 2 * * *", "Europe/Berlin", "2025-10-26", dst="wall") == ["26 02:30:00 +0200", "26 02:30:00 +0100"]


def test_all_seconds_of_a_skipped_minute_come_due_in_the_first_minute_after_the_gap() -> None:
    assert dues("10,50 30 2 * * *", "Europe/Berlin", "2025-03-30") == ["30 03:00:10 +0200", "30 03:00:50 +0200"]


def test_seconds_that_begin_with_a_star_do_not_make_an_interval() -> None:
    assert dues("*/30 30 2 * * *", "Europe/Berlin", "2025-10-26") == ["26 02:30:00 +0200", "26 02:30:30 +0200"]


def test_a_gap_at_midnight_moves_the_day_start() -> None:
    assert dues("0 0 * * *", "America/Sao_Paulo", "2018-11-03", "2018-11-05") == [
        "03 00:00:00 -0300",
        "04 01:00:00 -0200",
        "05 00:00:00 -0200",
    ]


def test_a_skipped_midnight_keeps_its_day() -> None:
    assert dues("0 0 4 11 *", "America/Sao_Paulo", "2018-11-03", "2018-11-05") == ["04 01:00:00 -0200"]
    assert dues("30 23 3 11 *", "America/Sao_Paulo", "2018-11-03", "2018-11-05") == ["03 23:30:00 -0300"]


def test_a_fold_over_midnight_does_not_repeat_the_evening_before() -> None:
    assert dues("30 23 * * *", "America/Sao_Paulo", "2018-02-17") == ["17 23:30:00 -0200"]


def test_a_fold_after_midnight_does_not_repeat_midnight() -> None:
    assert dues("0 0 * * *", "America/Havana", "2025-11-02") == ["02 00:00:00 -0400"]


def test_a_shift_of_half_an_hour_moves_what_it_skips() -> None:
    assert dues("15 2 * * *", "Australia/Lord_Howe", "2025-10-05") == ["05 02:30:00 +1100"]
    assert dues("45 2 * * *", "Australia/Lord_Howe", "2025-10-05") == ["05 02:45:00 +1100"]
    assert dues("45 1 * * *", "Australia/Lord_Howe", "2025-04-06") == ["06 01:45:00 +1100"]
    assert dues("15 1 * * *", "Australia/Lord_Howe", "2025-04-06") == ["06 01:15:00 +1100"]


def test_half_an_hour_across_midnight() -> None:
    assert dues("15 0 * * *", "Asia/Pyongyang", "2018-05-04", "2018-05-05") == [
        "04 00:15:00 +0830",
        "05 00:15:00 +0900",
    ]
    assert dues("45 23 * * *", "Asia/Pyongyang", "2018-05-04", "2018-05-05") == [
        "05 00:00:00 +0900",
        "05 23:45:00 +0900",
    ]


def test_a_gap_of_three_hours_is_made_up() -> None:
    assert dues("0 3 * * *", "Antarctica/Casey", "2009-10-18") == ["18 05:00:00 +1100"]


def test_a_skipped_day_is_lost() -> None:
    assert dues("0 12 * * *", "Pacific/Apia", "2011-12-29", "2011-12-31") == ["29 12:00:00 -1000", "31 12:00:00 +1400"]
    assert dues("0 0 30 12 *", "Pacific/Apia", "2011-12-29", "2011-12-31") == []


def test_a_large_jump_backwards_repeats_its_times() -> None:
    assert dues("0 20 * * *", "Antarctica/Vostok", "1994-01-31") == ["31 20:00:00 +0700", "31 20:00:00 +0000"]


def test_a_gap_that_ends_within_a_minute_is_made_up_in_the_first_whole_one() -> None:
    day = "1972-01-07"  # the wall of Monrovia went from 00:00:00 to 00:44:30

    assert dues("20 0 * * *", "Africa/Monrovia", day) == ["07 00:45:00 +0000"]
    assert dues("44 0 * * *", "Africa/Monrovia", day) == ["07 00:45:00 +0000"]
    assert dues("10,50 44 0 * * *", "Africa/Monrovia", day) == ["07 00:44:50 +0000", "07 00:45:10 +0000"]
    assert dues("*/10 * * * * *", "Africa/Monrovia", day)[:2] == ["07 00:44:30 +0000", "07 00:44:40 +0000"]


@pytest.mark.parametrize(
    ("expression", "dst", "expected"),
    [
        ("* * * * * *", "once", 365 * 86400),
        ("* * * * *", "once", 365 * 1440),
        ("0 0-23 * * *", "once", 365 * 24 - 1),  # the skipped hour falls together with the next one
        ("0 * * * *", "once", 365 * 24),
        ("30 2 * * *", "once", 365),
        ("30 2 * * *", "wall", 365),  # none in spring, two in autumn
        ("*/20 30 2 * * *", "once", 3 * 365),
        ("0 0 29 2 *", "once", 0),
    ],
)
def test_a_year_is_counted(expression: str, dst: str, expected: int) -> None:
    where = zone("Europe/Berlin")
    start_ts = int(datetime(2025, 1, 1, tzinfo=where.tzinfo).timestamp()) - 1
    end_ts = int(datetime(2026, 1, 1, tzinfo=where.tzinfo).timestamp()) - 1

    assert parse(expression).count_ts(start_ts, end_ts, where, dst) == expected


def test_nothing_is_counted_in_an_empty_window() -> None:
    every_second = parse("* * * * * *")

    assert every_second.count_ts(100, 100, zone("UTC")) == 0
    assert every_second.count_ts(100, 50, zone("UTC")) == 0
