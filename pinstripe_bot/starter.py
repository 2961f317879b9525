"""The starter: marks waiting runs as running, as many at once as there are free workers, and hands them over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog

from pinstripe_bot.clock import Clock
from pinstripe_bot.handoff import Handoff
from pinstripe_bot.lanes import Lanes
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.metrics import Tally
from pinstripe_bot.occurrence import Run

RETRY_S = 1.0

log = structlog.get_logger("pinstripe")


class Starter:
    """Takes from the lanes; `on_gone` hears of the runs that will not start here.

    `is_closing` may be set anywhere, also in a signal handler: no run begins after it.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        lanes: Lanes,
        handoff: Handoff,
        on_gone: Callable[[Sequence[Run]], None],
        tally: Tally,
    ) -> None:
        self.is_closing = False
        self._ledger = ledger
        self._clock = clock
        self._lanes = lanes
        self._handoff = handoff
        self._on_gone = on_gone
        self._tally = tally
        self._closed = threading.Event()

    def close(self) -> None:
        """Start nothing more; what waits is released."""
        self._lanes.close()
        self._handoff.close()
        self._closed.set()  # it may be waiting for the ledger

    def loop(self) -> None:
        """The starter's thread: as many waiting runs as there are free workers, started as one group."""
        while self._lanes.wait():
            places = self._handoff.reserve()
            if places == 0 or self.is_closing:
                self._release_all()
            else:
                self._start_next(places)
        self._release_all()

    def _start_next(self, places: int) -> None:
        """Start runs for these places, each lane in its turn; of what is no longer ours somebody else takes care."""
        group = self._lanes.take(places)
        started = self._mark_started(group)
        if len(started) < len(group):
            ids = {run.id for run in started}
            gone = [run for run in group if run.id not in ids]
            self._lanes.leave(gone)
            self._on_gone(gone)
        self._handoff.give_back(places - len(started))
        if not self._handoff.put(started):
            self.release(started)

    def _mark_started(self, group: list[Run]) -> list[Run]:
        """The runs of `group` that may start; asks again every second while the ledger does not answer."""
        is_told = False
        while not self.is_closing:
            try:
                with self._tally.timed("start"):
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

    def _release_all(self) -> None:
        """Give back all that waits."""
        if waiting := self._lanes.clear():
            self.release(waiting)
