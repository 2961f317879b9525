"""Times, counts and names as the console writes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from pinstripe_bot.console.durations import show_s
from pinstripe_bot.occurrence import RunState
from pinstripe_bot.spans import show_span
from pinstripe_bot.zones import Zone

_NUMBERS: Final = (
    *("no", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)

STATE_TONES: Final = {
    "failed": "t-bad",
    "timed_out": "t-bad",
    "broken": "t-bad",
    "interrupted": "t-warn",
    "missed": "t-warn",
    "late": "t-warn",
    "running": "t-run",
    "queued": "t-run",
}
"""The class of a state's word; others have none."""


def at_clock(instant: datetime, now: datetime, zone: Zone) -> str:
    """`14:32`; on another day `Fri 23 Oct 02:30`; in another year `23 Oct 2027 02:30`."""
    local = _local(instant, zone)
    return _with_day(local, now.astimezone(zone.tzinfo), f"{local.hour:02}:{local.minute:02}")


def at_second(instant: datetime, now: datetime, zone: Zone) -> str:
    """The same to the second: `14:32:08`."""
    local = _local(instant, zone)
    clock = f"{local.hour:02}:{local.minute:02}:{local.second:02}"
    return _with_day(local, now.astimezone(zone.tzinfo), clock)


def at_millisecond(instant: datetime, zone: Zone) -> str:
    """`14:32:08.412`, without its day."""
    local = instant.astimezone(zone.tzinfo)
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def on_day(instant: datetime, now: datetime, zone: Zone) -> str:
    """`today`, `Fri 23 Oct`, `23 Oct 2027`."""
    local, today = _local(instant, zone), now.astimezone(zone.tzinfo)
    if local.date() == today.date():
        return "today"
    return f"{local:%a} {local.day} {local:%b}" if local.year == today.year else f"{local.day} {local:%b} {local.year}"


def _local(instant: datetime, zone: Zone) -> datetime:
    try:
        return instant.astimezone(zone.tzinfo)
    except OverflowError:  # the last hours of the year 9999, east of Greenwich
        return instant


def _with_day(local: datetime, now: datetime, clock: str) -> str:
    if local.date() == now.date():
        return clock
    day = f"{local.day} {local:%b}"
    return f"{local:%a} {day} {clock}" if local.year == now.year else f"{day} {local.year} {clock}"


def ago(instant: datetime, now: datetime) -> str:
    """How long ago, in one unit: `8 m ago`, `12 h ago`, `3 d ago`; of what is to come, how soon: `in 1 m 52 s`."""
    if instant > now:
        return f"in {show_span(instant - now)}"
    return f"{roughly(now - instant)} ago"


def took(span: timedelta | None) -> str:
    """How long something took: `8 ms`, `6.1 s`, `2 m 07 s`; empty where it is not known."""
    return "" if span is None else show_s(max(span.total_seconds(), 0.0))


def roughly(span: timedelta) -> str:
    """A length of time in one unit: `48 s`, `8 m`, `12 h`, `3 d`."""
    seconds = max(round(span.total_seconds()), 0)
    for size, unit in ((172_800, "d"), (7200, "h"), (120, "m")):
        if seconds >= size:
            return f"{seconds // {'d': 86400, 'h': 3600, 'm': 60}[unit]} {unit}"
    return f"{seconds} s"


def count_in_words(number: int, noun: str, plural: str = "") -> str:
    """`one thing`, `seven things`; from thirteen on in digits: `1,376 runs`."""
    word = _NUMBERS[number] if number < len(_NUMBERS) else f"{number:,}"
    return f"{word} {noun if number == 1 else plural or f'{noun}s'}"


def and_list(names: Sequence[str], most: int = 4) -> str:
    """`a`, `a and b`, `a, b, c and 7 more`."""
    shown = list(names[:most]) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def state_word(state: RunState | str) -> str:
    """A state as a sentence says it: `timed out`."""
    return str(state).replace("_", " ")


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    whole = text[:1].upper() + text[1:]
    return whole if whole.endswith((".", "!", "?", ":")) else f"{whole}."
