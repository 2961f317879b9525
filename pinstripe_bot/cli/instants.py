"""How commands read and show instants and durations."""

from __future__ import annotations

from datetime import datetime

from pinstripe_bot.asked import read_asked
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.zones import zone


def read_instant(written: str, timezone: str, *, now: datetime | None = None) -> datetime:
    """An instant as people write it (`asked.read_asked`), in UTC; `now` is the machine's where it is not given.

    Of a wall time that the clocks repeat, the first. Raises InvalidParams, also for one that they skip.
    """
    asked = read_asked(written, zone=zone(timezone), now=now or SystemClock().now())
    if not asked.at:
        raise InvalidParams(
            f"{written!r} does not exist in {timezone}: the clocks go forward past it. Write a time before or after"
        )
    return asked.at[0]


def show_instant(instant: datetime) -> str:
    """An instant in its own zone: "Mon 2026-03-30 02:30:00 CEST"."""
    return instant.strftime("%a %Y-%m-%d %H:%M:%S %Z")
