"""The trends of a job: its days, how long its runs took and how late they began; from some of its runs. Only reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, select

from pinstripe_bot.day_figures import percentile
from pinstripe_bot.ledger_rows import from_column, to_column
from pinstripe_bot.ledger_schema import ENDED_BADLY, PASSED, WANTED_AT, days
from pinstripe_bot.ledger_sql import Statement, both, execute, listed, rows_of

SLOT = timedelta(minutes=30)
"""The finest part of a day that any zone's midnight falls between."""

MOST_SUMMED = 100_000
"""How many of the newest runs are summed up."""

MOST_POINTS = 1500
"""How many runs are shown one by one; of more, a half, a third and so on, and those that went wrong."""

BAD_LOOKED_AT = 20_000
"""Among so many of the newest runs of all jobs that went wrong those of one are looked for."""

SLOTS = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT due_at / :slot AS slot, state, count(*) AS count, max(finished_at - started_at) AS longest FROM (
            SELECT due_at, state, started_at, finished_at FROM runs
            WHERE job = :job ORDER BY id DESC LIMIT {MOST_SUMMED}
        ) AS newest WHERE due_at >= :begins GROUP BY 1, 2
    ) AS slots
    """,
    rows=listed("slot", "state", "count", "longest"),
)

PASSED_SLOTS = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT due_at / :slot AS slot, decision, sum(count) AS count FROM occurrences
        WHERE job = :job AND {PASSED} AND schedule <> 'manual' AND due_at >= :begins GROUP BY 1, 2
    ) AS slots
    """,
    rows=listed("slot", "decision", "count"),
)

RUN_COUNT = both("SELECT count(*) FROM (SELECT 1 FROM runs WHERE job = :job ORDER BY id DESC LIMIT :most) AS newest")

# By number, so that the index of jobs leads to the few that are read; hashed, or a job that is every tenth of a herd
# would be chosen always or never.
_CHOSEN = f"""(
    SELECT id FROM (SELECT id FROM runs WHERE job = :job ORDER BY id DESC LIMIT {MOST_SUMMED}) AS newest
    WHERE (id * 40503) & 65535 < :share
    UNION SELECT id FROM (
        SELECT id, job FROM runs WHERE {ENDED_BADLY} AND finished_at >= :begins
        ORDER BY finished_at DESC LIMIT {BAD_LOOKED_AT}
    ) AS bad WHERE job = :job
)"""

# SQLite knows no LATERAL, and PostgreSQL, which expects too many of them, would look at all runs.
_CHOSEN_RUNS = Statement(
    f"runs WHERE id IN {_CHOSEN}",
    f"{_CHOSEN} AS chosen CROSS JOIN LATERAL ("
    "SELECT * FROM runs AS one WHERE one.id = chosen.id OFFSET 0"
    ") AS runs WHERE true",
)

POINTS = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT runs.id, due_at, state, started_at, finished_at, attempt, {WANTED_AT} AS wanted_at FROM {{chosen}}
        AND started_at IS NOT NULL AND due_at >= :begins ORDER BY runs.id DESC LIMIT :most
    ) AS points
    """,
    rows=listed("due_at", "state", "started_at", "finished_at", "attempt", "wanted_at"),
    chosen=_CHOSEN_RUNS,
)


@dataclass(frozen=True, slots=True)
class Slot:
    """Half an hour of a job: what happened how often, and how long the longest run took."""

    begins_at: datetime
    state: str  # a run's state, "skipped" or "missed"
    count: int
    longest: timedelta | None


@dataclass(frozen=True, slots=True)
class RunPoint:
    """One run in a scatter."""

    due_at: datetime
    state: str
    took: timedelta | None
    lateness: timedelta | None  # of a first attempt


@dataclass(frozen=True, slots=True)
class Quantiles:
    """The median and the 95th percentile of some runs, which came due from `begins_at` to `ends_at`."""

    begins_at: datetime
    ends_at: datetime
    p50: timedelta
    p95: timedelta

    @property
    def middle_at(self) -> datetime:
        return self.begins_at + (self.ends_at - self.begins_at) / 2


@dataclass(frozen=True, slots=True)
class SummedDay:
    """A day in UTC whose rows are gone, as it was summed up before: the worst of each twelfth."""

    day: str
    worst: tuple[str | None, ...]
    p50: timedelta | None


def read_slots(connection: Connection, job: str, since: datetime) -> list[Slot]:
    """The half hours since in which something happened, oldest first."""
    values = {"job": job, "begins": to_column(since), "slot": SLOT // timedelta(microseconds=1)}
    found = [
        Slot(_slot_at(slot), state, count, None if longest is None else timedelta(microseconds=max(longest, 0)))
        for slot, state, count, longest in rows_of(connection, SLOTS, **values)
    ]
    passed = rows_of(connection, PASSED_SLOTS, **values)
    found += [Slot(_slot_at(slot), decision, int(count), None) for slot, decision, count in passed]
    return sorted(found, key=lambda one: one.begins_at)


def read_summed(connection: Connection, job: str, since: datetime) -> list[SummedDay]:
    """The days since of which only the sum is kept."""
    from_day = since.date().isoformat()
    its = (days.c.job == job) & (days.c.tenant == "") & (days.c.day >= from_day)
    rows = connection.execute(select(days.c.day, days.c.worst, days.c.duration_p50_ms).where(its)).all()
    return [SummedDay(row.day, _worst(row.worst), _milliseconds(row.duration_p50_ms)) for row in rows]


def read_points(connection: Connection, job: str, since: datetime) -> tuple[list[RunPoint], bool]:
    """(Some of the runs since, oldest first, among them those that went wrong; whether these are all)."""
    share = 65536 // max(count_of_runs(connection, job) // MOST_POINTS, 1)
    values = {"job": job, "begins": to_column(since), "share": share, "most": 2 * MOST_POINTS}
    points = []
    for due_at, state, started_at, finished_at, attempt, wanted_at in reversed(rows_of(connection, POINTS, **values)):
        took = None if finished_at is None else timedelta(microseconds=max(finished_at - started_at, 0))
        late = timedelta(microseconds=max(started_at - wanted_at, 0)) if attempt == 1 else None
        points.append(RunPoint(_instant(due_at), state, took, late))
    return points, share == 65536 and len(points) < 2 * MOST_POINTS


def count_of_runs(connection: Connection, job: str) -> int:
    """How many runs of a job there are; no more than are summed up."""
    return int(execute(connection, RUN_COUNT, job=job, most=MOST_SUMMED).scalar_one())


def quantiles(
    points: Sequence[tuple[datetime, timedelta]], since: datetime, until: datetime, *, step: timedelta
) -> list[Quantiles]:
    """Step by step, where there are runs: by steps, not by a moving window, in which one bad day makes a plateau."""
    found = []
    begins_at = since
    while begins_at < until:
        ends_at = begins_at + step
        values = Counter(span // timedelta(milliseconds=1) for at, span in points if begins_at <= at < ends_at)
        if values:
            p50, p95 = percentile(values, 50), percentile(values, 95)
            assert p50 is not None
            assert p95 is not None
            spans = (timedelta(milliseconds=p50), timedelta(milliseconds=p95))
            found.append(Quantiles(begins_at, min(ends_at, until), *spans))
        begins_at = ends_at
    return found


def _worst(written: str) -> tuple[str | None, ...]:
    return tuple(msgspec.json.decode(written, type=list[str | None]))


def _milliseconds(number: int | None) -> timedelta | None:
    return None if number is None else timedelta(milliseconds=number)


def _slot_at(slot: int) -> datetime:
    return _instant(int(slot) * (SLOT // timedelta(microseconds=1)))


def _instant(column: int) -> datetime:
    instant = from_column(column)
    assert instant is not None
    return instant
