"""The timeline: tallies, the marks that stand out, what did not run, and when no bot was there."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from stored import DAWN, FAR, ODD, minute, put_passed, put_run

from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_timeline import (
    RunMark,
    Tally,
    count_per_span,
    count_runs,
    read_marks,
    read_passed,
    times_without_bot,
)
from pinstripe_bot.occurrence import RunError
from pinstripe_bot.records import BotRecord

HOUR = timedelta(hours=1)


def tallies(ledger: Ledger, since: datetime = DAWN, **late: timedelta) -> dict[str, Tally]:
    with ledger.store.reading() as connection:
        return count_runs(connection, late, since)


def marks(ledger: Ledger, *whole: str, since: datetime = DAWN, **late: timedelta) -> list[RunMark]:
    with ledger.store.reading() as connection:
        return read_marks(connection, late, since, whole=whole)


# Tallies


def test_an_empty_ledger_has_no_tally(ledger: Ledger) -> None:
    assert tallies(ledger) == {}


def test_runs_are_counted_with_those_that_went_wrong_and_those_that_were_late(ledger: Ledger) -> None:
    for state in ("succeeded", "failed", "timed_out", "interrupted", "cancelled", "skipped"):
        put_run(ledger, state=state)
    put_run(ledger, started_at=minute(2))
    put_run(ledger, ODD)

    assert tallies(ledger) == {"sweep": Tally(7, 3, 1), ODD: Tally(1, 0, 0)}


def test_each_job_says_itself_from_when_on_a_run_is_late(ledger: Ledger) -> None:
    for job in ("strict", "calm", "usual"):
        put_run(ledger, job, started_at=minute(2))
    late = {"strict": timedelta(seconds=1), "calm": HOUR, "usual": timedelta(minutes=1)}

    assert {job: one.late for job, one in tallies(ledger, **late).items()} == {"strict": 1, "calm": 0, "usual": 1}


def test_only_what_was_claimed_since_is_counted(ledger: Ledger) -> None:
    for number in range(4):
        put_run(ledger, due_at=minute(number))

    assert tallies(ledger, minute(2))["sweep"].count == 2


# Marks


def test_what_went_as_it_should_is_marked_only_of_a_job_shown_whole(ledger: Ledger) -> None:
    put_run(ledger, "sweep")
    put_run(ledger, "sweep", state="failed")
    put_run(ledger, "whole")

    assert [(one.run, one.state) for one in marks(ledger, "whole")] == [(3, "succeeded"), (2, "failed")]


def test_a_late_start_stands_out(ledger: Ledger) -> None:
    put_run(ledger, started_at=minute(5))

    (mark,) = marks(ledger)

    assert (mark.is_late, mark.due_at, mark.started_at) == (True, DAWN, minute(5))
    assert marks(ledger, sweep=HOUR) == []


def test_a_mark_tells_for_whom_and_why(ledger: Ledger) -> None:
    error = RunError("OSError", f"{ODD}\nmore", "a.py:1", "")
    put_run(ledger, state="failed", tenant="7", tenant_name=ODD, error=error)
    put_run(ledger, state="failed", tenant="8")

    without_name, mark = marks(ledger)

    assert (mark.whose, mark.error) == (ODD, error)
    assert (without_name.whose, without_name.error) == ("8", None)


def test_a_run_that_has_not_started_is_marked(ledger: Ledger) -> None:
    put_run(ledger, state="queued", started_at=None)

    (mark,) = marks(ledger)

    assert (mark.started_at, mark.finished_at, mark.is_late) == (None, None, False)


def test_marks_bear_clocks_that_were_set_back_and_the_far_future(ledger: Ledger) -> None:
    put_run(ledger, state="failed", started_at=minute(9), finished_at=minute(1))
    put_run(ledger, state="failed", due_at=FAR, claimed_at=minute(9))

    far, back = marks(ledger)

    assert (far.due_at, back.finished_at) == (FAR, minute(1))


# What did not run


def passed(ledger: Ledger, since: datetime) -> list[tuple[str, int]]:
    with ledger.store.reading() as connection:
        return [(one.job, one.count) for one in read_passed(connection, since)]


def test_what_did_not_run_is_told_newest_first(ledger: Ledger) -> None:
    put_passed(ledger, "old", due_at=minute(1))
    put_passed(ledger, "new", due_at=minute(2), until_at=minute(9), count=8)
    put_passed(ledger, "hand", due_at=minute(3), schedule="manual")
    put_run(ledger, "ran", due_at=minute(4))

    assert passed(ledger, DAWN) == [("new", 8), ("old", 1)]


def test_a_stretch_that_reaches_into_the_time_belongs_to_it(ledger: Ledger) -> None:
    put_passed(ledger, "before", due_at=minute(1), claimed_at=minute(30))
    put_passed(ledger, "into", due_at=minute(1), until_at=minute(20), claimed_at=minute(30))

    assert passed(ledger, minute(10)) == [("into", 1)]


def test_an_instant_without_a_reason_is_told(ledger: Ledger) -> None:
    put_passed(ledger, reason=None, until_at=FAR)

    with ledger.store.reading() as connection:
        (mark,) = read_passed(connection, DAWN)

    assert (mark.reason, mark.until_at) == (None, FAR)


# How busy it was


def test_runs_are_counted_span_by_span(ledger: Ledger) -> None:
    for at in (0, 0.5, 1, 4.9, 5):
        put_run(ledger, due_at=minute(at))

    with ledger.store.reading() as connection:
        counts = count_per_span(connection, DAWN, timedelta(minutes=1), 5)

    assert counts == [2, 1, 0, 0, 1]


def test_what_was_claimed_before_or_after_the_spans_is_not_counted(ledger: Ledger) -> None:
    put_run(ledger, due_at=minute(-1))
    put_run(ledger, due_at=minute(1))
    put_run(ledger, due_at=FAR, took=None)

    with ledger.store.reading() as connection:
        assert count_per_span(connection, DAWN, timedelta(minutes=1), 3) == [0, 1, 0]


# Times without a bot


def a_bot(start: float, end: float | None, *, kind: str = "bot", heard: float | None = None) -> BotRecord:
    """A bot that lived from one minute to another, or still lives; or died, and was heard last."""
    is_alive = end is None and heard is None
    heard_at = minute(heard if heard is not None else start)
    stopped_at = None if end is None else minute(end)
    return BotRecord("b", kind, "web-1", 7, "1", minute(start), heard_at, stopped_at, {}, is_alive)


@pytest.mark.parametrize(
    ("bots", "expected"),
    [
        ([], []),
        ([a_bot(0, None)], []),
        ([a_bot(0, 10)], [(10, 60)]),
        ([a_bot(0, 10), a_bot(20, None)], [(10, 20)]),
        ([a_bot(20, None), a_bot(0, 10)], [(10, 20)]),
        ([a_bot(0, 30), a_bot(5, 10), a_bot(40, None)], [(30, 40)]),
        ([a_bot(0, 30), a_bot(20, None)], []),
        ([a_bot(0, 10), a_bot(10.5, None)], []),
        ([a_bot(0, None, heard=10), a_bot(20, None)], [(10, 20)]),
        ([a_bot(0, 10), a_bot(12, 15, kind="command"), a_bot(20, None)], [(10, 20)]),
        ([a_bot(0, 10), a_bot(20, 5), a_bot(30, None)], [(10, 20), (20, 30)]),
    ],
    ids=[
        *("none known", "one that lives", "one that stopped", "a gap", "in any order", "one inside another"),
        *("they overlap", "started again at once", "one that died", "a command is none", "a clock set back"),
    ],
)
def test_the_times_without_a_bot_lie_between_their_lives(bots: list[BotRecord], expected: list[Any]) -> None:
    found = times_without_bot(bots, DAWN, minute(60))

    assert found == [(minute(start), minute(end)) for start, end in expected]


def test_a_time_without_a_bot_is_cut_where_the_picture_begins() -> None:
    bots = [a_bot(-100, -50), a_bot(-20, -10), a_bot(20, None)]

    assert times_without_bot(bots, DAWN, minute(60)) == [(DAWN, minute(20))]
