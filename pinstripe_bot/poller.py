"""The poller: a thread that looks every second, or when it is woken, for what waits in the ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from pinstripe_bot.enqueueing import pollers

LOOK_EVERY_S = 0.8
"""With the look itself, less than a second."""

log = structlog.get_logger("pinstripe")


class Poller:
    """Calls `look` every second and whenever somebody wakes it, until closed; an error of it ends nothing."""

    def __init__(self, look: Callable[[], None], *, every_s: float = LOOK_EVERY_S) -> None:
        self._look = look
        self._every_s = every_s
        self._is_closed = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="pinstripe-poller", daemon=True)

    def start(self) -> None:
        self._thread.start()
        pollers.add(self)

    def wake(self) -> None:
        """Look soon, instead of at the next second."""
        self._woken.set()

    def close(self) -> None:
        """End the thread; a look that has begun is finished first. Harmless when called twice."""
        self._is_closed = True
        pollers.discard(self)
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _loop(self) -> None:
        is_told = False
        while True:
            self._woken.wait(self._every_s)
            self._woken.clear()
            if self._is_closed:
                return
            try:
                self._look()
            except Exception:  # a wall: the outermost loop of this thread
                if not is_told:
                    log.exception("poll_failed")
                is_told = True
            else:
                is_told = False
