"""The history: what the ledger tells of runs and of instants that did not run, to whoever only looks."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, select

from pinstripe_bot import ledger_residences
from pinstripe_bot.errors import UnknownRun
from pinstripe_bot.ledger_place import LedgerPlace
from pinstripe_bot.ledger_roll import read_bots
from pinstripe_bot.ledger_rows import BRIEF, error_of, from_column, run_of, tenants_zone, to_column
from pinstripe_bot.ledger_schema import attempts, occurrences, runs, schedules
from pinstripe_bot.ledger_sql import both, listed, rows_of, to_json, values_of
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.occurrence import MANUAL, Decision, Occurrence, Reason, Run, RunState
from pinstripe_bot.records import AttemptRecord, BotRecord, PassedRecord, RunRecord
from pinstripe_bot.residence import Residence

# The key is `ledger_schema.BACKFILL`.
BACKFILLED = both(
    """
    SELECT {rows} FROM runs JOIN occurrences ON occurrences.id = runs.occurrence_id
    WHERE occurrences.key = 'backfill' AND runs.id IN {ids}
    """,
    rows=listed("runs.id"),
    ids=values_of("ids", "bigint"),
)


def first_claimed(table: str, at: str) -> str:
    """The SQL of the id of the first row claimed at `at` or later, one more than the last where there is none.

    Found by halving: ids grow as time goes on, and there is no index of instants.
    """
    return f"""(
        WITH RECURSIVE halving(before, step) AS (
            SELECT CAST(0 AS bigint), CAST({2**40} AS bigint) UNION ALL
            SELECT before + CASE WHEN (
                SELECT claimed_at FROM {table} WHERE id >= before + step ORDER BY id LIMIT 1
            ) < {at} THEN step ELSE 0 END, step / 2 FROM halving WHERE step > 0
        ) SELECT before + 1 FROM halving WHERE step = 0
    )"""


FIRST_SINCE = {
    table.name: both(
        "SELECT {facts}",
        facts=listed(first_claimed(table.name, ":since"), f"(SELECT coalesce(max(id), 0) FROM {table.name})"),
    )
    for table in (runs, occurrences)
}

EACH_JOB = """
    names(job) AS (
        SELECT min(job) FROM runs UNION ALL
        SELECT (SELECT min(job) FROM runs WHERE job > names.job) FROM names WHERE names.job IS NOT NULL
    )
"""
"""The jobs that have runs: the index of jobs is asked once for each, and not walked."""

NEWEST_EACH = both(
    f"""
    WITH RECURSIVE {EACH_JOB} SELECT {{rows}} FROM (
        SELECT (SELECT max(id) FROM runs WHERE runs.job = names.job) AS id FROM names WHERE names.job IS NOT NULL
    ) AS newest
    """,
    rows=listed("id"),
)


class History:
    """Reads a ledger. Every method raises LedgerUnavailable if the database does not answer."""

    def __init__(self, store: LedgerStore) -> None:
        self.store = store

    def runs(
        self,
        job: str | None = None,
        *,
        tenant: str | None = None,
        states: Collection[RunState] = (),
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """The newest runs, newest first: of one job or of all, for one tenant, in these states, claimed `since`."""
        with self.store.reading() as connection:
            query = _newest(connection, runs, job, since, limit)
            if tenant is not None:  # no index of its own: a million runs are walked in a quarter of a second
                query = query.where(runs.c.tenant == tenant)
            if states:
                query = query.where(runs.c.state.in_(states))
            return [run_of(row) for row in connection.execute(query).mappings()]

    def passed(
        self,
        job: str | None = None,
        *,
        among: Collection[str] | None = None,
        keys: Collection[str] | None = None,
        decisions: Collection[Decision] = (Decision.MISSED, Decision.SKIPPED),
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[PassedRecord]:
        """The newest instants and stretches that did not run, newest first; of jobs `among` these, with these keys."""
        with self.store.reading() as connection:
            query = _newest(connection, occurrences, job, since, limit)
            query = query.where(occurrences.c.decision.in_(decisions), occurrences.c.schedule != MANUAL)
            if among is not None:
                query = query.where(occurrences.c.job.in_(among))
            if keys is not None:
                query = query.where(occurrences.c.key.in_(keys))
            return [passed_of(row) for row in connection.execute(query).mappings()]

    def run(self, run_id: int, now: datetime) -> RunRecord | None:
        """One run with all that surrounds it; None if there is no such run."""
        with self.store.reading() as connection:
            row = connection.execute(select(runs).where(runs.c.id == run_id)).mappings().first()
            if row is None:
                return None
            tries = select(attempts).where(attempts.c.run_id == run_id).order_by(attempts.c.attempt)
            earlier = connection.execute(tries).mappings().all()
            bots = read_bots(connection, self.store, now)
            record = record_of(row, bots, [_attempt_of(each, bots) for each in earlier])
            key = connection.scalar(select(occurrences.c.key).where(occurrences.c.id == row["occurrence_id"])) or ""
            where = tenants_zone(row["schedule"], key)
            return replace(record, is_backfill=run_id in _backfills(connection, [run_id]), zone=where)

    def newest(self, job: str, now: datetime) -> RunRecord | None:
        """The newest run of a job."""
        found = self.runs(job, limit=1)
        return self.run(found[0].id, now) if found else None

    def following(self, job: str, run_id: int, now: datetime) -> RunRecord | None:
        """The first run of a job after the run `run_id`; None if there is none yet."""
        with self.store.reading() as connection:
            is_later = (runs.c.job == job) & (runs.c.id > run_id)
            found = connection.scalar(select(runs.c.id).where(is_later).order_by(runs.c.id).limit(1))
        return None if found is None else self.run(found, now)

    def has_bot(self, now: datetime) -> bool:
        """Whether a bot lives that takes up what waits; in a cluster a worker does as well."""
        with self.store.reading() as connection:
            bots = read_bots(connection, self.store, now).values()
        return any(bot.is_alive and bot.kind != "command" for bot in bots)

    def without_bot(self, found: Collection[Run], now: datetime) -> set[int]:
        """The ids of those that stand as running, and whose bot is gone."""
        running = [run.id for run in found if run.state is RunState.RUNNING]
        if not running:
            return set()
        with self.store.reading() as connection:
            rows = connection.execute(select(runs).where(runs.c.id.in_(running))).mappings().all()
            bots = read_bots(connection, self.store, now)
        return {row["id"] for row in rows if record_of(row, bots).lost_its_bot}

    def backfills(self, found: Collection[Run]) -> set[int]:
        """The ids of those that a backfill added: nobody expected them at their due instant."""
        with self.store.reading() as connection:
            return _backfills(connection, [run.id for run in found])

    def knows(self, job: str) -> bool:
        """Whether the ledger has a run or a schedule of this job, which the project may no longer have."""
        with self.store.reading() as connection:
            has_run = connection.scalar(select(runs.c.id).where(runs.c.job == job).limit(1))
            return has_run is not None or (
                connection.scalar(select(schedules.c.id).where(schedules.c.job == job).limit(1)) is not None
            )

    def zones(self) -> set[str]:
        """The zones of tenants in which bots plan schedules that are due in each tenant's own."""
        planned = select(schedules.c.key).where(schedules.c.key != "", schedules.c.removed_at.is_(None))
        with self.store.reading() as connection:
            return set(connection.scalars(planned.distinct()))

    def residence(self, tenant: str) -> Residence | None:
        """Where a tenant lives and has lived lately, as the bots have seen it; None if they have not."""
        with self.store.reading() as connection:
            return ledger_residences.read(connection, [tenant]).get(tenant)

    def last_runs(self) -> dict[str, Run]:
        """{job: its newest run}."""
        with self.store.reading() as connection:
            return _last_runs(connection)


def _newest(connection: Connection, table: Table, job: str | None, since: datetime | None, limit: int) -> Select[Any]:
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    if job is not None:
        query = query.where(table.c.job == job)
    return query if since is None else query.where(table.c.id >= first_since(connection, table, since))


def first_since(connection: Connection, table: Table, since: datetime, *, among: int | None = None) -> int:
    """The id of the first row claimed `since`; `among` so many of the newest rows, where that is given.

    A clock that was set back may let in some rows from before, or leave out some from after it.
    """
    ((first, last),) = rows_of(connection, FIRST_SINCE[table.name], since=to_column(since))
    return int(first if among is None else max(first, last - among + 1))


def record_of(
    row: Mapping[Any, Any], bots: Mapping[str, BotRecord], earlier: Collection[AttemptRecord] = ()
) -> RunRecord:
    """A run from its row, with its bot and its earlier attempts."""
    available_at = from_column(row["available_at"])
    assert available_at is not None
    done, bot = row["progress_done"], bots.get(row["owner"])
    queue = row["queue"] if row["carrier"] is not None else ""
    return RunRecord(
        run=run_of(row),
        available_at=available_at,
        is_in_turn=bool(row["in_turn"]),
        lingers=bool(row["lingers"]) and (row["owner"] is None or (bot is not None and bot.is_alive)),
        progress=None if done is None else (done, row["progress_total"]),
        cancel_requested_at=from_column(row["cancel_requested_at"]),
        cancelled_by=row["cancelled_by"],
        bot=bot,
        attempts=tuple(earlier),
        queue=queue,
        is_served=bool(queue) and any(one.serves(queue) for one in bots.values()),
    )


def _backfills(connection: Connection, run_ids: Collection[int]) -> set[int]:
    return set(rows_of(connection, BACKFILLED, ids=to_json(list(run_ids))))


def _attempt_of(row: Mapping[Any, Any], bots: Mapping[str, BotRecord]) -> AttemptRecord:
    return AttemptRecord(
        attempt=row["attempt"],
        state=RunState(row["state"]),
        reason=Reason(row["reason"]) if row["reason"] else None,
        started_at=from_column(row["started_at"]),
        finished_at=from_column(row["finished_at"]),
        error=error_of(row["error"]),
        output=row["output"] or "",
        bot=bots.get(row["owner"]),
    )


def passed_of(row: Mapping[Any, Any]) -> PassedRecord:
    """An instant or a stretch that did not run, from its row."""
    due_at, decided_at = from_column(row["due_at"]), from_column(row["claimed_at"])
    assert due_at is not None
    assert decided_at is not None
    occurrence = Occurrence(
        job=row["job"],
        schedule=row["schedule"],
        due_at=due_at,
        decision=Decision(row["decision"]),
        reason=Reason(row["reason"]) if row["reason"] else None,
        until_at=from_column(row["until_at"]),
        count=row["count"],
    )
    return PassedRecord(occurrence, decided_at)


def _last_runs(connection: Connection) -> dict[str, Run]:
    newest = rows_of(connection, NEWEST_EACH)
    rows = connection.execute(select(*BRIEF).where(runs.c.id.in_(newest))).mappings()
    return {row["job"]: run_of(row) for row in rows}


def find_run(history: History | None, written: str, now: datetime) -> RunRecord:
    """The run of this number. Raises UnknownRun."""
    if not (written.isascii() and written.isdigit()):
        raise UnknownRun(f"{written!r} is no number of a run: `pinstripe runs` lists them")
    if history is None:
        raise UnknownRun(f"there is no run {written}, and no ledger yet: `pinstripe start-server` starts the bot")
    record = history.run(int(written), now) if len(written) < 19 else None
    if record is None:
        raise UnknownRun(f"there is no run {written} in the ledger: `pinstripe runs` lists the newest")
    return record


@contextlib.contextmanager
def open_history(place: LedgerPlace) -> Iterator[History | None]:
    """The history of a ledger that may be in use; None if there is no ledger yet."""
    store = place.store()
    if not store.open_for_reading():
        store.close()
        yield None
        return
    try:
        yield History(store)
    finally:
        store.close()
