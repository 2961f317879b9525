from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from pinstripe_bot.occurrence import MANUAL, Decision, Occurrence, Reason, Run, RunState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def run() -> Run:
    return Run(
        id=7,
        job="cleanup",
        schedule="*/5 * * * *",
        due_at=NOON,
        state=RunState.QUEUED,
        claimed_at=NOON + SECOND,
        params={},
    )


def test_an_occurrence_is_as_late_as_its_instant_is_past():
    occurrence = Occurrence("cleanup", "*/5 * * * *", NOON, Decision.MISSED, Reason.COALESCED)

    assert occurrence.lateness(NOON + 90 * SECOND) == timedelta(seconds=90)


def test_an_occurrence_ahead_of_the_clock_is_not_late():
    occurrence = Occurrence("cleanup", "*/5 * * * *", NOON, Decision.RUN)

    assert occurrence.lateness(NOON - 90 * SECOND) == timedelta(0)


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING])
def test_a_run_is_open_until_it_ends(state):
    assert state.is_open


@pytest.mark.parametrize("state", sorted({*RunState} - {RunState.QUEUED, RunState.RUNNING}))
def test_a_run_that_has_ended_is_not_open(state):
    assert not state.is_open


def test_a_run_that_has_not_started_has_neither_lateness_nor_duration(run):
    assert (run.lateness, run.duration) == (None, None)


def test_a_running_run_has_no_duration_yet(run):
    started = replace(run, started_at=NOON + 2 * SECOND)

    assert started.duration is None


def test_a_run_lasts_from_start_to_finish(run):
    ended = replace(run, started_at=NOON + 2 * SECOND, finished_at=NOON + 5 * SECOND)

    assert ended.duration == 3 * SECOND


def test_a_run_of_a_schedule_is_late_since_it_was_due(run):
    started = replace(run, started_at=NOON + 2 * SECOND)

    assert started.lateness == 2 * SECOND


def test_a_run_by_hand_is_late_since_it_was_asked_for(run):
    last_week = replace(run, schedule=MANUAL, due_at=NOON - timedelta(days=7), started_at=NOON + 3 * SECOND)

    assert last_week.lateness == 2 * SECOND


def test_a_run_that_starts_before_its_instant_is_not_late(run):
    early = replace(run, started_at=NOON - SECOND)

    assert early.lateness == timedelta(0)


def test_the_key_of_an_occurrence_names_job_schedule_instant_and_tenant(run):
    nightly = replace(run, job="reports/invoices", schedule="nightly")

    assert nightly.occurrence_key == "reports/invoices/nightly/2026-03-01T12:00:00Z"
    assert replace(nightly, tenant="acme").occurrence_key == f"{nightly.occurrence_key}/acme"


def test_a_schedule_without_a_name_is_in_the_key_by_its_expression(run):
    assert run.occurrence_key == "cleanup/*%2F5+*+*+*+*/2026-03-01T12:00:00Z"


def test_every_attempt_of_a_run_has_the_same_key_on_every_machine(run):
    elsewhere = replace(run, id=8, attempt=2, due_at=NOON.astimezone(timezone(timedelta(hours=5, minutes=45))))

    assert elsewhere.occurrence_key == run.occurrence_key


def test_the_key_of_a_run_by_hand_has_its_number(run):
    first = replace(run, schedule=MANUAL)
    again = replace(first, attempt=2)

    assert first.occurrence_key == again.occurrence_key == "cleanup/manual:7/2026-03-01T12:00:00Z"
    assert replace(first, id=8).occurrence_key == "cleanup/manual:8/2026-03-01T12:00:00Z"


INSTANT = "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a/b", "c", ""), ("a", "b/c", "")),
        (("a", f"b/{INSTANT}", ""), ("a", "b", INSTANT)),
        (("a/b", INSTANT, ""), ("a", "b", INSTANT)),
        (("a", "b", "c/d"), ("a", "b", "c%2Fd")),
        (("a", "b c", ""), ("a", "b+c", "")),
        (("a", "manual:7", ""), ("a", MANUAL, "")),
        (("a", "b", "ä"), ("a", "b", "ae")),
        (("a", "b", "\ud800"), ("a", "b", "?")),
    ],
)
def test_two_occurrences_never_have_the_same_key(run, one, other):
    keys = [
        replace(run, job=job, schedule=schedule, tenant=tenant).occurrence_key for job, schedule, tenant in (one, other)
    ]

    assert keys[0] != keys[1]
    assert all(re.fullmatch("[!-~]+", key) for key in keys)
