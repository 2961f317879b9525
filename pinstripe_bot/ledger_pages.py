"""The pages: all runs and all instants that did not run, newest first, page by page. Only reads."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Select, Table, case, func, literal_column, select, text

from pinstripe_bot.ledger_failures import LATE_AFTER
from pinstripe_bot.ledger_history import first_since, passed_of
from pinstripe_bot.ledger_rows import BRIEF, run_of
from pinstripe_bot.ledger_schema import PASSED, WANTED_AT, occurrences, runs
from pinstripe_bot.occurrence import MANUAL, Decision, Run, RunState
from pinstripe_bot.records import PassedRecord

LOOKED_AT = 100_000
"""In so many rows one page is looked for, where no index leads to what is wanted; the next page looks further."""


_Row = tuple[int, int, Run | PassedRecord]
"""When it was decided, its number, and itself."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: at the first run and the first occurrence whose numbers are below these."""

    run: int
    occurrence: int

    @classmethod
    def read(cls, written: str) -> Self | None:
        """As `str` writes it: "1200-3400"; None for anything else."""
        run, _, occurrence = written.partition("-")
        return cls(int(run), int(occurrence)) if _is_number(run) and _is_number(occurrence) else None

    def __str__(self) -> str:
        return f"{self.run}-{self.occurrence}"


def _is_number(written: str) -> bool:
    """Whether a row can have it: a database refuses one of 64 bits and more."""
    return written.isascii() and written.isdigit() and len(written) <= 18


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: of one job or of all, for one tenant, in these states or decisions (none: all), in a time.

    `late_after` says of jobs with a limit of their own from when on a run is late.
    """

    job: str | None = None
    tenant: str | None = None
    states: Collection[RunState] = ()
    decisions: Collection[Decision] = ()
    is_late: bool = False
    is_by_hand: bool = False
    since: datetime | None = None
    until: datetime | None = None
    late_after: Mapping[str, timedelta] = field(default_factory=dict)

    @property
    def has_runs(self) -> bool:
        return bool(self.states or self.is_late or self.is_by_hand or not self.decisions)

    @property
    def has_passed(self) -> bool:
        is_about_runs = self.is_late or self.is_by_hand or self.tenant is not None
        return not is_about_runs and bool(self.decisions or not self.states)

    @property
    def is_rare(self) -> bool:
        """Whether no index leads to what is wanted, so that a page may have to be looked for."""
        return bool(self.states or self.is_late or self.is_by_hand or self.tenant is not None)


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, newest decision first; `following` is where the next page begins, None after the last one."""

    rows: tuple[Run | PassedRecord, ...]
    following: Cursor | None


def read_page(
    connection: Connection, wanted: Wanted, before: Cursor | None, *, most: int, looked_at: int = LOOKED_AT
) -> Page:
    """So many rows before the cursor; two queries, besides those that find where a time begins and ends."""
    top = before or Cursor(_end(connection, runs, wanted), _end(connection, occurrences, wanted))
    first_run = _begin(connection, runs, wanted)
    lowest = max(first_run, top.run - looked_at) if wanted.is_rare else first_run
    its_runs: list[_Row] = []
    its_passed: list[_Row] = []
    if wanted.has_runs:
        rows = connection.execute(_runs(wanted, lowest, top.run, most)).mappings()
        its_runs = [(row["claimed_at"], row["id"], run_of(row)) for row in rows]
    if wanted.has_passed:
        first = _begin(connection, occurrences, wanted)
        rows = connection.execute(_passed(wanted, first, top.occurrence, most)).mappings()
        its_passed = [(row["claimed_at"], row["id"], passed_of(row)) for row in rows]
    # Merged, not sorted: after a clock was set back a later row has an earlier time, and the cursor would pass it by.
    shown = list(islice(heapq.merge(its_runs, its_passed, key=lambda row: row[:2], reverse=True), most))
    return Page(
        tuple(one for _, _, one in shown),
        _after(shown, top, is_last=len(its_runs) + len(its_passed) <= most, lowest=lowest, first=first_run),
    )


def _after(shown: list[_Row], top: Cursor, *, is_last: bool, lowest: int, first: int) -> Cursor | None:
    """Where the next page begins; one that was not filled goes on below the rows that were looked at."""
    of_runs = [number for _, number, one in shown if isinstance(one, Run)]
    of_passed = [number for _, number, one in shown if not isinstance(one, Run)]
    occurrence = min(of_passed, default=top.occurrence)
    if not is_last:
        return Cursor(min(of_runs, default=top.run), occurrence)
    return Cursor(lowest, occurrence) if lowest > first else None


def _begin(connection: Connection, table: Table, wanted: Wanted) -> int:
    return 1 if wanted.since is None else first_since(connection, table, wanted.since)


def _end(connection: Connection, table: Table, wanted: Wanted) -> int:
    if wanted.until is not None:
        return first_since(connection, table, wanted.until)
    return (connection.scalar(select(func.max(table.c.id))) or 0) + 1


def _runs(wanted: Wanted, lowest: int, before: int, most: int) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = [runs.c.id >= lowest, runs.c.id < before]
    if wanted.job is not None:
        conditions.append(runs.c.job == wanted.job)
    if wanted.tenant is not None:
        conditions.append(runs.c.tenant == wanted.tenant)
    if wanted.states:
        conditions.append(runs.c.state.in_(wanted.states))
    if wanted.is_by_hand:
        conditions.append(runs.c.schedule == MANUAL)
    if wanted.is_late:
        lateness = runs.c.started_at - literal_column(f"({WANTED_AT})")
        conditions += [runs.c.attempt == 1, lateness > _limit(wanted)]
    return select(*BRIEF).where(*conditions).order_by(runs.c.id.desc()).limit(most + 1)


def _limit(wanted: Wanted) -> ColumnElement[int] | int:
    """From when on a run is late, in microseconds."""
    own = {job: after // timedelta(microseconds=1) for job, after in wanted.late_after.items() if after != LATE_AFTER}
    usual = LATE_AFTER // timedelta(microseconds=1)
    return case(own, value=runs.c.job, else_=usual) if own else usual


def _passed(wanted: Wanted, first: int, before: int, most: int) -> Select[Any]:
    is_passed = text(PASSED)  # exactly so, or its index is not used
    its = [occurrences.c.id >= first, occurrences.c.id < before, occurrences.c.schedule != MANUAL]
    if wanted.job is not None:
        its.append(occurrences.c.job == wanted.job)
    if wanted.decisions:
        its.append(occurrences.c.decision.in_(wanted.decisions))
    return select(occurrences).where(is_passed, *its).order_by(occurrences.c.id.desc()).limit(most + 1)
