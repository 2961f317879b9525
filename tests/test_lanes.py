from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from pinstripe_bot.lanes import Lanes
from pinstripe_bot.occurrence import Run, RunState

PATIENCE_S = 10.0

LIMITS = {"tenants": 4, "pairs": 2, "single": 1}
"""How many runs of these jobs may go at the same time; the others have no limit."""


@pytest.fixture
def lanes() -> Lanes:
    return Lanes(LIMITS.get)


def run(job: str, number: int) -> Run:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Run(id=number, job=job, schedule="manual", due_at=now, state=RunState.QUEUED, claimed_at=now, params={})


def crowd(job: str, size: int) -> list[Run]:
    return [run(job, number) for number in range(size)]


def names(runs: list[Run]) -> list[str]:
    return [f"{one.job} {one.id}" for one in runs]


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


def test_when_one_has_ended_the_lane_moves_up(lanes: Lanes) -> None:
    lanes.put(crowd("tenants", 10))
    first, *_ = lanes.take(8)  # the three others go on
    lanes.leave([first])

    taken = lanes.take(8)

    assert names(taken) == ["tenants 4"]


def test_a_run_that_did_not_start_leaves_its_place_to_the_next(lanes: Lanes) -> None:
    lanes.put(crowd("single", 2))
    lanes.leave(lanes.take(8))

    taken = lanes.take(8)

    assert names(taken) == ["single 1"]


def test_it_is_known_how_many_of_a_job_wait(lanes: Lanes) -> None:
    lanes.put([*crowd("tenants", 10), *crowd("sweep", 1)])
    lanes.take(8)

    assert [lanes.waiting(job) for job in ("tenants", "sweep", "mail")] == [6, 0, 0]


def test_all_that_waits_can_be_cleared(lanes: Lanes) -> None:
    lanes.put([*crowd("single", 10), *crowd("sweep", 2)])
    lanes.take(1)

    cleared = lanes.clear()

    assert len(cleared) == 11
    assert lanes.take(8) == []
    assert lanes.waiting("single") == 0


def test_a_cleared_lane_can_be_used_again(lanes: Lanes) -> None:
    lanes.put(crowd("single", 10))
    going = lanes.take(1)
    lanes.clear()
    lanes.leave(going)
    lanes.put([*crowd("single", 2), *crowd("sweep", 1)])

    taken = lanes.take(8)

    assert sorted(names(taken)) == ["single 0", "sweep 0"]


def test_the_starter_waits_until_a_run_comes(lanes: Lanes) -> None:
    answer = waited_for(lanes)

    lanes.put(crowd("sweep", 1))

    assert answer()


def test_the_starter_waits_until_a_lane_may_move_up(lanes: Lanes) -> None:
    lanes.put(crowd("single", 2))
    going = lanes.take(8)
    answer = waited_for(lanes)

    lanes.leave(going)

    assert answer()


def test_closing_lets_nobody_wait(lanes: Lanes) -> None:
    answer = waited_for(lanes)

    lanes.close()

    assert not answer()
