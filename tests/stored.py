"""Rows written straight into a ledger, also such as no bot would write: what those who only read have to bear."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_schema import attempts, bots, occurrences, runs
from pinstripe_bot.ledger_sql import to_json
from pinstripe_bot.ledger_store import LedgerStore

DAWN = datetime(2026, 1, 1, tzinfo=UTC)
"""When the clock of the tests begins."""

FAR = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

ODD = "../a b?c=d&e#f%/<b>\u202e\u05e9 \U0001f9b4'\""
"""A name with every odd character that a database takes."""

_KEYS = itertools.count()


def minute(number: float) -> datetime:
    """So many minutes after the dawn."""
    return DAWN + timedelta(minutes=number)


def put_run(where: Ledger | LedgerStore, job: str = "sweep", **facts: Any) -> int:
    """Write a run and its occurrence; its number. Instants are datetimes, `took` in seconds is since it started.

    Runs that share an `occurrence` are of one instant.
    """
    due_at = facts.pop("due_at", DAWN)
    claimed_at = facts.pop("claimed_at", due_at)
    started_at = facts.pop("started_at", claimed_at)
    took, finished_at = facts.pop("took", 1.0), facts.pop("finished_at", None)
    if finished_at is None and took is not None and started_at is not None:
        finished_at = started_at + timedelta(seconds=took)
    schedule, error = facts.pop("schedule", "* * * * *"), facts.pop("error", None)
    row = {
        "job": job,
        "schedule": schedule,
        "due_at": to_column(due_at),
        "claimed_at": to_column(claimed_at),
        "available_at": to_column(facts.pop("available_at", due_at)),
        "started_at": None if started_at is None else to_column(started_at),
        "finished_at": None if finished_at is None else to_column(finished_at),
        "state": "succeeded",
        "params": "{}",
        "params_key": "",
        "error": None if error is None else to_json(error),
    }
    occurrence = facts.pop("occurrence", None)
    with _store(where).writing() as connection:
        if occurrence is None:
            decided = {"job": job, "schedule": schedule, "due_at": row["due_at"], "claimed_at": row["claimed_at"]}
            decided |= {"key": f"test {next(_KEYS)}", "decision": "run", "bot": "none"}
            occurrence = connection.execute(insert(occurrences).values(decided)).inserted_primary_key[0]
        written = connection.execute(insert(runs).values(row | {"occurrence_id": occurrence} | facts))
        number: int = written.inserted_primary_key[0]
        return number


def put_passed(where: Ledger | LedgerStore, job: str = "sweep", **facts: Any) -> int:
    """Write an instant, or a stretch of them, that did not run; its number."""
    due_at, until_at = facts.pop("due_at", DAWN), facts.pop("until_at", None)
    row = {
        "job": job,
        "schedule": "* * * * *",
        "key": f"test {next(_KEYS)}",
        "due_at": to_column(due_at),
        "until_at": None if until_at is None else to_column(until_at),
        "claimed_at": to_column(facts.pop("claimed_at", due_at)),
        "decision": "missed",
        "reason": "bot_down",
        "bot": "none",
    }
    with _store(where).writing() as connection:
        number: int = connection.execute(insert(occurrences).values(row | facts)).inserted_primary_key[0]
        return number


def put_attempt(where: Ledger | LedgerStore, run: int, attempt: int, started_at: datetime, took: float = 1.0) -> None:
    """Write an earlier try of a run, which failed."""
    times = {"started_at": to_column(started_at), "finished_at": to_column(started_at + timedelta(seconds=took))}
    with _store(where).writing() as connection:
        connection.execute(insert(attempts).values(times | {"run_id": run, "attempt": attempt, "state": "failed"}))


def put_bot(where: Ledger | LedgerStore, name: str, started_at: datetime, stopped_at: datetime | None) -> None:
    """Write a bot of another machine."""
    facts = {"id": name, "kind": "bot", "host": ODD, "boot_id": "", "pid": 7, "version": "0", "stats": "{}"}
    times = {"started_at": to_column(started_at), "heartbeat_at": to_column(stopped_at or started_at)}
    facts |= times | {"stopped_at": None if stopped_at is None else to_column(stopped_at)}
    with _store(where).writing() as connection:
        connection.execute(insert(bots).values(facts))


def _store(where: Ledger | LedgerStore) -> LedgerStore:
    return where.store if isinstance(where, Ledger) else where
