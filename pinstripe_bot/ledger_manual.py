"""Runs that a person or a program asks for: an occurrence under a fresh key, and its run. Steps of a transaction."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, insert

from pinstripe_bot.ledger_listings import write_listings
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_schema import occurrences, runs
from pinstripe_bot.ledger_work import open_work, open_work_of_tenants
from pinstripe_bot.occurrence import MANUAL, Decision, Reason, Run, RunState
from pinstripe_bot.policies import Overlap


def record_manual(
    connection: Connection,
    run: Run,
    params_json: str,
    params_key: str,
    *,
    bot: str,
    owner: str | None,
    ignore_overlap: bool,
    available_at: datetime | None = None,
    waits_in_turn: bool = False,
) -> Run:
    """Write a run that a person or a program asks for, with its occurrence: queued or running as it came, or skipped.

    Without an `owner` it waits in the ledger for a bot, until `available_at`; `waits_in_turn` lets it wait for the
    earlier runs of its work instead of being skipped.
    """
    if not ignore_overlap:
        run = _compared(connection, run, params_key, waits_in_turn=waits_in_turn)
    decision = Decision.SKIPPED if run.reason else Decision.RUN
    occurrence = _facts(run) | {"key": os.urandom(16).hex(), "decision": decision, "bot": bot}
    own: dict[str, Any] = {
        "occurrence_id": _inserted_id(connection, insert(occurrences).values(occurrence)),
        "tenant": run.tenant,
        "tenant_name": run.tenant_name,
        "state": run.state,
        "params": params_json,
        "params_key": params_key,
        "available_at": to_column(available_at or run.claimed_at),
        "owner": owner,
        "in_turn": int(waits_in_turn),
        "started_at": None if run.started_at is None else to_column(run.started_at),
        "finished_at": None if run.finished_at is None else to_column(run.finished_at),
    }
    return replace(run, id=_inserted_id(connection, insert(runs).values(_facts(run) | own)))


def _compared(connection: Connection, run: Run, params_key: str, *, waits_in_turn: bool) -> Run:
    """The run, skipped where its work is open; if it may wait in turn, only where another one waits already."""
    if run.tenant:
        work = open_work_of_tenants(connection, run.job, params_key, [run.tenant])
    else:
        work = open_work(connection, [run.job])
    if (run.job, params_key, run.tenant) not in (work.waiting if waits_in_turn else work.busy):
        return run
    ended = {"state": RunState.SKIPPED, "reason": Reason.OVERLAP, "finished_at": run.claimed_at}
    return replace(run, started_at=None, **ended)


def _facts(run: Run) -> dict[str, Any]:
    """What the occurrence and the run both say."""
    return {
        "job": run.job,
        "schedule": MANUAL,
        "due_at": to_column(run.due_at),
        "reason": run.reason,
        "claimed_at": to_column(run.claimed_at),
    }


def _inserted_id(connection: Connection, statement: Any) -> int:
    return int(connection.execute(statement).inserted_primary_key[0])  # type: ignore[index]


def record_manual_listing(
    connection: Connection,
    run: Run,
    params_json: str,
    params_key: str,
    *,
    overlap: Overlap,
    bot: str,
    available_at: datetime,
) -> None:
    """Write an occurrence whose tenants are to be listed by a bot, from `available_at`; each is to have such a run."""
    occurrence = _facts(run) | {"key": os.urandom(16).hex(), "decision": Decision.RUN, "bot": bot, "listing": "queued"}
    row_id = _inserted_id(connection, insert(occurrences).values(occurrence))
    write_listings(connection, [(row_id, params_json, params_key, overlap, 0, to_column(available_at))])
