"""The intake: takes over runs that wait in the ledger and that nobody has: retries, enqueued, in turn, released."""

from __future__ import annotations

import structlog

from pinstripe_bot.admission import Admission
from pinstripe_bot.clock import Clock
from pinstripe_bot.dispatcher import Dispatcher
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_taking import jobs_waiting
from pinstripe_bot.occurrence import Run
from pinstripe_bot.project import Project

MOST = 500
"""How many runs are taken to wait in this process, shared by their jobs: what is left, other bots may take."""

LEAST = 8
"""How many of each job may wait here, however many jobs share: one's crowd keeps no other job out."""

TAKE_BACK_EVERY_S = 5.0

log = structlog.get_logger("pinstripe")


class Intake:
    """Gives this bot's worker threads what waits in the ledger. `look` is a part of the poller's turn.

    It writes only where there is something to take.
    """

    def __init__(
        self, project: Project, ledger: Ledger, dispatcher: Dispatcher, admission: Admission, clock: Clock
    ) -> None:
        self._project = project
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._admission = admission
        self._clock = clock
        self._share = MOST  # how many runs of one job may wait here
        self._next_take_back_s = 0.0
        self._taking: set[str] = set()  # the jobs of which the next look may find more, when these have run low

    @property
    def is_taking(self) -> bool:
        """Whether a look is worth it: of a job that the last one found more of, few are left here."""
        return any(map(self._has_run_low, list(self._taking)))

    def _has_run_low(self, job: str) -> bool:
        return 2 * self._dispatcher.lanes.waiting(job) <= self._share

    def look(self) -> None:
        """Take over, of each job that has run low, half of its share."""
        self._take_back()
        now = self._clock.now()
        with self._ledger.store.reading() as connection:
            waiting = self._project.jobs.keys() & jobs_waiting(connection, now)
        self._share = max(MOST // max(len(waiting), 1), LEAST)
        low = {job for job in waiting if self._has_run_low(job)}
        taken = self._ledger.waiting.take_available(low, now, most=self._share // 2) if low else []
        self._taking = waiting - low | {run.job for run in taken}
        self._admit(taken)

    def _take_back(self) -> None:
        """Now and then: what waits for the workers of a cluster, where this project has been one and is none now."""
        now_s = self._clock.monotonic()
        if self._ledger.store.is_one_machine or now_s < self._next_take_back_s:
            return
        if left := self._ledger.carriers.take_back():
            log.info("runs_taken_back", runs=left)
        self._next_take_back_s = now_s + TAKE_BACK_EVERY_S

    def _admit(self, taken: list[Run]) -> None:
        startable = self._admission.admit(taken)
        if startable:
            log.info("runs_taken_over", runs=len(startable))
