"""The dispatcher: gives claimed runs to a fixed set of worker threads, and knows which have ended."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from datetime import datetime
from itertools import islice

import structlog

from pinstripe_bot.clock import Clock
from pinstripe_bot.errors import LedgerUnavailable, WouldWait
from pinstripe_bot.handoff import Handoff
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.recorder import Recorder
from pinstripe_bot.reports import report_ended
from pinstripe_bot.runner import Runner, is_inside_run
from pinstripe_bot.workspace import Caller

RETRY_S = 1.0

log = structlog.get_logger("pinstripe")


class Dispatcher:
    """Claimed runs wait in one queue; a starter thread marks as many as there are free workers, as one group.

    Each started run goes to a worker thread, and its outcome to the recorder. Threads start on first use.
    `is_closing` may be set anywhere, also in a signal handler: no run begins after it.
    """

    def __init__(self, runner: Runner, ledger: Ledger, clock: Clock, bot: Caller, *, workers: int) -> None:
        self.is_closing = False
        self.workers = workers
        self.cut_off = 0  # runs that a shutdown has ended
        self._runner = runner
        self._ledger = ledger
        self._clock = clock
        self._bot = bot
        self._recorder = Recorder(ledger, clock, runner.controls, self._on_recorded)
        self._waiting: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        self._handoff = Handoff(workers)
        self._changed = threading.Condition()
        self._open: dict[int, Run] = {}  # dispatched, and neither recorded nor released
        self._watched: dict[int, Run | None] = {}  # somebody waits for these; their ended form, once recorded
        self._threads: list[threading.Thread] = []
        self._is_closed = False  # to further runs

    @property
    def is_behind(self) -> bool:
        """Whether outcomes wait for the ledger."""
        return self._recorder.is_behind

    @property
    def open_runs(self) -> list[Run]:
        """All runs that have been dispatched and are not recorded yet."""
        with self._changed:
            return list(self._open.values())

    @property
    def busy(self) -> int:
        """How many runs are performed now."""
        return len(self._runner.controls)

    @property
    def running(self) -> list[Run]:
        """The runs that are performed now."""
        return [control.run for control in list(self._runner.controls.values()) if control.run is not None]

    def held_since(self, instant: datetime) -> list[str]:
        """The jobs of the runs that have been running since `instant`: one name for each worker they hold."""
        return sorted(run.job for run in self.running if run.started_at is not None and run.started_at <= instant)

    def start(self) -> None:
        """Start the threads; harmless when called twice."""
        with self._changed:
            if self._threads or self._is_closed:
                return
            loops = [("starter", self._start_waiting)]
            loops += [(f"worker-{number}", self._work) for number in range(1, self.workers + 1)]
            self._threads = [
                threading.Thread(target=loop, name=f"pinstripe-{name}", daemon=True) for name, loop in loops
            ]
            self._recorder.start()
            for thread in self._threads:
                thread.start()

    def dispatch(self, runs: Sequence[Run]) -> None:
        """Queue these runs; returns at once. When nothing may start any more they are released."""
        if not runs:
            return
        self.start()
        with self._changed:  # so that no run slips in behind the sign to close
            is_refused = self._is_closed
            if not is_refused:
                self._open.update((run.id, run) for run in runs)
                for run in runs:
                    self._waiting.put(run)
        if is_refused:
            self._release(runs)

    def check_may_wait(self) -> None:
        """Ask before claiming runs for `perform`. Raises WouldWait in a job, and when nothing may start any more."""
        if is_inside_run():
            raise WouldWait(
                "a job asked the bot for runs on the worker threads, one of which it holds:"
                " call self.run_background_job(name) for each instead"
            )
        if self.is_closing:
            raise WouldWait("the bot is stopping and starts no run any more: ask again when it has stopped")

    def perform(self, runs: Sequence[Run]) -> list[Run]:
        """Queue these runs and wait until all have ended and are recorded; those released meanwhile are absent."""
        with self._changed:
            self._watched.update((run.id, None) for run in runs)
        self.dispatch(runs)
        with self._changed:
            self._changed.wait_for(lambda: not any(run.id in self._open for run in runs))
            ended = [self._watched.pop(run.id) for run in runs]
        return [run for run in ended if run is not None]

    def wait_until_idle(self, timeout_s: float | None = None) -> bool:
        """Wait until every dispatched run is recorded or released; false if `timeout_s` is over before."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout_s)

    def progress(self) -> list[tuple[int, int | None]]:
        """(done, total) as the running jobs last said it."""
        controls = list(self._runner.controls.values())
        return [control.progress for control in controls if control.progress is not None]

    def cancel_running(self) -> None:
        """Ask every running run to end."""
        for control in list(self._runner.controls.values()):
            control.cancel()

    def abandon_running(self) -> list[Run]:
        """The runs that are still running; from now on none of them can change the database or its outcome."""
        controls = list(self._runner.controls.values())
        for control in controls:
            control.has_ended = True
        return [control.run for control in controls if control.run is not None]

    def stop_starting(self) -> None:
        """Release what has not started; what runs goes on."""
        self.is_closing = True
        with self._changed:
            if not self._is_closed:
                self._is_closed = True
                self._waiting.put(None)
                self._handoff.close()
                self._changed.notify_all()  # the starter may be waiting for the ledger

    def close(self, timeout_s: float = 5.0) -> None:
        """Write the last outcomes and end the threads; a worker that is still busy is left to itself."""
        self.stop_starting()
        if not self._threads:
            return
        self._recorder.close(timeout_s)
        self._settle(self.open_runs)  # nobody will hear of them any more
        if not self.busy:
            for thread in self._threads:
                thread.join(timeout_s)

    def record(self, ended: Sequence[Run]) -> None:
        """Have the outcomes of these runs written."""
        for run in ended:
            self._recorder.record(run)

    def record_now(self, ended: Run) -> None:
        """Write the outcome of a run that was not dispatched, on this thread; later if the ledger does not answer."""
        try:
            self._ledger.finish([ended])
        except LedgerUnavailable:
            self.start()
            self._recorder.record(ended)
        else:
            report_ended([ended])

    def _start_waiting(self) -> None:
        """The starter's loop: as many waiting runs as there are free workers, started as one group."""
        while (run := self._waiting.get()) is not None:
            places = self._handoff.reserve(1 + self._waiting.qsize())
            if places == 0 or self.is_closing:
                self._release([run, *iter(self._next_waiting, None)])
                continue
            group = [run, *islice(iter(self._next_waiting, None), places - 1)]
            started = self._start(group)
            self._handoff.give_back(places - len(started))
            if not self._handoff.put(started):
                self._release(started)

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
            self._settle([run for run in group if run.id not in ids])
        return started

    def _mark_started(self, group: list[Run]) -> list[Run]:
        """The runs of `group` that may start; asks again every second while the ledger does not answer."""
        is_told = False
        while not self.is_closing:
            try:
                return self._ledger.start(group, self._clock.now())
            except LedgerUnavailable as error:
                if not is_told:
                    log.error("starts_delayed", runs=len(group), error=str(error))
                is_told = True
                with self._changed:
                    self._changed.wait(RETRY_S)
        self._release(group)
        return []

    def _work(self) -> None:
        """A worker's loop."""
        self._runner.keep_loop()
        while (run := self._handoff.take()) is not None:
            if self.is_closing:
                self._release([run])
            else:
                self._recorder.record(self._runner.run(run, self._bot)[0])  # its error, and all it holds, is let go
            del run  # an idle worker keeps nothing of it
        self._runner.close_loop()

    def _release(self, unstarted: Sequence[Run]) -> None:
        try:
            self._ledger.release(unstarted)
        except LedgerUnavailable as error:
            log.error("release_failed", runs=len(unstarted), error=str(error))
        else:
            log.info("runs_released", runs=len(unstarted))
        self._settle(unstarted)

    def _on_recorded(self, ended: Sequence[Run]) -> None:
        with self._changed:
            self.cut_off += sum(run.state is RunState.INTERRUPTED for run in ended)
            for run in ended:
                if run.id in self._watched:
                    self._watched[run.id] = run
        self._settle(ended)

    def _settle(self, runs: Sequence[Run]) -> None:
        """These runs are no longer open."""
        with self._changed:
            for run in runs:
                self._open.pop(run.id, None)
            self._changed.notify_all()
