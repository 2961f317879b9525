"""The starter: marks waiting runs as running, as many at once as there are free workers, and hands them over."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from itertools import islice

import structlog

from pinstripe_bot.clock import Clock
from pinstripe_bot.handoff import Handoff
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.occurrence import Run

RETRY_S = 1.0

log = structlog.get_logger("pinstripe")


class Starter:
    """Claimed runs wait here in one queue; `on_gone` hears of those that will not start here.

    `is_closing` may be set anywhere, also in a signal handler: no run begins after it.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, handoff: Handoff, on_gone: Callable[[Sequence[Run]], None]
    ) -> None:
        self.is_closing = False
        self._ledger = ledger
        self._clock = clock
        self._handoff = handoff
        self._on_gone = on_gone
        self._waiting: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        self._closed = threading.Event()

    def put(self, run: Run) -> None:
        """Let a claimed run wait for its start."""
        self._waiting.put(run)

    def close(self) -> None:
        """Start nothing more; what waits is released."""
        self._waiting.put(None)
        self._handoff.close()
        self._closed.set()  # it may be waiting for the ledger

    def loop(self) -> None:
        """The starter's thread: as many waiting runs as there are free workers, started as one group."""
        while (run := self._waiting.get()) is not None:
            places = self._handoff.reserve(1 + self._waiting.qsize())
            if places == 0 or self.is_closing:
                self.release([run, *iter(self._next_waiting, None)])
                continue
            group = [run, *islice(iter(self._next_waiting, None), places - 1)]
            started = self._start(group)
            self._handoff.give_back(places - len(started))
            if not self._handoff.put(started):
                self.release(started)

    def _next_waiting(self) -> Run | None:
        """The next run, or None where there is none, or only the sign to close."""
        try:
            run = self._waiting.get_nowait()
        except queue.Empty:
            return None
        if run is None:
            self._waiting.put(None)  # the loop has to see it too
        return run

    def _start(self, group: list[Run]) -> list[Run]:
        """The runs of `group` that are marked as started; of the others somebody else takes care."""
        started = self._mark_started(group)
        if len(started) < len(group):
            ids = {run.id for run in started}
            self._on_gone([run for run in group if run.id not in ids])
        return started

    def _mark_started(self, group: list[Run]) -> list[Run]:
        """The runs of `group` that may start; asks again every second while the ledger does not answer."""
        is_told = False
        while not self.is_closing:
            try:
                started = self._ledger.start(group, self._clock.now())
            except Exception as error:  # noqa: BLE001 - a wall: without this thread no run ever starts
                self._ledger.trouble.note("starts", str(error))
                if not is_told:
                    log.error("starts_delayed", runs=len(group), error=str(error))
                is_told = True
                self._closed.wait(RETRY_S)
            else:
                self._ledger.trouble.note("starts", None)
                return started
        self.release(group)
        return []

    def release(self, unstarted: Sequence[Run]) -> None:
        """Give back runs of which no code has run."""
        try:
            self._ledger.release(unstarted)
        except Exception as error:  # noqa: BLE001 - a wall, as above
            log.error("release_failed", runs=len(unstarted), error=str(error))
        else:
            log.info("runs_released", runs=len(unstarted))
        self._on_gone(unstarted)
