"""The recorder: one thread that writes outcomes into the ledger, in groups, and the bot's heartbeat."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from msgspec.structs import replace

from pinstripe_bot.clock import Clock
from pinstripe_bot.control import RunControl
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.hook_calls import Hooks
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_clock import LedgerClock
from pinstripe_bot.metrics import Tally
from pinstripe_bot.occurrence import Run
from pinstripe_bot.reports import report_ended

RETRY_S = 1.0
BEATS_IN_A_LEASE = 6
GATHER_S = 0.02
GROUP = 500
Said = tuple[int, int, int | None, int | None, str | None]
"""What a running run says: (run, attempt, done, total, its output so far or None for no news)."""

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
        on_recorded: Callable[[Sequence[Run], set[int]], None],
        stats: Callable[[], Mapping[str, Any]],
        hooks: Hooks,
        tally: Tally,
    ) -> None:
        self.is_behind = False  # whether the ledger refused the last write
        self.on_presumed_dead: Callable[[], None] = lambda: None
        self._ledger = ledger
        self._clock = clock
        self._database_clock = LedgerClock(ledger.store, clock)
        self._controls = controls
        self._on_recorded = on_recorded
        self._stats = stats
        self._hooks = hooks
        self._tally = tally
        self._ended: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        self._is_closing = False
        self._given_up = threading.Event()
        self._told: dict[int, tuple[object, ...]] = {}  # what the ledger has of the words of running runs
        self._lingering: set[int] = set()
        self._came_back: set[int] = set()
        self._next_beat_s = 0.0
        self._beaten_s = clock.monotonic()
        self._thread = threading.Thread(target=self._loop, name="pinstripe-recorder", daemon=True)

    @property
    def holds_lease(self) -> bool:
        """Whether the lease that the last heartbeat gave still runs; on SQLite the bot's lock file is as good."""
        if self._ledger.store.is_one_machine:
            return True
        return self._clock.monotonic() < self._beaten_s + self._ledger.lease.total_seconds()

    def start(self) -> None:
        self._thread.start()

    def record(self, run: Run, *, lingers: bool = False) -> None:
        """Hand over an ended run, whose code goes on if it `lingers`; returns at once."""
        if lingers:
            self._lingering.add(run.id)
        self._ended.put(run)

    def let_go(self, run_id: int) -> None:
        """The code of a run that lingered has ended; returns at once."""
        self._lingering.discard(run_id)
        self._came_back.add(run_id)

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
            unwritten[known:] = self._without_cancelled(unwritten[known:])
            self._report(unwritten[known:])
            if unwritten and self._write(unwritten):
                if len(unwritten) > 1:  # a crowd: let more gather, since each write waits for the disk
                    self._given_up.wait(GATHER_S)
                unwritten = []
            elif unwritten and self._given_up.wait(RETRY_S):
                self._give_up(unwritten)
                return
            self._let_go()
            self._beat()

    def _give_up(self, unwritten: list[Run]) -> None:
        """The process ends before the ledger answers: the next bot finds these runs as interrupted."""
        before = -1
        while len(unwritten) > before:
            before = len(unwritten)
            self._collect(unwritten)
        log.error("outcomes_lost", runs=len(unwritten))

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

    def _without_cancelled(self, ended: list[Run]) -> list[Run]:
        """The same runs, but none is tried again that a person wants cancelled and that ended before it was told."""
        again = [run for run in ended if run.retry_at is not None]
        if not again:
            return ended
        try:
            wished = self._ledger.waiting.wished_cancelled(again)
        except LedgerUnavailable:
            return ended  # whoever writes the outcome looks once more
        return [replace(run, retry_at=None) if run.id in wished else run for run in ended]

    def _report(self, ended: Sequence[Run]) -> None:
        try:
            report_ended(ended, self._hooks, self._tally)
        except Exception as error:  # noqa: BLE001 - a wall: without this thread no outcome is ever recorded
            log.error("report_failed", runs=len(ended), error=str(error))

    def _write(self, unwritten: list[Run]) -> bool:
        try:
            with self._tally.timed("finish"):
                recorded = self._ledger.finish(unwritten, lingering=set(self._lingering))
        except Exception as error:  # noqa: BLE001 - a wall, as above
            was_behind, self.is_behind = self.is_behind, True
            if not was_behind:
                log.error("outcomes_kept", runs=len(unwritten), error=str(error))
            self._ledger.trouble.note("outcomes", str(error))
            return False
        for run in unwritten:
            if run.id not in recorded:
                log.warning("outcome_refused", job=run.job, run_id=run.id, state=str(run.state))
        if self.is_behind:
            log.info("outcomes_written", runs=len(unwritten))
        self.is_behind = False
        self._ledger.trouble.note("outcomes", None)
        self._on_recorded(unwritten, recorded)
        return True

    def _let_go(self) -> None:
        came_back = set(self._came_back)
        if not came_back:
            return
        try:
            self._ledger.let_go(came_back)
        except Exception as error:  # noqa: BLE001 - a wall, as above
            log.debug("return_unrecorded", error=str(error))
        else:
            self._came_back -= came_back

    def _beat(self) -> None:
        """Renew the lease now and then, and write at once what jobs say."""
        news = [said for control in list(self._controls.values()) if (said := self._news_of(control)) is not None]
        now_s = self._clock.monotonic()
        if not news and now_s < self._next_beat_s:
            return
        try:
            if now_s >= self._next_beat_s:
                self._database_clock.compare()
            stats = {**self._stats(), **self._database_clock.stats}
            was_alive = self._ledger.beat(self._clock.now(), [words for _, words in news], stats)
        except Exception as error:  # noqa: BLE001 - a wall, as above
            self._ledger.trouble.note("heartbeat", str(error))
            self._next_beat_s = now_s + RETRY_S
            return
        self._ledger.trouble.note("heartbeat", None)
        self._beaten_s = now_s
        self._next_beat_s = now_s + self._ledger.lease.total_seconds() / BEATS_IN_A_LEASE
        if not was_alive:
            log.warning("bot_presumed_dead")
            self.on_presumed_dead()
        self._told |= {words[0]: told for told, words in news}
        self._told = {run_id: told for run_id, told in self._told.items() if run_id in self._controls}

    def _news_of(self, control: RunControl) -> tuple[tuple[object, ...], Said] | None:
        """What a running run says that the ledger does not know: (a sign of it, the words)."""
        run, output, counts = control.run, control.output, control.progress
        if run is None:
            return None
        size = 0 if output is None else output.size
        before = self._told.get(run.id, (run.attempt, None, 0))
        if (run.attempt, counts, size) == before:
            return None
        done, total = counts or (None, None)
        text = None if output is None or size == before[-1] else output.text()
        return (run.attempt, counts, size), (run.id, run.attempt, done, total, text)
