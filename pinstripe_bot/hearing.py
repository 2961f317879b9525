"""The hearing of a child: what it prints, logs and tells becomes what a run in a thread would have left behind."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import structlog

from pinstripe_bot.child_messages import (
    UNREADABLE,
    Call,
    Ended,
    FromChild,
    LineReader,
    Logged,
    Printed,
    Progress,
)
from pinstripe_bot.control import RunControl
from pinstripe_bot.output import CapturedStream

_LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})
_NOT_KEYS = frozenset({"event", "level", "timestamp", "self", "method_name", "exc_info", "stack_info"})
"""What a log event cannot have as a key of its own."""

job_log = structlog.get_logger("pinstripe.job")


class Hearing:
    """Takes bytes from a child, trusting none of them; what it asks goes to `answer`.

    Its lines belong to the run whose output this thread captures.
    """

    def __init__(self, control: RunControl, answer: Callable[[Call], None]) -> None:
        self.ended: Ended | None = None  # what it said of its end
        self.garbled: str | None = None  # why something that it said was no message
        self._control = control
        self._answer = answer
        self._reader: LineReader[FromChild] = LineReader(FromChild)
        self._decoder = getincrementaldecoder("utf-8")("backslashreplace")
        self._streams = {name: _stream(name) for name in ("stdout", "stderr", "output")}

    def take(self, received: bytes) -> None:
        """Take a part of its messages; after one that is none, nothing is believed any more."""
        if self.garbled is not None:
            return
        try:
            for message in self._reader.take(received):
                self._heed(message)
        except UNREADABLE as error:
            self.garbled = str(error)

    def take_output(self, received: bytes) -> None:
        """Take a part of what was written to its file descriptors 1 and 2."""
        self._streams["output"].write(self._decoder.decode(received))

    def _heed(self, message: FromChild) -> None:
        if isinstance(message, Printed):
            self._streams[message.stream].write(message.text)
        elif isinstance(message, Logged):
            _log_again(message.event)
        elif isinstance(message, Progress):
            self._control.progress = (message.done, message.total)
        elif isinstance(message, Ended):
            self.ended = self.ended or message
        else:
            self._answer(message)


def _stream(name: str) -> CapturedStream:
    """What makes lines of the child's writing, and log events of the lines."""
    nowhere: Any = SimpleNamespace(name=f"<{name}>")
    return CapturedStream(nowhere)


def _log_again(event: dict[str, Any]) -> None:
    """Log what the child has logged as if it had been logged here: into the same log, and the run's output."""
    keys = {key: value for key, value in event.items() if key not in _NOT_KEYS}
    level = str(event.get("level"))
    getattr(job_log, level if level in _LEVELS else "info")(str(event.get("event")), **keys)
