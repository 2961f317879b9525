"""The readiness: whether the ledger answers, the workers are free and the ticks go on; and if not, why."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from pinstripe_bot.clock import Clock
from pinstripe_bot.dispatcher import Dispatcher
from pinstripe_bot.ledger_trouble import LedgerTrouble
from pinstripe_bot.tick_clock import TickClock

HELD_AFTER = timedelta(minutes=1)


class Readiness:
    """Asked by the health routes, in the server's thread: it takes no lock and asks no database."""

    def __init__(self, ticks: TickClock, ledger: LedgerTrouble, dispatcher: Dispatcher, clock: Clock) -> None:
        self._ticks = ticks
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._clock = clock

    def reasons_not_alive(self) -> list[str]:
        """Why the process should be started again: the loop has stood still. Empty while it lives."""
        stuck_s = self._ticks.stuck_s()
        return [] if stuck_s is None else [f"the last tick was {stuck_s:.0f} s ago"]

    def reasons_not_ready(self) -> list[str]:
        """Why the bot cannot do its work now. Empty while it can."""
        return [*self.reasons_not_alive(), *self._of_ledger(), *self._of_workers()]

    def _of_ledger(self) -> list[str]:
        reasons = [] if self._ledger.error is None else [self._ledger.error]
        return [*reasons, "outcomes wait for the ledger"] if self._dispatcher.is_behind else reasons

    def _of_workers(self) -> list[str]:
        reasons = []
        held = self._dispatcher.running.held_since(self._clock.now() - HELD_AFTER)
        if len(held) >= self._dispatcher.workers:
            reasons.append(f"all workers are held for more than a minute, by {_counted(held)}")
        lingering = self._dispatcher.running.lingering
        if lingering.is_full:
            jobs = _counted(lingering.jobs)
            reasons.append(f"{len(lingering)} runs do not end although their time is over, and no more can: {jobs}")
        return reasons


def _counted(jobs: list[str]) -> str:
    """Each name once: "hang (3 runs), sweep"."""
    runs = Counter(jobs)
    return ", ".join(f"{job} ({count} runs)" if count > 1 else job for job, count in runs.items())
