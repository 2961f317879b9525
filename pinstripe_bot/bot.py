"""The bot: the blocking one-second loop over ledger, timetable and dispatcher."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog

from pinstripe_bot.assembly import assemble
from pinstripe_bot.clock import Clock, SystemClock
from pinstripe_bot.database import Database
from pinstripe_bot.drain import drain, sign_out
from pinstripe_bot.enqueueing import Delay
from pinstripe_bot.errors import WouldWait
from pinstripe_bot.hook_calls import Hooks
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.loop_handle import LoopHandle
from pinstripe_bot.metrics import Tally
from pinstripe_bot.occurrence import Due, Run, TenantRuns
from pinstripe_bot.poller import Poller
from pinstripe_bot.project import Project
from pinstripe_bot.readiness import Readiness
from pinstripe_bot.reports import report_claim, report_edited, report_opened, report_quarantine
from pinstripe_bot.runner import is_inside_run
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.tenant import TenantId
from pinstripe_bot.tick_clock import TickClock
from pinstripe_bot.timetable import Timetable, in_parts
from pinstripe_bot.watchdog import Watchdog
from pinstripe_bot.workspace import Workspace

Given = Mapping[str, Any] | None
At = datetime | None
Ids = Sequence[TenantId] | None

log = structlog.get_logger("pinstripe")


class Bot:
    """Runs a project's jobs when they come due. One per process; builds ledger, timetable, runner and dispatcher.

    In the main thread: `Bot(project).run()`. Beside something else: `bot.start()` and later `bot.stop()`.
    """

    def __init__(
        self, project: Project, *, clock: Clock | None = None, ledger: Ledger | None = None, recover: bool = False
    ) -> None:
        self.project, self.recover = project, recover  # a damaged ledger is moved aside, and a new one begins
        self.clock = clock or SystemClock()
        self.ledger = ledger or Ledger.of(project.config, project.root)
        self.timetable: Timetable[Schedule] = Timetable()
        self.hooks = Hooks(project.hooks.functions, project.root, self.clock)
        self.ticks = TickClock(self.clock)
        self.tally = Tally(project.jobs, SystemClock().monotonic)  # what the ledger takes is real, whatever our clock
        self._trouble = self.ledger.trouble
        self.looping: threading.Thread | None = None  # whose loop is running
        self._changing = threading.RLock()  # opening and closing
        self._is_open = False
        self._watched_as: str | None = None  # "bot" or "worker", where somebody reads its log
        self._is_stopping = False  # plain flags: a signal handler sets them
        self._is_cut_short = False
        self._handle: LoopHandle  # of the newest loop
        self._stopped = threading.Event()  # set while there is no loop
        self._stopped.set()

    def open(self, *, kind: str = "bot") -> None:
        """Sign in as a "bot", "worker" or "command", and build what runs need; harmless when called twice."""
        if self._is_open:  # without the lock: a job may ask while stop() holds it and waits for that job
            return
        with self._changing:
            if self._is_open:
                return
            self.parts = assemble(self.project, self.ledger, self.clock, self.hooks, self.tally, self)
            self.dispatcher, self.commits = self.parts.dispatcher, self.parts.commits
            opened = self.parts.open_ledger(self.project.name, self.clock.now(), kind, recover=self.recover)
            report_opened(self.ledger, opened, is_watched=kind != "command")
            self._poller = Poller(self.parts.turn_of(kind))
            self.parts.wake_with(self._poller.wake)
            self._watchdog = Watchdog(self.ticks.stuck_s)
            self.readiness = Readiness(self.ticks, self._trouble, self.dispatcher, self.clock)
            self.hooks.start()
            self._is_open, self._watched_as = True, kind if kind == "worker" else None
            if self._is_stopping:  # a signal came before there was a dispatcher to tell
                self.dispatcher.is_closing = True
            self.parts.rounds.bury()
            if kind != "bot":
                self._poller.start()

    def plan(self) -> None:
        """Announce this project's schedules, plan them from their marks on, and take over what dead bots left."""
        self.open()
        planned = [schedule for schedule in self.project.schedules if schedule.enabled]
        registration = self.ledger.register(planned, self.clock.now(), keep=self.project.broken_jobs)
        self.timetable = Timetable(registration.marks.items())
        report_edited(registration, self.hooks, self.tally)
        report_quarantine(self.timetable.quarantined)
        self._watched_as = "bot"
        self.parts.start_processes(self.project)
        self.dispatcher.start()
        self.parts.begin()
        log.info("bot_started", jobs=len(self.project.jobs), schedules=len(planned), workers=self.dispatcher.workers)

    # The loop

    def start(self) -> LoopHandle:
        """Run the loop in a thread of its own and return its handle; the same one when called twice.

        Where a loop has been asked to stop, this waits for its end and starts another one.
        """
        if self._is_stopping and not is_inside_run():
            self._stopped.wait()
        with self._changing:
            if self.looping is None:
                self._begin(threading.Thread(target=self._loop, name="pinstripe-bot", daemon=True)).start()
            return self._handle

    def run(self, *, on_start: Callable[[], None] | None = None, on_stop: Callable[[], None] | None = None) -> int:
        """Run the loop in this thread until `stop`; returns how many runs had to be cut off at its end.

        `on_start` is called when all is planned, before the first tick; `on_stop` after the last one, before the drain.
        """
        with self._changing:
            if self.looping is not None:
                raise WouldWait(f"the bot runs already, in the thread {self.looping.name!r}: join its handle instead")
            self._begin(threading.current_thread())
        return self._loop(on_start, on_stop)

    def _begin(self, thread: threading.Thread) -> threading.Thread:
        """Plan, here, so that an error reaches the caller; `thread` is to loop."""
        try:
            self.plan()
        except BaseException:
            self._close()
            raise
        self._poller.start()
        self._watchdog.start()
        self._stopped.clear()
        self.looping, self._handle = thread, LoopHandle(self, thread)
        return thread

    def _loop(self, on_start: Callable[[], None] | None = None, on_stop: Callable[[], None] | None = None) -> int:
        try:
            if on_start is not None:
                on_start()
            while not self._is_stopping:
                self._tick_safely()
                self.clock.sleep_to_next_second()
            if on_stop is not None:
                on_stop()
        finally:
            cut_off = self._close()
        return cut_off

    def _tick_safely(self) -> None:
        try:
            self.tick()
        except Exception:
            log.exception("tick_failed")

    def tick(self) -> None:
        """Claim and dispatch whatever has come due since the last tick."""
        now = self.ticks.read()
        self.parts.plan(self.timetable, now)
        dues = self.timetable.due(int(now.timestamp()))
        if dues:
            self.tally.begin_claim()
        if dues and not all(self._claim(part, now) for part in in_parts(dues)):
            return
        self._trouble.note("claim", None)
        self.ticks.forget_cause()

    def _claim(self, dues: Sequence[Due[Schedule]], now: datetime) -> bool:
        """Decide these windows and dispatch their runs; false if the ledger does not answer."""
        if (claim := self.parts.claim(dues, now, self.ticks.cause)) is None:
            return False
        self.timetable.set_aside(claim.superseded)
        self.timetable.quarantine(claim.failed)
        failed = self.timetable.advance(dues)  # only now: a claim that failed is offered again
        self.dispatcher.dispatch(claim.runs)
        if claim.waiting:
            self._poller.wake()
        report_claim(claim, self.hooks, self.tally)
        report_quarantine(failed)
        return True

    def run_background_jobs(self, unix_time: float) -> list[Run]:
        """Run the jobs whose schedules are due at exactly this second, and return their finished runs.

        Marks are neither read nor moved. An instant that was claimed before, by whomever, gives no run; one
        that is claimed ahead does not fire again. Works without a running loop.
        """
        self.open()
        return self.parts.by_hand.run_due(int(unix_time))

    def run_background_job(self, name: str, params: Given = None, *, at: At = None, force: bool = False) -> Run:
        """Run one job, for no tenant, by hand on a worker thread, and return its finished run.

        `at` sets its due instant (aware; default: now). Where the same job with the same parameters is still
        queued or running the run comes back as skipped, unless `force`. Raises UnknownJob and InvalidParams.
        """
        self.open()
        return self.parts.by_hand.run(name, params or {}, at=at, force=force)

    def run_for_tenants(
        self, name: str, params: Given = None, *, tenants: Ids = None, at: At = None, force: bool = False
    ) -> TenantRuns:
        """Run one job by hand for the tenants with these ids, or for all that it chooses, on worker threads."""
        self.open()
        return self.parts.by_hand.run_for_tenants(name, params or {}, keys=tenants, at=at, force=force)

    def run_inside(self, workspace: Workspace, name: str, params: Mapping[str, Any]) -> Run | TenantRuns:
        """Run a job on behalf of another one, on this thread."""
        return self.parts.by_hand.run_inside(workspace, name, params)

    def enqueue_inside(
        self, workspace: Workspace, name: str, params: Mapping[str, Any], *, delay: Delay, joining: Database | None
    ) -> Run:
        """Put a run into the ledger on behalf of a job, for its tenant, in the transaction that it is `joining`."""
        return self.parts.by_hand.enqueue(workspace, name, params, delay=delay, joining=joining)

    def may_commit(self, run: Run) -> bool:
        """Whether what a run has done may be committed: it is still ours."""
        return self.dispatcher.may_commit(run)

    def workspace(self) -> Workspace:
        """A workspace that belongs to no run."""
        self.open()
        return Workspace(project=self.project, shared=self.parts.shared, clock=self.clock, bot=self)

    # Health

    def reasons_not_alive(self) -> list[str]:
        """Why this process should be started again: the loop has stood still. Empty while it lives."""
        return self.readiness.reasons_not_alive() if self._is_open else []

    def reasons_not_ready(self) -> list[str]:
        """Why this bot cannot do its work now. Empty while it can."""
        if self._is_stopping:
            return ["the bot is stopping"]
        if self.looping is None or self.ticks.last_tick_s is None:
            return ["the bot has not started"]
        return self.readiness.reasons_not_ready()

    # Stopping

    def request_stop(self) -> None:
        """Ask the loop to stop; no run starts any more. Safe in a signal handler: flags and one byte in a pipe."""
        self._is_stopping = True
        if self._is_open:
            self.dispatcher.is_closing = True
        self.clock.wake()

    def cut_short(self) -> None:
        """End the wait for running jobs. Safe in a signal handler."""
        self._is_cut_short = True

    def stop(self) -> None:
        """Stop gracefully: start nothing more, let running jobs end for `shutdown_timeout`, cancel the rest.

        Returns when all that is done; called by a job, it only requests the stop. Harmless when called twice.
        """
        if not self._is_open:
            return
        self.request_stop()
        if is_inside_run():
            return
        with self._changing:  # if it is just being opened or closed, that ends first
            looping = self.looping
        if looping is None:
            self._close()
        elif looping is not threading.current_thread():
            self._stopped.wait()

    destroy = stop

    def _close(self) -> int:
        """End what runs and sign out; returns how many runs were cut off."""
        with self._changing:
            if not self._is_open:
                return 0
            self.ticks.stop()
            self._watchdog.close()
            self._poller.close()
            self.parts.lister.stop()
            try:
                timeout, is_cut_short = self.project.config.shutdown_timeout, lambda: self._is_cut_short
                return drain(self.dispatcher, self.clock, timeout, is_cut_short, watched_as=self._watched_as)
            finally:
                self.parts.lister.close()
                self.hooks.close()
                self.parts.processes.close()
                sign_out(self.parts.shared, self.ledger, self.clock.now())
                self._is_open = self._is_stopping = self._is_cut_short = False
                self.looping = self._watched_as = None
                self._stopped.set()
