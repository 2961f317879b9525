"""The intake: what the ledger holds for this bot beside what comes due: runs that nobody has, and wishes to cancel."""

from __future__ import annotations

import structlog
from msgspec.structs import replace

from pinstripe_bot.clock import Clock
from pinstripe_bot.dispatcher import Dispatcher
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.hook_calls import Hooks
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_runs import jobs_waiting
from pinstripe_bot.metrics import Tally
from pinstripe_bot.occurrence import Reason, Run, RunError, RunState
from pinstripe_bot.project import Project
from pinstripe_bot.reports import report_ended
from pinstripe_bot.retries import Retries

MOST = 500
"""How many runs are taken to wait in this process, shared by their jobs: what is left, other bots may take."""

LEAST = 8
"""How many of each job may wait here, however many jobs share: one's crowd keeps no other job out."""

ROUND_EVERY_S = 0.5
"""How often at most, of the looks that it is woken for, one is for wishes and for dead bots too."""

SEARCH_EVERY_S = 5.0

log = structlog.get_logger("pinstripe")


class Intake:
    """Takes over retries, enqueued, waiting and released runs; buries dead bots; passes wishes to cancel on.

    `look` is the poller's turn. It writes only where there is something to take.
    """

    def __init__(
        self,
        project: Project,
        ledger: Ledger,
        dispatcher: Dispatcher,
        clock: Clock,
        retries: Retries,
        hooks: Hooks,
        tally: Tally,
    ) -> None:
        self._project = project
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._clock = clock
        self._retries = retries
        self._hooks = hooks
        self._tally = tally
        self._next_round_s = self._next_search_s = 0.0
        self._share = MOST  # how many runs of one job may wait here
        self._taking: set[str] = set()  # the jobs of which the next look may find more, when these have run low
        self._unknown: set[int] = set()  # open runs of this bot that nobody here knew at the last look

    def begin(self) -> None:
        """At a start: end the runs of jobs that are no more, and take over what waits.

        Only at a start, which makes this the project of today: a bot that has run for long does not know new jobs.
        """
        self._refuse_removed(self._ledger.waiting.take_removed(self._known))
        self._take()

    def look(self) -> None:
        """One turn: now and then wishes to cancel, dead bots and lost runs of ours; always runs that nobody has."""
        now_s = self._clock.monotonic()
        if now_s >= self._next_round_s:
            self._look_round(now_s)
            self._next_round_s = now_s + ROUND_EVERY_S  # only now: what failed is tried again at the next look
        self._take()

    def _look_round(self, now_s: float) -> None:
        self.pass_wishes_on()
        is_thorough = now_s >= self._next_search_s
        # Leases get more time: of machines that were asleep, one that wakes first must not bury the others.
        if (is_thorough or self._ledger.store.is_one_machine) and self._ledger.has_dead_bots(self._clock.now()):
            self.bury()
        if is_thorough:
            self._find_lost()
            self._next_search_s = now_s + SEARCH_EVERY_S

    def pass_wishes_on(self) -> None:
        """Tell the runs here to end that a person wants cancelled."""
        for run_id, attempt in self._ledger.waiting.asked_to_cancel():
            self._dispatcher.running.cancel(run_id, attempt)

    def bury(self) -> None:
        """Record what died with its bot as interrupted, so that it keeps nothing from running any more."""
        broken = self._project.broken_jobs  # of these it is not known whether they are to be tried again
        buried = self._ledger.bury(self._clock.now(), retry_at=self._retries.retry_at, keep=broken)
        report_ended(buried, self._hooks, self._tally)

    @property
    def is_taking(self) -> bool:
        """Whether a look is worth it: of a job that the last one found more of, few are left here."""
        return any(map(self._has_run_low, list(self._taking)))

    def _has_run_low(self, job: str) -> bool:
        return 2 * self._dispatcher.lanes.waiting(job) <= self._share

    def _take(self) -> None:
        """Half of its share of each job that has run low."""
        now = self._clock.now()
        with self._ledger.store.reading() as connection:
            waiting = self._project.jobs.keys() & jobs_waiting(connection, now)
        self._share = max(MOST // max(len(waiting), 1), LEAST)
        low = {job for job in waiting if self._has_run_low(job)}
        taken = self._ledger.waiting.take_available(low, now, most=self._share // 2) if low else []
        self._taking = waiting - low | {run.job for run in taken}
        self._dispatch(taken)

    def _dispatch(self, taken: list[Run]) -> None:
        """Give queued runs of ours to the workers, but for those that fit their jobs no more."""
        fitted = [self._fitted(run) for run in taken]
        self._refuse([run for run in fitted if not run.state.is_open])
        startable = [run for run in fitted if run.state.is_open]
        if startable:
            log.info("runs_taken_over", runs=len(startable))
            self._dispatcher.dispatch(startable)

    def _find_lost(self) -> None:
        """Take up runs of ours that nobody here knows: the answer to a commit was lost, and the commit was not."""
        known = self._dispatcher.known_ids()
        unknown = {run.id: run for run in self._ledger.waiting.own_runs(besides=known)}
        lost = [run for run_id, run in unknown.items() if run_id in self._unknown]
        self._unknown = set(unknown)
        queued = [run for run in lost if run.state is RunState.QUEUED]
        self._dispatch([run for run in queued if run.job in self._project.jobs])
        self._refuse_removed([run for run in queued if run.job not in self._known])
        cut_off = {"state": RunState.INTERRUPTED, "reason": Reason.BOT_DIED, "finished_at": self._clock.now()}
        running = [replace(run, **cut_off) for run in lost if run.state is RunState.RUNNING]
        self._dispatcher.record([self._dispatcher.to_retry(run) for run in running])

    def _fitted(self, run: Run) -> Run:
        """The run as its job wants it today; failed where its parameters fit no more."""
        job = self._project.jobs[run.job]
        try:
            return replace(run, params=job.params.cast(run.params))
        except InvalidParams as error:
            told = RunError(type(error).__name__, str(error), str(job.place), "")
            return replace(run, state=RunState.FAILED, error=told, finished_at=self._clock.now())

    @property
    def _known(self) -> set[str]:
        return self._project.jobs.keys() | self._project.broken_jobs

    def _refuse_removed(self, removed: list[Run]) -> None:
        ended = {"state": RunState.SKIPPED, "reason": Reason.JOB_REMOVED, "finished_at": self._clock.now()}
        self._refuse([replace(run, **ended) for run in removed])

    def _refuse(self, ended: list[Run]) -> None:
        if not ended:
            return
        self._ledger.refuse(ended)
        self._tally.runs_ended(ended)
        for run in ended:
            why = run.reason or (run.error and run.error.message)
            log.warning("run_refused", job=run.job, run_id=run.id, state=str(run.state), reason=str(why))
