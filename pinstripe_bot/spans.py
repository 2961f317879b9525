"""Lengths of time as people say them."""

from __future__ import annotations

from datetime import datetime, timedelta


def show_duration(duration: timedelta | None) -> str:
    """How long something took, as short as it can be said: "12 ms", "3.4 s", "2 m 07 s", "5 h 12 m"."""
    if duration is None:
        return ""
    seconds = duration.total_seconds()
    if round(seconds * 1000) < 1000:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if round(seconds * 10) < 600 else show_span(duration)


def show_span(span: timedelta) -> str:
    """A length of time in its two largest units: "4 s", "3 m 07 s", "5 h 12 m", "2 d 3 h"; never negative."""
    seconds = max(round(span.total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60:02d} m"
    return f"{minutes} m {seconds % 60:02d} s" if minutes else f"{seconds} s"


def show_ago(instant: datetime, now: datetime) -> str:
    """How long ago it was, or how soon it will be: "4 s ago", "in 3 m 07 s"."""
    return f"in {show_span(instant - now)}" if instant > now else f"{show_span(now - instant)} ago"
