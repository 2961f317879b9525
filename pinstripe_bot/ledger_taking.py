"""Runs that wait in the ledger are taken by whichever bot comes, each by one. Steps of a transaction."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection

from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_runs import LOCKED_IDS
from pinstripe_bot.ledger_schema import OPEN, WAITING
from pinstripe_bot.ledger_sql import Statement, both, execute, given, listed, rows_of, to_json, values_of

# From each job to the next one: a step of the index for each job, however many of its runs wait.
JOBS_WAITING = both(
    f"""
    WITH RECURSIVE found(job) AS (
        SELECT min(job) FROM runs WHERE {WAITING}
        UNION ALL
        SELECT (SELECT min(job) FROM runs WHERE {WAITING} AND job > found.job) FROM found WHERE found.job IS NOT NULL
    )
    SELECT {{rows}} FROM found
    WHERE EXISTS (SELECT 1 FROM runs WHERE {WAITING} AND job = found.job AND available_at <= :now)
    """,
    rows=listed("job"),
)

TURN_LOCK = 0x7475726E
"""The advisory locks of the works of which somebody takes a run: "turn"."""

IS_ITS_TURN = f"""(in_turn = 0 OR NOT EXISTS (
    SELECT 1 FROM runs
    WHERE {OPEN} AND job = waiting.job AND params_key = waiting.params_key AND tenant = waiting.tenant
      AND id <> waiting.id AND (id < waiting.id OR owner IS NOT NULL OR carrier IS NOT NULL)
))"""
"""Whether a run of `runs AS waiting` may start: no earlier one of its work is open, and no other one is with a bot."""

NOBODY_TAKES = f"(in_turn = 0 OR pg_try_advisory_xact_lock({TURN_LOCK}, hashtext(job || params_key || tenant) & 511))"
"""Whether nobody else is just taking a run of this work: that may be the one which this one waits for."""

MAY_START = f"{WAITING} AND lingers = 0 AND available_at <= :now AND {IS_ITS_TURN}"
"""Whether a run of `runs AS waiting` waits for nothing but somebody who performs it."""

OLDEST = f"""
    SELECT id, job, params_key, tenant, in_turn FROM runs AS waiting
    WHERE {MAY_START} AND job = wanted.job
    ORDER BY available_at, id LIMIT :most
"""

PICKED = f"SELECT id FROM ({OLDEST} FOR UPDATE SKIP LOCKED) AS oldest WHERE {NOBODY_TAKES}"


def _of_each_job(found: Statement) -> Statement:
    """The ids of the runs `found` of each `wanted.job`, as one list for each."""
    return both(
        "SELECT {rows} FROM (SELECT (SELECT {ids} FROM ({found}) AS first) AS ids FROM {jobs} AS wanted) AS each",
        rows=Statement("json_group_array(json(ids))", "CAST(coalesce(jsonb_agg(CAST(ids AS jsonb)), '[]') AS text)"),
        ids=listed("id"),
        found=found,
        jobs=given("jobs", job="text"),
    )


AVAILABLE = _of_each_job(Statement(OLDEST, OLDEST))

PICK = _of_each_job(Statement(OLDEST, PICKED))

UNOWNED = both(
    f"""
    SELECT {{rows}} FROM runs
    WHERE {OPEN} AND state = 'queued' AND owner IS NULL AND lingers = 0 AND job NOT IN {{known}}
    """,
    rows=listed("id"),
    known=values_of("known", "text"),
)

TAKE = both("UPDATE runs SET owner = :bot WHERE id IN {ids} AND owner IS NULL RETURNING id", ids=LOCKED_IDS)

# Asked once more when nobody else takes any of its work: what was seen when it was picked may be old by now.
TAKE_IN_TURN = both(
    """
    UPDATE runs AS waiting SET owner = :bot WHERE id IN {ids} AND owner IS NULL AND carrier IS NULL {its_turn}
    RETURNING id
    """,
    ids=LOCKED_IDS,
    its_turn=Statement("", f"AND {IS_ITS_TURN}"),
)


def jobs_waiting(connection: Connection, now: datetime) -> list[str]:
    """The jobs with runs that nobody has and whose time has come."""
    found: list[str] = rows_of(connection, JOBS_WAITING, now=to_column(now))
    return found


def available(connection: Connection, jobs: Collection[str], *, now: datetime, most: int) -> list[int]:
    """The runs that nobody has and whose time and turn have come: of each of these jobs the oldest, up to `most`."""
    return _ids_of(connection, AVAILABLE, jobs, now, most)


def take_available(connection: Connection, jobs: Collection[str], *, bot: str, now: datetime, most: int) -> list[int]:
    """Make `bot` the owner of the `available` ones, but for those that another one is taking just now; their ids."""
    picked = _ids_of(connection, PICK, jobs, now, most)
    return list(execute(connection, TAKE_IN_TURN, ids=to_json(sorted(picked)), bot=bot).scalars())


def _ids_of(connection: Connection, query: Statement, jobs: Collection[str], now: datetime, most: int) -> list[int]:
    names = to_json([(job,) for job in sorted(jobs)])
    found: list[list[int]] = rows_of(connection, query, jobs=names, now=to_column(now), most=most)
    return [run_id for ids in found for run_id in ids]


def of_unknown_jobs(connection: Connection, known: Collection[str]) -> list[int]:
    """The runs that nobody has of jobs that are not `known`, whatever they wait for."""
    found: list[int] = rows_of(connection, UNOWNED, known=to_json(sorted(known)))
    return found


def take(connection: Connection, run_ids: Collection[int], *, bot: str) -> list[int]:
    """Make `bot` the owner of those of these runs that nobody has; their ids."""
    return list(execute(connection, TAKE, ids=to_json(sorted(run_ids)), bot=bot).scalars())
