"""The bot: the blocking one-second loop, and the one place that builds what it needs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from pinstripe_bot.by_hand import ByHand
from pinstripe_bot.clock import Clock, SystemClock
from pinstripe_bot.database import DatabasePool
from pinstripe_bot.dispatcher import Dispatcher
from pinstripe_bot.drain import drain, sign_out
from pinstripe_bot.errors import LedgerUnavailable, WouldWait
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_store import ledger_path
from pinstripe_bot.loop_handle import LoopHandle
from pinstripe_bot.occurrence import Due, Run
from pinstripe_bot.poller import Poller
from pinstripe_bot.project import Project
from pinstripe_bot.recovery import bury_dead_bots, forget_removed_jobs, recover, recover_orphans
from pinstripe_bot.reports import report_claim, report_ledger, report_quarantine
from pinstripe_bot.runner import Runner, is_inside_run
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.services import ProcessServices
from pinstripe_bot.timetable import Timetable, in_parts
from pinstripe_bot.workspace import Workspace

STUCK_AFTER_S = 30.0
HELD_AFTER = timedelta(minutes=1)
SECOND = timedelta(seconds=1)

Result = TypeVar("Result")

log = structlog.get_logger("pinstripe")


class Bot:
    """Runs a project's jobs when they come due. One per process; builds ledger, timetable, runner and dispatcher.

    In the main thread: `Bot(project).run()`. Beside something else: `bot.start()` and later `bot.stop()`.
    """

    def __init__(self, project: Project, *, clock: Clock | None = None, ledger: Ledger | None = None) -> None:
        self.project = project
        self.clock = clock or SystemClock()
        self.ledger = ledger or Ledger(ledger_path(project.config.ledger.url, project.root))
        self.timetable: Timetable[Schedule] = Timetable()
        self.last_tick_s: float | None = None  # monotonic
        self.ledger_error: str | None = None  # why the last claim failed, if it did
        self.looping: threading.Thread | None = None  # whose loop is running
        self._changing = threading.RLock()  # opening and closing
        self._is_open = False
        self._is_planned = False
        self._is_stopping = False  # plain flags: a signal handler sets them
        self._is_cut_short = False
        self._handle: LoopHandle  # of the newest loop
        self._stopped = threading.Event()  # set while there is no loop
        self._stopped.set()

    def open(self, *, kind: str = "bot") -> None:
        """Sign in to the ledger and build what runs need; harmless when called twice."""
        if self._is_open:  # without the lock: a job may ask while stop() holds it and waits for that job
            return
        with self._changing:
            if self._is_open:
                return
            config, now = self.project.config, self.clock.now()
            url = config.database.url
            pool = None if url is None else DatabasePool(url, root=self.project.root, monotonic=self.clock.monotonic)
            is_new = self.ledger.open(self.project.name, now, kind=kind)
            say = log.info if is_new or kind == "bot" else log.debug
            say("ledger_created" if is_new else "ledger_opened", path=str(self.ledger.path), covers="this machine only")
            self._shared = ProcessServices(config, pool)
            self._runner = Runner(self.project, self._shared, self.clock)
            self.dispatcher = Dispatcher(self._runner, self.ledger, self.clock, self, workers=config.workers)
            self._poller = Poller(self._take_over)
            self._by_hand = ByHand(self.project, self.ledger, self._runner, self.dispatcher, self.clock)
            self._is_open = True
            if self._is_stopping:  # a signal came before there was a dispatcher to tell
                self.dispatcher.is_closing = True
            bury_dead_bots(self.ledger, now)

    def plan(self) -> None:
        """Announce this project's schedules, plan them from their marks on, and take over what dead bots left."""
        self.open()
        planned = [schedule for schedule in self.project.schedules if schedule.enabled]
        now = self.clock.now()
        marks = self.ledger.register(planned, now, keep=self.project.broken_jobs)
        self.timetable = Timetable(marks.items())
        report_quarantine(self.timetable.quarantined)
        self._is_planned = True
        self.dispatcher.start()
        forget_removed_jobs(self.project, self.ledger, now)
        self.dispatcher.dispatch(recover(self.project, self.ledger, now))
        log.info("bot_started", jobs=len(self.project.jobs), schedules=len(planned), workers=self.dispatcher.workers)

    def _take_over(self) -> None:
        """Do for a bot that has died or stopped since what `plan` did for earlier ones."""
        if not self._is_stopping:
            self.dispatcher.dispatch(recover_orphans(self.project, self.ledger, self.clock.now()))

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

    def run(self) -> int:
        """Run the loop in this thread until `stop`; returns how many runs had to be cut off at its end."""
        with self._changing:
            if self.looping is not None:
                raise WouldWait(f"the bot runs already, in the thread {self.looping.name!r}: join its handle instead")
            self._begin(threading.current_thread())
        return self._loop()

    def _begin(self, thread: threading.Thread) -> threading.Thread:
        """Plan, here, so that an error reaches the caller; `thread` is to loop."""
        try:
            self.plan()
        except BaseException:
            self._close()
            raise
        self._poller.start()
        self._stopped.clear()
        self.looping, self._handle = thread, LoopHandle(self, thread)
        return thread

    def _loop(self) -> int:
        try:
            while not self._is_stopping:
                self._tick_safely()
                # Ask the clock again instead of adding a second: a suspended machine wakes hours later.
                self.clock.sleep_until(self.clock.now().replace(microsecond=0) + SECOND)
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
        now = self.clock.now()
        self.last_tick_s = self.clock.monotonic()
        dues = self.timetable.due(int(now.timestamp()))
        if not dues:
            return
        for part in in_parts(dues):
            if not self._claim(part, now):
                return

    def _claim(self, dues: Sequence[Due[Schedule]], now: datetime) -> bool:
        """Decide these windows and dispatch their runs; false if the ledger does not answer."""
        try:
            claim = self.ledger.claim(dues, now)
        except LedgerUnavailable as error:
            self.ledger_error = report_ledger(self.ledger_error, str(error))
            return False
        self.ledger_error = report_ledger(self.ledger_error, None)
        self.timetable.drop(claim.superseded)
        self.timetable.quarantine(claim.failed)
        failed = self.timetable.advance(dues)  # only now: a claim that failed is offered again
        self.dispatcher.dispatch(claim.runs)
        report_claim(claim)
        report_quarantine(failed)
        return True

    # Runs that nobody scheduled

    def run_background_jobs(self, unix_time: float) -> list[Run]:
        """Run the jobs whose schedules are due at exactly this second, and return their finished runs.

        Marks are neither read nor moved. An instant that was claimed before, by whomever, gives no run; one
        that is claimed ahead does not fire again. Works without a running loop.
        """
        self.open()
        self.dispatcher.check_may_wait()
        instant_ts = int(unix_time)
        due = [one for one in self.project.schedules if one.enabled and one.is_due_ts(instant_ts)]
        return self.dispatcher.perform(self.ledger.claim_second(due, instant_ts, self.clock.now()))

    def run_background_job(
        self, name: str, params: Mapping[str, Any] | None = None, *, at: datetime | None = None, force: bool = False
    ) -> Run:
        """Run one job by hand on a worker thread, and return its finished run.

        `at` sets its due instant (aware; default: now). Where the same job with the same parameters is still
        queued or running the run comes back as skipped, unless `force`. Raises UnknownJob and InvalidParams.
        """
        self.open()
        return self._by_hand.run(name, params or {}, at=at, force=force)

    def run_inside(self, workspace: Workspace, name: str, params: Mapping[str, Any]) -> Run:
        """Run a job on behalf of another one, on this thread."""
        return self._by_hand.run_inside(workspace, name, params)

    def workspace(self) -> Workspace:
        """A workspace that belongs to no run."""
        self.open()
        return Workspace(project=self.project, shared=self._shared, clock=self.clock, bot=self)

    # Health

    def reasons_not_alive(self) -> list[str]:
        """Why this process should be started again: the loop has stood still. Empty while it lives."""
        if self.looping is None or self.last_tick_s is None:
            return []
        age_s = self.clock.monotonic() - self.last_tick_s
        return [f"the last tick was {age_s:.0f} s ago"] if age_s > STUCK_AFTER_S else []

    def reasons_not_ready(self) -> list[str]:
        """Why this bot cannot do its work now. Empty while it can."""
        if self._is_stopping:
            return ["the bot is stopping"]
        if self.looping is None or self.last_tick_s is None:
            return ["the bot has not started"]
        reasons = self.reasons_not_alive()
        if self.ledger_error is not None:
            reasons.append(self.ledger_error)
        if self.dispatcher.is_behind:
            reasons.append("outcomes wait for the ledger")
        held = self.dispatcher.held_since(self.clock.now() - HELD_AFTER)
        if len(held) >= self.dispatcher.workers:
            reasons.append(f"all workers are held for more than a minute, by {', '.join(held)}")
        return reasons

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
            self._poller.close()
            try:
                timeout, is_cut_short = self.project.config.shutdown_timeout, lambda: self._is_cut_short
                return drain(self.dispatcher, self.clock, timeout, is_cut_short, is_watched=self._is_planned)
            finally:
                sign_out(self._shared, self.ledger, self.clock.now())
                self._is_open = self._is_planned = self._is_stopping = self._is_cut_short = False
                self.looping = self.last_tick_s = None
                self._stopped.set()


def run_in_new_workspace(project: Project, function: Callable[[Workspace], Result]) -> Result:
    """Call `function(workspace)` in a workspace that belongs to no run, and return what it returns."""
    bot = Bot(project)
    try:
        with bot.workspace() as workspace:
            return function(workspace)
    finally:
        bot.stop()
