"""The dispatcher: gives claimed runs to a fixed set of worker threads, and knows which have ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import structlog
from msgspec.structs import replace

from pinstripe_bot.clock import Clock
from pinstripe_bot.control import RunControl
from pinstripe_bot.errors import LedgerUnavailable, WouldWait
from pinstripe_bot.handoff import Handoff
from pinstripe_bot.hook_calls import Hooks
from pinstripe_bot.lanes import Lanes
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.metrics import Tally
from pinstripe_bot.occurrence import Run, RunError, RunState
from pinstripe_bot.recorder import Recorder
from pinstripe_bot.reports import report_ended
from pinstripe_bot.runner import Runner, is_inside_run
from pinstripe_bot.running import Running
from pinstripe_bot.starter import Starter
from pinstripe_bot.workspace import Caller

log = structlog.get_logger("pinstripe")


class Dispatcher:
    """Claimed runs go to the starter, each started run to a worker thread, and its outcome to the recorder.

    Threads start on first use. `is_closing` may be set anywhere, also in a signal handler: no run begins after it.
    """

    def __init__(
        self,
        runner: Runner,
        ledger: Ledger,
        clock: Clock,
        bot: Caller,
        *,
        workers: int,
        limit_of: Callable[[str], int | None],
        retry_at: Callable[[Run], datetime | None],
        hooks: Hooks,
        tally: Tally,
    ) -> None:
        self.workers = workers
        self.cut_off = 0  # runs that a shutdown has ended
        self.also_told: dict[str, Any] = {}  # what the heartbeat tells beside the figures
        self.on_left: Callable[[Sequence[Run]], None] = lambda _: None  # told of runs that need no thread any more
        self.on_recorded: Callable[[], None] = lambda: None  # called after outcomes were written; from their thread
        self._runner = runner
        self._ledger = ledger
        self._clock = clock
        self._bot = bot
        self._retry_at = retry_at
        self._hooks = hooks
        self._tally = tally
        self.running = Running(runner, clock, most_lingering=workers, on_given_up=self._give_up)
        self._recorder = Recorder(ledger, clock, runner.controls, self._on_recorded, self.stats, hooks, tally)
        self._recorder.on_presumed_dead = self._drop_lost
        self._handoff = Handoff(workers)
        self.lanes = Lanes(limit_of)
        self._starter = Starter(ledger, clock, self.lanes, self._handoff, self._settle, tally)
        self._changed = threading.Condition()
        self._open: dict[int, Run] = {}  # dispatched, and neither recorded nor released
        self._watched: dict[int, Run | None] = {}  # somebody waits for these; their ended form, once recorded
        self._threads: list[threading.Thread] = []
        self._worker_count = 0  # of all that ever were
        self._is_closed = False  # to further runs

    @property
    def is_closing(self) -> bool:
        """Whether no run begins any more."""
        return self._starter.is_closing

    @is_closing.setter
    def is_closing(self, is_closing: bool) -> None:
        self._starter.is_closing = is_closing

    @property
    def is_behind(self) -> bool:
        """Whether outcomes wait for the ledger."""
        return self._recorder.is_behind

    def may_commit(self, run: Run) -> bool:
        """Whether a run is still this bot's; where the ledger does not answer, as long as its lease holds."""
        try:
            return self._ledger.is_mine(run)
        except LedgerUnavailable:
            return self._recorder.holds_lease

    @property
    def open_runs(self) -> list[Run]:
        """All runs that have been dispatched and are not recorded yet."""
        with self._changed:
            return list(self._open.values())

    def stats(self) -> dict[str, Any]:
        """What the heartbeat tells of this bot's work: {workers, busy, waiting, lingering, and what is `also_told`}."""
        busy, lingering = len(self.running.runs), len(self.running.lingering)
        waiting = max(self.open_count - busy, 0)
        return {"workers": self.workers, "busy": busy, "waiting": waiting, "lingering": lingering, **self.also_told}

    @property
    def open_count(self) -> int:
        """How many runs have been dispatched and are not recorded yet."""
        return len(self._open)

    def known_ids(self) -> set[int]:
        """The runs that are dispatched, or performed on behalf of another run."""
        with self._changed:
            return self._open.keys() | self.running.ids

    def start(self) -> None:
        """Start the threads; harmless when called twice."""
        with self._changed:
            if self._threads or self._is_closed:
                return
            self._recorder.start()
            self._add_thread("starter", self._starter.loop)
            for _ in range(self.workers):
                self._add_worker()

    def _add_worker(self) -> None:
        self._worker_count += 1
        self._add_thread(f"worker-{self._worker_count}", self._work)

    def _add_thread(self, name: str, loop: Callable[[], None]) -> None:
        thread = threading.Thread(target=loop, name=f"pinstripe-{name}", daemon=True)
        thread.start()
        self._threads = [*(one for one in self._threads if one.is_alive()), thread]

    def dispatch(self, runs: Sequence[Run]) -> None:
        """Queue these runs; returns at once. When nothing may start any more they are released."""
        if not runs:
            return
        self.start()
        with self._changed:  # so that no run slips in behind the sign to close
            is_refused = self._is_closed
            if not is_refused:
                fresh = [run for run in runs if not self._has(run)]
                self._open.update((run.id, run) for run in fresh)
                self.lanes.put(fresh)
        if is_refused:
            self._starter.release(runs)

    def _has(self, run: Run) -> bool:
        """Whether this very attempt is open: of a claim whose loop stood still, the intake may have found the runs."""
        return run.id in self._open and self._open[run.id].attempt == run.attempt

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

    def stop_starting(self) -> None:
        """Release what has not started; what runs goes on."""
        self.is_closing = True
        with self._changed:
            if not self._is_closed:
                self._is_closed = True
                self._starter.close()

    def close(self, timeout_s: float = 5.0) -> None:
        """Write the last outcomes and end the threads; a worker thread that is still busy is left to itself."""
        self.stop_starting()
        if not self._threads:
            return
        self._runner.deadlines.close()
        self._recorder.close(timeout_s)
        self._settle(self.open_runs)  # nobody will hear of them any more
        if self.running.is_empty:
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
            with self._changed:
                self._open[ended.id] = ended  # known, and waited for, until it is written
            self._recorder.record(ended)
        else:
            report_ended([ended], self._hooks, self._tally)

    def _work(self) -> None:
        """The loop of a worker thread."""
        self._runner.keep_loop()
        is_replaced = False
        while not is_replaced and (run := self._handoff.take()) is not None:
            if self.is_closing:
                self._starter.release([run])
            elif not (is_replaced := self._perform(run)):
                self._leave(run)
            del run  # an idle worker keeps nothing of the run before
        self._runner.close_loop()

    def _perform(self, run: Run) -> bool:
        """Perform a run and hand its outcome over; true if another thread has taken this one's place meanwhile."""
        try:
            ended, _, control = self._runner.run(run, self._bot)
        except BaseException as error:  # a wall: a worker that ends takes a place with it
            log.exception("worker_failed")
            told = RunError(type(error).__name__, str(error), "", "")
            ended = replace(run, state=RunState.FAILED, error=told, finished_at=self._clock.now())
            self._recorder.record(self.to_retry(ended))
            return False
        if control.end():
            self._recorder.record(self.to_retry(ended))
            return False
        self.came_back(control)
        return control.is_replaced

    def came_back(self, control: RunControl) -> None:
        """The code of a run has ended whose end was recorded before."""
        if self.running.stop_lingering(control) and control.run is not None:
            self._recorder.let_go(control.run.id)
            lingering = len(self.running.lingering)
            log.warning("run_came_back", job=control.run.job, run_id=control.run.id, lingering=lingering)

    def _give_up(self, ended: Run, needs_worker: bool) -> None:
        """Record the end of a run that does not listen; another worker may take its place."""
        self._recorder.record(self.to_retry(ended), lingers=True)
        if needs_worker:
            self._leave(ended)
            with self._changed:
                self._add_worker()

    def _leave(self, run: Run) -> None:
        """A run has given its worker thread back."""
        self.lanes.leave([run])
        self.on_left([run])

    def to_retry(self, ended: Run) -> Run:
        """The run with the instant of its next attempt; one that somebody waits for has but one."""
        if ended.state is RunState.SUCCEEDED or ended.id in self._watched:
            return ended
        return replace(ended, retry_at=self._retry_at(ended))

    def _drop_lost(self) -> None:
        """Another bot took this one for dead: what it has ended of ours may change nothing any more."""
        lost = [control.run for control in self.running.controls if control.run and not self.may_commit(control.run)]
        disowned = [run for run in lost if self.running.disown(run)]
        for run in disowned:
            log.warning("outcome_refused", job=run.job, run_id=run.id, state=str(run.state))
        self._settle(disowned)

    def _on_recorded(self, ended: Sequence[Run], recorded: set[int]) -> None:
        with self._changed:
            self.cut_off += sum(run.state is RunState.INTERRUPTED for run in ended)
            for run in ended:
                if run.id in self._watched and run.id in recorded:
                    self._watched[run.id] = run
        self._settle(ended)
        self.on_recorded()

    def _settle(self, runs: Sequence[Run]) -> None:
        """These runs are no longer open."""
        with self._changed:
            for run in runs:
                if self._has(run):  # and not the next attempt, which may have come already
                    del self._open[run.id]
            self._changed.notify_all()
        self.on_left(runs)
