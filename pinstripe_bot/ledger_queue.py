"""Runs that a program enqueues: written at once, or as a part of the caller's own transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import URL, Connection, select, text, update

from pinstripe_bot.database import Database
from pinstripe_bot.ledger_manual import record_manual, record_manual_listing
from pinstripe_bot.ledger_postgres import FROZEN_S, SCHEMA, WRITER_LOCK
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_schema import OPEN, occurrences, runs
from pinstripe_bot.occurrence import Decision, Reason, Run, RunState
from pinstripe_bot.policies import Overlap


@dataclass(frozen=True, slots=True)
class Wish:
    """A run that is to be enqueued, checked; it may start at `available_at`, and may be one `for_all` tenants."""

    run: Run
    params_json: str
    params_key: str
    overlap: Overlap
    available_at: datetime
    is_for_all: bool = False

    def write(self, connection: Connection, *, bot: str) -> Run:
        """Write it as a run that waits for a bot, or as skipped where its work is open; `bot` is who asks."""
        if self.is_for_all:
            facts = (self.params_json, self.params_key)
            record_manual_listing(
                connection, self.run, *facts, overlap=self.overlap, bot=bot, available_at=self.available_at
            )
            return self.run
        return record_manual(
            connection,
            self.run,
            self.params_json,
            self.params_key,
            bot=bot,
            owner=None,
            ignore_overlap=self.overlap is Overlap.ALLOW,
            available_at=self.available_at,
            waits_in_turn=self.overlap is Overlap.QUEUE,
        )


def join(database: Database, wish: Wish, *, bot: str, then: Callable[[], None]) -> Run:
    """Write a wish on the connection of the caller's transaction, which is in the ledger's database.

    It commits, or rolls back, with everything else in it; `then` is called after the commit. The writer's lock is
    taken for the commit alone: held from now on it would stop every bot until the caller is done.
    """

    def write(connection: Connection) -> Run:
        with in_ledger(connection):
            return wish.write(connection, bot=bot)

    def settle(connection: Connection, run: Run) -> None:
        if wish.is_for_all or wish.overlap is Overlap.ALLOW or not run.state.is_open:
            return
        with in_ledger(connection):
            lock_writer(connection)
            _compare(connection, wish, run)

    return database.join(write, settle, then)


@contextmanager
def in_ledger(connection: Connection) -> Iterator[None]:
    """Let the names of tables mean the ledger's, in the role that a connection begins with.

    After an error the transaction is lost, and all that with it.
    """
    settings = "SELECT current_setting('search_path'), current_setting('role')"
    path, role = connection.exec_driver_sql(settings).one()
    set_path = text("SELECT set_config('search_path', :path, true)")
    connection.execute(set_path, {"path": SCHEMA})
    if role != "none":
        connection.exec_driver_sql("SET LOCAL role TO DEFAULT")
    yield
    connection.execute(set_path, {"path": path})
    if role != "none":
        connection.execute(text("SELECT set_config('role', :role, true)"), {"role": role})


def lock_writer(connection: Connection) -> None:
    """Take the writer's lock for what is left of the caller's transaction; if that stands still, the server ends it."""
    frozen = f"SELECT set_config('idle_in_transaction_session_timeout', '{FROZEN_S}s', true)"
    connection.exec_driver_sql("{}, pg_advisory_xact_lock({}, {})".format(frozen, *WRITER_LOCK))


def _compare(connection: Connection, wish: Wish, run: Run) -> None:
    """Let a run pass as skipped whose work was claimed by somebody else while its transaction was open."""
    is_same = (
        runs.c.job == run.job,
        runs.c.params_key == wish.params_key,
        runs.c.tenant == run.tenant,
        runs.c.id != run.id,
    )
    busy = select(runs.c.id).where(text(OPEN), *is_same)
    if wish.overlap is Overlap.QUEUE:
        busy = busy.where(runs.c.in_turn == 1, runs.c.state == RunState.QUEUED)
    if connection.scalar(busy.limit(1)) is None:
        return
    occurrence = select(runs.c.occurrence_id).where(runs.c.id == run.id).scalar_subquery()
    passed = {"decision": Decision.SKIPPED, "reason": Reason.OVERLAP}
    connection.execute(update(occurrences).where(occurrences.c.id == occurrence).values(passed))
    ended = {"state": RunState.SKIPPED, "reason": Reason.OVERLAP, "finished_at": to_column(run.claimed_at)}
    connection.execute(update(runs).where(runs.c.id == run.id).values(ended))


def is_same_database(ledger: URL, database: URL) -> bool:
    """Whether a ledger is kept in this very database, reached as the same user."""
    return ledger.get_backend_name() == "postgresql" and _place(ledger) == _place(database)


def _place(url: URL) -> tuple[object, ...]:
    return (url.get_backend_name(), url.username, url.host or url.query.get("host"), url.port or 5432, url.database)
