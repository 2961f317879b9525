"""Visits to the console of a bot's project, and what a ledger may tell of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from stored import DAWN

from pinstripe_bot.bot import Bot
from pinstripe_bot.console.standing import Standing, stand
from pinstripe_bot.console.visit import Visit
from pinstripe_bot.ledger_overview import Overview
from pinstripe_bot.occurrence import Decision, Occurrence, Reason, Run, RunError, RunState
from pinstripe_bot.records import BotRecord, PassedRecord, RunRecord

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def visit_to(bot: Bot, now: datetime | None = None, **query: str) -> Visit:
    """A request to the console of this bot's project."""
    return Visit(bot.project, now or bot.clock.now(), bot.ledger.history, query=query)


def standing_of(visit: Visit) -> Standing:
    return stand(visit)


def an_overview(**facts: Any) -> Overview:
    """What a ledger tells in which nothing happened, but for these facts."""
    empty = ("troubles", "passed", "pauses", "tenant_pauses", "skips", "listings", "broken_off", "running", "waiting")
    nothing = dict.fromkeys((*empty, "bots"), ())
    return Overview(**{"since": DAWN, "paused_counts": {}, "tenant_names": {}, "open_count": 0} | nothing | facts)


def a_run(job: str = "sweep", state: str = "failed", **facts: Any) -> Run:
    """A run that began when it was due, and took a second."""
    due_at = facts.get("due_at", NOON)
    its = {"id": 7, "job": job, "schedule": "* * * * *", "due_at": due_at, "claimed_at": due_at, "params": {}}
    return Run(**its | {"state": RunState(state), "started_at": due_at} | facts)


def a_record(run: Run, **facts: Any) -> RunRecord:
    """The run of a bot that lives."""
    its = {"available_at": run.due_at, "is_in_turn": False, "lingers": False, "progress": None}
    its |= {"cancel_requested_at": None, "cancelled_by": None, "bot": a_bot()}
    return RunRecord(run, **its | facts)


def a_bot(**facts: Any) -> BotRecord:
    its = {"id": "b", "kind": "bot", "host": "web-1", "pid": 4711, "version": "1", "started_at": DAWN}
    return BotRecord(**its | {"heartbeat_at": NOON, "stopped_at": None, "stats": {}, "is_alive": True} | facts)


def a_miss(job: str = "sweep", reason: Reason | None = Reason.BOT_DOWN, **facts: Any) -> PassedRecord:
    """An instant that was missed, or a stretch of them."""
    its = {"schedule": "* * * * *", "due_at": NOON, "decision": Decision.MISSED, "reason": reason}
    occurrence = Occurrence(job, **its | facts)
    return PassedRecord(occurrence, occurrence.until_at or occurrence.due_at)


def an_error(message: str = "out of paper") -> RunError:
    return RunError("ValueError", message, "sweep.py:7 in run", "")
