from __future__ import annotations

from datetime import timedelta

import pytest
from bots import job
from conftest import LoadProject

from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.retries import MOST_ATTEMPTS_AFTER_INTERRUPTS, Retries
from pinstripe_bot.testing import TravelClock


class Asking:
    """Asks for the retry of a run of one job."""

    def __init__(self, load_project: LoadProject, clock: TravelClock, options: str) -> None:
        self._clock = clock
        files = {"lib/background_jobs/sweep.py": job("return 1", f"'* * * * *', {options}")}
        self._retries = Retries(load_project(files), clock)

    def wait_s(self, state: RunState, *, attempt: int = 1, name: str = "sweep") -> float | None:
        now = self._clock.now()
        run = Run(
            id=1,
            job=name,
            schedule="* * * * *",
            due_at=now,
            state=state,
            claimed_at=now,
            params={},
            attempt=attempt,
            finished_at=now,
        )
        retry_at = self._retries.retry_at(run)
        return None if retry_at is None else (retry_at - now) / timedelta(seconds=1)


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.TIMED_OUT])
def test_what_did_not_succeed_is_tried_again_within_the_backoff(
    load_project: LoadProject, clock: TravelClock, state: RunState
) -> None:
    asking = Asking(load_project, clock, "retries=3, backoff=('10s', '30s')")

    waits = [asking.wait_s(state, attempt=attempt) for attempt in (1, 2, 3)]

    for wait_s, full_s in zip(waits, (10, 20, 30), strict=True):
        assert wait_s is not None
        assert full_s / 2 <= wait_s <= full_s


def test_after_the_last_retry_there_is_none(load_project: LoadProject, clock: TravelClock) -> None:
    asking = Asking(load_project, clock, "retries=2")

    assert asking.wait_s(RunState.FAILED, attempt=3) is None


def test_without_retries_the_next_due_time_is_the_retry(load_project: LoadProject, clock: TravelClock) -> None:
    asking = Asking(load_project, clock, "retries=0")

    assert asking.wait_s(RunState.FAILED) is None


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.CANCELLED, RunState.SKIPPED])
def test_what_has_succeeded_or_was_not_wanted_is_not_tried_again(
    load_project: LoadProject, clock: TravelClock, state: RunState
) -> None:
    asking = Asking(load_project, clock, "retries=3, on_interrupt='retry'")

    assert asking.wait_s(state) is None


def test_an_interrupted_run_is_tried_again_at_once_where_its_job_wants_it(
    load_project: LoadProject, clock: TravelClock
) -> None:
    asking = Asking(load_project, clock, "on_interrupt='retry'")

    assert asking.wait_s(RunState.INTERRUPTED) == 0


def test_an_interrupted_run_is_not_tried_again_by_itself(load_project: LoadProject, clock: TravelClock) -> None:
    asking = Asking(load_project, clock, "retries=3")

    assert asking.wait_s(RunState.INTERRUPTED) is None


def test_a_run_that_is_interrupted_each_time_does_not_come_back_for_ever(
    load_project: LoadProject, clock: TravelClock
) -> None:
    asking = Asking(load_project, clock, "on_interrupt='retry'")

    most = MOST_ATTEMPTS_AFTER_INTERRUPTS
    waits = [asking.wait_s(RunState.INTERRUPTED, attempt=attempt) for attempt in (most - 1, most)]

    assert waits == [0, None]


def test_a_run_whose_job_is_gone_is_not_tried_again(load_project: LoadProject, clock: TravelClock) -> None:
    asking = Asking(load_project, clock, "retries=3, on_interrupt='retry'")

    assert [asking.wait_s(state, name="gone") for state in (RunState.FAILED, RunState.INTERRUPTED)] == [None, None]
