from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pinstripe_bot.cron import CronExpression, parse
from pinstripe_bot.errors import InvalidSchedule
from pinstripe_bot.zones import zone

CASES = json.loads((Path(__file__).parent / "data" / "cron_cases.json").read_text())["cases"]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)  # a Thursday
UTC_ZONE = zone("UTC")


def joins_nth_weekday_to_a_date(case: dict[str, Any]) -> bool:
    fields = case["expr"].split()
    return "#" in fields[-1] and fields[-3] != "*"


def dates(expression: str, count: int) -> list[str]:
    found = []
    due = NOON
    for _ in range(count):
        due = parse(expression).next_after(due, "UTC")
        found.append(f"{due:%Y-%m-%d %H:%M}")
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['expr']} {case['tz']} {case['start']}")
def test_a_given_case(case: dict[str, Any]) -> None:
    if case["expect"] in ("error", "never") or joins_nth_weekday_to_a_date(case):
        with pytest.raises(InvalidSchedule):
            parse(case["expr"])
        return
    cron = parse(case["expr"])
    due = datetime.fromisoformat(case["start"])
    found = []

    for _ in case["expect"]:
        due = cron.next_after(due, case["tz"])
        found.append(due.strftime("%Y-%m-%dT%H:%M:%SZ"))

    assert found == case["expect"]


@pytest.mark.parametrize(
    ("expression", "equal"),
    [
        ("0 0 * 6-6 *", "0 0 * 6 *"),
        ("0 0 * jan-jan *", "0 0 * 1 *"),
        ("0 0 * * sun-sun", "0 0 * * 0"),
        ("0 0 * * 7-7", "0 0 * * 0"),
        ("7-7 * * * *", "7 * * * *"),
        ("7-7/3 * * * *", "7 * * * *"),
        ("59/15 * * * *", "59 * * * *"),
        ("*/100 * * * *", "0 */1 * * *"),
        ("*,5 * * * *", "* * * * *"),
        ("*/2,* * * * *", "* * * * *"),
        ("0-7/99999999999999999999 * * * *", "0 */1 * * *"),
        ("00 07 01 01 *", "0 7 1 1 *"),
        ("0 0 * * 7", "0 0 * * sun"),
        ("0 0 * * fri-sun", "0 0 * * 5,6,0"),
        ("0 0 * * 6-7", "0 0 * * sat,sun"),
        ("0 0 * * 3/4", "0 0 * * 3,7"),
        ("0 0 * * 1-7/3", "0 0 * * 1,4,7"),
        ("0 0 * * 5-7/2", "0 0 * * 5,7"),
        ("0 0 * * 0-7", "0 0 * * *"),
        ("0 0 * * MON-Fri", "0 0 * * 1-5"),
        ("0 0 * DEC/3 *", "0 0 * 12 *"),
        ("0 0 * * mon-fri#1", "0 0 * * 1#1,2#1,3#1,4#1,5#1"),
        ("0 0 * * L7", "0 0 * * L0"),
        ("0 0 25-L * *", "0 0 25-31 * *"),
        ("0 0 31-L * *", "0 0 31 * *"),
        ("0 0 W15 * *", "0 0 15w * *"),
        ("@Daily", "0 0 * * *"),
        (" @hourly\n", "0 * * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("\t0  0 * *\t* ", "0 0 * * *"),
    ],
)
def test_two_ways_to_write_one_schedule(expression: str, equal: str) -> None:
    window = (NOON, NOON + timedelta(days=800), "UTC")

    assert parse(expression).next_after(NOON, "UTC") == parse(equal).next_after(NOON, "UTC")
    if parse(expression).count_ts(0, 10**9, UTC_ZONE) < 100_000:
        assert list(parse(expression).between(*window)) == list(parse(equal).between(*window))
    assert parse(expression).count_ts(0, 10**9, UTC_ZONE) == parse(equal).count_ts(0, 10**9, UTC_ZONE)


def test_either_day_field_is_enough_when_both_are_restricted() -> None:
    assert dates("0 0 13 * 5", 3) == ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-13 00:00"]


@pytest.mark.parametrize("expression", ["0 0 13 * */5", "0 0 */12 * 5"])
def test_both_day_fields_must_match_when_one_begins_with_a_star(expression: str) -> None:
    first = parse(expression).next_after(NOON, "UTC")

    assert first.day in (1, 13, 25)
    assert first.isoweekday() % 7 in (0, 5)


def test_a_star_later_in_a_list_does_not_begin_it() -> None:
    assert dates("0 0 13 * 5,*", 2) == ["2026-01-02 00:00", "2026-01-03 00:00"]
    assert dates("0 0 13 * *,5", 2) == ["2026-01-13 00:00", "2026-02-13 00:00"]


def test_special_days() -> None:
    assert dates("0 0 L * *", 2) == ["2026-01-31 00:00", "2026-02-28 00:00"]
    assert dates("0 0 15,L * *", 3) == ["2026-01-15 00:00", "2026-01-31 00:00", "2026-02-15 00:00"]
    assert dates("0 0 L * 5", 3) == ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-16 00:00"]
    assert dates("0 0 * * L5", 2) == ["2026-01-30 00:00", "2026-02-27 00:00"]
    assert dates("0 0 * * fri#2", 2) == ["2026-01-09 00:00", "2026-02-13 00:00"]
    assert dates("0 0 * * 1#1,1#3", 2) == ["2026-01-05 00:00", "2026-01-19 00:00"]
    assert dates("0 0 31W * *", 2) == ["2026-01-30 00:00", "2026-02-27 00:00"]


def test_seconds_come_first_of_six_fields() -> None:
    cron = parse("*/20 5 12 * * *")

    assert cron.has_seconds
    assert [due.second for due in cron.between(NOON, NOON + timedelta(hours=1), "UTC")] == [0, 20, 40]


def test_five_fields_come_due_at_second_zero() -> None:
    cron = parse("5 12 * * *")

    assert not cron.has_seconds
    assert cron.next_after(NOON, "UTC") == NOON + timedelta(minutes=5)


def test_next_is_strictly_after_and_previous_strictly_before() -> None:
    cron = parse("0 12 * * *")

    assert cron.next_after(NOON, "UTC") == NOON + timedelta(days=1)
    assert cron.previous_before(NOON, "UTC") == NOON - timedelta(days=1)


def test_a_fraction_of_a_second_counts() -> None:
    cron = parse("0 12 * * *")
    moment = timedelta(microseconds=1)

    assert cron.next_after(NOON - moment, "UTC") == NOON
    assert cron.next_after(NOON + moment, "UTC") == NOON + timedelta(days=1)
    assert cron.previous_before(NOON + moment, "UTC") == NOON
    assert cron.previous_before(NOON - moment, "UTC") == NOON - timedelta(days=1)
    assert cron.is_due(NOON, "UTC")
    assert not cron.is_due(NOON + moment, "UTC")
    assert not cron.is_due(NOON - moment, "UTC")


def test_a_fraction_of_a_second_counts_before_1970() -> None:
    cron = parse("* * * * * *")
    early = datetime(1965, 5, 5, 5, 5, 5, 500_000, tzinfo=UTC)

    assert cron.next_after(early, "UTC") == early.replace(second=6, microsecond=0)
    assert cron.previous_before(early, "UTC") == early.replace(microsecond=0)


def test_an_instant_may_come_in_any_zone_and_leaves_in_utc() -> None:
    local = NOON.astimezone(timezone(timedelta(hours=-7, minutes=-30)))

    due = parse("0 13 * * *").next_after(local, "Europe/Berlin")

    assert due == datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert due.tzinfo is UTC


@pytest.mark.parametrize("ask", [CronExpression.next_after, CronExpression.previous_before, CronExpression.is_due])
def test_an_instant_without_a_zone_is_refused(ask: Any) -> None:
    with pytest.raises(
        InvalidSchedule, match=r"2026-01-01 12:00:00 has no time zone: write datetime\(\.\.\., tzinfo=UTC\)"
    ):
        ask(parse("@daily"), NOON.replace(tzinfo=None), "UTC")


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(InvalidSchedule, match="did you mean Europe/Berlin"):
        parse("@daily").next_after(NOON, "Europe/Berlim")


def test_an_unknown_rule_for_shifts_is_refused() -> None:
    with pytest.raises(InvalidSchedule, match="'twice' is no rule for clock shifts: write dst='once' or dst='wall'"):
        parse("@daily").next_after(NOON, "UTC", dst="twice")
    with pytest.raises(InvalidSchedule, match="'' is no rule"):
        parse("@daily").between(NOON, NOON, "UTC", dst="")


def test_a_time_that_always_falls_in_a_gap_never_comes_due_by_the_wall() -> None:
    in_the_gap = parse("30 2 25-31 3 */7")

    assert in_the_gap.next_after(NOON, "Europe/Berlin") == datetime(2026, 3, 29, 1, tzinfo=UTC)
    with pytest.raises(InvalidSchedule, match="does not come due in Europe/Berlin in the fifty years after 2026-01-01"):
        in_the_gap.next_after(NOON, "Europe/Berlin", dst="wall")
    with pytest.raises(InvalidSchedule, match="in the fifty years before 2046-01-01"):
        in_the_gap.previous_before(NOON.replace(year=2046), "Europe/Berlin", dst="wall")


def test_the_rarest_due_instant_is_found() -> None:
    leap_sunday = parse("0 0 29 2 */7")

    assert leap_sunday.next_after(datetime(2088, 3, 1, tzinfo=UTC), "America/New_York").year == 2128
    assert leap_sunday.previous_before(datetime(2128, 1, 1, tzinfo=UTC), "America/New_York").year == 2088


@pytest.mark.parametrize("moment", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
@pytest.mark.parametrize("expression", ["* * * * *", "0 0 1 1 *"])
@pytest.mark.parametrize("name", ["UTC", "Asia/Tokyo", "Pacific/Honolulu"])
def test_the_ends_of_the_calendar_are_refused_in_words(expression: str, name: str, moment: datetime) -> None:
    cron = parse(expression)
    is_end = moment.year == 9999

    with pytest.raises(InvalidSchedule, match=r"outside the years 1 to 9999|does not come due"):
        (cron.next_after if is_end else cron.previous_before)(moment, name)
    assert (cron.previous_before if is_end else cron.next_after)(moment, name).year in (1, 2, 9998, 9999)


def test_between_excludes_its_start_and_includes_its_end() -> None:
    hours = list(parse("@hourly").between(NOON, NOON + timedelta(hours=3), "UTC"))

    assert hours == [NOON + timedelta(hours=each) for each in (1, 2, 3)]


def test_between_is_lazy() -> None:
    century = parse("* * * * * *").between(NOON, NOON + timedelta(days=36500), "UTC")

    assert next(century) == NOON + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("expression", "normalized"),
    [
        ("  0   9 * * MON-Fri ", "0 9 * * mon-fri"),
        ("@Daily", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("*/30 * * * * *", "*/30 * * * * *"),
        ("0\t0 15W * *", "0 0 15w * *"),
    ],
)
def test_the_normalized_text_is_plain(expression: str, normalized: str) -> None:
    cron = parse(expression)

    assert cron.normalized == normalized
    assert cron.expression == expression
    assert parse(normalized).normalized == normalized


def test_expressions_are_equal_by_their_normalized_text() -> None:
    assert parse("@daily") == parse(" 0 0 * * * ") == parse("@MIDNIGHT")
    assert len({parse("@daily"), parse("0 0  * * *"), parse("0 1 * * *")}) == 2
    assert parse("@daily") != "0 0 * * *"


def test_an_expression_is_parsed_once() -> None:
    assert parse("7 7 7 7 *") is parse("7 7 7 7 *")


def test_an_expression_cannot_be_changed() -> None:
    cron = parse("@daily")

    with pytest.raises(AttributeError):
        cron.normalized = "* * * * *"  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        cron.anything = 1  # type: ignore[attr-defined]


def test_an_expression_survives_a_journey_to_another_process() -> None:
    cron = parse("30 2 * * *")

    assert pickle.loads(pickle.dumps(cron)) == cron
    assert copy.deepcopy(cron) == cron
    assert repr(cron) == "CronExpression('30 2 * * *')"


def test_integers_ask_the_same_as_datetimes() -> None:
    cron, where = parse("30 2 * * *"), zone("Europe/Berlin")
    noon_ts = int(NOON.timestamp())

    assert cron.next_after_ts(noon_ts, where, "once") == cron.next_after(NOON, "Europe/Berlin").timestamp()
    assert cron.previous_before_ts(noon_ts, where, "once") == cron.previous_before(NOON, "Europe/Berlin").timestamp()
    assert cron.is_due_ts(cron.next_after_ts(noon_ts, where), where)
    assert not cron.is_due_ts(noon_ts, where)
