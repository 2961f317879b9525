from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from bots import PATIENCE_S, Ears
from conftest import WriteProject
from msgspec.structs import replace

from pinstripe_bot.hook_calls import ABANDONED_LIMIT, TIME_BOUND_S, WAITING_LIMIT, Hooks
from pinstripe_bot.hooks import define_hooks
from pinstripe_bot.loader import Loader
from pinstripe_bot.occurrence import Decision, Occurrence, Reason, Run, RunState
from pinstripe_bot.testing import TravelClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

RUN = Run(id=7, job="sweep", schedule="* * * * *", due_at=NOON, state=RunState.RUNNING, claimed_at=NOON, params={})
FAILED = replace(RUN, state=RunState.FAILED)

MakeHooks = Callable[..., Hooks]


@pytest.fixture
def make_hooks(tmp_path: Path, clock: TravelClock) -> Iterator[MakeHooks]:
    """Started hooks with these functions; closed after the test."""
    made: list[Hooks] = []

    def make(*, started: bool = True, **functions: Callable[..., object]) -> Hooks:
        hooks = Hooks(functions, tmp_path, clock, look_every_s=0.001)
        made.append(hooks)
        if started:
            hooks.start()
        return hooks

    yield make
    for hooks in made:
        hooks.close(0)


@pytest.fixture
def ears() -> Iterator[Ears]:
    with Ears() as ears:
        yield ears


class Slow:
    """A hook that hangs while its gate is closed; each call is counted when it begins."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.threads: list[threading.Thread] = []

    def __call__(self, _subject: object) -> None:
        self.threads.append(threading.current_thread())
        self.begun.release()
        assert self.gate.wait(PATIENCE_S)

    def await_call(self) -> None:
        assert self.begun.acquire(timeout=PATIENCE_S)


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.gate.set()


def test_what_happens_is_told_in_order_on_a_thread_of_its_own(make_hooks: MakeHooks) -> None:
    told: list[Any] = []

    def tell(name: str) -> Callable[[Run], None]:
        return lambda run: told.append((name, run.id, threading.current_thread().name))

    hooks = make_hooks(before_run=tell("before"), after_run=tell("after"), on_failure=tell("failure"))

    hooks.run_started(RUN)
    hooks.run_ended(FAILED, is_last_attempt=True)
    hooks.close(PATIENCE_S)

    assert told == [(name, 7, "pinstripe-hooks") for name in ("before", "after", "failure")]


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.INTERRUPTED])
def test_a_failure_is_told_after_the_last_attempt_only(make_hooks: MakeHooks, state: RunState) -> None:
    attempts: list[int] = []
    hooks = make_hooks(on_failure=lambda run: attempts.append(run.attempt))

    hooks.run_ended(replace(RUN, state=state, attempt=1), is_last_attempt=False)
    hooks.run_ended(replace(RUN, state=state, attempt=2), is_last_attempt=True)
    hooks.close(PATIENCE_S)

    assert attempts == [2]


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.SKIPPED])
def test_what_ended_well_is_no_failure(make_hooks: MakeHooks, state: RunState) -> None:
    told: list[str] = []
    hooks = make_hooks(on_failure=lambda _run: told.append("failure"), after_run=lambda _run: told.append("after"))

    hooks.run_ended(replace(RUN, state=state), is_last_attempt=True)
    hooks.close(PATIENCE_S)

    assert told == ["after"]


def test_due_instants_that_do_not_run_are_told_by_what_became_of_them(make_hooks: MakeHooks) -> None:
    told: list[Any] = []
    hooks = make_hooks(
        on_skip=lambda occurrence: told.append(("skip", occurrence.reason)),
        on_miss=lambda occurrence: told.append(("miss", occurrence.count)),
    )

    hooks.passed(
        [
            Occurrence("sweep", "* * * * *", NOON, Decision.MISSED, Reason.COALESCED, count=59),
            Occurrence("sweep", "* * * * *", NOON, Decision.SKIPPED, Reason.OVERLAP),
        ]
    )
    hooks.close(PATIENCE_S)

    assert told == [("miss", 59), ("skip", Reason.OVERLAP)]


def test_what_was_told_before_the_start_is_not_lost(make_hooks: MakeHooks) -> None:
    told: list[int] = []
    hooks = make_hooks(started=False, before_run=lambda run: told.append(run.id))

    hooks.run_started(RUN)
    hooks.start()
    hooks.close(PATIENCE_S)

    assert told == [7]


def test_hooks_that_were_closed_can_be_started_again(make_hooks: MakeHooks) -> None:
    told: list[int] = []
    hooks = make_hooks(before_run=lambda run: told.append(run.id))
    hooks.close(PATIENCE_S)

    hooks.start()
    hooks.run_started(RUN)
    hooks.close(PATIENCE_S)

    assert told == [7]


def test_without_hooks_there_is_no_thread_and_nothing_is_kept(make_hooks: MakeHooks) -> None:
    threads = set(threading.enumerate())
    hooks = make_hooks(before_server_start=lambda: None)

    hooks.run_started(RUN)
    hooks.run_ended(FAILED, is_last_attempt=True)

    assert set(threading.enumerate()) <= threads
    assert hooks._calls.empty()


def test_starting_and_closing_twice_is_harmless(make_hooks: MakeHooks) -> None:
    hooks = make_hooks(before_run=lambda _run: None)
    hooks.start()

    hooks.close(PATIENCE_S)
    hooks.close(PATIENCE_S)


# Failing


def test_a_hook_that_raises_is_logged_with_the_authors_traceback_and_harms_no_other(
    write_project: WriteProject, clock: TravelClock, ears: Ears
) -> None:
    root = write_project(
        {
            "lib/hooks.py": """
                told = []
                def before_run(run):
                    raise ConnectionError("the pager is away")
                def after_run(run):
                    told.append(run.id)
            """
        }
    )
    loaded = Loader(root).load(root / "lib/hooks.py", root / "lib", "lib")
    hooks = Hooks(define_hooks(loaded).functions, root, clock)
    hooks.start()

    hooks.run_started(RUN)
    hooks.run_ended(RUN, is_last_attempt=True)
    hooks.close(PATIENCE_S)

    (said,) = ears.heard
    assert loaded.module.told == [7]
    assert said["event"] == "hook_failed"
    assert (said["hook"], said["job"], said["run_id"]) == ("before_run", "sweep", 7)
    assert (said["error_type"], said["error"]) == ("ConnectionError", "the pager is away")
    assert said["place"] == "lib/hooks.py:4 in before_run"
    assert "hook_calls.py" not in said["traceback"]


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), Mute()])
def test_a_hook_may_raise_anything(make_hooks: MakeHooks, ears: Ears, error: BaseException) -> None:
    told: list[int] = []

    def fail(_run: Run) -> None:
        raise error

    hooks = make_hooks(before_run=fail, after_run=lambda run: told.append(run.id))

    hooks.run_started(RUN)
    hooks.run_ended(RUN, is_last_attempt=True)
    hooks.close(PATIENCE_S)

    assert ears.wait_for("hook_failed")["error_type"] == type(error).__name__
    assert told == [7]


def test_what_a_hook_logs_has_its_name_and_the_run(make_hooks: MakeHooks, ears: Ears) -> None:
    hooks = make_hooks(after_run=lambda _run: structlog.get_logger().info("pager_called"))

    hooks.run_ended(RUN, is_last_attempt=True)
    hooks.close(PATIENCE_S)

    (said,) = ears.heard
    assert {key: said[key] for key in ("hook", "job", "run_id", "attempt")} == {
        "hook": "after_run",
        "job": "sweep",
        "run_id": 7,
        "attempt": 1,
    }


def test_what_a_hook_binds_ends_with_it(make_hooks: MakeHooks, ears: Ears) -> None:
    def bind(_run: Run) -> None:
        structlog.contextvars.bind_contextvars(secret=1)

    hooks = make_hooks(before_run=bind, after_run=lambda _run: structlog.get_logger().info("pager_called"))

    hooks.run_started(RUN)
    hooks.run_ended(RUN, is_last_attempt=True)
    hooks.close(PATIENCE_S)

    assert "secret" not in ears.wait_for("pager_called")


# Slow ones


def test_a_slow_hook_is_left_behind_and_the_others_go_on(
    make_hooks: MakeHooks, slow: Slow, clock: TravelClock, ears: Ears
) -> None:
    told = threading.Event()
    hooks = make_hooks(before_run=slow, after_run=lambda _run: told.set())
    hooks.run_started(RUN)
    hooks.run_ended(RUN, is_last_attempt=True)
    slow.await_call()

    clock.travel(seconds=TIME_BOUND_S + 1)

    assert told.wait(PATIENCE_S)
    assert ears.wait_for("hook_overran")["hook"] == "before_run"
    hooks.close(PATIENCE_S)
    assert ears.names() == ["hook_overran"]


def test_a_hook_within_its_bound_is_waited_for(make_hooks: MakeHooks, slow: Slow, clock: TravelClock) -> None:
    order: list[str] = []
    hooks = make_hooks(
        before_run=lambda run: (slow(run), order.append("slow")), after_run=lambda _: order.append("next")
    )
    hooks.run_started(RUN)
    hooks.run_ended(RUN, is_last_attempt=True)
    slow.await_call()

    clock.travel(seconds=TIME_BOUND_S)
    hooks._look()
    slow.gate.set()
    hooks.close(PATIENCE_S)

    assert order == ["slow", "next"]


def test_a_slow_hook_that_comes_back_calls_no_further_one(
    make_hooks: MakeHooks, slow: Slow, clock: TravelClock, ears: Ears
) -> None:
    callers: list[threading.Thread] = []
    hooks = make_hooks(before_run=slow, after_run=lambda _run: callers.append(threading.current_thread()))
    hooks.run_started(RUN)
    slow.await_call()
    clock.travel(seconds=TIME_BOUND_S + 1)
    ears.wait_for("hook_overran")

    slow.gate.set()
    slow.threads[0].join(PATIENCE_S)
    hooks.run_ended(RUN, is_last_attempt=True)
    hooks.close(PATIENCE_S)

    assert not slow.threads[0].is_alive()
    assert callers != slow.threads


def hang(hooks: Hooks, slow: Slow, clock: TravelClock, *, times: int) -> None:
    """Let this many calls hang, each for too long."""
    for _ in range(times):
        hooks.run_started(RUN)
        slow.await_call()
        clock.travel(seconds=TIME_BOUND_S + 1)


def test_only_so_many_slow_hooks_are_left_behind_then_the_others_wait(
    make_hooks: MakeHooks, slow: Slow, clock: TravelClock, ears: Ears
) -> None:
    told: list[int] = []
    hooks = make_hooks(before_run=slow, after_run=lambda run: told.append(run.id))

    hang(hooks, slow, clock, times=ABANDONED_LIMIT + 1)
    hooks.run_ended(RUN, is_last_attempt=True)

    assert ears.wait_for("hooks_held")["hooks"] == ["before_run"] * ABANDONED_LIMIT
    assert len(slow.threads) == ABANDONED_LIMIT + 1
    assert told == []


def test_when_one_of_them_comes_back_the_hooks_go_on(
    make_hooks: MakeHooks, slow: Slow, clock: TravelClock, ears: Ears
) -> None:
    told: list[int] = []
    hooks = make_hooks(before_run=slow, after_run=lambda run: told.append(run.id))
    hang(hooks, slow, clock, times=ABANDONED_LIMIT + 1)
    ears.wait_for("hooks_held")

    slow.gate.set()
    hooks.run_ended(RUN, is_last_attempt=True)

    ears.wait_for("hooks_freed")
    hooks.close(PATIENCE_S)
    assert told == [7]
    assert ears.names("hooks_held", "hooks_freed") == ["hooks_held", "hooks_freed"]


# Too many


def test_more_calls_than_may_wait_are_dropped_and_told_once(make_hooks: MakeHooks, slow: Slow, ears: Ears) -> None:
    told: list[int] = []
    hooks = make_hooks(before_run=slow, after_run=lambda run: told.append(run.id))
    hooks.run_started(RUN)
    slow.await_call()

    for number in range(WAITING_LIMIT + 3):
        hooks.run_ended(replace(RUN, id=number), is_last_attempt=True)
    slow.gate.set()
    hooks.close(PATIENCE_S)

    assert told == list(range(WAITING_LIMIT))
    assert [(said["event"], said.get("dropped")) for said in ears.heard] == [
        ("hook_calls_dropped", None),
        ("hook_calls_caught_up", 3),
    ]


# Closing


def test_closing_gives_up_after_its_time(make_hooks: MakeHooks, slow: Slow, ears: Ears) -> None:
    told: list[int] = []
    hooks = make_hooks(before_run=slow, after_run=lambda run: told.append(run.id))
    hooks.run_started(RUN)
    hooks.run_ended(RUN, is_last_attempt=True)
    slow.await_call()

    hooks.close(0.01)
    slow.gate.set()
    slow.threads[0].join(PATIENCE_S)

    said = ears.wait_for("hooks_cut_off")
    assert (said["hook"], said["waiting"]) == ("before_run", 1)
    assert told == []


def test_closing_goes_on_behind_a_slow_hook(make_hooks: MakeHooks, slow: Slow, clock: TravelClock, ears: Ears) -> None:
    told = threading.Event()
    hooks = make_hooks(before_run=slow, after_run=lambda _run: told.set())
    hooks.run_started(RUN)
    hooks.run_ended(RUN, is_last_attempt=True)
    slow.await_call()
    closing = threading.Thread(target=hooks.close, args=[PATIENCE_S])
    closing.start()

    clock.travel(seconds=TIME_BOUND_S + 1)

    closing.join(PATIENCE_S)
    assert told.is_set()
    assert ears.names() == ["hook_overran"]


# The server's


def test_a_server_hook_is_called_at_once_and_here(make_hooks: MakeHooks) -> None:
    callers: list[threading.Thread] = []
    hooks = make_hooks(before_server_start=lambda: callers.append(threading.current_thread()))

    hooks.call("before_server_start")
    hooks.call("after_server_start")

    assert callers == [threading.current_thread()]


def test_a_server_hook_that_raises_is_logged(make_hooks: MakeHooks, ears: Ears) -> None:
    def fail() -> None:
        raise RuntimeError("no licence")

    hooks = make_hooks(before_server_stop=fail)

    hooks.call("before_server_stop")

    (said,) = ears.heard
    assert (said["event"], said["hook"], said["error"]) == (
        "hook_failed",
        "before_server_stop",
        "no licence",
    )
