"""The timeline: how often the jobs ran in a time, which runs stand out, and when no bot was there. Only reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from pinstripe_bot.ledger_failures import LATE_AFTER
from pinstripe_bot.ledger_history import EACH_JOB, first_claimed, first_since
from pinstripe_bot.ledger_rows import SECOND, error_of, from_column, to_column
from pinstripe_bot.ledger_schema import PASSED, WANTED_AT, occurrences, runs
from pinstripe_bot.ledger_sql import both, given, listed, rows_of, to_json, values_of
from pinstripe_bot.occurrence import RunError
from pinstripe_bot.records import BotRecord

SHORTEST_GAP = timedelta(minutes=1)
"""A bot that is started again at once was not away."""

MOST_MARKS = 6000
"""How many runs are read for one picture; the newest."""

LOOKED_AT = 200_000
"""In so many of the newest runs what stands out is looked for."""

_LIMITS = given("limits", job="text", late_us="bigint")

_LATENESS = f"(started_at - {WANTED_AT})"

# What is later than any limit is compared with that of its job: few are, and a comparison costs more than a row.
_IS_LATE = both(
    f"""(
        runs.attempt = 1 AND {_LATENESS} > :least
        AND {_LATENESS} > coalesce((SELECT late_us FROM {{limits}} AS limits WHERE limits.job = runs.job), 60000000)
    )""",
    limits=_LIMITS,
)

_IS_BAD = "runs.state IN ('failed', 'timed_out', 'interrupted')"

COUNTS = both(
    f"""
    WITH RECURSIVE {EACH_JOB} SELECT {{rows}} FROM (
        SELECT job, (SELECT count(*) FROM runs WHERE runs.job = names.job AND runs.id >= :first) AS count
        FROM names WHERE job IS NOT NULL
    ) AS counted WHERE count > 0
    """,
    rows=listed("job", "count"),
)

TROUBLES = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT max(runs.job) AS job, sum(CASE WHEN {_IS_BAD} THEN 1 ELSE 0 END) AS bad,
               sum(CASE WHEN {{is_late}} THEN 1 ELSE 0 END) AS late
        FROM runs WHERE runs.id >= :first AND ({_IS_BAD} OR {{is_late}}) GROUP BY runs.job || ''
    ) AS counted
    """,
    rows=listed("job", "bad", "late"),
    is_late=_IS_LATE,
)

MARKS = both(
    """
    SELECT {rows} FROM (
        SELECT runs.id, runs.job, runs.due_at, runs.state, runs.started_at, runs.finished_at,
               CASE WHEN runs.tenant_name <> '' THEN runs.tenant_name ELSE runs.tenant END AS whose,
               CASE WHEN runs.state = 'succeeded' THEN NULL ELSE runs.error END AS error,
               CASE WHEN {is_late} THEN 1 ELSE 0 END AS is_late
        FROM runs
        WHERE runs.id >= :first
          AND ((:also = 1 AND (runs.state <> 'succeeded' OR {is_late})) OR runs.job || '' IN {whole})
        ORDER BY runs.id DESC LIMIT :most
    ) AS marks
    """,
    rows=listed("id", "job", "due_at", "state", "started_at", "finished_at", "whose", "is_late", "error"),
    is_late=_IS_LATE,
    whole=values_of("whole", "text"),
)

PASSED_MARKS = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT id, job, due_at, until_at, decision, reason, count FROM occurrences
        WHERE id >= :first AND {PASSED} AND schedule <> 'manual' ORDER BY id DESC LIMIT :most
    ) AS marks
    """,
    rows=listed("job", "due_at", "until_at", "decision", "reason", "count"),
)

# Between two ids, so that nothing is sorted.
PER_SPAN = both(
    f"""
    WITH RECURSIVE places(place) AS (
        SELECT CAST(0 AS bigint) UNION ALL SELECT place + 1 FROM places WHERE place < :places
    ), starts AS (
        SELECT place, {first_claimed("runs", "(:begins + place * :span)")} AS first FROM places
    )
    SELECT {{rows}} FROM (
        SELECT starts.place, (
            SELECT count(*) FROM runs WHERE runs.id >= starts.first AND runs.id < ends.first
        ) AS count FROM starts JOIN starts AS ends ON ends.place = starts.place + 1
    ) AS counted WHERE count > 0
    """,
    rows=listed("place", "count"),
)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many runs of a job there were, how many went wrong, how many began late."""

    count: int
    bad: int
    late: int


@dataclass(frozen=True, slots=True)
class RunMark:
    """One run in the picture; `run` is its number."""

    run: int
    job: str
    due_at: datetime
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    whose: str
    is_late: bool
    error: RunError | None = None


@dataclass(frozen=True, slots=True)
class PassedMark:
    """An instant, or a stretch of them, that did not run."""

    job: str
    due_at: datetime
    until_at: datetime | None
    decision: str
    reason: str | None
    count: int


def count_runs(connection: Connection, late_after: Mapping[str, timedelta], since: datetime) -> dict[str, Tally]:
    """{job: its runs since}; `late_after` says of each job from when on a run is late."""
    first = first_since(connection, runs, since, among=LOOKED_AT)
    troubles = {job: its for job, *its in rows_of(connection, TROUBLES, first=first, **_limits(late_after))}
    return {job: Tally(count, *troubles.get(job, (0, 0))) for job, count in count_by_job(connection, since).items()}


def count_by_job(connection: Connection, since: datetime) -> dict[str, int]:
    """{job: how many runs it had since}."""
    return dict(rows_of(connection, COUNTS, first=first_since(connection, runs, since)))


def read_marks(
    connection: Connection,
    late_after: Mapping[str, timedelta],
    since: datetime,
    *,
    whole: Collection[str] = (),
    is_all: bool = True,
) -> list[RunMark]:
    """The runs since of the jobs that are to be shown `whole`, and with `is_all` those of all that stand out.

    The newest first, and no more than MOST_MARKS of them.
    """
    values = _limits(late_after) | {"whole": to_json(sorted(whole)), "most": MOST_MARKS, "also": int(is_all)}
    rows = rows_of(connection, MARKS, first=first_since(connection, runs, since, among=LOOKED_AT), **values)
    return [
        RunMark(
            run,
            job,
            _instant(due_at),
            state,
            from_column(started),
            from_column(finished),
            whose,
            bool(is_late),
            error_of(error),
        )
        for run, job, due_at, state, started, finished, whose, is_late, error in rows
    ]


def read_passed(connection: Connection, since: datetime) -> list[PassedMark]:
    """What did not run since, the newest first."""
    first = first_since(connection, occurrences, since)
    rows = rows_of(connection, PASSED_MARKS, first=first, most=MOST_MARKS)
    found = [
        PassedMark(job, _instant(due_at), from_column(until_at), decision, reason, count)
        for job, due_at, until_at, decision, reason, count in rows
    ]
    return [one for one in found if (one.until_at or one.due_at) >= since]


def count_per_span(connection: Connection, since: datetime, span: timedelta, places: int) -> list[int]:
    """How many runs were claimed in each of so many spans since."""
    values = {"begins": to_column(since), "span": span // timedelta(microseconds=1), "places": places}
    counts = dict(rows_of(connection, PER_SPAN, **values))
    return [counts.get(place, 0) for place in range(places)]


def times_without_bot(bots: Collection[BotRecord], since: datetime, now: datetime) -> list[tuple[datetime, datetime]]:
    """When no bot lived, from the first that is known on."""
    lives = sorted((one.started_at, now if one.is_alive else one.last_seen_at) for one in bots if one.kind == "bot")
    found, seen_until = [], None
    for started_at, until in lives:
        if seen_until is not None and started_at > seen_until:
            found.append((seen_until, started_at))
        seen_until = max(seen_until or started_at, started_at, until)
    if seen_until is not None and seen_until < now:
        found.append((seen_until, now))
    return [(max(start, since), end) for start, end in found if end > since and end - start >= SHORTEST_GAP]


def _limits(late_after: Mapping[str, timedelta]) -> dict[str, Any]:
    """The least of all, and those that are not the default."""
    own = {job: span for job, span in late_after.items() if span != LATE_AFTER}
    limits = [(job, round(span.total_seconds() * SECOND)) for job, span in own.items()]
    return {"least": min([LATE_AFTER, *own.values()]) // timedelta(microseconds=1), "limits": to_json(limits)}


def _instant(column: int) -> datetime:
    instant = from_column(column)
    assert instant is not None
    return instant
