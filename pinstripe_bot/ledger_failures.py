"""The failures: which runs went wrong or began late lately, job by job. Only reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, text

from pinstripe_bot.ledger_history import first_since
from pinstripe_bot.ledger_rows import SECOND, run_of, to_column
from pinstripe_bot.ledger_schema import ENDED_BADLY, WANTED_AT, runs
from pinstripe_bot.ledger_sql import both, given, listed, rows_of, to_json
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.schedule import Schedule

LATE_AFTER = timedelta(seconds=60)
"""For runs that no schedule of the project stands for any more: the default of `late_after`."""

# Grouped by an expression: grouped by the column, SQLite walks a whole index of jobs instead of the newest ids.
LATE = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT max(runs.job) AS job, count(*) AS count, max(runs.id) AS newest
        FROM runs LEFT JOIN {{limits}} AS late ON late.job = runs.job AND late.schedule = runs.schedule
        WHERE runs.id >= :first AND runs.started_at IS NOT NULL AND runs.attempt = 1
          AND runs.started_at - {WANTED_AT} > coalesce(late.after_us, :otherwise)
          AND NOT EXISTS (
              SELECT 1 FROM occurrences WHERE occurrences.id = runs.occurrence_id AND occurrences.key = 'backfill'
          )
        GROUP BY runs.job || ''
    ) AS found
    """,
    rows=listed("job", "count", "newest"),
    limits=given("limits", job="text", schedule="text", after_us="bigint"),
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Runs of one job with the same trouble, a state or "late": how many, the newest, whether one succeeded since."""

    kind: str
    count: int
    newest: Run
    is_over: bool


def read_failures(connection: Connection, planned: Iterable[Schedule], since: datetime) -> list[Trouble]:
    """What went wrong since, the newest first, and then what was late; `planned` say from when on a run is late."""
    columns = (runs.c.job, runs.c.state, func.count(), func.max(runs.c.id))
    bad = select(*columns).where(text(ENDED_BADLY), runs.c.finished_at >= to_column(since))
    groups = [(row[1], row[2], row[3]) for row in connection.execute(bad.group_by(runs.c.job, runs.c.state))]
    groups += [("late", count, newest) for _, count, newest in _late(connection, planned, since)]
    newest = _runs_of(connection, [run_id for _, _, run_id in groups])
    succeeded = _last_successes(connection, {run.job for run in newest.values()})
    troubles = [
        Trouble(kind, count, newest[run_id], succeeded.get(newest[run_id].job, 0) > run_id)
        for kind, count, run_id in groups
    ]
    return sorted(troubles, key=lambda trouble: (trouble.kind == "late", -trouble.newest.id))


def _late(connection: Connection, planned: Iterable[Schedule], since: datetime) -> list[tuple[str, int, int]]:
    first = first_since(connection, runs, since)
    limits = [(one.job, one.name, round(one.policy.late_after_s * SECOND)) for one in planned]
    otherwise = LATE_AFTER // timedelta(microseconds=1)
    return rows_of(connection, LATE, first=first, limits=to_json(limits), otherwise=otherwise)


def _runs_of(connection: Connection, run_ids: Collection[int]) -> dict[int, Run]:
    found = connection.execute(select(runs).where(runs.c.id.in_(run_ids))).mappings()
    return {row["id"]: run_of(row) for row in found}


def _last_successes(connection: Connection, jobs: Iterable[str]) -> dict[str, int]:
    """{job: its newest run, where that has succeeded}."""
    last = {}
    for job in jobs:
        ended = select(runs.c.id, runs.c.state).where(runs.c.job == job, runs.c.finished_at.is_not(None))
        row = connection.execute(ended.order_by(runs.c.id.desc()).limit(1)).first()
        if row is not None and row.state == RunState.SUCCEEDED:
            last[job] = row.id
    return last
