"""The recorder: one thread that writes outcomes into the ledger, in groups, and the bot's heartbeat."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from pinstripe_bot.clock import Clock
from pinstripe_bot.control import RunControl
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.occurrence import Run
from pinstripe_bot.reports import report_ended

RETRY_S = 1.0
HEARTBEAT_S = 5.0
GATHER_S = 0.02
GROUP = 500
MOST = 2**63 - 1
"""The largest number that a column holds."""

log = structlog.get_logger("pinstripe")


class Recorder:
    """Writes what ended since the last write, as one transaction; `on_recorded` hears of every group.

    While the ledger does not answer, outcomes are kept and offered again every second.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        controls: Mapping[int, RunControl],
        on_recorded: Callable[[Sequence[Run]], None],
    ) -> None:
        self.is_behind = False  # whether the ledger refused the last write
        self._ledger = ledger
        self._clock = clock
        self._controls = controls
        self._on_recorded = on_recorded
        self._ended: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        self._is_closing = False
        self._given_up = threading.Event()
        self._told: dict[int, tuple[int, int | None]] = {}  # the progress that the ledger has
        self._next_beat_s = 0.0
        self._thread = threading.Thread(target=self._loop, name="pinstripe-recorder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def record(self, run: Run) -> None:
        """Hand over an ended run; returns at once."""
        self._ended.put(run)

    def close(self, timeout_s: float) -> None:
        """Write what is left and end the thread; gives up after `timeout_s`."""
        self._is_closing = True
        self._ended.put(None)
        self._thread.join(timeout_s)
        self._given_up.set()

    def _loop(self) -> None:
        unwritten: list[Run] = []
        while unwritten or not self._is_closing or not self._ended.empty():
            known = len(unwritten)
            self._collect(unwritten)
            self._report(unwritten[known:])
            if unwritten and self._write(unwritten):
                if len(unwritten) > 1:  # a crowd: let more gather, since each write waits for the disk
                    self._given_up.wait(GATHER_S)
                unwritten = []
            elif unwritten and self._given_up.wait(RETRY_S):
                return
            self._beat()

    def _collect(self, unwritten: list[Run]) -> None:
        """Add all ended runs there are, up to a group; where there is none yet, wait for the first."""
        try:
            run = self._ended.get(timeout=0 if unwritten else RETRY_S)
            while run is not None:
                unwritten.append(run)
                if len(unwritten) >= GROUP:
                    return
                run = self._ended.get_nowait()
        except queue.Empty:
            return

    def _report(self, ended: Sequence[Run]) -> None:
        try:
            report_ended(ended)
        except Exception as error:  # noqa: BLE001 - a wall: without this thread no outcome is ever recorded
            log.error("report_failed", runs=len(ended), error=str(error))

    def _write(self, unwritten: list[Run]) -> bool:
        try:
            recorded = self._ledger.finish(unwritten)
        except Exception as error:  # noqa: BLE001 - a wall, as above
            if not self.is_behind:
                log.error("outcomes_kept", runs=len(unwritten), error=str(error))
            self.is_behind = True
            return False
        for run in unwritten:
            if run.id not in recorded:
                log.warning("outcome_refused", job=run.job, run_id=run.id, state=str(run.state))
        if self.is_behind:
            log.info("outcomes_written", runs=len(unwritten))
        self.is_behind = False
        self._on_recorded(unwritten)
        return True

    def _beat(self) -> None:
        """Write the heartbeat now and then, and at once what jobs said of their progress."""
        progress = {
            run_id: counts
            for run_id, control in list(self._controls.items())
            if (counts := _counts(control.progress)) is not None and counts != self._told.get(run_id)
        }
        now_s = self._clock.monotonic()
        if not progress and now_s < self._next_beat_s:
            return
        self._next_beat_s = now_s + HEARTBEAT_S
        try:
            self._ledger.beat(self._clock.now(), progress)
        except Exception as error:  # noqa: BLE001 - a wall, as above
            log.debug("heartbeat_missed", error=str(error))
        else:
            self._told = {
                run_id: told for run_id, told in {**self._told, **progress}.items() if run_id in self._controls
            }


def _counts(progress: tuple[Any, Any] | None) -> tuple[int, int | None] | None:
    """What a job said of its progress, as the ledger's columns take it; None for nothing, or for no numbers."""
    if progress is None:
        return None
    done, total = progress
    try:
        return (_whole(done), None if total is None else _whole(total))
    except Exception:  # noqa: BLE001 - a wall: their objects
        return None


def _whole(number: Any) -> int:
    return max(-MOST, min(int(number), MOST))
