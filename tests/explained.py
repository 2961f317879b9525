"""Schedules and questions for the tests of explanations."""

from __future__ import annotations

from datetime import UTC, datetime

from plans import make_schedule

from pinstripe_bot.asked import read_asked
from pinstripe_bot.explanation import Explanation, explain_instant
from pinstripe_bot.schedule import Schedule

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def berlin(expression: str, *, dst: str = "once", offset_s: int = 0, name: str | None = None) -> Schedule:
    return make_schedule(expression, "Europe/Berlin", dst=dst, offset_s=offset_s, name=name)


def explain(schedule: Schedule, written: str) -> Explanation:
    """What the schedule makes of an instant as a person writes it in November 2026."""
    return explain_instant(schedule, read_asked(written, zone=schedule.zone, now=NOW))
