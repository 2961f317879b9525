from __future__ import annotations

import gc
import threading
import weakref
from datetime import timedelta

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.control import RunControl
from pinstripe_bot.deadlines import Deadlines
from pinstripe_bot.occurrence import Reason
from pinstripe_bot.testing import TravelClock

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)

PATIENCE_S = 10.0


def quiet(clock: TravelClock) -> Deadlines:
    """Deadlines without a thread of their own: only the test looks at them."""
    deadlines = Deadlines(clock)
    deadlines.close()
    return deadlines


def given_up(deadlines: Deadlines) -> list[RunControl]:
    """Whom these deadlines give up from now on."""
    heard: list[RunControl] = []
    deadlines.on_deaf = heard.append
    return heard


def test_a_run_is_told_to_end_when_its_time_is_up(clock: TravelClock) -> None:
    deadlines, control = quiet(clock), RunControl()
    deadlines.begin(control, MINUTE, SECOND)
    clock.travel(minutes=1)

    deadlines.look()

    assert control.reason is Reason.TIMEOUT


def test_before_its_time_is_up_a_run_is_left_alone(clock: TravelClock) -> None:
    deadlines, control = quiet(clock), RunControl()
    deadlines.begin(control, MINUTE, SECOND)
    clock.travel(seconds=59)

    deadlines.look()

    assert not control.is_cancelled


def test_a_run_that_goes_on_is_given_up(clock: TravelClock) -> None:
    deadlines, control = quiet(clock), RunControl()
    heard = given_up(deadlines)
    deadlines.begin(control, MINUTE, SECOND)
    clock.travel(minutes=1)
    deadlines.look()
    clock.travel(seconds=1)

    deadlines.look()

    assert heard == [control]


def test_a_run_that_has_ended_meanwhile_is_left_alone(clock: TravelClock) -> None:
    deadlines, control = quiet(clock), RunControl()
    heard = given_up(deadlines)
    deadlines.begin(control, MINUTE, SECOND)
    clock.travel(minutes=1)
    deadlines.look()
    deadlines.end(control)
    clock.travel(seconds=1)

    deadlines.look()

    assert heard == []


def test_a_run_that_a_person_cancels_is_given_up_as_well(clock: TravelClock) -> None:
    deadlines, control = quiet(clock), RunControl()
    heard = given_up(deadlines)
    deadlines.begin(control, None, SECOND)
    deadlines.cancel(control, Reason.CANCELLED)
    clock.travel(seconds=1)

    deadlines.look()

    assert (heard, control.reason) == ([control], Reason.CANCELLED)


def test_runs_without_a_time_out_cost_no_thread(clock: TravelClock) -> None:
    before = threading.active_count()
    deadlines = Deadlines(clock)

    deadlines.begin(RunControl(), None, SECOND)

    assert threading.active_count() == before
    deadlines.close()


def test_the_thread_sees_to_it_by_itself() -> None:
    deadlines, told = Deadlines(SystemClock()), threading.Event()
    control = RunControl()
    deadlines.on_deaf = lambda _control: told.set()

    deadlines.begin(control, timedelta(milliseconds=5), timedelta(milliseconds=5))

    assert told.wait(PATIENCE_S)
    deadlines.close()


def test_who_is_cancelled_shortly_before_its_time_is_up_may_tidy_up_all_the_same(clock: TravelClock) -> None:
    deadlines, control = quiet(clock), RunControl()
    heard = given_up(deadlines)
    deadlines.begin(control, MINUTE, MINUTE)
    clock.travel(seconds=59)
    deadlines.cancel(control, Reason.CANCELLED)
    clock.travel(seconds=30)

    deadlines.look()
    before = list(heard)
    clock.travel(seconds=30)
    deadlines.look()

    assert (before, heard) == ([], [control])


def test_a_run_that_has_ended_is_forgotten_before_its_time_is_up(clock: TravelClock) -> None:
    deadlines, control = quiet(clock), RunControl()
    deadlines.begin(control, MINUTE, MINUTE)
    kept = weakref.ref(control)

    deadlines.end(control)
    del control
    gc.collect()

    assert kept() is None
