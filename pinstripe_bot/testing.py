"""Small real objects for tests: a clock that moves only when a test moves it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class TravelClock:
    """A clock that stands still at `now` until `travel`; sleepers wake when the time they wait for has come."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = now.astimezone(UTC)
        self._monotonic_s = 0.0
        self._is_woken = False
        self._moved = threading.Condition()
        self._seen = threading.local()  # what each thread has read last: nobody sleeps through what came after it

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        with self._moved:
            self._seen.monotonic_s = self._monotonic_s
            return self._monotonic_s

    def travel(self, duration: timedelta = timedelta(0), **units: float) -> None:
        """Let time pass: `travel(minutes=5)`."""
        passed = duration + timedelta(**units)
        with self._moved:
            self._now += passed
            self._monotonic_s += passed.total_seconds()
            self._moved.notify_all()

    def jump(self, duration: timedelta = timedelta(0), **units: float) -> None:
        """Move the wall clock alone, also backwards, as somebody who sets the machine's clock does."""
        with self._moved:
            self._now += duration + timedelta(**units)
            self._moved.notify_all()

    def sleep_until(self, instant: datetime) -> None:
        with self._moved:
            self._moved.wait_for(lambda: self._is_woken or self._now >= instant)
            self._is_woken = False

    def sleep_to_next_second(self) -> None:
        with self._moved:
            seen_s: float = getattr(self._seen, "monotonic_s", self._monotonic_s)
            wakes_s = seen_s + 1 - self._now.microsecond / 1_000_000
            self._moved.wait_for(lambda: self._is_woken or self._monotonic_s > wakes_s - 1e-6)
            self._is_woken = False

    def wake(self) -> None:
        with self._moved:
            self._is_woken = True
            self._moved.notify_all()
