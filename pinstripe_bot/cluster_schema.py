"""The tables of Procrastinate, in a schema of their own: made, brought up to date, and checked at each start."""

from __future__ import annotations

from dataclasses import dataclass

import procrastinate
from procrastinate.schema import SchemaManager, migrations_path

from pinstripe_bot.errors import LedgerError
from pinstripe_bot.ledger_cluster import Script, installed, run_script
from pinstripe_bot.ledger_store import LedgerStore

COMMAND = "pinstripe init-cluster"


@dataclass(frozen=True, slots=True)
class Initialized:
    """What `init_cluster` did: whether it made the tables, and which migrations it applied to those that were there."""

    is_new: bool
    applied: tuple[str, ...]


def init_cluster(store: LedgerStore) -> Initialized:
    """Make the tables of Procrastinate beside an open ledger, or bring older ones up to date; harmless when repeated.

    Each script is a transaction of its own: where one fails, those before it stay, and the next try goes on from there.
    """
    ours = _migrations()
    whole = Script(SchemaManager.get_schema(), tuple(ours), procrastinate.__version__)
    known = _installed(store)
    if known is None and run_script(store, whole, is_first=True):
        return Initialized(is_new=True, applied=())
    known = known or _installed(store) or {}  # somebody else may have made them just now
    _refuse_newer(store, known)
    missing = [name for name in ours if name not in known]
    applied = [name for name in missing if run_script(store, _migration(name), is_first=False)]
    return Initialized(is_new=False, applied=tuple(applied))


def check_cluster(store: LedgerStore) -> None:
    """Raise LedgerError, with what to do, where the tables are missing or are not those of the installed library."""
    known = _installed(store)
    if known is None:
        raise LedgerError(f"the database {store.place} has no tables for a cluster yet: run `{COMMAND}` once")
    _refuse_newer(store, known)
    if not known.keys() >= set(_migrations()):
        raise LedgerError(
            f"the tables for a cluster in {store.place} are older than the installed Procrastinate"
            f" {procrastinate.__version__}: stop the bots and workers, and run `{COMMAND}`"
        )


def _installed(store: LedgerStore) -> dict[str, str] | None:
    with store.reading() as connection:
        return installed(connection)


def _refuse_newer(store: LedgerStore, known: dict[str, str]) -> None:
    newer = known.keys() - set(_migrations())
    if newer:
        version = max(known[name] for name in newer)
        raise LedgerError(
            f"the tables for a cluster in {store.place} are those of Procrastinate {version}, newer than the installed"
            f" {procrastinate.__version__}: install the newer pinstripe-bot[cluster]"
        )


def _migration(name: str) -> Script:
    return Script((migrations_path / name).read_text(encoding="utf-8"), (name,), procrastinate.__version__)


def _migrations() -> list[str]:
    """The names of all scripts that the installed library's tables are made of, in their order."""
    return sorted(path.name for path in migrations_path.glob("*.sql"))
