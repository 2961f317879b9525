from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from pinstripe_bot.handoff import Handoff
from pinstripe_bot.occurrence import Run, RunState

PATIENCE_S = 10.0


def run(number: int) -> Run:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Run(id=number, job="sweep", schedule="manual", due_at=now, state=RunState.RUNNING, claimed_at=now, params={})


@pytest.fixture
def beside() -> Iterator[Callable[[Callable[[], object]], Callable[[], object]]]:
    """Call something in a thread of its own; what comes back waits for its answer."""
    threads: list[threading.Thread] = []

    def start(call: Callable[[], object]) -> Callable[[], object]:
        answers: list[object] = []
        thread = threading.Thread(target=lambda: answers.append(call()), daemon=True)
        threads.append(thread)
        thread.start()

        def answer() -> object:
            thread.join(PATIENCE_S)
            return answers[0]

        return answer

    yield start
    assert not any(thread.is_alive() for thread in threads)


def test_a_free_worker_is_a_place(beside):
    handoff = Handoff(8)
    taken = beside(handoff.take)

    places = handoff.reserve()

    assert places == 1
    assert handoff.put([run(1)])
    assert taken() == run(1)


def test_a_place_that_is_given_back_can_be_reserved_again(beside):
    handoff = Handoff(1)
    taken = beside(handoff.take)
    handoff.give_back(handoff.reserve())

    places = handoff.reserve()

    assert places == 1
    handoff.close()
    assert taken() is None


def test_every_run_reaches_a_worker_though_only_one_is_woken_at_a_time(beside):
    handoff = Handoff(4)
    takers = [beside(handoff.take) for _ in range(4)]
    reserved = 0
    while reserved < 4:
        reserved += handoff.reserve()

    handoff.put([run(number) for number in range(4)])

    assert sorted(taken().id for taken in takers) == [0, 1, 2, 3]


def test_the_starter_waits_until_a_worker_is_free(beside):
    handoff = Handoff(1)
    reserved = beside(handoff.reserve)

    taken = beside(handoff.take)

    assert reserved() == 1
    handoff.put([run(1)])
    assert taken() == run(1)


def test_closing_lets_nobody_wait(beside):
    handoff = Handoff(2)
    reserved = beside(lambda: handoff.reserve() and handoff.reserve())
    taken = beside(handoff.take)

    handoff.close()

    assert reserved() == 0
    assert taken() is None


def test_a_run_that_was_handed_over_before_the_closing_is_still_taken():
    handoff = Handoff(1)
    handoff.put([run(1)])

    handoff.close()

    assert handoff.take() == run(1)
    assert handoff.take() is None


def test_after_the_closing_nothing_is_handed_over():
    handoff = Handoff(1)
    handoff.close()

    is_handed_over = handoff.put([run(1)])

    assert not is_handed_over


def test_a_crowd_of_workers_takes_each_run_once(beside):
    handoff, taken, lock = Handoff(8), [], threading.Lock()

    def work() -> None:
        while (one := handoff.take()) is not None:
            with lock:
                taken.append(one.id)

    workers = [beside(work) for _ in range(8)]
    waiting = list(range(5000))
    while waiting:
        places = handoff.reserve()
        group = waiting[:places]
        del waiting[:places]
        handoff.put([run(number) for number in group])
    handoff.close()

    for worker in workers:
        worker()
    assert sorted(taken) == list(range(5000))
