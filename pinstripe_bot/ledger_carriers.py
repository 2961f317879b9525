"""Carriers: which waiting runs get one, who adopts these runs, and what is mended where the two differ.

PostgreSQL only. Each step is one statement of a transaction, and changes nothing when it is repeated. Described in
docs/scaling.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from pinstripe_bot import ledger_sweep
from pinstripe_bot.ledger_bots import NEWEST
from pinstripe_bot.ledger_postgres import CLUSTER_SCHEMA
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_runs import IDS
from pinstripe_bot.ledger_schema import CARRIED, WAITING
from pinstripe_bot.ledger_sql import both, execute, given, listed, locked, rows_of, to_json, values_of
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.ledger_taking import IS_ITS_TURN
from pinstripe_bot.occurrence import Run

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
            WHERE {WAITING} AND job = wanted.job AND lingers = 0 AND available_at <= :now AND {IS_ITS_TURN}
            ORDER BY available_at, id
            LIMIT greatest(wanted.most - (SELECT count(*) FROM runs WHERE {CARRIED} AND job = wanted.job), 0)
        ) AS found
        LIMIT :most
    )
    SELECT {{rows}} FROM (
        SELECT id, attempt, job FROM runs WHERE id = ANY (ARRAY(SELECT id FROM chosen)) AND {WAITING}
        ORDER BY id FOR UPDATE SKIP LOCKED
    ) AS locked
    """,
    rows=listed("id", "attempt", "job"),
    jobs=given("jobs", job="text", most="bigint"),
)

NOTE = both(
    f"""
    UPDATE runs SET carrier = carriers.id, queue = wanted.queue FROM {CARRIERS} AS carriers, {{queues}} AS wanted
    WHERE carriers.id IN {{ids}} AND runs.id = CAST(carriers.args ->> 'run' AS bigint) AND wanted.job = runs.job
    """,
    ids=IDS,
    queues=given("queues", job="text", queue="text"),
)

ON_ITS_WAY = f"{CARRIED} AND state = 'queued' AND owner IS NULL"
"""Whether a run has a carrier, and no worker has it yet."""

LOCKED = "ORDER BY runs.id FOR UPDATE OF runs SKIP LOCKED"
"""Several rows are locked in the order of their ids; what somebody is just writing is left to the next look."""

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

REQUEUE_STALLED = both(
    f"""
    UPDATE {CARRIERS} AS carriers
    SET status = 'todo', worker_id = NULL, attempts = carriers.attempts + 1, abort_requested = false,
        scheduled_at = NULL
    FROM (
        SELECT stalled.id FROM {CARRIERS} AS stalled
        LEFT JOIN {CLUSTER_SCHEMA}.procrastinate_workers AS workers ON workers.id = stalled.worker_id
        WHERE stalled.status = 'doing' AND stalled.task_name = :task
          AND (workers.id IS NULL OR workers.last_heartbeat < clock_timestamp() - :stall * INTERVAL '1 second')
        ORDER BY stalled.id LIMIT 1000 FOR UPDATE OF stalled SKIP LOCKED
    ) AS found
    WHERE carriers.id = found.id
    """
)

# The number of a job is given again where Procrastinate's tables are made anew: what it carries counts.
RECONCILE = both(
    f"""
    UPDATE runs SET carrier = NULL WHERE id IN (
        SELECT id FROM runs
        WHERE {ON_ITS_WAY} AND NOT EXISTS (
            SELECT 1 FROM {CARRIERS} AS carriers
            WHERE carriers.id = runs.carrier AND carriers.status IN ('todo', 'doing')
              AND carriers.args ->> 'run' = CAST(runs.id AS text)
              AND carriers.args ->> 'attempt' = CAST(runs.attempt AS text)
        )
        {LOCKED}
    )
    """
)

RECALL = both(
    f"""
    UPDATE runs SET carrier = NULL WHERE id IN (
        SELECT runs.id FROM runs JOIN {CARRIERS} AS carriers ON carriers.id = runs.carrier
        JOIN {{channels}} AS wanted ON wanted.job = runs.job
        WHERE {ON_ITS_WAY} AND carriers.queue_name <> wanted.channel AND carriers.status = 'todo' AND :me = {NEWEST}
        {LOCKED}
    )
    """,
    channels=given("channels", job="text", channel="text"),
)

IS_LEFT = f"""{ON_ITS_WAY}
    AND NOT EXISTS (SELECT 1 FROM bots WHERE kind = 'worker' AND stopped_at IS NULL)"""
"""Whether a run waits for the workers of a cluster, and there is none."""

LEFT = both(f"SELECT count(*) FROM runs WHERE {IS_LEFT}")

TAKE_BACK = both(f"UPDATE runs SET carrier = NULL WHERE id IN (SELECT id FROM runs WHERE {IS_LEFT} {LOCKED})")

CANCEL_ENDED = both(
    f"""
    UPDATE {CARRIERS} AS carriers SET status = 'cancelled'
    WHERE carriers.status = 'todo' AND carriers.task_name = :task AND NOT EXISTS (
        SELECT 1 FROM runs
        WHERE runs.id = CAST(carriers.args ->> 'run' AS bigint) AND runs.carrier = carriers.id AND runs.state = 'queued'
          AND runs.owner IS NULL
    )
    """
)

PRUNE_JOBS = both(
    f"""
    DELETE FROM {CARRIERS} AS carriers
    WHERE carriers.status IN ('succeeded', 'failed', 'cancelled', 'aborted') AND carriers.task_name = :task
      AND NOT EXISTS (
        SELECT 1 FROM {CLUSTER_SCHEMA}.procrastinate_events AS events
        WHERE events.job_id = carriers.id AND events.at > clock_timestamp() - INTERVAL '1 hour'
    )
    """
)

PRUNE_WORKERS = both(
    f"""
    DELETE FROM {CLUSTER_SCHEMA}.procrastinate_workers
    WHERE last_heartbeat < clock_timestamp() - :stall * INTERVAL '1 second'
    """
)


Fetched = tuple[int, int, int]
"""A run, its attempt, and the job of Procrastinate that carries it."""


@dataclass(frozen=True, slots=True)
class Mended:
    """How many carriers were offered again, how many runs sent again, and how many carriers cancelled."""

    requeued: int
    reconciled: int
    cancelled: int

    def facts(self) -> dict[str, int]:
        """As a log event tells it; empty where nothing was to be mended."""
        found = {"requeued": self.requeued, "reconciled": self.reconciled, "cancelled": self.cancelled}
        return {name: count for name, count in found.items() if count}


@dataclass(frozen=True, slots=True)
class Carriers:
    """The carriers of a ledger, for one bot or worker.

    Every method raises LedgerUnavailable if the database does not answer.
    """

    _store: LedgerStore
    _taking: Callable[..., AbstractContextManager[Connection]]
    _bot: Callable[[], str]

    def send(self) -> None:
        """Send what has come to wait without a transaction of ours."""
        with self._store.working():
            pass  # the outbox does it, before the commit

    def adopt(self, fetched: Collection[Fetched], now: datetime) -> list[Run]:
        """Make those of these runs ours that nobody has and that still wait with this carrier; oldest due first.

        Nobody waits for the disk: where the server forgets it, the run cannot be started by us, and is carried again.
        """
        with self._taking(now, durable=False) as connection:
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            return ledger_sweep.read(connection, adopt(connection, fetched, worker=self._bot()))

    def mend(self, stall: timedelta) -> Mended:
        """Bring runs and carriers together again, where a process or a row is gone."""
        with self._store.working() as connection:
            requeued = requeue_stalled(connection, stall)
        with self._store.working() as connection:
            reconciled = reconcile(connection)
        with self._store.working() as connection:
            return Mended(requeued, reconciled, cancel_ended(connection))

    def recall(self, channels: Mapping[str, str]) -> None:
        """Let what waits elsewhere than in {job: channel} be sent again, by the process that was started last."""
        with self._store.working() as connection:
            execute(connection, RECALL, channels=to_json(sorted(channels.items())), me=self._bot())

    def take_back(self) -> int:
        """Let runs wait for a bot again that a cluster has left behind, which has no worker any more; how many."""
        with self._store.reading() as connection:  # nearly always there is none
            if not execute(connection, LEFT).scalar_one():
                return 0
        with self._store.working() as connection:
            return execute(connection, TAKE_BACK).rowcount

    def prune(self, stall: timedelta) -> None:
        """Delete what is left of dead workers, and of carriers that ended an hour ago."""
        with self._store.working() as connection:
            execute(connection, PRUNE_JOBS, task=CARRY)
            execute(connection, PRUNE_WORKERS, stall=stall.total_seconds())


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
    return [(run_id, attempt, job) for run_id, attempt, job in rows]


def note(connection: Connection, carriers: Sequence[int], queues: Mapping[str, str]) -> None:
    """Write at each run which of these carriers it has, and in which of the queues {job: queue} that waits."""
    execute(connection, NOTE, ids=to_json(list(carriers)), queues=to_json(sorted(queues.items())))


def adopt(connection: Connection, fetched: Collection[Fetched], *, worker: str) -> list[int]:
    """Make `worker` the owner of those of these that nobody has and that still wait with this carrier; their ids."""
    rows = to_json(sorted(fetched))
    execute(connection, ADOPT, fetched=rows, worker=worker)
    found: list[int] = rows_of(connection, ADOPTED, fetched=rows, worker=worker)
    return found


def requeue_stalled(connection: Connection, stall: timedelta) -> int:
    """Offer the carriers of workers that have not been heard for `stall` to others; how many there were."""
    return execute(connection, REQUEUE_STALLED, task=CARRY, stall=stall.total_seconds()).rowcount


def reconcile(connection: Connection) -> int:
    """Let waiting runs be sent again whose carrier is finished, failed, cancelled or gone; how many there were."""
    return execute(connection, RECONCILE).rowcount


def cancel_ended(connection: Connection) -> int:
    """Cancel the carriers that carry nothing: their runs have ended, were taken, or have another one; how many."""
    return execute(connection, CANCEL_ENDED, task=CARRY).rowcount
