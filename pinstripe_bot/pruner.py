"""The pruner: lets old rows of the ledger go, a little at a time, while no work waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import structlog

from pinstripe_bot.clock import Clock
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.ledger_prune import Keeping, pruning
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.project import Project
from pinstripe_bot.zones import EPOCH

FIRST_AFTER_S = 300.0
"""How long the clock must have been right before it is believed: a machine may begin in 1970, or in 2099."""

PASS_EVERY_S = 3600.0
WRITE_EVERY_S = 1.0
READ_FOR_S = 0.01
"""How long one look may read before it lets go of its thread."""

FOR_EVER = timedelta(days=36500)

_JUMP = timedelta(seconds=60)

log = structlog.get_logger("pinstripe")


def keeping_of(project: Project) -> Keeping:
    """How long the rows of a project's jobs are kept; those of a job whose file is broken stay until it is mended."""
    own = {job.name: job.options["retention"] for job in project.jobs.values()}
    by_job = {name: retention for name, retention in own.items() if retention is not None}
    by_job |= dict.fromkeys(project.broken_jobs, FOR_EVER)
    return Keeping(project.config.retention, by_job, tuple(one for one in project.schedules if one.enabled))


class Pruner:
    """`look` is called about every second; it writes one short transaction at most, and none while work waits."""

    def __init__(
        self, store: LedgerStore, keeping: Callable[[], Keeping], clock: Clock, *, is_idle: Callable[[], bool]
    ) -> None:
        self._store = store
        self._keeping = keeping
        self._clock = clock
        self._is_idle = is_idle
        self._clocks_apart = self._how_far_apart()
        self._next_s = clock.monotonic() + FIRST_AFTER_S
        self._steps: Iterator[int] | None = None  # of the present pass
        self._pruned = 0

    def look(self) -> None:
        """One turn. Raises LedgerUnavailable if the ledger does not answer; the pass begins anew after a while."""
        now_s = self._clock.monotonic()
        self._mistrust_jumps(now_s)
        if now_s < self._next_s or not self._is_idle():
            return
        self._next_s = now_s + WRITE_EVERY_S
        if self._steps is None:
            self._steps, self._pruned = pruning(self._store, self._keeping(), self._clock.now()), 0
        try:
            has_more = self._step(self._steps, until_s=now_s + READ_FOR_S)
        except LedgerUnavailable:
            self._wait(now_s + FIRST_AFTER_S)
            raise
        if not has_more:
            self._wait(now_s + PASS_EVERY_S)
            if self._pruned:
                log.info("ledger_pruned", rows=self._pruned)

    def _step(self, steps: Iterator[int], *, until_s: float) -> bool:
        """Read for a moment, or up to the first write; false at the end of the pass."""
        for pruned in steps:
            self._pruned += pruned
            if pruned or self._clock.monotonic() >= until_s:
                return True
        return False

    def _wait(self, until_s: float) -> None:
        self._steps = None
        self._next_s = until_s

    def _mistrust_jumps(self, now_s: float) -> None:
        """After a jump of the wall clock wait again: one that is set to 2099 by mistake must not prune everything."""
        before, self._clocks_apart = self._clocks_apart, self._how_far_apart()
        if abs(self._clocks_apart - before) > _JUMP:
            self._wait(now_s + FIRST_AFTER_S)

    def _how_far_apart(self) -> timedelta:
        """What stays the same as long as wall clock and monotonic clock agree."""
        return self._clock.now() - EPOCH - timedelta(seconds=self._clock.monotonic())
