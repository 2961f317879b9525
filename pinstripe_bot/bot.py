"""The bot: the blocking one-second loop, and the one place that builds what it needs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
from msgspec.structs import replace

from pinstripe_bot.by_hand import ByHand
from pinstripe_bot.clock import Clock, SystemClock
from pinstripe_bot.database import DatabasePool
from pinstripe_bot.dispatcher import Dispatcher
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.ledger import Claim, Ledger
from pinstripe_bot.ledger_store import ledger_path
from pinstripe_bot.occurrence import Reason, Run, RunState
from pinstripe_bot.project import Project
from pinstripe_bot.runner import Runner
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.services import ProcessServices
from pinstripe_bot.timetable import Timetable
from pinstripe_bot.workspace import Workspace

CUT_OFF_GRACE_S = 2.0
"""How long cancelled runs get to tidy up before they are recorded as interrupted."""

STUCK_AFTER_S = 30.0

SECOND = timedelta(seconds=1)

Result = TypeVar("Result")

log = structlog.get_logger("pinstripe")


@dataclass(frozen=True, slots=True)
class LoopHandle:
    """A loop that runs in a thread of its own."""

    bot: Bot
    thread: threading.Thread

    @property
    def is_running(self) -> bool:
        return self.thread.is_alive()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until the loop has stopped."""
        self.thread.join(timeout_s)

    def stop(self) -> None:
        """As `Bot.stop`."""
        self.bot.stop()


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
        self._changing = threading.RLock()  # opening and closing
        self._is_open = False
        self._is_planned = False
        self._is_stopping = False  # plain flags: a signal handler sets them
        self._is_cut_short = False
        self._handle: LoopHandle | None = None
        self._looping: threading.Thread | None = None
        self._stopped = threading.Event()

    # Opening

    def open(self, *, kind: str = "bot") -> None:
        """Sign in to the ledger and build what runs need; harmless when called twice."""
        with self._changing:
            if self._is_open:
                return
            config, now = self.project.config, self.clock.now()
            is_new = self.ledger.open(self.project.name, now, kind=kind)
            say = log.info if is_new or kind == "bot" else log.debug
            say("ledger_created" if is_new else "ledger_opened", path=str(self.ledger.path), covers="this machine only")
            url = config.database.url
            pool = None if url is None else DatabasePool(url, root=self.project.root, monotonic=self.clock.monotonic)
            self._shared = ProcessServices(config, self.project.services, pool)
            self._runner = Runner(self.project, self._shared, self.clock)
            self.dispatcher = Dispatcher(self._runner, self.ledger, self.clock, self, workers=config.workers)
            self._by_hand = ByHand(self.project, self.ledger, self._runner, self.dispatcher, self.clock)
            self._is_open, self._is_stopping, self._is_cut_short = True, False, False

    def plan(self) -> None:
        """Announce this project's schedules, plan them from their marks on, and take over what dead bots left."""
        self.open()
        self._is_planned = True
        planned = [schedule for schedule in self.project.schedules if schedule.enabled]
        now = self.clock.now()
        marks = self.ledger.register(planned, now, keep=self.project.broken_jobs)
        self.timetable = Timetable(marks.items())
        _report_quarantine(self.timetable.quarantined)
        self._recover(now)
        log.info(
            "bot_started",
            jobs=len(self.project.jobs),
            schedules=len(planned),
            workers=self.project.config.workers,
        )

    def _recover(self, now: datetime) -> None:
        sweep = self.ledger.sweep(now)
        for run in sweep.interrupted:
            log.warning("run_interrupted", job=run.job, run_id=run.id, reason=str(run.reason))
        runnable = []
        for run in sweep.taken_over:
            job = self.project.jobs.get(run.job)
            if job is not None:
                runnable.append(replace(run, params=job.params.cast(run.params)))
        if sweep.taken_over:
            log.info("runs_taken_over", runs=len(runnable))
        self.dispatcher.dispatch(runnable)

    # The loop

    def start(self) -> LoopHandle:
        """Run the loop in a thread of its own and return its handle; the same one when called twice."""
        with self._changing:
            if self._handle is None or not self._handle.is_running:
                self.plan()  # here, so that an error reaches the caller
                thread = threading.Thread(target=self._run_planned, name="pinstripe-bot", daemon=True)
                self._handle = LoopHandle(self, thread)
                self._stopped.clear()
                self._looping = thread
                thread.start()
            return self._handle

    def run(self) -> int:
        """Run the loop in this thread until `stop`; returns how many runs had to be cut off at its end."""
        self._stopped.clear()
        self._looping = threading.current_thread()
        self.plan()
        return self._run_planned()

    def _run_planned(self) -> int:
        try:
            while not self._is_stopping:
                self._tick_safely()
                # Ask the clock again instead of adding a second: a suspended machine wakes hours later.
                self.clock.sleep_until(self.clock.now().replace(microsecond=0) + SECOND)
        finally:
            cut_off = self._drain()
            self._looping = None
            self._stopped.set()
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
        try:
            claim = self.ledger.claim(dues, now)
        except LedgerUnavailable as error:
            self._note_ledger(str(error))
            return
        self._note_ledger(None)
        self.timetable.drop(claim.superseded)
        self.timetable.quarantine(claim.failed)
        self.timetable.advance(dues)  # only now: a claim that failed is offered again
        self.dispatcher.dispatch(claim.runs)
        _report(claim)

    def _note_ledger(self, error: str | None) -> None:
        """Say it once when the ledger goes away, and once when it is back."""
        if error is not None and self.ledger_error is None:
            log.error("ledger_lost", error=error)
        if error is None and self.ledger_error is not None:
            log.info("ledger_found")
        self.ledger_error = error

    # Runs that nobody scheduled

    def run_background_jobs(self, unix_time: float) -> list[Run]:
        """Run the jobs whose schedules are due at exactly this second, and return their finished runs.

        Marks are neither read nor moved. An instant that was claimed before, by whomever, gives no run; one
        that is claimed ahead does not fire again. Works without a running loop.
        """
        self.open()
        instant_ts = int(unix_time)
        due = [one for one in self.project.schedules if one.enabled and one.is_due_ts(instant_ts)]
        return self.dispatcher.perform(self.ledger.claim_second(due, instant_ts, self.clock.now()))

    def run_background_job(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        at: datetime | None = None,
        force: bool = False,
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
        age_s = self._tick_age_s()
        if self._looping is not None and age_s is not None and age_s > STUCK_AFTER_S:
            return [f"the last tick was {age_s:.0f} s ago"]
        return []

    def reasons_not_ready(self) -> list[str]:
        """Why this bot cannot do its work now. Empty while it can."""
        if self._is_stopping:
            return ["the bot is stopping"]
        if self._looping is None or self.last_tick_s is None:
            return ["the bot has not started"]
        reasons = self.reasons_not_alive()
        if self.ledger_error is not None:
            reasons.append(self.ledger_error)
        if self.dispatcher.is_behind:
            reasons.append("outcomes wait for the ledger")
        return reasons

    def _tick_age_s(self) -> float | None:
        return None if self.last_tick_s is None else self.clock.monotonic() - self.last_tick_s

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
        if self.dispatcher.is_worker(threading.current_thread()):
            return
        if self._looping is None:
            self._drain()
        elif self._looping is not threading.current_thread():
            self._stopped.wait()

    destroy = stop

    def _drain(self) -> int:
        """End what runs and close; returns how many runs were cut off."""
        with self._changing:
            if not self._is_open:
                return 0
            self._is_open = False
        dispatcher, timeout = self.dispatcher, self.project.config.shutdown_timeout
        dispatcher.stop_starting()
        say = log.info if self._is_planned else log.debug  # a run by hand stops no bot that anybody watches
        say("bot_stopping", running=dispatcher.busy, shutdown_timeout_s=timeout.total_seconds())
        deadline_s = self.clock.monotonic() + timeout.total_seconds()
        while not dispatcher.wait_until_idle(0.1):
            if self._is_cut_short or self.clock.monotonic() >= deadline_s:
                self._cut_off()
                break
        self._close()
        say("bot_stopped", cut_off=dispatcher.cut_off)
        return dispatcher.cut_off

    def _cut_off(self) -> None:
        """Cancel what runs; record what does not end as interrupted."""
        log.warning("runs_cancelled", runs=self.dispatcher.busy)
        self.dispatcher.cancel_running()
        if self.dispatcher.wait_until_idle(CUT_OFF_GRACE_S):
            return
        now = self.clock.now()
        ended = {"state": RunState.INTERRUPTED, "reason": Reason.SHUTDOWN, "finished_at": now}
        abandoned = [replace(run, **ended) for run in self.dispatcher.abandon_running()]
        for run in abandoned:
            log.warning("run_interrupted", job=run.job, run_id=run.id, reason=str(run.reason))
        self.dispatcher.record(abandoned)

    def _close(self) -> None:
        self.dispatcher.close()
        try:
            self._shared.close()
        except Exception:
            log.exception("service_close_failed")
        try:
            self.ledger.close(self.clock.now())
        except LedgerUnavailable as error:
            log.error("ledger_lost", error=str(error))


def _report(claim: Claim) -> None:
    """Log what a claim decided, but for the runs, which log themselves."""
    for occurrence in claim.passed:
        log.info(
            f"occurrence_{occurrence.decision}",
            job=occurrence.job,
            schedule=occurrence.schedule,
            due_at=occurrence.due_at.isoformat(),
            reason=str(occurrence.reason),
            count=occurrence.count,
        )
    for schedule in claim.superseded:
        log.warning("schedule_superseded", job=schedule.job, schedule=schedule.name)
    _report_quarantine(claim.failed)


def _report_quarantine(failed: Mapping[Schedule, Exception]) -> None:
    for schedule, error in failed.items():
        log.error("schedule_quarantined", job=schedule.job, schedule=schedule.name, error=str(error))


def run_in_new_workspace(project: Project, function: Callable[[Workspace], Result]) -> Result:
    """Call `function(workspace)` in a workspace that belongs to no run, and return what it returns."""
    bot = Bot(project)
    try:
        with bot.workspace() as workspace:
            return function(workspace)
    finally:
        bot.stop()
