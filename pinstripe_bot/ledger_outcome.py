"""The outcome of a run as a part of its own transaction, in a database that holds the ledger too."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pinstripe_bot import ledger_runs, ledger_sweep
from pinstripe_bot.database import Database
from pinstripe_bot.errors import RunCancelled
from pinstripe_bot.ledger_queue import in_ledger, lock_writer
from pinstripe_bot.ledger_rows import outcome_row
from pinstripe_bot.ledger_sql import execute, to_json
from pinstripe_bot.occurrence import Run, RunState

ENDED_BY_OTHERS = "somebody else has ended this run: nothing of it is committed"

_FIT = ("read committed", "off")
"""The isolation of a transaction that may have an outcome in it, and whether it only reads."""


def join_outcome(database: Database, outcome: Run, *, owner: str) -> None:
    """Let the transaction of an atomic run end with its outcome, which commits or rolls back with the run's work.

    Just before the commit, under the writer's lock: whoever buries the runs of a dead bot has done so by then, or finds
    this one ended. A run that is not running any more, or not its `owner`'s, raises RunCancelled there. A transaction
    whose job has made it read-only, or one that does not see what others commit, is left as it is.
    """

    def look(connection: Connection) -> bool:
        kind = "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"
        return tuple(connection.exec_driver_sql(kind).one()) == _FIT

    def write(connection: Connection, is_fit: bool) -> None:
        if not is_fit:
            return
        with in_ledger(connection):
            lock_writer(connection)
            row = to_json([outcome_row(outcome)])
            written = execute(connection, ledger_runs.END, outcomes=row, was=RunState.RUNNING, bot=owner)
            if written.rowcount != 1:
                raise RunCancelled(ENDED_BY_OTHERS)

    database.join(look, write, lambda: None)


def kept_outcome(connection: Connection, run: Run, finished_at: datetime) -> Run | None:
    """The run, if its own commit has ended it, in this attempt and at this instant."""
    ended = (run.attempt, RunState.SUCCEEDED, finished_at)
    found = ledger_sweep.read(connection, [run.id])
    return next((one for one in found if (one.attempt, one.state, one.finished_at) == ended), None)
