"""What the tests of the cluster share: bots that carry, and a look into Procrastinate's tables."""

from __future__ import annotations

from typing import Any

import psycopg
from bots import job, postgres_dsn

from pinstripe_bot.bot import Bot

SWEEP = job("return 1")
"""A job that is due every minute."""


def asked(bot: Bot, query: str, *values: object) -> list[tuple[Any, ...]]:
    """What a statement gives, past our own code; also in the tables of the cluster."""
    options = "-c search_path=pinstripe,pinstripe_cluster"
    with psycopg.connect(postgres_dsn(bot.ledger), options=options, autocommit=True) as server:
        cursor = server.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []


def carried(bot: Bot) -> list[tuple[str, int, int, str]]:
    """(job, run, attempt, queue) of what is on its way, oldest first."""
    return asked(
        bot,
        "SELECT job, runs.id, (args ->> 'attempt')::int, queue FROM procrastinate_jobs"
        " JOIN runs ON runs.id = (args ->> 'run')::bigint WHERE status = 'todo' ORDER BY procrastinate_jobs.id",
    )


def carriers(bot: Bot) -> list[int | None]:
    """The carrier of each run, oldest first."""
    return [carrier for (carrier,) in asked(bot, "SELECT carrier FROM runs ORDER BY id")]


def fetch(bot: Bot, *, age_s: float = 0.0) -> int | None:
    """Take a carrier as a new worker of Procrastinate does, last heard `age_s` ago; its number."""
    worker = asked(
        bot,
        "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - %s * INTERVAL '1 second') RETURNING id",
        age_s,
    )[0][0]
    carrier: int | None = asked(bot, "SELECT id FROM procrastinate_fetch_job_v2(NULL, %s)", worker)[0][0]
    return carrier


def statuses(bot: Bot) -> list[str]:
    """The status of each of Procrastinate's jobs, oldest first."""
    return [status for (status,) in asked(bot, "SELECT status::text FROM procrastinate_jobs ORDER BY id")]
