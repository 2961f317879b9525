"""How commands read and show instants and durations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.zones import zone


def read_instant(written: str, timezone: str) -> datetime:
    """An ISO 8601 instant, in UTC; written without an offset it is wall time of `timezone`. Raises InvalidParams."""
    try:
        instant = datetime.fromisoformat(written)
    except ValueError as error:
        raise InvalidParams(
            f"{written!r} is not an instant: write it as 2026-03-29T02:30 or 2026-03-29T00:30:00Z"
        ) from error
    return (instant if instant.tzinfo else instant.replace(tzinfo=zone(timezone).tzinfo)).astimezone(UTC)


def show_instant(instant: datetime) -> str:
    """An instant in its own zone: "Mon 2026-03-30 02:30:00 CEST"."""
    return instant.strftime("%a %Y-%m-%d %H:%M:%S %Z")


def show_duration(duration: timedelta | None) -> str:
    """A duration as short as it can be said: "12 ms", "3.4 s", "2 m 07 s"."""
    if duration is None:
        return ""
    seconds = duration.total_seconds()
    if round(seconds * 1000) < 1000:
        return f"{seconds * 1000:.0f} ms"
    if round(seconds * 10) < 600:
        return f"{seconds:.1f} s"
    return f"{round(seconds) // 60} m {round(seconds) % 60:02d} s"
