from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
