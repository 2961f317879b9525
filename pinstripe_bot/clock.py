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

    def sleep_to_next_second(self) -> None:
        """As `sleep_until` the next whole second, but never longer than a second, wherever the wall clock is set."""

    def wake(self) -> None:
        """End the present or the next sleep early. Safe in a signal handler and from any thread."""


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
        self._sleep((instant - self.now()).total_seconds())

    def sleep_to_next_second(self) -> None:
        # One look at the wall clock: set back between two of them, an hour say, the loop would sleep for that hour.
        self._sleep(1 - self.now().microsecond / 1_000_000)

    def _sleep(self, seconds: float) -> None:
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
