"""The clock of a bot beside the database's, which all who share a ledger have: said when they differ."""

from __future__ import annotations

from datetime import timedelta

import structlog

from pinstripe_bot.clock import Clock
from pinstripe_bot.ledger_rows import from_column
from pinstripe_bot.ledger_sql import database_now
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.records import CLOCK_TOLERANCE

log = structlog.get_logger("pinstripe")


class LedgerClock:
    """Compares; due instants are a bot's own, so that one whose clock is off runs its jobs too early or too late."""

    def __init__(self, store: LedgerStore, clock: Clock) -> None:
        self.offset: timedelta | None = None  # how far the bot's clock is ahead, where that was asked
        self._store = store
        self._clock = clock
        self._told: timedelta | None = None  # the offset that was said last, while they differ

    @property
    def stats(self) -> dict[str, int]:
        """What the heartbeat tells of it."""
        return {} if self.offset is None else {"clock_offset_ms": round(self.offset / timedelta(milliseconds=1))}

    def compare(self) -> None:
        """Ask the database what time it is; nothing where the ledger is one machine's, and its clock the bot's own.

        The answer is taken for the middle of the time that it took. Raises LedgerUnavailable.
        """
        if self._store.is_one_machine:
            return
        with self._store.working() as connection:  # on a connection that is there, and is closed in its turn
            asked_at = self._clock.now()
            database_at = from_column(database_now(connection, 0))
            took = max(self._clock.now() - asked_at, timedelta(0))
        assert database_at is not None
        self.offset = asked_at + took / 2 - database_at
        self._tell(self.offset, uncertain=took / 2)

    def _tell(self, offset: timedelta, *, uncertain: timedelta) -> None:
        """Say that they differ when that begins and whenever it has grown, and once that they agree again."""
        off, told = abs(offset), self._told
        if off - uncertain > CLOCK_TOLERANCE and (told is None or off - uncertain > abs(told) + CLOCK_TOLERANCE):
            log.warning("clock_differs", offset_s=round(offset.total_seconds(), 3))
            self._told = offset
        elif told is not None and off <= CLOCK_TOLERANCE:
            log.info("clock_agrees", offset_s=round(offset.total_seconds(), 3))
            self._told = None
