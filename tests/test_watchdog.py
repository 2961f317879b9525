from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from bots import PATIENCE_S, Ears

from pinstripe_bot.testing import TravelClock
from pinstripe_bot.watchdog import FRAMES_LIMIT, STACKS_LIMIT, Watchdog, stacks

STUCK_AFTER_S = 30.0


class Loop:
    """A loop that ticks when the test says so."""

    def __init__(self, clock: TravelClock) -> None:
        self._clock = clock
        self.tick()

    def tick(self) -> None:
        self._last_tick_s = self._clock.monotonic()

    def stuck_s(self) -> float | None:
        age_s = self._clock.monotonic() - self._last_tick_s
        return age_s if age_s > STUCK_AFTER_S else None


@pytest.fixture
def loop(clock: TravelClock) -> Loop:
    return Loop(clock)


@pytest.fixture
def watchdog(loop: Loop) -> Watchdog:
    return Watchdog(loop.stuck_s)


@pytest.fixture
def ears() -> Iterator[Ears]:
    with Ears() as ears:
        yield ears


@pytest.fixture
def parked() -> Iterator[threading.Thread]:
    """A thread that waits in `parked_here` until the test is over."""
    over = threading.Event()
    begun = threading.Event()

    def parked_here(depth: int = 3 * FRAMES_LIMIT) -> None:
        if depth:
            parked_here(depth - 1)
            return
        begun.set()
        over.wait(PATIENCE_S)

    thread = threading.Thread(target=parked_here, name="parked")
    thread.start()
    assert begun.wait(PATIENCE_S)
    yield thread
    over.set()
    thread.join()


def test_a_loop_that_ticks_is_not_spoken_of(clock: TravelClock, loop: Loop, watchdog: Watchdog, ears: Ears) -> None:
    for _ in range(100):
        clock.travel(seconds=1)
        loop.tick()
        watchdog.look()

    assert ears.heard == []


def test_a_loop_that_stands_still_is_told_with_the_stacks_of_all_threads(
    clock: TravelClock, watchdog: Watchdog, ears: Ears, parked: threading.Thread
) -> None:
    clock.travel(seconds=31)

    watchdog.look()
    watchdog.look()

    (said,) = ears.heard
    assert (said["event"], said["stood_still_s"]) == ("loop_stuck", 31.0)
    assert said["stack"].startswith("MainThread:\n")
    assert f"{__file__}:" in said["stack"]
    assert "\nparked:\n" in said["stack"]
    assert " in parked_here" in said["stack"]


def test_a_stall_is_told_once(clock: TravelClock, watchdog: Watchdog, ears: Ears) -> None:
    for _ in range(100):
        clock.travel(seconds=1)
        watchdog.look()

    assert ears.names() == ["loop_stuck"]


def test_a_loop_that_goes_on_is_told_with_how_long_it_stood_still(
    clock: TravelClock, loop: Loop, watchdog: Watchdog, ears: Ears
) -> None:
    for _ in range(45):
        clock.travel(seconds=1)
        watchdog.look()
    loop.tick()

    watchdog.look()
    watchdog.look()

    assert ears.names() == ["loop_stuck", "loop_recovered"]
    assert ears.heard[1]["stood_still_s"] == 45.0


def test_the_next_stall_is_told_again(clock: TravelClock, loop: Loop, watchdog: Watchdog, ears: Ears) -> None:
    for _ in range(2):
        clock.travel(seconds=31)
        watchdog.look()
        watchdog.look()
        loop.tick()
        watchdog.look()

    assert ears.names() == ["loop_stuck", "loop_recovered"] * 2


def test_a_process_that_was_stopped_as_a_whole_is_no_stuck_loop(
    clock: TravelClock, loop: Loop, watchdog: Watchdog, ears: Ears
) -> None:
    clock.travel(hours=1)
    watchdog.look()  # it happens to wake before the loop
    loop.tick()

    watchdog.look()

    assert ears.heard == []


def test_a_suspended_machine_is_no_stuck_loop(clock: TravelClock, watchdog: Watchdog, ears: Ears) -> None:
    clock.jump(hours=8)  # the monotonic clock stood still

    watchdog.look()
    watchdog.look()

    assert ears.heard == []


def test_its_thread_looks_again_and_again(clock: TravelClock, loop: Loop, ears: Ears) -> None:
    watchdog = Watchdog(loop.stuck_s, every_s=0.001)
    watchdog.start()

    clock.travel(seconds=31)
    ears.wait_for("loop_stuck")
    loop.tick()
    ears.wait_for("loop_recovered")

    watchdog.close()
    assert ears.names() == ["loop_stuck", "loop_recovered"]


def test_a_look_that_raises_is_told_and_ends_nothing(ears: Ears) -> None:
    asked, enough = [], threading.Event()

    def ask() -> float:
        asked.append(None)
        if len(asked) == 3:
            enough.set()
        raise RuntimeError("no loop here")

    watchdog = Watchdog(ask, every_s=0.001)
    watchdog.start()

    assert enough.wait(PATIENCE_S)
    watchdog.close()
    assert ears.wait_for("watchdog_failed")["error"] == "no loop here"


def test_closing_ends_the_thread_and_may_be_done_twice(watchdog: Watchdog) -> None:
    watchdog.start()

    watchdog.close()
    watchdog.close()

    assert "pinstripe-watchdog" not in {thread.name for thread in threading.enumerate()}


def test_closing_one_that_never_started_is_harmless(watchdog: Watchdog) -> None:
    watchdog.close()


def test_closing_does_not_wait_for_a_look_that_hangs() -> None:
    begun, over = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        over.wait(PATIENCE_S)

    watchdog = Watchdog(hang, every_s=0.001)
    watchdog.start()
    assert begun.wait(PATIENCE_S)

    watchdog.close()

    assert not over.is_set()
    over.set()


def test_of_a_deep_stack_the_innermost_frames_are_shown(parked: threading.Thread) -> None:
    lines = stacks().splitlines()

    first = lines.index("parked:")
    deep = [line for line in lines[first + 1 :] if " in parked_here" in line]
    assert lines[first + 1] == "  (outer frames are left out)"
    assert 0 < len(deep) < FRAMES_LIMIT
    assert lines[first + FRAMES_LIMIT + 1].endswith(" in wait")


def test_the_stacks_of_many_threads_are_cut() -> None:
    go, threads = threading.Event(), []
    begun = threading.Semaphore(0)

    def deep(depth: int) -> None:
        if depth:
            deep(depth - 1)
            return
        begun.release()
        go.wait(PATIENCE_S)

    for _ in range(STACKS_LIMIT // (FRAMES_LIMIT * len(__file__)) + 2):
        threads.append(threading.Thread(target=deep, args=[FRAMES_LIMIT]))
        threads[-1].start()
        assert begun.acquire(timeout=PATIENCE_S)

    text = stacks()

    go.set()
    for thread in threads:
        thread.join()
    assert text.startswith("MainThread:")
    assert text.endswith("\n(more is cut off)")
    assert len(text.encode()) <= STACKS_LIMIT + len("\n(more is cut off)")
