"""The poller: a thread that looks every few seconds for what other bots have left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

LOOK_EVERY_S = 5.0

log = structlog.get_logger("pinstripe")


class Poller:
    """Calls `look` every few seconds, until closed; an error of it is logged and ends nothing."""

    def __init__(self, look: Callable[[], None], *, every_s: float = LOOK_EVERY_S) -> None:
        self._look = look
        self._every_s = every_s
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="pinstripe-poller", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread; a look that has begun is finished first. Harmless when called twice."""
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _loop(self) -> None:
        while not self._closed.wait(self._every_s):
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - a wall: the outermost loop of this thread
                log.debug("poll_failed", error=str(error))
