"""What waits in the ledger for a bot: runs that nobody has, its own that it has lost sight of, wishes to cancel."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pinstripe_bot import ledger_runs, ledger_sweep, ledger_taking
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.occurrence import Run


@dataclass(frozen=True, slots=True)
class Waiting:
    """Looks, and takes over, for one bot. Every method raises LedgerUnavailable if the database does not answer."""

    _store: LedgerStore
    _taking: Callable[[datetime], AbstractContextManager[Connection]]
    _bot: Callable[[], str]

    def take_available(self, jobs: Collection[str], now: datetime, *, most: int) -> list[Run]:
        """Take over runs that nobody has and whose time and turn have come, `most` of each job; oldest due first.

        Waits for no other bot that does the same: what that one is taking is left to it.
        """
        with self._store.reading() as connection:  # nearly always there is none: wait for nobody to find that out
            if not ledger_taking.available(connection, jobs, now=now, most=1):
                return []
        with self._taking(now) as connection:
            taken = ledger_taking.take_available(connection, jobs, bot=self._bot(), now=now, most=most)
            return ledger_sweep.read(connection, taken)

    def take_removed(self, known: Collection[str]) -> list[Run]:
        """Take over every run that nobody has of a job that is not `known`."""
        with self._store.writing() as connection:
            found = ledger_taking.of_unknown_jobs(connection, known)
            return ledger_sweep.adopt(connection, found, bot=self._bot())

    def own_runs(self, besides: Collection[int]) -> list[Run]:
        """The runs that are queued or running at this bot, but for those whose ids are given; only a look."""
        with self._store.reading() as connection:
            unknown = [run_id for run_id in ledger_runs.own_ids(connection, bot=self._bot()) if run_id not in besides]
            return ledger_sweep.read(connection, unknown) if unknown else []

    def asked_to_cancel(self) -> list[tuple[int, int]]:
        """(run, attempt) of those running here that a person wants cancelled; only a look."""
        with self._store.reading() as connection:
            return ledger_runs.asked_to_cancel(connection, bot=self._bot())

    def wished_cancelled(self, ended: Sequence[Run]) -> set[int]:
        """Which of these runs, that have ended here, a person wants cancelled; only a look."""
        with self._store.reading() as connection:
            return ledger_runs.wished_cancelled(connection, ended)
