"""The log: structlog for the bot and its jobs, the standard library's records through the same door."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, Literal, NoReturn, TextIO, cast

import structlog
from structlog.processors import StackInfoRenderer, TimeStamper, add_log_level, format_exc_info
from structlog.typing import EventDict, Processor

from pinstripe_bot.log_lines import console_line, json_line, plain_line
from pinstripe_bot.output import current_output, real_stream

PRIVATE_MODULE: Final = re.compile(r"\b_pinstripe_[0-9a-f]{12}\.")
"""Under what the loader imports a project's files; nothing that an author has to read."""

_EXTRA: Final = structlog.stdlib.ExtraAdder()
_NOT_EXTRA: Final = ("_record", "message", "asctime", "color_message")
"""What formatters, and uvicorn for its own, leave on a record."""

_SILENT: Final = ("procrastinate", "psycopg.pool")
"""Libraries that say nothing here: what of it concerns anybody is told in our own events."""

_LOUD: Final = ("uvicorn", "sqlalchemy")
"""Libraries that say much at "info": they are heard from "warning" on."""


def configure_logs(
    format: Literal["auto", "console", "json"] = "auto",
    level: Literal["debug", "info", "warning", "error"] = "info",
    *,
    colors: bool = True,
    stream: TextIO | None = None,
) -> None:
    """Send the log of this process to `stream`, by default stderr: stdout belongs to what a command answers.

    "auto" is "console" on a terminal, else "json"; colours only ever appear on a terminal.
    Loggers that were used before follow to the new stream, format and level.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    # Changed in place: loggers in use hold on to this list.
    processors = cast(list[Processor], structlog.get_config()["processors"])
    processors[:] = [
        _least(number),
        structlog.contextvars.merge_contextvars,
        add_log_level,
        TimeStamper(fmt=None),
        StackInfoRenderer(),
        _add_traceback,
        _keep_for_run,
        _line_writer(real_stream(sys.stderr if stream is None else stream), format, colors),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),  # loggers in use hold on to this as well
        logger_factory=structlog.testing.ReturnLoggerFactory(),  # never asked: _LineWriter has written
        cache_logger_on_first_use=True,
    )
    _receive_records(processors, number)


def _least(number: int) -> Processor:
    """Drops what is below this level."""
    dropped = {name.lower() for name, level in logging.getLevelNamesMapping().items() if level < number}

    def drop(_logger: Any, method: str, event: EventDict) -> EventDict:
        if method in dropped:
            raise structlog.DropEvent
        return event

    return drop


def _line_writer(stream: TextIO | None, format: str, colors: bool) -> _LineWriter:
    is_terminal = stream is not None and stream.isatty()
    if format == "json" or (format == "auto" and not is_terminal):
        return _LineWriter(stream, json_line)
    return _LineWriter(stream, console_line(colors=colors and is_terminal))


def _add_traceback(logger: Any, method: str, event: EventDict) -> EventDict:
    """Turn the exception of `log.exception(...)` into text under the key that failed runs use as well."""
    if event.get("exc_info"):
        event = format_exc_info(logger, method, event)
        if "exception" in event:
            event["traceback"] = event.pop("exception")
    return event


def _keep_for_run(logger: Any, method: str, event: EventDict) -> EventDict:
    output = current_output.get()
    if output is not None:
        event = output.conceal(event)
        output.append(plain_line(event) + "\n")
    return event


_gathered: ContextVar[list[tuple[_LineWriter, str]] | None] = ContextVar("gathered", default=None)


@contextmanager
def in_one_write() -> Iterator[None]:
    """Hold back what is logged in the block, and write it at the end with one call: a herd ends with many lines."""
    gathered: list[tuple[_LineWriter, str]] = []
    token = _gathered.set(gathered)
    try:
        yield
    finally:
        _gathered.reset(token)
        for writer, lines in groupby(gathered, key=itemgetter(0)):
            writer.write("".join(line for _, line in lines))


class _LineWriter:
    """The last processor: writes each event as one line with one call, so that lines of threads never mix."""

    def __init__(self, stream: TextIO | None, render: Callable[[EventDict], str]) -> None:
        self._stream = stream
        self._render = render
        # Bytes where possible: a text stream is neither safe in threads nor able to show every character.
        self._buffer = _buffered(getattr(stream, "buffer", None))
        self._encoding = getattr(stream, "encoding", None) or "utf-8"

    def __call__(self, logger: Any, method: str, event: EventDict) -> NoReturn:
        self._write(self._render(event) + "\n")
        raise structlog.DropEvent

    def _write(self, line: str) -> None:
        gathered = _gathered.get()
        if gathered is not None:
            gathered.append((self, line))
        else:
            self.write(line)

    def write(self, lines: str) -> None:
        """Write whole lines, at once."""
        if self._stream is None:
            return
        try:
            if self._buffer is None:
                self._stream.write(lines)
            else:
                self._buffer.write(lines.encode(self._encoding, "backslashreplace"))
                self._buffer.flush()
            self._stream.flush()
        except (OSError, ValueError):
            return  # nobody reads the log any more, or it was closed: no reason to fail a job


def _buffered(stream: Any) -> Any:
    """A buffer, whose calls are whole and one after another, where PYTHONUNBUFFERED leaves the bare file descriptor."""
    return open(stream.fileno(), "wb", closefd=False) if isinstance(stream, io.FileIO) else stream


class _RecordHandler(logging.Handler):
    """Sends the standard library's records through structlog's processors."""

    def __init__(self, processors: list[Processor]) -> None:
        super().__init__()
        self._processors = processors

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event: Any = self._event(record)
            for processor in self._processors:
                event = processor(None, _level_name(record.levelno), event)
        except structlog.DropEvent:
            return
        except Exception:  # noqa: BLE001  # a wall: records are made by others, and may not fit their own format
            self.handleError(record)

    def _event(self, record: logging.LogRecord) -> EventDict:
        event: Any = _EXTRA(cast(Any, None), "", {"_record": record})
        for key in _NOT_EXTRA:
            event.pop(key, None)
        event |= {"event": record.getMessage(), "logger": PRIVATE_MODULE.sub("", record.name)}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        if record.stack_info:
            event["stack"] = record.stack_info
        return cast(EventDict, event)


def _level_name(number: int) -> str:
    """The level of structlog for a number of the standard library, also for one between the usual ones."""
    usual = {
        logging.CRITICAL: "critical",
        logging.ERROR: "error",
        logging.WARNING: "warning",
        logging.INFO: "info",
    }
    return next((name for least, name in usual.items() if number >= least), "debug")


def _receive_records(processors: list[Processor], level: int) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _RecordHandler)]:
        root.removeHandler(handler)
    root.addHandler(_RecordHandler(processors))
    root.setLevel(level)
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in _LOUD:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
