from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from pinstripe_bot.lanes import MOST_AHEAD, Lanes
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.testing import TravelClock

PATIENCE_S = 10.0

LIMITS = {"tenants": 4, "pairs": 2, "single": 1}
"""How many runs of these jobs may go at the same time; the others have no limit."""


@pytest.fixture
def clock() -> TravelClock:
    return TravelClock()


@pytest.fixture
def lanes(clock: TravelClock) -> Lanes:
    return Lanes(LIMITS.get, clock)


def run(job: str, number: int) -> Run:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Run(id=number, job=job, schedule="manual", due_at=now, state=RunState.QUEUED, claimed_at=now, params={})


def crowd(job: str, size: int) -> list[Run]:
    return [run(job, number) for number in range(size)]


def started(runs: list[Run], clock: TravelClock) -> list[Run]:
    return [replace(one, state=RunState.RUNNING, started_at=clock.now()) for one in runs]


def names(runs: list[Run]) -> list[str]:
    return [f"{one.job} {one.id}" for one in runs]


def end_quickly(lanes: Lanes, job: str, size: int, clock: TravelClock) -> None:
    """Let so many runs of a job go and end, one after another, as soon as they have started."""
    lanes.put(crowd(job, size))
    for _ in range(size):
        (one,) = started(lanes.take(1), clock)
        assert lanes.following(one) is None


def waited_for(lanes: Lanes) -> Callable[[], bool]:
    """Wait in a thread of its own; what comes back waits for its answer."""
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(lanes.wait()), daemon=True)
    thread.start()

    def answer() -> bool:
        thread.join(PATIENCE_S)
        return answers[0]

    return answer


def test_within_a_lane_the_order_is_as_it_came(lanes: Lanes) -> None:
    lanes.put(crowd("sweep", 3))

    taken = lanes.take(8)

    assert names(taken) == ["sweep 0", "sweep 1", "sweep 2"]


def test_each_lane_has_its_turn(lanes: Lanes) -> None:
    lanes.put([*crowd("sweep", 3), *crowd("mail", 1), *crowd("report", 2)])

    taken = lanes.take(8)

    assert names(taken) == ["sweep 0", "mail 0", "report 0", "sweep 1", "report 1", "sweep 2"]


def test_the_turns_go_on_where_they_ended(lanes: Lanes) -> None:
    lanes.put([*crowd("sweep", 2), *crowd("mail", 2)])
    lanes.take(1)

    taken = lanes.take(2)

    assert names(taken) == ["mail 0", "sweep 1"]


def test_whoever_comes_has_a_turn_before_those_that_had_theirs(lanes: Lanes) -> None:
    lanes.put(crowd("sweep", 10_000))
    lanes.take(1)
    lanes.put(crowd("mail", 1))

    taken = lanes.take(1)

    assert names(taken) == ["mail 0"]


def test_whoever_comes_back_waits_for_those_that_did_not_have_theirs(lanes: Lanes) -> None:
    lanes.put([*crowd("sweep", 2), *crowd("mail", 2)])
    lanes.take(1)
    lanes.take(1)
    lanes.put([run("report", 0)])
    lanes.take(1)
    lanes.put([run("report", 1)])

    taken = lanes.take(2)

    assert names(taken) == ["sweep 1", "mail 1"]


def test_no_more_of_a_lane_go_than_its_limit_allows(lanes: Lanes) -> None:
    lanes.put(crowd("tenants", 10))

    taken = lanes.take(8)

    assert names(taken) == ["tenants 0", "tenants 1", "tenants 2", "tenants 3"]


def test_a_lane_at_its_limit_keeps_no_other_one_waiting(lanes: Lanes) -> None:
    lanes.put([*crowd("single", 5), *crowd("sweep", 2)])

    taken = lanes.take(8)

    assert names(taken) == ["single 0", "sweep 0", "sweep 1"]


def test_when_one_has_ended_the_lane_moves_up(lanes: Lanes, clock: TravelClock) -> None:
    lanes.put(crowd("tenants", 10))
    first = started(lanes.take(8), clock)[0]
    clock.travel(minutes=1)
    lanes.following(first)

    taken = lanes.take(8)

    assert names(taken) == ["tenants 4"]


def test_long_runs_of_a_lane_keep_its_quick_ones_moving_up(lanes: Lanes, clock: TravelClock) -> None:
    lanes.put(crowd("tenants", 10))
    quick, *_ = started(lanes.take(8), clock)  # the three others go on

    lanes.following(quick)

    assert names(lanes.take(8)) == ["tenants 4"]


def test_a_run_that_did_not_start_leaves_its_place_to_the_next(lanes: Lanes) -> None:
    lanes.put(crowd("single", 2))
    lanes.leave(lanes.take(8))

    taken = lanes.take(8)

    assert names(taken) == ["single 1"]


def test_nothing_is_started_ahead_of_runs_whose_length_nobody_knows(lanes: Lanes) -> None:
    lanes.put(crowd("tenants", 10))

    ahead = lanes.take_ahead(lanes.take(8))

    assert ahead == []


def test_as_many_are_started_ahead_as_quick_ones_have_just_ended(lanes: Lanes, clock: TravelClock) -> None:
    end_quickly(lanes, "single", 3, clock)
    lanes.put(crowd("single", 10))

    ahead = lanes.take_ahead(lanes.take(8))

    assert names(ahead) == ["single 1", "single 2", "single 3"]


def test_only_a_handful_is_started_ahead(lanes: Lanes, clock: TravelClock) -> None:
    end_quickly(lanes, "single", 100, clock)
    lanes.put(crowd("single", 100))

    ahead = lanes.take_ahead(lanes.take(8))

    assert len(ahead) == MOST_AHEAD


def test_after_a_long_run_nothing_is_started_ahead(lanes: Lanes, clock: TravelClock) -> None:
    end_quickly(lanes, "single", 3, clock)
    lanes.put(crowd("single", 10))
    (one,) = started(lanes.take(8), clock)
    clock.travel(seconds=1)
    lanes.following(one)

    ahead = lanes.take_ahead(lanes.take(8))

    assert ahead == []


def test_nothing_is_started_ahead_of_a_job_without_limit(lanes: Lanes) -> None:
    lanes.put(crowd("sweep", 10))

    ahead = lanes.take_ahead(lanes.take(2))

    assert ahead == []


@pytest.fixture
def going(lanes: Lanes, clock: TravelClock) -> Run:
    """A run of a job that may have one, which goes; "single 1" to "single 3" are to follow it, and more wait."""
    end_quickly(lanes, "single", 3, clock)
    lanes.put(crowd("single", 10))
    (one,) = started(lanes.take(8), clock)
    lanes.follow_with(started(lanes.take_ahead([one]), clock))
    return one


def test_a_started_run_follows_on_the_worker_of_its_job(lanes: Lanes, going: Run) -> None:
    following = lanes.following(going)

    assert following is not None
    assert names([following]) == ["single 1"]
    assert lanes.take(8) == []


def test_none_follows_where_another_job_waits(lanes: Lanes, going: Run) -> None:
    lanes.put(crowd("sweep", 1))

    following = lanes.following(going)

    assert following is None
    assert names(lanes.take(8)) == ["sweep 0", "single 1"]


def test_a_lane_whose_last_runs_were_started_ahead_has_no_turn(lanes: Lanes, clock: TravelClock) -> None:
    end_quickly(lanes, "tenants", 3, clock)
    lanes.put(crowd("tenants", 4))
    ahead = lanes.take_ahead(lanes.take(1))

    taken = lanes.take(8)

    assert len(ahead) == 3
    assert taken == []


def test_none_follows_after_the_closing(lanes: Lanes, going: Run) -> None:
    lanes.close()

    assert lanes.following(going) is None


def test_none_follows_of_a_job_without_limit(lanes: Lanes, clock: TravelClock) -> None:
    lanes.put(crowd("sweep", 2))
    (one,) = started(lanes.take(1), clock)

    assert lanes.following(one) is None


def test_those_to_follow_stay_while_what_goes_before_them_is_quick(lanes: Lanes, going: Run) -> None:
    assert lanes.take_standing() == []


def test_those_to_follow_leave_when_what_goes_before_them_takes_long(
    lanes: Lanes, going: Run, clock: TravelClock
) -> None:
    clock.travel(seconds=2)

    standing = lanes.take_standing()

    assert names(standing) == ["single 1", "single 2", "single 3"]
    assert lanes.following(going) is None


def test_those_that_are_put_back_wait_before_all_others_of_their_job(
    lanes: Lanes, going: Run, clock: TravelClock
) -> None:
    clock.travel(seconds=2)
    lanes.put_back(lanes.take_standing())
    lanes.following(going)

    taken = lanes.take(8)

    assert names(taken) == ["single 1"]


def test_it_is_known_how_many_of_a_job_wait(lanes: Lanes) -> None:
    lanes.put([*crowd("tenants", 10), *crowd("sweep", 1)])
    lanes.take(8)

    assert [lanes.waiting(job) for job in ("tenants", "sweep", "mail")] == [6, 0, 0]


def test_all_that_waits_can_be_cleared(lanes: Lanes, going: Run) -> None:
    lanes.put(crowd("sweep", 2))

    cleared = lanes.clear()

    assert len(cleared) == 11
    assert lanes.take(8) == []
    assert lanes.waiting("single") == 0


def test_a_cleared_lane_can_be_used_again(lanes: Lanes, going: Run) -> None:
    lanes.clear()
    lanes.following(going)
    lanes.put([*crowd("single", 2), *crowd("sweep", 1)])

    taken = lanes.take(8)

    assert sorted(names(taken)) == ["single 0", "sweep 0"]


def test_the_starter_waits_until_a_run_comes(lanes: Lanes) -> None:
    answer = waited_for(lanes)

    lanes.put(crowd("sweep", 1))

    assert answer()


def test_the_starter_waits_until_a_lane_may_move_up(lanes: Lanes, clock: TravelClock) -> None:
    lanes.put(crowd("single", 2))
    (one,) = started(lanes.take(8), clock)
    answer = waited_for(lanes)

    lanes.following(one)

    assert answer()


def test_closing_lets_nobody_wait(lanes: Lanes) -> None:
    answer = waited_for(lanes)

    lanes.close()

    assert not answer()
