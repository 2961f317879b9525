"""The days of the ledger: the figures of one job's day, read from all its rows, and kept when these are pruned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from pinstripe_bot.day_figures import Day, DayFigures, DaySum
from pinstripe_bot.ledger_history import first_since
from pinstripe_bot.ledger_rows import SECOND, from_column, to_column
from pinstripe_bot.ledger_schema import OPEN, WANTED_AT, runs
from pinstripe_bot.ledger_sql import both, execute, given, listed, rows_of, to_json
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.occurrence import MANUAL
from pinstripe_bot.schedule import Schedule

PAGE = 500

CLOCKS_APART = timedelta(hours=1)
"""How far the clocks of the bots on one ledger may differ."""

DAY_AT = "CASE WHEN schedule = 'manual' THEN claimed_at ELSE due_at END"
"""The instant by which a row belongs to a day: when it came due, or by hand, when it was asked for."""

NEXT_SCHEDULE = both("SELECT min(schedule) FROM occurrences WHERE job = :job AND schedule > :schedule")

NEXT_KEY = both("SELECT min(key) FROM occurrences WHERE job = :job AND schedule = :schedule AND key > :key")

SCHEDULED = both(
    """
    SELECT {rows} FROM (
        SELECT id, due_at, decision, reason, count FROM occurrences
        WHERE job = :job AND schedule = :schedule AND key = :key AND due_at > :after AND due_at < :ends
        ORDER BY due_at LIMIT :most
    ) AS decided LEFT JOIN runs ON runs.occurrence_id = decided.id
    """,
    rows=listed(
        "decided.due_at",
        "decided.decision",
        "decided.reason",
        "decided.count",
        "runs.tenant",
        "runs.state",
        "runs.reason",
        "runs.attempt",
        WANTED_AT,
        "runs.started_at",
        "runs.finished_at",
    ),
)

BY_HAND = both(
    """
    SELECT {rows} FROM (
        SELECT id, claimed_at, available_at, tenant, state, reason, attempt, started_at, finished_at FROM runs
        WHERE job = :job AND id > :after AND id < :before AND schedule = 'manual'
          AND claimed_at >= :begins AND claimed_at < :ends
        ORDER BY id LIMIT :most
    ) AS asked
    """,
    rows=listed(
        "id", "claimed_at", "available_at", "tenant", "state", "reason", "attempt", "started_at", "finished_at"
    ),
)

OPEN_RUNS = both(f"SELECT count(*) FROM runs WHERE {OPEN} AND job = :job AND {DAY_AT} >= :begins AND {DAY_AT} < :ends")

ACTIVE_MARKS = both(
    "SELECT {rows} FROM schedules WHERE job = :job AND removed_at IS NULL",
    rows=listed("schedule", "fingerprint", "planned_to"),
)

HAS_DAY = both("SELECT count(*) FROM days WHERE job = :job AND tenant = '' AND day = :day")

INSERT_DAYS = both(
    """
    INSERT INTO days (job, tenant, day, worst, counts, duration_p50_ms, duration_p95_ms, lateness_p50_ms,
                      lateness_p95_ms)
    SELECT job, tenant, day, worst, counts, duration_p50_ms, duration_p95_ms, lateness_p50_ms, lateness_p95_ms
    FROM {rows} AS summed WHERE true
    ON CONFLICT (job, tenant, day) DO NOTHING
    """,
    rows=given(
        "rows",
        job="text",
        tenant="text",
        day="text",
        worst="text",
        counts="text",
        duration_p50_ms="integer",
        duration_p95_ms="integer",
        lateness_p50_ms="integer",
        lateness_p95_ms="integer",
    ),
)

JobDay = tuple[str, Day]


def undecided_from(connection: Connection, job: str, planned: Mapping[tuple[str, str], Schedule]) -> int | None:
    """The first instant, as its column holds it, that a schedule of this job may still decide; None without schedules.

    Of a schedule that is not in `planned`, because its file is broken or another bot plans it, all after its mark.
    """
    marks = rows_of(connection, ACTIVE_MARKS, job=job)
    return min((_first_after(planned.get((job, name)), form, at) for name, form, at in marks), default=None)


def _first_after(schedule: Schedule | None, fingerprint: str, planned_to: int) -> int:
    if schedule is None or schedule.fingerprint != fingerprint:
        return planned_to
    try:
        return schedule.next_after_ts(planned_to // SECOND) * SECOND
    except Exception:  # noqa: BLE001 - a wall: a schedule that misbehaves keeps its job's rows, and no others
        return planned_to


def has_open_runs(connection: Connection, job: str, day: Day) -> bool:
    """Whether a run of this day has not ended, or its thread goes on."""
    return bool(execute(connection, OPEN_RUNS, job=job, **_bounds(day)).scalar_one())


def is_summed(connection: Connection, job: str, day: Day) -> bool:
    return bool(execute(connection, HAS_DAY, job=job, day=str(day)).scalar_one())


def write_days(connection: Connection, summed: Iterable[tuple[JobDay, Mapping[str, DayFigures]]]) -> None:
    """Keep the figures {tenant: figures} of these days; those of a day that has some already stay."""
    rows = [
        (
            job,
            tenant,
            str(day),
            to_json(figures.worst),
            to_json(figures.counts),
            figures.duration_p50_ms,
            figures.duration_p95_ms,
            figures.lateness_p50_ms,
            figures.lateness_p95_ms,
        )
        for (job, day), by_tenant in summed
        for tenant, figures in by_tenant.items()
    ]
    execute(connection, INSERT_DAYS, rows=to_json(rows))


def sum_up(store: LedgerStore, job: str, day: Day) -> Generator[int, None, dict[str, DayFigures]]:
    """{tenant: the figures of this day}; yields 0 after each small look. '' is always there, with what did not run.

    The day must be over and its runs have ended: it is not read in one transaction.
    """
    sums: dict[str, DaySum] = defaultdict(lambda: DaySum(day))
    sums[""]
    with store.reading() as connection:
        series = list(_series(connection, job))
    for schedule, key in series:
        yield from _add_scheduled(store, sums, job, schedule, key, day)
    yield from _add_by_hand(store, sums, job, day)
    return {tenant: one.figures() for tenant, one in sums.items()}


def _series(connection: Connection, job: str) -> Iterator[tuple[str, str]]:
    """The (schedule, key) that this job's scheduled occurrences have."""
    schedule: str | None = ""
    while (schedule := execute(connection, NEXT_SCHEDULE, job=job, schedule=schedule).scalar()) is not None:
        key: str | None = ""
        while key is not None and schedule != MANUAL:
            yield schedule, key
            key = execute(connection, NEXT_KEY, job=job, schedule=schedule, key=key).scalar()


def _add_scheduled(
    store: LedgerStore, sums: dict[str, DaySum], job: str, schedule: str, key: str, day: Day
) -> Iterator[int]:
    bounds = _bounds(day)
    values = {"job": job, "schedule": schedule, "key": key, "ends": bounds["ends"], "most": PAGE}
    after = bounds["begins"] - 1
    while True:
        with store.reading() as connection:
            rows = rows_of(connection, SCHEDULED, after=after, **values)
        for due_at, decision, reason, count, tenant, state, why, attempt, wanted_at, started_at, finished_at in rows:
            if state is not None:
                _add_run(sums[tenant], due_at, wanted_at, state, why, attempt, started_at, finished_at)
            elif decision != "run":
                sums[""].add(_instant(due_at), decision, reason, count=count)
        yield 0
        if len({due_at for due_at, *_ in rows}) < PAGE:
            return
        after = max(due_at for due_at, *_ in rows)


def _add_by_hand(store: LedgerStore, sums: dict[str, DaySum], job: str, day: Day) -> Iterator[int]:
    with store.reading() as connection:
        after = first_since(connection, runs, day.begins_at - CLOCKS_APART) - 1
        before = first_since(connection, runs, day.ends_at + CLOCKS_APART)
    while True:
        with store.reading() as connection:
            rows = rows_of(connection, BY_HAND, job=job, after=after, before=before, most=PAGE, **_bounds(day))
        for _, claimed_at, available_at, tenant, state, why, attempt, started_at, finished_at in rows:
            _add_run(sums[tenant], claimed_at, available_at, state, why, attempt, started_at, finished_at)
        yield 0
        if len(rows) < PAGE:
            return
        after = max(run_id for run_id, *_ in rows)


def _add_run(
    one: DaySum,
    at: int,
    wanted_at: int,
    state: str,
    reason: str | None,
    attempt: int,
    started_at: int | None,
    finished_at: int | None,
) -> None:
    """Add a run; a retry has a duration, and is not late."""
    one.add(_instant(at), state, reason)
    if started_at is None or finished_at is None:
        return
    lateness = timedelta(microseconds=max(started_at - wanted_at, 0)) if attempt == 1 else None
    one.add_times(duration=timedelta(microseconds=max(finished_at - started_at, 0)), lateness=lateness)


def _instant(column: int) -> Any:
    return from_column(column)


def _bounds(day: Day) -> dict[str, int]:
    return {"begins": to_column(day.begins_at), "ends": to_column(day.ends_at)}
