"""Pruning: rows that are older than `retention` go, in small steps, each day of a job summed up before its first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from pinstripe_bot.day_figures import Day, DayFigures
from pinstripe_bot.ledger_days import (
    CLOCKS_APART,
    DAY_AT,
    JobDay,
    has_open_runs,
    is_summed,
    sum_up,
    undecided_from,
    write_days,
)
from pinstripe_bot.ledger_rows import from_column, to_column
from pinstripe_bot.ledger_schema import OPEN
from pinstripe_bot.ledger_sql import both, execute, listed, rows_of, to_json, values_of
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.ledger_tidy import tidy
from pinstripe_bot.schedule import Schedule

CHUNK = 250
"""How many occurrences, or runs of one, a transaction prunes at most: about 500 rows, 4 ms."""

DAYS_AT_ONCE = 50
"""How many days are summed up before their figures are written."""

NEWEST = 60
"""How many runs of a job and tenant stay, however old."""

DAYS_KEPT = timedelta(days=400)

# Occurrences with their runs, oldest decided first, from a place on.
WALK = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT decided.id AS occurrence, decided.job AS job, decided.day_at AS day_at, decided.aged_at AS aged_at,
               decided.bot AS bot, runs.id AS run, runs.tenant AS tenant, runs.owner AS owner,
               CASE WHEN {OPEN} THEN 1 ELSE 0 END AS is_open, runs.finished_at AS finished_at
        FROM (
            SELECT id, job, bot, {DAY_AT} AS day_at,
                   CASE WHEN until_at > claimed_at THEN until_at ELSE claimed_at END AS aged_at
            FROM occurrences
        ) AS decided
        LEFT JOIN runs ON runs.occurrence_id = decided.id
        WHERE decided.id >= :occurrence AND (decided.id > :occurrence OR runs.tenant > :tenant)
        ORDER BY decided.id, runs.tenant LIMIT :most
    ) AS walked
    """,
    rows=listed("occurrence", "job", "day_at", "aged_at", "bot", "run", "tenant", "owner", "is_open", "finished_at"),
)

NEWEST_RUNS = both(
    """
    SELECT {rows} FROM (
        SELECT id, tenant FROM runs WHERE job = :job AND id < :before ORDER BY id DESC LIMIT :most
    ) AS newest
    """,
    rows=listed("id", "tenant"),
)

# A run that somebody has tried again meanwhile is not old any more.
_ENDED = "finished_at < :before AND lingers = 0"

DELETE_ATTEMPTS = both(
    f"DELETE FROM attempts WHERE run_id IN (SELECT id FROM runs WHERE id IN {{ids}} AND {_ENDED})",
    ids=values_of("ids", "bigint"),
)

DELETE_RUNS = both(f"DELETE FROM runs WHERE id IN {{ids}} AND {_ENDED}", ids=values_of("ids", "bigint"))

# Of which nothing is left: its runs are gone, and its tenants have been listed.
_BARE = """
    id IN {ids} AND claimed_at < :before AND coalesce(until_at, claimed_at) < :before
    AND coalesce(listing, '') NOT IN ('queued', 'running')
    AND NOT EXISTS (SELECT 1 FROM runs WHERE occurrence_id = occurrences.id)
"""

DELETE_LISTINGS = both(
    f"DELETE FROM listings WHERE occurrence_id IN (SELECT id FROM occurrences WHERE {_BARE})",
    ids=values_of("ids", "bigint"),
)

DELETE_OCCURRENCES = both(f"DELETE FROM occurrences WHERE {_BARE}", ids=values_of("ids", "bigint"))


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long rows are kept, in general and {job: how long}; `planned` are the schedules that this bot plans."""

    retention: timedelta
    by_job: Mapping[str, timedelta] = field(default_factory=dict)
    planned: tuple[Schedule, ...] = ()

    @property
    def shortest(self) -> timedelta:
        return min([self.retention, *self.by_job.values()])


class Walked(msgspec.Struct, array_like=True, frozen=True):
    """An occurrence and a run of it, or none; instants as their columns hold them."""

    occurrence: int
    job: str
    day_at: int
    aged_at: int
    bot: str
    run: int | None
    tenant: str | None
    owner: str | None
    is_open: bool
    finished_at: int | None

    @property
    def job_day(self) -> JobDay:
        instant = from_column(self.day_at)
        assert instant is not None
        return self.job, Day.of(instant)


def pruning(store: LedgerStore, keeping: Keeping, now: datetime) -> Iterator[int]:
    """One pass over everything that is old. Yields how many rows it has just pruned, or 0 after a small look.

    Each step is one short transaction at most; stopping between two of them is harmless. Any number of bots may
    prune at once. Raises LedgerUnavailable if the database does not answer. Source: docs/decisions/0043-retention.md.
    """
    return _Pass(store, keeping, now).steps()


class _Pass:
    def __init__(self, store: LedgerStore, keeping: Keeping, now: datetime) -> None:
        self._store = store
        self._keeping = keeping
        self._now = now
        self._planned = {(schedule.job, schedule.name): schedule for schedule in keeping.planned}
        self._newest_cut = to_column(now - keeping.shortest)  # nothing younger is pruned
        self._undecided: dict[str, int | None] = {}
        self._is_settled: dict[JobDay, bool] = {}  # whether rows of this day may go
        self._floors: dict[tuple[str, str], int] = {}  # the oldest of the newest runs of a job and tenant
        self._needed_bots: set[str] = set()

    def steps(self) -> Iterator[int]:
        place = (0, "")
        while rows := self._walk(place):
            place = (rows[-1].occurrence, rows[-1].tenant or "")
            yield from self._prune(rows)
            if all(row.aged_at >= self._newest_cut for row in rows):
                break
        yield from tidy(self._store, self._now, self._needed_bots, bots_before=self._newest_cut, days_kept=DAYS_KEPT)

    def _walk(self, place: tuple[int, str]) -> list[Walked]:
        with self._store.reading() as connection:
            rows = rows_of(connection, WALK, occurrence=place[0], tenant=place[1], most=CHUNK)
        return msgspec.convert(rows, list[Walked], strict=False)

    def _prune(self, rows: list[Walked]) -> Iterator[int]:
        """Sum up the days of these rows, where that is to be done, and delete those rows that are old."""
        old = [row for row in rows if self._is_old(row)]
        summed: dict[JobDay, dict[str, DayFigures]] = {}
        for job_day in sorted({row.job_day for row in old}):
            yield 0
            if job_day not in self._is_settled and self._settle(job_day):
                summed[job_day] = yield from sum_up(self._store, *job_day)
            if len(summed) >= DAYS_AT_ONCE:
                yield self._write(summed, [])
                summed = {}
        may_go = [row for row in old if self._is_settled[row.job_day]]
        self._find_floors(may_go)
        doomed = [row for row in may_go if not self._is_newest(row)]
        self._needed_bots.update(name for row in _without(rows, doomed) for name in (row.bot, row.owner) if name)
        if doomed or summed:
            yield self._write(summed, doomed)

    def _is_old(self, row: Walked) -> bool:
        kept = self._keeping.by_job.get(row.job, self._keeping.retention)
        cut = to_column(self._now - kept)
        has_ended = row.run is None or (not row.is_open and row.finished_at is not None and row.finished_at < cut)
        return row.aged_at < cut and has_ended

    def _settle(self, job_day: JobDay) -> bool:
        """Learn whether rows of this day may go; true if it has to be summed up first."""
        job, day = job_day
        if day.ends_at < self._now - DAYS_KEPT:  # its figures would be pruned at once
            self._is_settled[job_day] = True
            return False
        with self._store.reading() as connection:
            if is_summed(connection, job, day):
                self._is_settled[job_day] = True
                return False
            self._is_settled[job_day] = self._is_over(connection, job, day)
        return self._is_settled[job_day]

    def _is_over(self, connection: Connection, job: str, day: Day) -> bool:
        """Whether nothing is added to this day any more."""
        if self._now < day.ends_at + CLOCKS_APART:
            return False
        if job not in self._undecided:
            self._undecided[job] = undecided_from(connection, job, self._planned)
        undecided = self._undecided[job]
        return (undecided is None or undecided >= to_column(day.ends_at)) and not has_open_runs(connection, job, day)

    def _find_floors(self, rows: Iterable[Walked]) -> None:
        wanted: dict[str, set[str]] = {}
        for row in rows:
            if row.tenant is not None and (row.job, row.tenant) not in self._floors:
                wanted.setdefault(row.job, set()).add(row.tenant)
        with self._store.reading() as connection:
            for job, tenants in wanted.items():
                found = _floors(connection, job, tenants)
                self._floors.update({(job, tenant): found.get(tenant, 0) for tenant in tenants})

    def _is_newest(self, row: Walked) -> bool:
        return row.run is not None and row.run >= self._floors[row.job, row.tenant or ""]

    def _write(self, summed: Mapping[JobDay, Mapping[str, DayFigures]], doomed: list[Walked]) -> int:
        """Keep these figures and delete these rows, but nothing of a day on which a run has come to life again."""
        with self._store.writing() as connection:
            alive = {job_day for job_day in summed if has_open_runs(connection, *job_day)}
            write_days(connection, [(job_day, figures) for job_day, figures in summed.items() if job_day not in alive])
            self._is_settled.update(dict.fromkeys(alive, False))
            return _delete(connection, [row for row in doomed if row.job_day not in alive], self._newest_cut)


def _without(rows: list[Walked], doomed: list[Walked]) -> list[Walked]:
    gone = {(row.occurrence, row.run) for row in doomed}
    return [row for row in rows if (row.occurrence, row.run) not in gone]


def _floors(connection: Connection, job: str, tenants: set[str]) -> dict[str, int]:
    """{tenant: the oldest of its newest runs}, of those of `tenants` that have so many."""
    floors: dict[str, int] = {}
    seen: Counter[str] = Counter()
    before, most = 2**62, NEWEST * len(tenants)
    while len(floors) < len(tenants):
        rows = rows_of(connection, NEWEST_RUNS, job=job, before=before, most=most)
        for run, tenant in rows:
            seen[tenant] += 1
            if seen[tenant] == NEWEST and tenant in tenants:
                floors[tenant] = run
        if len(rows) < most:
            break
        before = rows[-1][0]
    return floors


def _delete(connection: Connection, doomed: list[Walked], before: int) -> int:
    """Delete these rows as far as they are still old, with their earlier attempts; how many there were."""
    if not doomed:
        return 0
    run_ids = to_json([row.run for row in doomed if row.run is not None])
    execute(connection, DELETE_ATTEMPTS, ids=run_ids, before=before)
    runs_deleted = execute(connection, DELETE_RUNS, ids=run_ids, before=before).rowcount
    occurrences = to_json(sorted({row.occurrence for row in doomed}))
    execute(connection, DELETE_LISTINGS, ids=occurrences, before=before)
    return runs_deleted + execute(connection, DELETE_OCCURRENCES, ids=occurrences, before=before).rowcount
