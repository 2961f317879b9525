"""The life of a run in the ledger: started, ended, tried again, released. Steps of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from pinstripe_bot.ledger_rows import outcome_row, to_column
from pinstripe_bot.ledger_schema import OPEN
from pinstripe_bot.ledger_sql import (
    Statement,
    both,
    execute,
    given,
    listed,
    locked,
    rows_of,
    to_json,
    values_of,
)
from pinstripe_bot.occurrence import Run, RunState

IDS = values_of("ids", "bigint")

LOCKED_IDS = Statement(IDS.sqlite, f"(SELECT id FROM runs WHERE id IN {IDS.postgres} ORDER BY id FOR UPDATE)")
"""The same, locked in their order."""

GROUP = given("group", id="bigint", attempt="integer")

# A run that is `running` already and is to be started was started by a commit whose answer was lost.
START = both(
    """
    UPDATE runs SET state = 'running', started_at = :now FROM {group} AS wanted
    WHERE runs.id = wanted.id AND runs.attempt = wanted.attempt
      AND runs.state IN ('queued', 'running') AND runs.owner = :bot
    """,
    group=locked("runs", GROUP),
)

STARTED = both(
    """
    SELECT {rows} FROM runs JOIN {group} AS wanted ON runs.id = wanted.id AND runs.attempt = wanted.attempt
    WHERE runs.state = 'running' AND runs.owner = :bot
    """,
    rows=listed("runs.id"),
    group=GROUP,
)

OUTCOMES = given(
    "outcomes",
    id="bigint",
    attempt="integer",
    state="text",
    reason="text",
    finished_at="bigint",
    error="text",
    result="text",
    output="text",
)

END = both(
    """
    UPDATE runs
    SET state = outcome.state, reason = outcome.reason, finished_at = outcome.finished_at, error = outcome.error,
        result = outcome.result, output = outcome.output
    FROM {outcomes} AS outcome
    WHERE runs.id = outcome.id AND runs.attempt = outcome.attempt AND runs.state = :was AND runs.owner = :bot
    """,
    outcomes=locked("runs", OUTCOMES),
)

# One that has ended just so, in this attempt or before a retry, was written here, by a commit whose answer was lost, or
# together with its work.
ENDED = both(
    """
    SELECT {rows} FROM {outcomes} AS outcome
    JOIN runs ON runs.id = outcome.id
    LEFT JOIN attempts ON attempts.run_id = outcome.id AND attempts.attempt = outcome.attempt
    WHERE (runs.attempt = outcome.attempt AND runs.state = outcome.state AND runs.finished_at = outcome.finished_at)
       OR (attempts.state = outcome.state AND attempts.finished_at = outcome.finished_at)
    """,
    rows=listed("outcome.id", "outcome.attempt"),
    outcomes=OUTCOMES,
)

# What a run has printed after its own commit had ended it.
ADD_OUTPUT = both(
    """
    UPDATE runs SET output = outcome.output
    FROM {outcomes} AS outcome
    WHERE runs.id = outcome.id AND runs.attempt = outcome.attempt AND runs.state = outcome.state
      AND runs.finished_at = outcome.finished_at AND runs.owner = :bot
      AND coalesce(runs.output, '') <> coalesce(outcome.output, '')
    """,
    outcomes=OUTCOMES,
)

RETRIES = given("retries", id="bigint", attempt="integer", available_at="bigint")

KEEP_ATTEMPTS = both(
    """
    INSERT INTO attempts (run_id, attempt, state, reason, owner, started_at, finished_at, error, output)
    SELECT runs.id, runs.attempt, state, reason, owner, started_at, finished_at, error, output
    FROM runs JOIN {retries} AS retry ON runs.id = retry.id AND runs.attempt = retry.attempt
    """,
    retries=RETRIES,
)

REQUEUE = both(
    """
    UPDATE runs
    SET state = 'queued', attempt = runs.attempt + 1, available_at = retry.available_at, owner = NULL, carrier = NULL,
        reason = NULL, started_at = NULL, finished_at = NULL, error = NULL, result = NULL, output = NULL,
        progress_done = NULL, progress_total = NULL, cancel_requested_at = NULL, cancelled_by = NULL
    FROM {retries} AS retry WHERE runs.id = retry.id AND runs.attempt = retry.attempt
    """,
    retries=RETRIES,
)

CANCEL_WISHED = both(
    "SELECT {rows} FROM runs WHERE id IN {ids} AND cancel_requested_at IS NOT NULL", rows=listed("id"), ids=IDS
)

LINGER = both("UPDATE runs SET lingers = :lingers WHERE id IN {ids}", ids=LOCKED_IDS)

RELEASE = both(
    """
    UPDATE runs SET state = 'queued', owner = NULL, carrier = NULL, started_at = NULL FROM {group} AS wanted
    WHERE runs.id = wanted.id AND runs.attempt = wanted.attempt
      AND runs.state IN ('queued', 'running') AND runs.owner = :bot
    """,
    group=locked("runs", GROUP),
)

SAY = both(
    """
    UPDATE runs SET progress_done = said.done, progress_total = said.total, output = coalesce(said.output, runs.output)
    FROM {said} AS said WHERE runs.id = said.id AND runs.attempt = said.attempt AND runs.state = 'running'
    """,
    said=locked("runs", given("said", id="bigint", attempt="integer", done="bigint", total="bigint", output="text")),
)

OWNED = both("SELECT count(*) FROM runs WHERE id = :id AND attempt = :attempt AND state = 'running' AND owner = :bot")

CANCEL_ASKED = both(
    f"""
    SELECT {{rows}} FROM runs
    WHERE {OPEN} AND state = 'running' AND owner = :bot AND cancel_requested_at IS NOT NULL
    """,
    rows=listed("id", "attempt"),
)

OWN = both(f"SELECT {{rows}} FROM runs WHERE {OPEN} AND lingers = 0 AND owner = :bot", rows=listed("id"))


def start(connection: Connection, group: Sequence[Run], *, bot: str, now: datetime) -> set[int]:
    """Mark queued runs of `bot` as running; the ids of those that were still its own."""
    rows = to_json([(run.id, run.attempt) for run in group])
    if execute(connection, START, group=rows, bot=bot, now=to_column(now)).rowcount == len(group):
        return {run.id for run in group}
    return set(rows_of(connection, STARTED, group=rows, bot=bot))


def end(connection: Connection, ended: Sequence[Run], *, was: RunState, bot: str) -> list[Run]:
    """Write how runs of `bot` ended that are in state `was`; those written. Of two ends of a run the first counts."""
    first = {(run.id, run.attempt): run for run in reversed(ended)}
    outcomes = to_json([outcome_row(run) for run in first.values()])
    if execute(connection, END, outcomes=outcomes, was=was, bot=bot).rowcount == len(first):
        return list(first.values())
    execute(connection, ADD_OUTPUT, outcomes=outcomes, bot=bot)
    return [first[run_id, attempt] for run_id, attempt in rows_of(connection, ENDED, outcomes=outcomes)]


def retry(connection: Connection, ended: Iterable[Run]) -> None:
    """Queue those of these runs again that have a `retry_at`; what became of this attempt is kept in `attempts`."""
    rows = [(run.id, run.attempt, to_column(run.retry_at)) for run in ended if run.retry_at is not None]
    if rows:
        execute(connection, KEEP_ATTEMPTS, retries=to_json(rows))
        execute(connection, REQUEUE, retries=to_json(rows))


def retry_unless_cancelled(connection: Connection, ended: Sequence[Run]) -> None:
    """As `retry`, of those with a `retry_at` that nobody wants cancelled."""
    again = [run for run in ended if run.retry_at is not None]
    if again:
        wished = wished_cancelled(connection, again)
        retry(connection, [run for run in again if run.id not in wished])


def wished_cancelled(connection: Connection, asked: Sequence[Run]) -> set[int]:
    """Which of these runs a person wants cancelled."""
    return set(rows_of(connection, CANCEL_WISHED, ids=to_json([run.id for run in asked])))


def linger(connection: Connection, run_ids: Collection[int], *, lingers: bool) -> None:
    """Note that the threads of runs whose end is recorded go on, or no longer do."""
    if run_ids:
        execute(connection, LINGER, lingers=int(lingers), ids=to_json(sorted(run_ids)))


def release(connection: Connection, unstarted: Sequence[Run], *, bot: str) -> None:
    """Queue runs of `bot` for whoever comes next."""
    execute(connection, RELEASE, group=to_json([(run.id, run.attempt) for run in unstarted]), bot=bot)


def note_said(connection: Connection, said: Sequence[tuple[int, int, int | None, int | None, str | None]]) -> None:
    """Write what running runs say: (run, attempt, done, total, its output so far or None for no news)."""
    if said:
        execute(connection, SAY, said=to_json(said))


def is_owned(connection: Connection, run: Run, *, bot: str) -> bool:
    """Whether a run is still running and this bot's, in this very attempt."""
    return bool(execute(connection, OWNED, id=run.id, attempt=run.attempt, bot=bot).scalar_one())


def own_ids(connection: Connection, *, bot: str) -> list[int]:
    """The runs that are queued or running at `bot`."""
    found: list[int] = rows_of(connection, OWN, bot=bot)
    return found


def asked_to_cancel(connection: Connection, *, bot: str) -> list[tuple[int, int]]:
    """(run, attempt) of those running at `bot` that a person wants cancelled."""
    return [(run_id, attempt) for run_id, attempt in rows_of(connection, CANCEL_ASKED, bot=bot)]
