"""What a run says: its prints become log lines, and the last of it is kept for its record."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TextIO, cast

import structlog

from pinstripe_bot.redaction import conceal

OUTPUT_LIMIT: Final = 64 * 1024
"""How many bytes of a run's output are kept."""

_LINE_LIMIT: Final = 8 * 1024  # characters without a line's end that are taken for a line

log = structlog.get_logger()


class RunOutput:
    """The last 64 KiB of what one run printed and logged. Safe in threads."""

    def __init__(self, secrets: Collection[str] = frozenset()) -> None:
        """`secrets` are texts that are kept nowhere."""
        self._secrets = secrets
        # Reentrant: the garbage collector may run a __del__ that prints while its own thread holds the lock.
        self._lock = threading.RLock()
        self._kept = bytearray()
        self._size = 0
        self._unfinished: dict[tuple[str, int], str] = {}

    @property
    def size(self) -> int:
        """How many bytes came so far, kept or not: a cheap sign that there is something new."""
        return self._size

    def append(self, text: str) -> None:
        """Add `text`, forgetting the oldest bytes where there are too many."""
        encoded = self.conceal(text).encode("utf-8", "backslashreplace")
        with self._lock:
            self._size += len(encoded)
            self._kept += encoded[-OUTPUT_LIMIT:]
            if len(self._kept) > 2 * OUTPUT_LIMIT:  # seldom, not at each append
                del self._kept[:-OUTPUT_LIMIT]

    def text(self) -> str:
        """What is kept and what is unfinished, behind a note if more came.

        Zero characters, which PostgreSQL refuses, are replaced by a sign for them.
        """
        with self._lock:
            unfinished = self.conceal("\n".join(self._unfinished.values())).encode("utf-8", "backslashreplace")
            kept = bytes(self._kept + unfinished)[-OUTPUT_LIMIT:]
            cut = self._size + len(unfinished) - len(kept)
        note = f"[{cut} earlier bytes are not kept]\n" if cut else ""
        return note + kept.decode("utf-8", "ignore").replace("\0", "\N{SYMBOL FOR NULL}")

    def take_lines(self, stream: str, text: str) -> list[str]:
        """Add `text` to what this thread left unfinished on `stream`; return the lines that it completes."""
        writer = (stream, threading.get_ident())
        with self._lock:
            *lines, rest = (self._unfinished.pop(writer, "") + text).split("\n")
            if len(rest) > _LINE_LIMIT:
                lines, rest = [*lines, rest], ""
            if rest:
                self._unfinished[writer] = rest
        return [*map(self.conceal, lines)]

    def take_unfinished(self) -> list[str]:
        """Return the lines whose end never came."""
        with self._lock:
            lines = list(self._unfinished.values())
            self._unfinished.clear()
        return [*map(self.conceal, lines)]

    def conceal(self, said: Any) -> Any:
        """What was said, without the run's secrets."""
        return conceal(said, self._secrets)


current_output: ContextVar[RunOutput | None] = ContextVar("current_output", default=None)
"""The output of the run that this thread or coroutine performs."""


@contextmanager
def capture(output: RunOutput) -> Iterator[None]:
    """Let what this thread prints and logs in the block belong to a run; its end ends an unfinished line.

    Prints are captured inside `print_capture`, logged ones after `configure_logs`.
    """
    _forget_told_warnings()
    token = current_output.set(output)
    try:
        yield
    finally:
        _say(output, output.take_unfinished())
        current_output.reset(token)


class _NoWarning(Warning):
    """What nobody warns of."""


def _forget_told_warnings() -> None:
    """Let Python, which tells a warning once per place and process, tell it to this run as well.

    Any call for another filter makes it forget what it has told; this filter, there once and behind all others, is
    for no warning that anybody gives. `warnings.catch_warnings` would forget as well, but is not safe in threads.
    """
    warnings.simplefilter("default", _NoWarning, append=True)


@contextmanager
def print_capture() -> Iterator[None]:
    """In the block, what a run writes to sys.stdout and sys.stderr is captured; all else passes through."""
    before = sys.stdout, sys.stderr
    ours = [cast(TextIO, CapturedStream(stream)) if stream is not None else None for stream in before]
    sys.stdout, sys.stderr = ours
    try:
        yield
    finally:
        # Whoever has replaced ours in the meantime restores it; the proxy then only passes through.
        sys.stdout = before[0] if sys.stdout is ours[0] else sys.stdout
        sys.stderr = before[1] if sys.stderr is ours[1] else sys.stderr


class CapturedStream:
    """Stands for a text stream: inside a run it takes complete lines, outside it is the real one."""

    def __init__(self, real: TextIO) -> None:
        self.real = real

    def write(self, text: str) -> int:
        output = current_output.get()
        if output is None:
            return self.real.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        _say(output, output.take_lines(self.real.name, text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if current_output.get() is None:
            self.real.flush()

    def isatty(self) -> bool:
        """False inside a run: nobody looks at its colours and progress bars."""
        return current_output.get() is None and self.real.isatty()

    def close(self) -> None:
        """Leave the real one open inside a run: it is not the job's."""
        if current_output.get() is None:
            self.real.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def real_stream(stream: TextIO) -> TextIO:
    """The stream behind our stand-ins."""
    while isinstance(stream, CapturedStream):
        stream = stream.real
    return stream


def _say(output: RunOutput, lines: Iterable[str]) -> None:
    # Nothing is captured meanwhile: a log that prints, as structlog's default does, would call us for ever.
    token = current_output.set(None)
    try:
        for line in map(_as_shown, lines):
            output.append(line + "\n")
            if line.strip():
                log.info("run_printed", line=line)
    finally:
        current_output.reset(token)


def _as_shown(line: str) -> str:
    """What a terminal would show of it: a carriage return starts the line anew, as progress bars do."""
    return line.removesuffix("\r").rpartition("\r")[2]
