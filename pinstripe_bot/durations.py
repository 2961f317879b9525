"""Durations as people write them: "10m", "1h30m", 90."""

from __future__ import annotations

import re
from datetime import timedelta

from pinstripe_bot.errors import InvalidSchedule

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_SECONDS = re.compile(_NUMBER)
_PARTS = re.compile(r"\s*".join(rf"(?:(?P<{name}>{_NUMBER})\s*{unit})?" for unit, name in _UNITS.items()))


def parse_duration(value: object) -> timedelta:
    """Read seconds (90, "90", 1.5), units from the largest to the smallest ("1h30m"), or a timedelta.

    Raises InvalidSchedule, which is a ValueError too, for anything else and for a negative duration.
    """
    try:
        duration = _read(value)
    except OverflowError as error:
        raise InvalidSchedule(f"{value!r} is too long a duration: write one below 999999999 days") from error
    if duration is None or duration < timedelta(0):
        raise InvalidSchedule(
            f"{value!r} is not a duration: write seconds such as 90,"
            ' or numbers with w, d, h, m, s or ms such as "1h30m"'
        )
    return duration


def _read(value: object) -> timedelta | None:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value) if value == value else None  # only NaN differs from itself
    if not isinstance(value, str) or not (text := value.strip()):
        return None
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=float(text))
    parts = _PARTS.fullmatch(text)
    return timedelta(**{name: float(number) for name, number in parts.groupdict("0").items()}) if parts else None


def format_duration(duration: timedelta) -> str:
    """Write a duration as `parse_duration` reads it: "1h 30m", "2d", "25s", "0s", "-5m"."""
    if duration < timedelta(0):
        return "-" + format_duration(-duration)
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    milliseconds = f"{duration.microseconds / 1000:g}" if duration.microseconds else 0
    amounts = {"d": duration.days, "h": hours, "m": minutes, "s": seconds, "ms": milliseconds}
    return " ".join(f"{amount}{unit}" for unit, amount in amounts.items() if amount) or "0s"
