"""How one log event is written: as JSON, for a terminal, or plain."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from time import localtime, strftime
from typing import Any, Final

import msgspec

KEYS: Final = ("job", "schedule", "tenant", "run_id", "due_at", "lateness_ms", "attempt", "duration_ms")
"""The keys of a run's events, in the order in which they are written, before all others."""

_FIRST: Final = ("timestamp", "level", "event")
_BLOCKS: Final = ("stack", "traceback")  # text of many lines: written below the line
_NAMED: Final = frozenset({*_FIRST, *KEYS, *_BLOCKS})
_LEVELS: Final = {
    "debug": "\033[2m",
    "info": "\033[32m",
    "warning": "\033[33m",
    "error": "\033[31m",
    "critical": "\033[1;31m",
}
_STYLES: Final = ("\033[2m", "\033[1m", "\033[36m", "\033[0m")
_BARE: Final = re.compile(r"[^\s\"'=\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_EVENT_WIDTH: Final = 24


def _shown(value: Any) -> str:
    try:
        return os.fspath(value) if isinstance(value, os.PathLike) else repr(value)
    except Exception as error:  # noqa: BLE001  # a wall: their __repr__, which must not cost us the line
        return f"<{type(value).__name__}: {type(error).__name__} in repr>"


_NEAR_S: Final = 12 * 3600
_USUAL: Final = {"attempt": (None, "", 1)}
"""What says nothing to people: a first attempt."""

_ENCODER: Final = msgspec.json.Encoder(enc_hook=_shown)
_UNENCODABLE: Final = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)


def json_line(event: Mapping[str, Any]) -> str:
    """One JSON object: timestamp (UTC, milliseconds), level, event, KEYS, then the rest as it came."""
    line = {**dict.fromkeys(_FIRST), **{key: event[key] for key in KEYS if key in event}, **event}
    line["timestamp"] = _utc(event)
    try:
        return _ENCODER.encode(line).decode()
    except _UNENCODABLE:
        return _ENCODER.encode({_printable(key): _encodable(value) for key, value in line.items()}).decode()


def _encodable(value: Any) -> Any:
    try:
        return msgspec.Raw(_ENCODER.encode(value))
    except _UNENCODABLE:  # half a character, a tuple as a key, 2**64, a list that holds itself
        return _printable(value if isinstance(value, str) else _shown(value))


def console_line(*, colors: bool) -> Callable[[Mapping[str, Any]], str]:
    """A renderer for people: local time, level, event, key=value; tracebacks below."""
    dim, bold, cyan, reset = _STYLES if colors else ("",) * 4
    levels = {level: f"{color if colors else ''}{level:<8}{reset}" for level, color in _LEVELS.items()}

    def render(event: Mapping[str, Any]) -> str:
        clock = strftime("%H:%M:%S", localtime(event["timestamp"]))
        level = levels.get(event["level"], event["level"])
        name = f"{_printable(str(event['event'])):<{_EVENT_WIDTH}}"
        keys = [*(key for key in KEYS if event.get(key) not in _USUAL.get(key, (None, ""))), *_others(event)]
        pairs = [f"{cyan}{_printable(key)}{reset}={_value(_for_people(key, event))}" for key in keys]
        line = " ".join([f"{dim}{clock}{reset} {level} {bold}{name}{reset}", *pairs])
        return "\n".join([line.rstrip(), *_blocks(event)])

    return render


def _for_people(key: str, event: Mapping[str, Any]) -> Any:
    """A due instant near the event as the local clock shows it, as in front of the line; anything else as it is."""
    value = event[key]
    if key != "due_at" or not isinstance(value, str):
        return value
    try:
        due_ts = datetime.fromisoformat(value).timestamp()
    except ValueError:
        return value
    is_near = abs(event["timestamp"] - due_ts) < _NEAR_S
    return strftime("%H:%M:%S", localtime(due_ts)) if is_near else value


def plain_line(event: Mapping[str, Any]) -> str:
    """A line of a run's own output: time (UTC), level, event, key=value without KEYS: they are the run's."""
    pairs = [f"{_printable(key)}={_value(event[key])}" for key in _others(event)]
    line = " ".join([_utc(event), event["level"], _printable(str(event["event"])), *pairs])
    return "\n".join([line, *_blocks(event)])


def _others(event: Mapping[str, Any]) -> Iterable[str]:
    return (key for key in event if key not in _NAMED)


def _blocks(event: Mapping[str, Any]) -> list[str]:
    texts = [event[key] for key in _BLOCKS if event.get(key)]
    return [_CONTROL.sub(_escaped, str(text)).rstrip() for text in texts]


def _value(value: Any) -> str:
    if not isinstance(value, str):
        return _printable(_shown(value))
    return value if _BARE.fullmatch(value) else repr(value)


def _printable(text: str) -> str:
    """`text` on one line: whatever could end it or steer a terminal is escaped."""
    if text.isprintable():
        return text
    return _CONTROL.sub(_escaped, text).replace("\n", "\\n").replace("\t", "\\t")


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def _utc(event: Mapping[str, Any]) -> str:
    return datetime.fromtimestamp(event["timestamp"], UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
