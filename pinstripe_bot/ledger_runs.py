"""The life of a run in the ledger: started, ended, released, and what it says meanwhile. Steps of a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from pinstripe_bot.ledger_schema import rows_of, to_column, to_json, values_of_outcome
from pinstripe_bot.occurrence import Run, RunState

STARTABLE = """
    SELECT json_group_array(id) FROM runs
    WHERE id IN (SELECT value FROM json_each(?)) AND state = 'queued' AND owner = ?
"""

START = "UPDATE runs SET state = 'running', started_at = ? WHERE id IN (SELECT value FROM json_each(?))"

IN_STATE = """
    SELECT json_group_array(runs.id) FROM json_each(?) AS outcome
    JOIN runs ON runs.id = json_extract(outcome.value, '$.id')
     AND runs.attempt = json_extract(outcome.value, '$.attempt') AND runs.state = ?
"""

END = """
    UPDATE runs
    SET state = json_extract(outcome.value, '$.state'), reason = json_extract(outcome.value, '$.reason'),
        finished_at = json_extract(outcome.value, '$.finished_at'),
        error = json_extract(outcome.value, '$.error'), result = json_extract(outcome.value, '$.result'),
        output = json_extract(outcome.value, '$.output')
    FROM json_each(?) AS outcome
    WHERE runs.id = json_extract(outcome.value, '$.id') AND runs.state = ?
      AND runs.attempt = json_extract(outcome.value, '$.attempt')
"""

RELEASE = text(
    """
    UPDATE runs SET state = 'queued', owner = NULL, started_at = NULL
    WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('queued', 'running') AND owner = :bot
    """
)

PROGRESS = "UPDATE runs SET progress_done = ?, progress_total = ? WHERE id = ? AND state = 'running'"


def start(connection: Connection, group: Sequence[Run], *, bot: str, now: datetime) -> set[int]:
    """Mark queued runs of `bot` as running; the ids of those that were still its own."""
    # Asked before, not after: a run that was started a moment ago looks as if it had just been started.
    startable = rows_of(connection, STARTABLE, (to_json([run.id for run in group]), bot))
    connection.exec_driver_sql(START, (to_column(now), to_json(startable)))
    return set(startable)


def end(connection: Connection, ended: Sequence[Run], *, was: RunState) -> set[int]:
    """Write how runs ended that are in state `was`; the ids of those written. Of two ends of a run the first counts."""
    first = {run.id: run for run in reversed(ended)}
    parameters = (to_json([values_of_outcome(run) for run in first.values()]), was)
    written = set(rows_of(connection, IN_STATE, parameters))
    connection.exec_driver_sql(END, parameters)
    return written


def release(connection: Connection, unstarted: Sequence[Run], *, bot: str) -> None:
    """Queue runs of `bot` for whoever comes next."""
    connection.execute(RELEASE, {"ids": to_json([run.id for run in unstarted]), "bot": bot})


def note_progress(connection: Connection, progress: Mapping[int, tuple[int, int | None]]) -> None:
    """Write the progress {run: (done, total)} of running runs."""
    rows = [(done, total, run_id) for run_id, (done, total) in progress.items()]
    if rows:
        connection.exec_driver_sql(PROGRESS, rows)
