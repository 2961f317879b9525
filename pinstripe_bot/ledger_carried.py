"""The carriers of a ledger, for one bot or worker: runs are sent, adopted, mended. Each method is a transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from pinstripe_bot import ledger_carriers, ledger_mending, ledger_sweep
from pinstripe_bot.ledger_carriers import Fetched
from pinstripe_bot.ledger_mending import Mended
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.occurrence import Run


@dataclass(frozen=True, slots=True)
class Carriers:
    """The carriers of a ledger, for one bot or worker.

    Every method raises LedgerUnavailable if the database does not answer.
    """

    _store: LedgerStore
    _taking: Callable[..., AbstractContextManager[Connection]]
    _bot: Callable[[], str]

    def send(self) -> None:
        """Send what has come to wait without a transaction of ours."""
        with self._store.working():
            pass  # the outbox does it, before the commit

    def adopt(self, fetched: Collection[Fetched], now: datetime) -> list[Run]:
        """Make those of these runs ours that nobody has and that still wait with this carrier; oldest due first.

        Nobody waits for the disk: where the server forgets it, the run cannot be started by us, and is carried again.
        """
        with self._taking(now, durable=False) as connection:
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            return ledger_sweep.read(connection, ledger_carriers.adopt(connection, fetched, worker=self._bot()))

    def mend(self, stall: timedelta) -> Mended:
        """Bring runs and carriers together again, where a process or a row is gone."""
        with self._store.working() as connection:
            requeued = ledger_mending.requeue_stalled(connection, stall)
        with self._store.working() as connection:
            reconciled = ledger_mending.reconcile(connection)
        with self._store.working() as connection:
            return Mended(requeued, reconciled, ledger_mending.cancel_ended(connection))

    def recall(self, channels: Mapping[str, str]) -> None:
        """Let what waits elsewhere than in {job: channel} be sent again, by the process that was started last."""
        with self._store.working() as connection:
            ledger_mending.recall(connection, channels, me=self._bot())

    def take_back(self) -> int:
        """Let runs wait for a bot again that a cluster has left behind, which has no worker any more; how many."""
        with self._store.reading() as connection:  # nearly always there is none
            if not ledger_mending.has_left(connection):
                return 0
        with self._store.working() as connection:
            return ledger_mending.take_back(connection)

    def prune(self, stall: timedelta) -> None:
        """Delete what is left of dead workers, and of carriers that ended an hour ago."""
        with self._store.working() as connection:
            ledger_mending.prune(connection, stall)
