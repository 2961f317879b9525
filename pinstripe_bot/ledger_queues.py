"""The queues of a cluster: how many runs wait in each and since when, and who serves it. Only reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from pinstripe_bot.ledger_rows import from_column, to_column
from pinstripe_bot.ledger_schema import CARRIED
from pinstripe_bot.ledger_sql import both, given, listed, rows_of, to_json
from pinstripe_bot.ledger_taking import MAY_START
from pinstripe_bot.records import BotRecord, QueueRecord

# Also what could start and is not carried yet: of one job's crowd so many are at a time, or as its tenants allow.
DEPTHS = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT queue, sum(CASE WHEN state = 'queued' THEN 1 ELSE 0 END) AS waiting,
               sum(CASE WHEN state = 'running' THEN 1 ELSE 0 END) AS running,
               min(CASE WHEN state = 'queued' THEN available_at END) AS oldest
        FROM (
            SELECT queue, state, available_at FROM runs WHERE {CARRIED}
            UNION ALL
            SELECT wanted.queue, state, available_at
            FROM {{queues}} AS wanted JOIN runs AS waiting ON waiting.job = wanted.job WHERE {MAY_START}
        ) AS each GROUP BY queue
    ) AS depths
    """,
    rows=listed("queue", "waiting", "running", "oldest"),
    queues=given("queues", job="text", queue="text"),
)


def read_queues(
    connection: Connection, bots: Iterable[BotRecord], queue_of: Mapping[str, str], now: datetime
) -> list[QueueRecord]:
    """Each queue of {job: its queue}, that a living worker names, or that has runs which wait or run; by name.

    What waits for its time or for its turn is not in a queue yet.
    """
    workers = [bot for bot in bots if bot.is_alive and bot.kind == "worker"]
    names = {*queue_of.values(), *(queue for worker in workers for queue in worker.queues)}
    found = rows_of(connection, DEPTHS, queues=to_json(sorted(queue_of.items())), now=to_column(now))
    depths = dict.fromkeys(names, (0, 0, None)) | {queue: tuple(depth) for queue, *depth in found}
    return [
        QueueRecord(queue, waiting, running, from_column(oldest), sum(worker.serves(queue) for worker in workers))
        for queue, (waiting, running, oldest) in sorted(depths.items())
    ]
