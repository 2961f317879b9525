"""The life of a run in the ledger: started, ended, released, and what it says meanwhile. Steps of a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from pinstripe_bot.ledger_schema import to_column, to_json, values_of_outcome
from pinstripe_bot.occurrence import Run, RunState

# Plain SQL, not text(): of the statements here this one runs in small groups, where text() costs as much as SQLite.
START = """
    UPDATE runs SET state = 'running', started_at = ?
    WHERE id IN (SELECT value FROM json_each(?)) AND state = 'queued' AND owner = ?
    RETURNING id
"""

END = text(
    """
    UPDATE runs
    SET state = json_extract(outcome.value, '$.state'), reason = json_extract(outcome.value, '$.reason'),
        finished_at = json_extract(outcome.value, '$.finished_at'),
        error = json_extract(outcome.value, '$.error'), result = json_extract(outcome.value, '$.result'),
        output = json_extract(outcome.value, '$.output')
    FROM json_each(:rows) AS outcome
    WHERE runs.id = json_extract(outcome.value, '$.id') AND runs.state = :was
      AND runs.attempt = json_extract(outcome.value, '$.attempt')
    RETURNING runs.id
    """
)

RELEASE = text(
    """
    UPDATE runs SET state = 'queued', owner = NULL, started_at = NULL
    WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('queued', 'running') AND owner = :bot
    """
)

PROGRESS = "UPDATE runs SET progress_done = ?, progress_total = ? WHERE id = ? AND state = 'running'"


def start(connection: Connection, group: Sequence[Run], *, bot: str, now: datetime) -> set[int]:
    """Mark queued runs of `bot` as running; the ids of those that were still its own."""
    ids = to_json([run.id for run in group])
    return {row_id for (row_id,) in connection.exec_driver_sql(START, (to_column(now), ids, bot))}


def end(connection: Connection, ended: Sequence[Run], *, was: RunState) -> set[int]:
    """Write how runs ended that are in state `was`; the ids of those written. Of two ends of a run the first counts."""
    first = {run.id: run for run in reversed(ended)}
    rows = to_json([values_of_outcome(run) for run in first.values()])
    return {row_id for (row_id,) in connection.execute(END, {"rows": rows, "was": was})}


def release(connection: Connection, unstarted: Sequence[Run], *, bot: str) -> None:
    """Queue runs of `bot` for whoever comes next."""
    connection.execute(RELEASE, {"ids": to_json([run.id for run in unstarted]), "bot": bot})


def note_progress(connection: Connection, progress: Mapping[int, tuple[int, int | None]]) -> None:
    """Write the progress {run: (done, total)} of running runs."""
    rows = [(done, total, run_id) for run_id, (done, total) in progress.items()]
    if rows:
        connection.exec_driver_sql(PROGRESS, rows)
