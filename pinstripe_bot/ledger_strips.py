"""The strips: the newest runs of each of some jobs, and what did not run between them. Only reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from pinstripe_bot.ledger_rows import from_column
from pinstripe_bot.ledger_schema import PASSED, WANTED_AT
from pinstripe_bot.ledger_sql import Statement, both, given, listed, rows_of, to_json

STRIPES = 60
"""How many stripes a strip has."""

TENANTS_LOOKED_AT = 1000
"""How many runs of a job with tenants make its strip: those of one instant are one stripe."""

_WORST_FIRST = ("failed", "timed_out", "interrupted", "running", "queued", "cancelled", "skipped", "succeeded")

_RANK = "CASE runs.state " + " ".join(f"WHEN '{one}' THEN {rank}" for rank, one in enumerate(_WORST_FIRST)) + " END"

_WANTED = given("wanted", job="text", late_us="bigint")

# SQLite knows no LATERAL, and PostgreSQL would look at each pair of a run and a job.
_NEWEST_RUNS = Statement(
    "runs ON runs.id IN (SELECT one.id FROM runs AS one WHERE one.job = wanted.job ORDER BY one.id DESC LIMIT :most)",
    "LATERAL (SELECT * FROM runs AS one WHERE one.job = wanted.job ORDER BY one.id DESC LIMIT :most) AS runs ON true",
)

_NEWEST_PASSED = Statement(
    "occurrences ON occurrences.id IN (SELECT one.id FROM occurrences AS one WHERE one.job = wanted.job"
    f" AND one.{PASSED} AND one.schedule <> 'manual' ORDER BY one.id DESC LIMIT :most)",
    f"LATERAL (SELECT * FROM occurrences AS one WHERE one.job = wanted.job AND one.{PASSED}"
    " AND one.schedule <> 'manual' ORDER BY one.id DESC LIMIT :most) AS occurrences ON true",
)

RUNS = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT wanted.job AS job, max(runs.id) AS id, min(runs.due_at) AS due_at, min({_RANK}) AS rank,
               min(runs.started_at) AS started_at, max(runs.finished_at - runs.started_at) AS longest,
               max(CASE WHEN runs.attempt = 1 AND runs.started_at - {WANTED_AT} > wanted.late_us THEN 1 ELSE 0 END)
                   AS is_late,
               count(*) AS count, sum(CASE WHEN {_RANK} < 3 THEN 1 ELSE 0 END) AS bad
        FROM {{wanted}} AS wanted JOIN {{newest}}
        GROUP BY wanted.job, runs.occurrence_id
    ) AS stripes
    """,
    rows=listed("job", "id", "due_at", "rank", "started_at", "longest", "is_late", "count", "bad"),
    wanted=_WANTED,
    newest=_NEWEST_RUNS,
)

PASSED_INSTANTS = both(
    """
    SELECT {rows} FROM {wanted} AS wanted JOIN {newest}
    """,
    rows=listed("wanted.job", "occurrences.due_at", "occurrences.decision", "occurrences.reason", "occurrences.count"),
    wanted=_WANTED,
    newest=_NEWEST_PASSED,
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stripe of a job's strip: the runs of one instant, the worst first, or instants that did not run.

    `run` is the newest of the runs, `bad` how many of the `count` went wrong; `took` is that of the longest.
    """

    job: str
    due_at: datetime
    state: str  # a run's state, "skipped" or "missed"
    run: int | None = None
    started_at: datetime | None = None
    took: timedelta | None = None
    is_late: bool = False
    count: int = 1
    bad: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of which job a strip is wanted, whether its runs are those of tenants, and from when on one is late."""

    job: str
    is_for_tenants: bool
    late_after: timedelta


def read_strips(
    connection: Connection, wanted: Collection[Wanted], *, stripes: int = STRIPES
) -> dict[str, list[Stretch]]:
    """{job: its newest stripes, oldest first}; two or three queries, however many jobs there are."""
    found: dict[str, list[Stretch]] = {one.job: [] for one in wanted}
    for row in _runs(connection, wanted, stripes):
        job, run, due_at, rank, started_at, longest, is_late, count, bad = row
        took = None if longest is None else timedelta(microseconds=max(longest, 0))
        found[job].append(
            Stretch(
                job,
                _instant(due_at),
                _WORST_FIRST[rank],
                run=run,
                started_at=from_column(started_at),
                took=took,
                is_late=bool(is_late),
                count=count,
                bad=bad,
            )
        )
    for job, due_at, decision, reason, count in rows_of(
        connection, PASSED_INSTANTS, wanted=_rows(wanted), most=stripes
    ):
        found[job].append(Stretch(job, _instant(due_at), decision, count=count, reason=reason))
    return {job: sorted(each, key=lambda one: (one.due_at, one.run or 0))[-stripes:] for job, each in found.items()}


def p50_of(stripes: Collection[Stretch]) -> timedelta | None:
    """The median of how long those took that succeeded; None where none did."""
    took = sorted(one.took for one in stripes if one.took is not None and one.state == "succeeded")
    return took[(len(took) - 1) // 2] if took else None


def _runs(connection: Connection, wanted: Collection[Wanted], stripes: int) -> Iterator[list[Any]]:
    for is_for_tenants, most in ((False, stripes), (True, max(TENANTS_LOOKED_AT, stripes))):
        its = [one for one in wanted if one.is_for_tenants is is_for_tenants]
        if its:
            yield from rows_of(connection, RUNS, wanted=_rows(its), most=most)


def _rows(wanted: Collection[Wanted]) -> str:
    return to_json([(one.job, one.late_after // timedelta(microseconds=1)) for one in wanted])


def _instant(column: int) -> datetime:
    instant = from_column(column)
    assert instant is not None
    return instant
