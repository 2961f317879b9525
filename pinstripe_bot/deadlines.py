"""The deadlines: tells a run that its time is up, and later, if it does not listen, whoever can do without it."""

from __future__ import annotations

import heapq
import itertools
import threading
import weakref
from collections.abc import Callable
from datetime import timedelta

import structlog

from pinstripe_bot.clock import Clock
from pinstripe_bot.control import RunControl
from pinstripe_bot.occurrence import Reason

log = structlog.get_logger("pinstripe")


class Deadlines:
    """The time-outs of the runs that are running; one thread, from the first time-out on.

    `on_deaf(control)` is called for a run that goes on `kill_after` after it was told to end.
    """

    def __init__(self, clock: Clock) -> None:
        self.on_deaf: Callable[[RunControl], None] = lambda _control: None
        self._clock = clock
        self._changed = threading.Condition()
        # (when, order, run, whether its time is up then, and not the time to tidy up). Weak: a run that has ended goes.
        self._heap: list[tuple[float, int, weakref.ref[RunControl], bool]] = []
        self._order = itertools.count()
        self._kill_after_s: dict[RunControl, float] = {}  # of those that run
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def begin(self, control: RunControl, timeout: timedelta | None, kill_after: timedelta) -> None:
        """A run begins that may take `timeout`, and to tidy up after that `kill_after`."""
        self._kill_after_s[control] = kill_after.total_seconds()
        if timeout is not None:
            self._expect(control, timeout.total_seconds(), is_timeout=True)

    def end(self, control: RunControl) -> None:
        """The run's code has ended."""
        self._kill_after_s.pop(control, None)

    def cancel(self, control: RunControl, reason: Reason) -> None:
        """Tell a run to end, and see to it."""
        control.cancel(reason)
        kill_after_s = self._kill_after_s.get(control)
        if kill_after_s is not None:
            self._expect(control, kill_after_s, is_timeout=False)

    def _expect(self, control: RunControl, seconds: float, *, is_timeout: bool) -> None:
        with self._changed:
            at_s = self._clock.monotonic() + seconds
            heapq.heappush(self._heap, (at_s, next(self._order), weakref.ref(control), is_timeout))
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._loop, name="pinstripe-deadlines", daemon=True)
                self._thread.start()
            self._changed.notify()

    def look(self) -> None:
        """Act on every deadline that is past."""
        for control, is_timeout in self._past():
            if control is None or control not in self._kill_after_s or control.has_ended:
                continue
            if not is_timeout:
                self.on_deaf(control)
            elif control.reason is None:
                self.cancel(control, Reason.TIMEOUT)

    def _past(self) -> list[tuple[RunControl | None, bool]]:
        past = []
        with self._changed:
            while self._heap and self._heap[0][0] <= self._clock.monotonic():
                _, _, control, is_timeout = heapq.heappop(self._heap)
                past.append((control(), is_timeout))
        return past

    def close(self) -> None:
        """End the thread; harmless when called twice."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _loop(self) -> None:
        while not self._is_closed:
            try:
                self.look()
            except Exception:  # a wall: the outermost loop of this thread
                log.exception("deadlines_failed")
            with self._changed:
                if not self._is_closed:
                    self._changed.wait(self._next_s())

    def _next_s(self) -> float | None:
        """Seconds until the next deadline, or None where there is none."""
        return max(self._heap[0][0] - self._clock.monotonic(), 0.0) if self._heap else None
