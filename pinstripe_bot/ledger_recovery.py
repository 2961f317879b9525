"""Recovery: a damaged ledger's file is moved aside, loudly, so that a new ledger can begin."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import structlog

from pinstripe_bot.bot_lock import is_held
from pinstripe_bot.errors import LedgerDamaged, LedgerError
from pinstripe_bot.ledger_sqlite import SqliteStore
from pinstripe_bot.ledger_store import LedgerStore

log = structlog.get_logger("pinstripe")


def check_whole_file(store: LedgerStore) -> None:
    """Look for damage also in a file that is too large to be looked through at every start. Raises LedgerDamaged."""
    if not isinstance(store, SqliteStore):
        return
    with store.reading() as connection:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise LedgerDamaged(f"the ledger {store.path} is damaged ({' '.join(str(found).split())})")


def move_damaged_aside(store: LedgerStore, locks: Path, now: datetime) -> None:
    """Rename the file of a closed store. Raises LedgerError while another bot uses it."""
    assert isinstance(store, SqliteStore), "only a file can be damaged"
    if any(is_held(lock) for lock in locks.glob("*.lock")):
        raise LedgerError(f"the damaged ledger {store.path} is in use by another bot: stop that one first")
    moved_to = store.move_aside(f"damaged-{now:%Y%m%dT%H%M%SZ}")
    log.error("ledger_recovered", place=store.place, moved_to=str(moved_to))
