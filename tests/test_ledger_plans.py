"""The statements of those who only look: an index leads each of them, however many runs there are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from plans import make_schedule
from sqlalchemy import Connection, Engine, event, insert

from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_changes import read_mark
from pinstripe_bot.ledger_extent import read_extent
from pinstripe_bot.ledger_history import History
from pinstripe_bot.ledger_neighbours import read_neighbours
from pinstripe_bot.ledger_overview import read_overview
from pinstripe_bot.ledger_pages import Cursor, Wanted, read_page
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_schema import audit, days, occurrences, pauses, runs, schedules
from pinstripe_bot.ledger_strips import Wanted as WantedStrip
from pinstripe_bot.ledger_strips import read_strips
from pinstripe_bot.ledger_tenant_strips import read_tenants
from pinstripe_bot.ledger_timeline import count_by_job, count_per_span, count_runs, read_marks, read_passed
from pinstripe_bot.ledger_trends import read_points, read_slots, read_summed
from pinstripe_bot.occurrence import Decision, RunState
from pinstripe_bot.testing import TravelClock

JOBS, RUNS = 40, 12_000
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
LATE_AFTER = {"job-3": MINUTE, "job-4": timedelta(seconds=5)}

Look = Callable[[Connection, TravelClock], object]

LOOKS: dict[str, Look] = {
    "marks": lambda c, clock: read_marks(c, LATE_AFTER, clock.now() - DAY, whole=["job-1", "job-2"]),
    "counts": lambda c, clock: count_runs(c, LATE_AFTER, clock.now() - DAY),
    "counts by job": lambda c, clock: count_by_job(c, clock.now() - DAY),
    "counts in a time": lambda c, clock: count_per_span(c, clock.now() - DAY, timedelta(minutes=15), 97),
    "what did not run": lambda c, clock: read_passed(c, clock.now() - DAY),
    "strips": lambda c, clock: read_strips(c, [WantedStrip(f"job-{n}", n == 0, MINUTE) for n in range(5)]),
    "tenants": lambda c, clock: read_tenants(c, "job-0", most=50),
    "days": lambda c, clock: read_slots(c, "job-1", clock.now() - 90 * DAY),
    "days that are gone": lambda c, clock: read_summed(c, "job-1", clock.now() - 90 * DAY),
    "points": lambda c, clock: read_points(c, "job-1", clock.now() - 90 * DAY),
    "mark": lambda c, clock: read_mark(c),
    "extent": lambda c, clock: read_extent(c),
    "neighbours": lambda c, clock: read_neighbours(c, RUNS // 2),
    "page": lambda c, clock: read_page(c, Wanted(), None, most=50),
    "deep page": lambda c, clock: read_page(c, Wanted(), Cursor(RUNS // 2, RUNS // 2), most=50),
    "page of a job": lambda c, clock: read_page(c, Wanted(job="job-1"), None, most=50),
    "page of a time": lambda c, clock: read_page(
        c, Wanted(since=clock.now() - 2 * DAY, until=clock.now() - DAY), None, most=50
    ),
    "page of failures": lambda c, clock: read_page(c, Wanted(states=(RunState.FAILED,)), None, most=50),
    "page of missed": lambda c, clock: read_page(c, Wanted(decisions=(Decision.MISSED,)), None, most=50),
    "page of late ones": lambda c, clock: read_page(c, Wanted(is_late=True), None, most=50),
}

WHOLE = {
    "sqlite": re.compile(
        r"SCAN (runs|occurrences|one)(?! USING (COVERING )?INDEX (runs_open|runs_ended|runs_carried|occurrences_l))"
    ),
    "postgresql": re.compile(r"Seq Scan on (runs|occurrences)"),
}
"""What a plan says where a large table is read from end to end; an index of a few rows may be."""


@pytest.fixture
def filled(ledger: Ledger, clock: TravelClock) -> Ledger:
    """A ledger of a month, the newest run of just now."""
    begins_at, step = clock.now() - 30 * DAY, 30 * DAY / RUNS
    due = [to_column(begins_at + number * step) for number in range(1, RUNS + 1)]
    with ledger.store.writing() as connection:
        connection.execute(insert(occurrences), [_occurrence(number, at) for number, at in enumerate(due, 1)])
        connection.execute(insert(runs), [_run(number, at) for number, at in enumerate(due, 1)])
        _add_wishes(connection, to_column(begins_at))
    if connection.dialect.name == "postgresql":
        with ledger.store.writing() as connection:
            connection.exec_driver_sql("ANALYZE")
    return ledger


def _occurrence(number: int, at: int) -> dict[str, Any]:
    decision = "missed" if number % 31 == 0 else "run"
    facts = {"job": f"job-{number % JOBS}", "schedule": "* * * * *", "due_at": at, "claimed_at": at, "bot": "bot"}
    return facts | {"decision": decision, "reason": "bot_down" if decision == "missed" else None}


def _run(number: int, at: int) -> dict[str, Any]:
    state = "failed" if number % 37 == 0 else "succeeded"
    job = number % JOBS
    return {
        "occurrence_id": number,
        "job": f"job-{job}",
        "schedule": "* * * * *",
        "tenant": "" if job else str(number % 7),
        "tenant_name": "" if job else f"Shop {number % 7}",
        "due_at": at,
        "state": state,
        "params": "{}",
        "params_key": "",
        "available_at": at,
        "claimed_at": at,
        "started_at": at + (90_000_000 if number % 41 == 0 else 5000),
        "finished_at": at + 91_000_000,
        "error": json.dumps(dict.fromkeys(("type", "message", "place", "traceback"), "x"))
        if state == "failed"
        else None,
    }


def _add_wishes(connection: Connection, at: int) -> None:
    planned = {"fingerprint": "", "effective_from": 0, "planned_to": at}
    rows = [{"job": f"job-{n}", "schedule": "* * * * *", **planned} for n in range(JOBS)]
    connection.execute(insert(schedules), rows)
    connection.execute(insert(pauses), [{"job": "", "paused_at": at, "who": "ada"}])
    connection.execute(insert(audit), [{"at": at, "who": "ada", "origin": "::1", "action": "run", "job": "job-1"}])
    summed = [{"job": f"job-{n}", "day": "2025-11-01", "worst": "[]", "counts": "{}"} for n in range(JOBS)]
    connection.execute(insert(days), summed)


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """What is sent to any database in the block, with its values."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_more: Any) -> None:
        if not statement.startswith(("BEGIN", "ROLLBACK", "EXPLAIN")):
            sent.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def plan_of(connection: Connection, statement: str, values: Any) -> str:
    word = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{word} {statement}", values))


def whole_tables(connection: Connection, sent: list[tuple[str, Any]]) -> list[str]:
    """The statements that read a large table from end to end, with their plans."""
    plans = [(statement, plan_of(connection, statement, values)) for statement, values in sent]
    return [f"{statement}\n{plan}" for statement, plan in plans if WHOLE[connection.dialect.name].search(plan)]


def test_no_look_reads_a_large_table_from_end_to_end(filled: Ledger, clock: TravelClock) -> None:
    with filled.store.reading() as connection, statements() as sent:
        for look in LOOKS.values():
            look(connection, clock)
        found = whole_tables(connection, list(sent))

    assert len(sent) > len(LOOKS)
    assert found == []


def test_no_overview_reads_a_large_table_from_end_to_end(filled: Ledger, clock: TravelClock) -> None:
    history, planned, now = History(filled.store), [make_schedule("* * * * *", "UTC")], clock.now()

    with statements() as sent:
        read_overview(filled.store, planned, since=now - DAY, now=now, queue_of={"job-1": "default"})
        assert len(history.last_runs()) == JOBS
        assert history.run(RUNS, clock.now()) is not None
        assert not history.knows("nobody")
        history.zones()
    with filled.store.reading() as connection:
        assert whole_tables(connection, sent) == []
