"""Carriers: waiting runs are sent by jobs of a cluster, each by one, and adopted by workers. PostgreSQL only.

Steps of a transaction. Described in docs/scaling.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from pinstripe_bot.ledger_postgres import CLUSTER_SCHEMA
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_runs import IDS
from pinstripe_bot.ledger_schema import CARRIED, WAITING
from pinstripe_bot.ledger_sql import both, execute, given, listed, locked, rows_of, to_json, values_of
from pinstripe_bot.ledger_taking import IS_ITS_TURN, MAY_START, NOBODY_TAKES

CARRY = "pinstripe:run"
"""By this task of Procrastinate a carrier is known from anybody else's job."""

CARRIERS = f"{CLUSTER_SCHEMA}.procrastinate_jobs"

SENDING_LOCK = 0x73656E64
"""The advisory locks of the jobs of which somebody sends runs and counts them: "send"."""

LOCK = both(
    f"""
    SELECT pg_advisory_xact_lock({SENDING_LOCK}, key)
    FROM (SELECT DISTINCT hashtext(value) AS key FROM {{jobs}} AS jobs (value) ORDER BY key) AS keys
    """,
    jobs=values_of("jobs", "text"),
)

CHOOSE = both(
    f"""
    WITH chosen AS (
        SELECT found.id FROM {{jobs}} AS wanted CROSS JOIN LATERAL (
            SELECT id FROM runs AS waiting
            WHERE {MAY_START} AND job = wanted.job
            ORDER BY available_at, id
            LIMIT greatest(wanted.most - (SELECT count(*) FROM runs WHERE {CARRIED} AND job = wanted.job), 0)
        ) AS found
        LIMIT :most
    )
    SELECT {{rows}} FROM (
        SELECT id, attempt, job, params_key, tenant, in_turn FROM runs
        WHERE id = ANY (ARRAY(SELECT id FROM chosen)) AND {WAITING}
        ORDER BY id FOR UPDATE SKIP LOCKED
    ) AS locked WHERE {NOBODY_TAKES}
    """,
    rows=listed("id", "attempt", "job", "in_turn"),
    jobs=given("jobs", job="text", most="bigint"),
)

# Asked once more when nobody else sends or takes any of their work: what was seen before may be old by now.
STILL_IN_TURN = both(
    f"SELECT {{rows}} FROM runs AS waiting WHERE id IN {{ids}} AND {IS_ITS_TURN}", rows=listed("id"), ids=IDS
)

NOTE = both(
    f"""
    UPDATE runs SET carrier = carriers.id, queue = wanted.queue FROM {CARRIERS} AS carriers, {{queues}} AS wanted
    WHERE carriers.id IN {{ids}} AND runs.id = CAST(carriers.args ->> 'run' AS bigint) AND wanted.job = runs.job
    """,
    ids=IDS,
    queues=given("queues", job="text", queue="text"),
)

FETCHED = given("fetched", id="bigint", attempt="integer", carrier="bigint")

# Not one that has left this carrier: it may have to wait for its time, its turn or its tenants again.
ADOPT = both(
    """
    UPDATE runs SET owner = :worker FROM {fetched} AS wanted
    WHERE runs.id = wanted.id AND runs.attempt = wanted.attempt AND runs.carrier = wanted.carrier
      AND runs.state = 'queued' AND runs.owner IS NULL
    """,
    fetched=locked("runs", FETCHED),
)

# One that was adopted by a commit whose answer was lost is there as well.
ADOPTED = both(
    """
    SELECT {rows} FROM runs JOIN {fetched} AS wanted
      ON runs.id = wanted.id AND runs.attempt = wanted.attempt AND runs.carrier = wanted.carrier
    WHERE runs.state = 'queued' AND runs.owner = :worker
    """,
    rows=listed("runs.id"),
    fetched=FETCHED,
)

Fetched = tuple[int, int, int]
"""A run, its attempt, and the job of Procrastinate that carries it."""


def choose(
    connection: Connection, most_of: Mapping[str, int], now: datetime, *, strict: Collection[str], most: int
) -> list[tuple[int, int, str]]:
    """(run, attempt, job) of up to `most` runs that wait, whose time and turn have come, and that are to be carried.

    Of each job as many as `most_of` says, with those that are carried already. They are locked, oldest first; what
    another transaction holds is passed over. Runs of a job in `strict` are sent by one transaction at a time: two that
    count at once would both send the last one.
    """
    if strict:
        execute(connection, LOCK, jobs=to_json(sorted(strict)))
    jobs = to_json(sorted(most_of.items()))
    rows = rows_of(connection, CHOOSE, jobs=jobs, now=to_column(now), most=most)
    in_turn = [run_id for run_id, *_, is_in_turn in rows if is_in_turn]
    still = set(rows_of(connection, STILL_IN_TURN, ids=to_json(in_turn))) if in_turn else set()
    return [(run_id, attempt, job) for run_id, attempt, job, is_in_turn in rows if not is_in_turn or run_id in still]


def note(connection: Connection, carriers: Sequence[int], queues: Mapping[str, str]) -> None:
    """Write at each run which of these carriers it has, and in which of the queues {job: queue} that waits."""
    execute(connection, NOTE, ids=to_json(list(carriers)), queues=to_json(sorted(queues.items())))


def adopt(connection: Connection, fetched: Collection[Fetched], *, worker: str) -> list[int]:
    """Make `worker` the owner of those of these that nobody has and that still wait with this carrier; their ids."""
    rows = to_json(sorted(fetched))
    execute(connection, ADOPT, fetched=rows, worker=worker)
    found: list[int] = rows_of(connection, ADOPTED, fetched=rows, worker=worker)
    return found
