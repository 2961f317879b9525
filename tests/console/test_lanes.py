"""The lanes of the timeline: what ran, what did not, and what is to come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stored import FAR, ODD

from pinstripe_bot.console.lanes import (
    MOST_TO_COME,
    LaneFacts,
    Span,
    Told,
    is_dense,
    lane_of,
    lanes_by_job,
    next_of,
    words_of,
)
from pinstripe_bot.console.timelines import Lane
from pinstripe_bot.ledger_timeline import PassedMark, RunMark
from pinstripe_bot.occurrence import RunError
from pinstripe_bot.project import Project
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.zones import zone

from .visits import NOON

DAY, MINUTE, SECOND = timedelta(days=1), timedelta(minutes=1), timedelta(seconds=1)

MakeSchedules = Callable[..., list[Schedule]]


@pytest.fixture
def schedules(load_project: Callable[..., Project]) -> MakeSchedules:
    """The schedules of a job with these expressions."""

    def make(*expressions: str, timezone: str = "UTC", options: str = "") -> list[Schedule]:
        decorators = "\n".join(f"@background_job({one!r}, timezone={timezone!r}{options})" for one in expressions)
        text = f"from pinstripe_bot import background_job\n{decorators}\ndef sweep(workspace): ...\n"
        return list(load_project({"lib/background_jobs/sweep.py": text}).schedules)

    return make


def a_span(now: datetime = NOON, length: timedelta = DAY, where: str = "UTC") -> Span:
    return Span(now - length, now + length, now, zone(where))


def a_mark(state: str = "succeeded", **facts: Any) -> RunMark:
    its = {"run": 7, "job": "sweep", "due_at": NOON - MINUTE, "started_at": NOON - MINUTE, "finished_at": NOON}
    return RunMark(**its | {"state": state, "whose": "", "is_late": False} | facts)


def a_passed(**facts: Any) -> PassedMark:
    its = {"job": "sweep", "due_at": NOON - MINUTE, "until_at": None, "decision": "missed", "reason": "bot_down"}
    return PassedMark(**its | {"count": 1} | facts)


def lane(*those: Schedule, span: Span | None = None, **facts: Any) -> Lane:
    return lane_of(LaneFacts("sweep", "/jobs/sweep", list(those), **facts), span or a_span())


def due(found: Lane) -> list[datetime]:
    return [mark.begins_at for mark in found.marks if mark.kind == "due"]


# What ran


def test_an_empty_lane_has_nothing_but_its_name() -> None:
    assert lane() == Lane("sweep", "/jobs/sweep", "", (), "")


def test_a_run_is_a_mark_with_its_words() -> None:
    (mark,) = lane(runs=[a_mark("failed", whose="Acme")]).marks

    assert (mark.kind, mark.begins_at, mark.ends_at) == ("failed", NOON - MINUTE, NOON)
    assert mark.told == "sweep for Acme, 11:59: failed after 1 m 00 s"


def test_a_late_run_shows_when_it_was_due() -> None:
    late = a_mark(started_at=NOON, finished_at=NOON + SECOND, is_late=True)

    (mark,) = lane(runs=[late]).marks

    assert mark.due_at == NOON - MINUTE
    assert mark.told == "sweep, 11:59: succeeded after 1.0 s, 1 m 00 s late"


def test_a_run_that_has_not_started_stands_where_it_was_due() -> None:
    (mark,) = lane(runs=[a_mark("queued", started_at=None, finished_at=None)]).marks

    assert (mark.begins_at, mark.ends_at, mark.told) == (NOON - MINUTE, None, "sweep, 11:59: queued")


def test_a_run_that_ended_before_it_began_and_one_of_the_far_future_are_borne() -> None:
    back, far = lane(runs=[a_mark("failed", finished_at=NOON - DAY), a_mark("failed", due_at=FAR, whose=ODD)]).marks

    assert back.told == "sweep, 11:59: failed after 0 s"
    assert "9999" in far.told


def test_how_long_it_usually_takes_is_noted() -> None:
    assert lane(usual=timedelta(seconds=6.1)).note == "6.1 s"


# What did not


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, "sweep, 11:59: missed, because no bot was running"),
        ({"count": 1_000}, "sweep, 11:59: missed 1,000 times, because no bot was running"),
        ({"reason": None, "decision": "skipped"}, "sweep, 11:59: skipped"),
    ],
)
def test_an_instant_that_did_not_run_tells_why(facts: dict[str, Any], told: str) -> None:
    (mark,) = lane(passed=[a_passed(**facts)]).marks

    assert (mark.kind, mark.told) == (facts.get("decision", "missed"), told)


def test_a_stretch_reaches_to_its_last_instant() -> None:
    (mark,) = lane(passed=[a_passed(until_at=FAR, count=2**31)]).marks

    assert (mark.ends_at, mark.count) == (FAR, 2**31)


# What is to come


def test_what_is_to_come_is_as_long_as_usual(schedules: MakeSchedules) -> None:
    found = lane(*schedules("0 * * * *"), span=a_span(length=timedelta(hours=3)), usual=MINUTE)

    assert due(found) == [NOON + timedelta(hours=hour) for hour in (1, 2, 3)]
    assert {mark.ends_at - mark.begins_at for mark in found.marks if mark.ends_at} == {MINUTE}


def test_an_instant_that_is_due_just_now_is_not_to_come(schedules: MakeSchedules) -> None:
    found = lane(*schedules("0 12 * * *"))

    assert due(found) == [NOON + DAY]


def test_a_dense_job_is_a_band_with_some_of_its_ticks(schedules: MakeSchedules) -> None:
    found = lane(*schedules("* * * * * *"), usual=SECOND)

    ticks = due(found)
    assert MOST_TO_COME // 2 * 0.9 <= len(ticks) <= MOST_TO_COME // 2 + 1
    assert ticks == sorted(set(ticks))
    assert ticks[-1] > NOON + DAY - timedelta(minutes=10)
    assert found.every == "every second"
    assert {mark.ends_at for mark in found.marks} == {None}


def test_of_several_schedules_each_is_shown(schedules: MakeSchedules) -> None:
    found = lane(*schedules("0 13 * * *", "30 13 * * *"))

    assert sorted(due(found)) == [NOON + timedelta(hours=1), NOON + timedelta(minutes=90)]


def test_a_job_with_many_runs_is_a_band_whatever_its_schedule(schedules: MakeSchedules) -> None:
    assert lane(*schedules("0 3 * * *"), is_quiet=True).every == "at 03:00"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("*/5 * * * *", True), ("*/6 * * * *", False), ("0-11 * * * *", True), ("0 * * * *", False)],
)
def test_a_job_is_dense_from_every_five_minutes_on(schedules: MakeSchedules, expression: str, expected: bool) -> None:
    assert is_dense(schedules(expression), NOON) is expected


def test_a_job_without_schedules_is_not_dense() -> None:
    assert not is_dense([], NOON)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2026, 10, 24, 12, tzinfo=UTC), [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]),
        (datetime(2026, 3, 28, 12, tzinfo=UTC), [datetime(2026, 3, 29, 1, tzinfo=UTC)]),
    ],
    ids=["the repeated hour: the first time", "the hour that is left out: right after it"],
)
def test_what_is_to_come_keeps_to_the_clocks_of_its_zone(
    schedules: MakeSchedules, now: datetime, expected: list[datetime]
) -> None:
    found = lane(*schedules("30 2 * * *", timezone="Europe/Berlin"), span=a_span(now, where="Europe/Berlin"))

    assert due(found) == expected


def test_where_nothing_is_to_come_any_more_there_is_nothing(schedules: MakeSchedules) -> None:
    (leap,) = schedules("0 0 29 2 *")

    assert next_of(leap, NOON) == datetime(2028, 2, 29, tzinfo=UTC)
    assert next_of(leap, FAR) is None
    assert LaneFacts("sweep", "", [leap]).first_due(FAR) is None


def test_the_first_due_instant_is_that_of_any_schedule(schedules: MakeSchedules) -> None:
    facts = LaneFacts("sweep", "", schedules("0 15 * * *", "0 14 * * *"))

    assert facts.first_due(NOON) == NOON + timedelta(hours=2)
    assert LaneFacts("sweep", "").first_due(NOON) is None


def test_each_job_has_its_lane_in_the_order_that_is_asked_for(schedules: MakeSchedules) -> None:
    found = lanes_by_job(["z", "sweep"], schedules("0 1 * * *", "0 2 * * *"))

    assert [(name, one.href, len(one.schedules)) for name, one in found.items()] == [
        ("z", "/_pinstripe/jobs/z", 0),
        ("sweep", "/_pinstripe/jobs/sweep", 2),
    ]
    assert lanes_by_job([], schedules("0 1 * * *")) == {}


# In words


def test_what_went_as_it_should_is_not_told() -> None:
    assert words_of([a_mark(), a_mark("running"), a_mark("queued"), a_mark("skipped")], []) == []


def test_the_same_again_and_again_is_told_once() -> None:
    error = RunError("OSError", "out of paper", "", "")
    marks = [a_mark("failed", run=run, due_at=NOON + run * MINUTE, error=error) for run in (3, 1, 2)]
    marks += [
        a_mark("failed", run=9, error=RunError("OSError", "ink", "", "")),
        a_mark("failed", job="other", error=error),
    ]

    found = words_of(marks, [])

    assert found[0] == Told(NOON + 3 * MINUTE, "failed", "sweep", "OSError: out of paper", 3, 3, NOON + MINUTE)
    assert len(found) == 3


def test_stretches_of_one_reason_are_counted_together() -> None:
    passed = [a_passed(count=5), a_passed(due_at=NOON, count=2**31), a_passed(reason=None)]

    found = words_of([], passed)

    assert [(one.why, one.count) for one in found] == [("no bot was running", 5 + 2**31), ("", 1)]


def test_a_late_run_is_told_with_how_late() -> None:
    (told,) = words_of([a_mark(started_at=NOON + MINUTE, is_late=True, whose="Acme")], [])

    assert (told.state, told.why) == ("late", "for Acme: started 2 m 00 s late")


def test_a_late_run_that_failed_is_told_as_failed() -> None:
    assert [one.state for one in words_of([a_mark("failed", is_late=True)], [])] == ["failed"]


def test_the_newest_is_told_first() -> None:
    found = words_of([a_mark("failed", due_at=NOON)], [a_passed(due_at=NOON + MINUTE), a_passed(due_at=FAR, job=ODD)])

    assert [one.due_at for one in found] == [FAR, NOON + MINUTE, NOON]
