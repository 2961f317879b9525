"""The starter: marks waiting runs as running, as many at once as there are free workers, and hands them over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog
from msgspec.structs import replace

from pinstripe_bot.clock import Clock
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.handoff import Handoff
from pinstripe_bot.lanes import Lanes
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_runs import put_back
from pinstripe_bot.occurrence import Run, RunState

RETRY_S = 1.0

log = structlog.get_logger("pinstripe")


class Starter:
    """Takes from the lanes; `on_gone` hears of the runs that will not start here.

    `is_closing` may be set anywhere, also in a signal handler: no run begins after it.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, lanes: Lanes, handoff: Handoff, on_gone: Callable[[Sequence[Run]], None]
    ) -> None:
        self.is_closing = False
        self._ledger = ledger
        self._clock = clock
        self._lanes = lanes
        self._handoff = handoff
        self._on_gone = on_gone
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
        """Start runs for these places, each lane in its turn, and with them those that may follow at once."""
        group = self._lanes.take(places)
        ahead = self._lanes.take_ahead(group)
        started = self._start([*group, *ahead])
        to_go = [started[run.id] for run in group if run.id in started]
        self._lanes.leave(run for run in group if run.id not in started)
        self._lanes.follow_with(started[run.id] for run in ahead if run.id in started)
        self._handoff.give_back(places - len(to_go))
        if not self._handoff.put(to_go):
            self.release(to_go)

    def _start(self, group: list[Run]) -> dict[int, Run]:
        """The runs of `group` that are marked as started, by their ids; of the others somebody else takes care."""
        started = {run.id: run for run in group if run.state is RunState.RUNNING}
        waiting = [run for run in group if run.id not in started]
        if waiting:
            started |= {run.id: run for run in self._mark_started(waiting)}
        if len(started) < len(group):
            self._on_gone([run for run in group if run.id not in started])
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

    def put_back_standing(self) -> None:
        """Queue the runs again, here, that were to follow soon on workers which are busy for long."""
        standing = self._lanes.take_standing()
        if not standing:
            return
        try:
            with self._ledger.store.writing(durable=False) as connection:
                put_back(connection, standing, bot=self._ledger.bot)
        except LedgerUnavailable:
            self._lanes.follow_with(standing)  # as they were
        else:
            log.debug("runs_put_back", runs=len(standing))
            self._lanes.put_back([replace(run, state=RunState.QUEUED, started_at=None) for run in standing])

    def _release_all(self) -> None:
        """Give back all that waits."""
        if waiting := self._lanes.clear():
            self.release(waiting)
