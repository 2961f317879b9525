"""Durations as the console writes them: `8 ms`, `0.34 s`, `48 s`, `2 m 07 s`, `9 d 15 h`."""

from __future__ import annotations

import math
from typing import Final

_TENTH_MS: Final = 100
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400


def show_s(seconds: float) -> str:
    """Two units at most, the second one with two digits, so that a column of them does not jump."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 0:
        return f"-{show_s(-seconds)}"
    if seconds == 0:
        return "0 s"
    if round(seconds) >= _MINUTE:
        return _in_two_units(seconds)
    if round(seconds * 1000) < _TENTH_MS:
        return f"{max(round(seconds * 1000), 1)} ms"
    decimals = 2 if round(seconds, 2) < 1 else 1 if round(seconds, 1) < 10 else 0
    return f"{seconds:.{decimals}f} s"


def _in_two_units(seconds: float) -> str:
    if round(seconds) < _HOUR:
        return "{} m {:02} s".format(*divmod(round(seconds), _MINUTE))
    minutes = round(seconds / _MINUTE)
    if minutes * _MINUTE < _DAY:
        return "{} h {:02} m".format(*divmod(minutes, 60))
    return "{} d {:02} h".format(*divmod(round(seconds / _HOUR), 24))


def show_round_s(seconds: float) -> str:
    """A round number of seconds, as an axis and a limit say it: `0 s`, `0.5 s`, `2 m`, `1 h 30 m`."""
    if not math.isfinite(seconds):
        return "unknown"
    if abs(seconds) < _MINUTE or seconds != round(seconds):
        if abs(seconds) >= _MINUTE:
            return show_s(seconds)
        return f"{seconds * 1000:g} ms" if 0 < abs(seconds) < _TENTH_MS / 1000 else f"{seconds:g} s"
    parts, rest = [], round(abs(seconds))
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m"), (1, "s")):
        amount, rest = divmod(rest, size)
        parts += [f"{amount} {unit}"] if amount else []
    return ("-" if seconds < 0 else "") + " ".join(parts[:2])
