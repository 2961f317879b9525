"""The pages: all runs and all instants that did not run, newest first, page by page. Only reads."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Select, Table, func, literal_column, select, text

from pinstripe_bot.ledger_history import first_since, passed_of
from pinstripe_bot.ledger_rows import BRIEF, run_of
from pinstripe_bot.ledger_schema import PASSED, WANTED_AT, occurrences, runs
from pinstripe_bot.occurrence import MANUAL, Decision, Run, RunState
from pinstripe_bot.records import PassedRecord

LOOKED_AT = 100_000
"""In so many rows one page is looked for, where no index leads to what is wanted; the next page looks further."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: at the first run and the first occurrence whose numbers are below these."""

    run: int
    occurrence: int

    @classmethod
    def read(cls, written: str) -> Self | None:
        """As `str` writes it: "1200-3400"; None for anything else."""
        run, _, occurrence = written.partition("-")
        is_one = run.isascii() and run.isdigit() and occurrence.isascii() and occurrence.isdigit()
        return cls(int(run), int(occurrence)) if is_one and len(written) < 40 else None

    def __str__(self) -> str:
        return f"{self.run}-{self.occurrence}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: of one job or of all, for one tenant, in these states or decisions (none: all), in a time."""

    job: str | None = None
    tenant: str | None = None
    states: Collection[RunState] = ()
    decisions: Collection[Decision] = ()
    is_late: bool = False
    is_by_hand: bool = False
    since: datetime | None = None
    until: datetime | None = None
    late_after: timedelta = timedelta(seconds=60)

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


def read_page(connection: Connection, wanted: Wanted, before: Cursor | None, *, most: int) -> Page:
    """So many rows before the cursor; two queries, besides those that find where a time begins and ends."""
    top = before or Cursor(_end(connection, runs, wanted), _end(connection, occurrences, wanted))
    first_run = _begin(connection, runs, wanted)
    lowest = max(first_run, top.run - LOOKED_AT) if wanted.is_rare else first_run
    found: list[tuple[int, int, Run | PassedRecord]] = []
    if wanted.has_runs:
        rows = connection.execute(_runs(wanted, lowest, top.run, most)).mappings()
        found += [(row["claimed_at"], row["id"], run_of(row)) for row in rows]
    if wanted.has_passed:
        first = _begin(connection, occurrences, wanted)
        rows = connection.execute(_passed(wanted, first, top.occurrence, most)).mappings()
        found += [(row["claimed_at"], row["id"], passed_of(row)) for row in rows]
    shown = sorted(found, key=lambda one: one[:2], reverse=True)[:most]
    return Page(
        tuple(one for _, _, one in shown),
        _after(shown, top, is_last=len(found) <= most, lowest=lowest, first=first_run),
    )


def _after(
    shown: list[tuple[int, int, Run | PassedRecord]], top: Cursor, *, is_last: bool, lowest: int, first: int
) -> Cursor | None:
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
        conditions += [runs.c.attempt == 1, lateness > wanted.late_after // timedelta(microseconds=1)]
    return select(*BRIEF).where(*conditions).order_by(runs.c.id.desc()).limit(most + 1)


def _passed(wanted: Wanted, first: int, before: int, most: int) -> Select[Any]:
    is_passed = text(PASSED)  # exactly so, or its index is not used
    its = [occurrences.c.id >= first, occurrences.c.id < before, occurrences.c.schedule != MANUAL]
    if wanted.job is not None:
        its.append(occurrences.c.job == wanted.job)
    if wanted.decisions:
        its.append(occurrences.c.decision.in_(wanted.decisions))
    return select(occurrences).where(is_passed, *its).order_by(occurrences.c.id.desc()).limit(most + 1)
