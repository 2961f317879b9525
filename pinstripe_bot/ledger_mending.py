"""Mending: runs and carriers are brought together again, where a process or a row is gone. PostgreSQL only.

Each step is one statement of a transaction, and changes nothing when it is repeated. Described in docs/scaling.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from pinstripe_bot.ledger_bots import NEWEST
from pinstripe_bot.ledger_carriers import CARRIERS, CARRY
from pinstripe_bot.ledger_postgres import CLUSTER_SCHEMA
from pinstripe_bot.ledger_schema import CARRIED
from pinstripe_bot.ledger_sql import both, execute, given, to_json

ON_ITS_WAY = f"{CARRIED} AND state = 'queued' AND owner IS NULL"
"""Whether a run has a carrier, and no worker has it yet."""

LOCKED = "ORDER BY runs.id FOR UPDATE OF runs SKIP LOCKED"
"""Several rows are locked in the order of their ids; what somebody is just writing is left to the next look."""

STALL_AGO = "clock_timestamp() - :stall * INTERVAL '1 second'"

# Also of a worker that lives and does not know of it: the answer to its fetch was lost, or an adoption and its end.
REQUEUE_STALLED = both(
    f"""
    UPDATE {CARRIERS} AS carriers
    SET status = 'todo', worker_id = NULL, attempts = carriers.attempts + 1, abort_requested = false,
        scheduled_at = NULL
    FROM (
        SELECT stalled.id FROM {CARRIERS} AS stalled
        LEFT JOIN {CLUSTER_SCHEMA}.procrastinate_workers AS workers ON workers.id = stalled.worker_id
        WHERE stalled.status = 'doing' AND stalled.task_name = :task
          AND (workers.id IS NULL OR workers.last_heartbeat < {STALL_AGO} OR (
            EXISTS (
                SELECT 1 FROM runs
                WHERE {ON_ITS_WAY} AND id = CAST(stalled.args ->> 'run' AS bigint) AND carrier = stalled.id
            )
            AND NOT EXISTS (
                SELECT 1 FROM {CLUSTER_SCHEMA}.procrastinate_events AS events
                WHERE events.job_id = stalled.id AND events.at > {STALL_AGO}
            )
          ))
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
    WHERE last_heartbeat < {STALL_AGO}
    """
)


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


def requeue_stalled(connection: Connection, stall: timedelta) -> int:
    """Offer carriers to others whose workers have not been heard, or have not adopted them, for `stall`; how many."""
    return execute(connection, REQUEUE_STALLED, task=CARRY, stall=stall.total_seconds()).rowcount


def reconcile(connection: Connection) -> int:
    """Let waiting runs be sent again whose carrier is finished, failed, cancelled or gone; how many there were."""
    return execute(connection, RECONCILE).rowcount


def cancel_ended(connection: Connection) -> int:
    """Cancel the carriers that carry nothing: their runs have ended, were taken, or have another one; how many."""
    return execute(connection, CANCEL_ENDED, task=CARRY).rowcount


def recall(connection: Connection, channels: Mapping[str, str], *, me: str) -> None:
    """Let what waits elsewhere than in {job: channel} be sent again, where `me` has been started last of all."""
    execute(connection, RECALL, channels=to_json(sorted(channels.items())), me=me)


def has_left(connection: Connection) -> bool:
    """Whether `take_back` would find a run; only a look."""
    return bool(execute(connection, LEFT).scalar_one())


def take_back(connection: Connection) -> int:
    """Let runs wait for a bot again that a cluster has left behind, which has no worker any more; how many."""
    return execute(connection, TAKE_BACK).rowcount


def prune(connection: Connection, stall: timedelta) -> None:
    """Delete what is left of dead workers, and of carriers that ended an hour ago."""
    execute(connection, PRUNE_JOBS, task=CARRY)
    execute(connection, PRUNE_WORKERS, stall=stall.total_seconds())
