"""The clock: the only reader of time. Everything else is told what time it is."""

from __future__ import annotations

import os
import select
import time
import weakref
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the bot asks of time; `SystemClock` in the daemon, `TravelClock` in tests."""

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    def sleep_until(self, instant: datetime) -> None:
        """Return at `instant`, at once if it is past, or as soon as somebody calls `wake`."""

    def wake(self) -> None:
        """End the present or the next `sleep_until` early. Safe in a signal handler and from any thread."""


class SystemClock:
    """The machine's clocks.

    Sleeping waits on a pipe and waking writes one byte into it: no lock is involved, so that a signal handler
    may wake the loop it interrupted (an Event deadlocks there).
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        weakref.finalize(self, _close, self._reader, self._writer)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep_until(self, instant: datetime) -> None:
        seconds = (instant - self.now()).total_seconds()
        if select.select([self._reader], [], [], max(seconds, 0.0))[0]:
            os.read(self._reader, 4096)

    def wake(self) -> None:
        try:
            os.write(self._writer, b"!")
        except BlockingIOError:
            return  # the pipe is full of earlier wakes: the sleeper will wake


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
