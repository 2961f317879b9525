"""The watchdog: a thread of its own that says when the loop stands still, and what every thread is doing then."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import structlog

LOOK_EVERY_S = 1.0

STACKS_LIMIT = 64 * 1024
"""Bytes of stacks that one event carries."""

FRAMES_LIMIT = 60
"""Frames that are shown of one thread, the innermost ones: a deep recursion must not hide the other threads."""

_LOOPS = ("MainThread", "pinstripe-bot")
"""Where the loop may run: these are shown first."""

log = structlog.get_logger("pinstripe")


class Watchdog:
    """Asks every second for how long the loop has stood still: a number where that is too long, else None.

    It asks no ledger, so that what holds the loop does not hold it as well. It believes only the second of two
    looks: after a stop of the whole process (SIGSTOP, a frozen container) the first finds everything late, and
    the loop ticks before the second.
    """

    def __init__(self, stuck_s: Callable[[], float | None], *, every_s: float = LOOK_EVERY_S) -> None:
        self._stuck_s = stuck_s
        self._every_s = every_s
        self._stood_s = 0.0  # at the last look that found it stuck
        self._looks_in_a_row = 0  # that found it stuck
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="pinstripe-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread; waits for a look that has begun, but not for long. Harmless when called twice."""
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join(self._every_s)

    def look(self) -> None:
        """Say it once when the loop stands still, and once when it goes on."""
        stuck_s = self._stuck_s()
        if stuck_s is not None:
            self._stood_s = stuck_s
            self._looks_in_a_row += 1
            if self._looks_in_a_row == 2:
                log.error("loop_stuck", stood_still_s=round(stuck_s, 1), stack=stacks())
            return
        if self._looks_in_a_row >= 2:
            log.warning("loop_recovered", stood_still_s=round(self._stood_s, 1))
        self._looks_in_a_row = 0

    def _loop(self) -> None:
        while not self._closed.wait(self._every_s):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - a wall: the outermost loop of this thread
                log.error("watchdog_failed", error=str(error))


def stacks() -> str:
    """What every thread is doing now, the loop's first: its name, then its frames, outermost first.

    Without lines of source: they would have to be read from a disk that may be what holds the loop.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    shown = [(names.get(ident, f"thread {ident}"), frame) for ident, frame in sys._current_frames().items()]
    shown.sort(key=lambda thread: (thread[0] not in _LOOPS, thread[0]))
    text = "\n".join(line for name, frame in shown for line in (f"{name}:", *_frames(frame)))
    encoded = text.encode("utf-8", "backslashreplace")
    if len(encoded) <= STACKS_LIMIT:
        return text
    return encoded[:STACKS_LIMIT].decode("utf-8", "ignore").rpartition("\n")[0] + "\n(more is cut off)"


def _frames(innermost: FrameType) -> Iterator[str]:
    frames: list[str] = []
    frame: FrameType | None = innermost
    while frame is not None and len(frames) < FRAMES_LIMIT:
        frames.append(f"  {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}")
        frame = frame.f_back
    if frame is not None:
        yield "  (outer frames are left out)"
    yield from reversed(frames)
