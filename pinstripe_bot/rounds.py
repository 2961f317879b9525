"""The rounds: wishes to cancel reach their runs, dead bots are buried, and runs that this process lost are found."""

from __future__ import annotations

from msgspec.structs import replace

from pinstripe_bot.admission import Admission
from pinstripe_bot.clock import Clock
from pinstripe_bot.dispatcher import Dispatcher
from pinstripe_bot.hook_calls import Hooks
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.metrics import Tally
from pinstripe_bot.occurrence import Reason, RunState
from pinstripe_bot.project import Project
from pinstripe_bot.reports import report_ended
from pinstripe_bot.retries import Retries

ROUND_EVERY_S = 0.5
"""How often at most, of the looks that the poller is woken for, one is for wishes and for dead bots too."""

SEARCH_EVERY_S = 5.0


class Rounds:
    """What every process that performs runs looks after, beside its own work. `look` is a part of the poller's turn."""

    def __init__(
        self,
        project: Project,
        ledger: Ledger,
        dispatcher: Dispatcher,
        admission: Admission,
        clock: Clock,
        retries: Retries,
        hooks: Hooks,
        tally: Tally,
    ) -> None:
        self._project = project
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._admission = admission
        self._clock = clock
        self._retries = retries
        self._hooks = hooks
        self._tally = tally
        self._next_round_s = self._next_search_s = 0.0
        self._unknown: set[int] = set()  # open runs of ours that nobody here knew at the last look

    def look(self) -> None:
        """Now and then: wishes to cancel, dead bots, and lost runs of ours."""
        now_s = self._clock.monotonic()
        if now_s >= self._next_round_s:
            self._look_round(now_s)
            self._next_round_s = now_s + ROUND_EVERY_S  # only now: what failed is tried again at the next look

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
        known = self._admission.known
        buried = self._ledger.bury(self._clock.now(), retry_at=self._retries.retry_at, keep=broken, known=known)
        report_ended(buried, self._hooks, self._tally)

    def _find_lost(self) -> None:
        """Take up runs of ours that nobody here knows: the answer to a commit was lost, and the commit was not."""
        known = self._dispatcher.known_ids()
        unknown = {run.id: run for run in self._ledger.waiting.own_runs(besides=known)}
        lost = [run for run_id, run in unknown.items() if run_id in self._unknown]
        self._unknown = set(unknown)
        queued = [run for run in lost if run.state is RunState.QUEUED]
        self._admission.admit([run for run in queued if run.job in self._project.jobs])
        self._admission.refuse_removed([run for run in queued if run.job not in self._admission.known])
        cut_off = {"state": RunState.INTERRUPTED, "reason": Reason.BOT_DIED, "finished_at": self._clock.now()}
        running = [replace(run, **cut_off) for run in lost if run.state is RunState.RUNNING]
        self._dispatcher.record([self._dispatcher.to_retry(run) for run in running])
