"""The queues of a cluster: how many runs wait in each and since when, and who serves it. Only reads."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from pinstripe_bot.ledger_rows import from_column
from pinstripe_bot.ledger_schema import CARRIED
from pinstripe_bot.ledger_sql import both, listed, rows_of
from pinstripe_bot.records import BotRecord, QueueRecord

DEPTHS = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT queue, sum(CASE WHEN state = 'queued' THEN 1 ELSE 0 END) AS waiting,
               sum(CASE WHEN state = 'running' THEN 1 ELSE 0 END) AS running,
               min(CASE WHEN state = 'queued' THEN available_at END) AS oldest
        FROM runs WHERE {CARRIED} GROUP BY queue
    ) AS depths
    """,
    rows=listed("queue", "waiting", "running", "oldest"),
)


def read_queues(connection: Connection, bots: Iterable[BotRecord], named: Iterable[str] = ()) -> list[QueueRecord]:
    """Each queue in which runs wait or of which some run, that a living worker names, or that is `named`; by name."""
    workers = [bot for bot in bots if bot.is_alive and bot.kind == "worker"]
    names = {*named, *(queue for worker in workers for queue in worker.queues)}
    depths = dict.fromkeys(names, (0, 0, None)) | {queue: tuple(depth) for queue, *depth in rows_of(connection, DEPTHS)}
    return [
        QueueRecord(queue, waiting, running, from_column(oldest), sum(worker.serves(queue) for worker in workers))
        for queue, (waiting, running, oldest) in sorted(depths.items())
    ]
