"""The backfill: a run for each due instant of a span in the past that has none. Steps of a transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from pinstripe_bot.ledger_claim import INSERT_RUNS, LAST_OCCURRENCE
from pinstripe_bot.ledger_rows import SECOND
from pinstripe_bot.ledger_schema import BACKFILL, occurrences, runs, schedules
from pinstripe_bot.ledger_sql import both, execute, given, listed, rows_of, to_json
from pinstripe_bot.occurrence import Decision, Reason, RunState
from pinstripe_bot.schedule import Schedule

FILL = both(
    """
    INSERT INTO occurrences (job, schedule, key, due_at, decision, count, claimed_at, bot)
    SELECT job, schedule, key, due_at, 'run', 1, :now, :bot FROM {rows} AS missing WHERE true
    ON CONFLICT (job, schedule, key, due_at) DO NOTHING
    """,
    rows=given("rows", job="text", schedule="text", key="text", due_at="bigint"),
)

FILLED = both("SELECT {rows} FROM occurrences WHERE id > :last AND job = :job", rows=listed("id", "schedule", "due_at"))


@dataclass(frozen=True, slots=True)
class Span:
    """Schedules of one job, and the UTC seconds from `start_ts` to `end_ts`, both of them included."""

    schedules: tuple[Schedule, ...]
    start_ts: int
    end_ts: int

    @property
    def job(self) -> str:
        return self.schedules[0].job

    @property
    def bounds(self) -> tuple[int, int]:
        """The first second and the last."""
        return self.start_ts, self.end_ts

    @property
    def count(self) -> int:
        """How many due instants lie in it."""
        return sum(one.count_ts(self.start_ts - 1, self.end_ts) for one in self.schedules)

    def instants(self) -> Iterator[Gap]:
        """Its due instants, schedule by schedule."""
        for order, schedule in enumerate(self.schedules):
            instant_ts = schedule.next_after_ts(self.start_ts - 1)
            while instant_ts <= self.end_ts:
                yield Gap(instant_ts, order, schedule)
                instant_ts = schedule.next_after_ts(instant_ts)


@dataclass(frozen=True, slots=True)
class Gap:
    """A due instant that has no run; `order` is the schedule's place in the declaration."""

    due_ts: int
    order: int
    schedule: Schedule


def missing(connection: Connection, span: Span, declared: Sequence[Schedule]) -> list[Gap]:
    """The due instants of the span that have no run, oldest first; `declared` are all schedules of the job.

    One that was missed or skipped counts as having none, unless another schedule ran the same work at its instant.
    """
    work = {schedule.name: schedule.params_key for schedule in declared}
    taken, ran = set(), set()
    for schedule, due_at in _taken(connection, span):
        taken.add((schedule, due_at // SECOND))
        ran.add((work.get(schedule), due_at // SECOND))
    found = []
    for gap in sorted(span.instants(), key=lambda gap: (gap.due_ts, gap.order)):
        key = (gap.schedule.params_key, gap.due_ts)
        if (gap.schedule.name, gap.due_ts) not in taken and key not in ran:
            ran.add(key)
            found.append(gap)
    return found


def _taken(connection: Connection, span: Span) -> list[tuple[str, int]]:
    has_run = or_(occurrences.c.decision == Decision.RUN, occurrences.c.reason == Reason.SAME_INSTANT)
    found = connection.execute(select(occurrences.c.schedule, occurrences.c.due_at).where(_inside(span), has_run))
    return [(row.schedule, row.due_at) for row in found]


def _inside(span: Span) -> ColumnElement[bool]:
    start_at, end_at = span.start_ts * SECOND, span.end_ts * SECOND
    is_ours = and_(occurrences.c.job == span.job, occurrences.c.key.in_(["", BACKFILL]))
    return and_(is_ours, occurrences.c.due_at.between(start_at, end_at))


def fill(connection: Connection, gaps: Sequence[Gap], *, bot: str, now_at: int, spacing_us: int) -> int:
    """Write an occurrence and a run that waits for its turn for each gap, all of one job; how many there were.

    The first one may start now or, with a spacing, that long after the last one that a backfill of the job left open.
    """
    job = gaps[0].schedule.job
    marks = _marks(connection, job)
    ahead = _decided(connection, gaps)
    by_key = {(gap.schedule.name, gap.due_ts * SECOND): gap for gap in gaps}
    # What is not decided yet is claimed ahead, so that no bot runs it once more when it catches up.
    rows = [
        (job, name, "" if due_at > marks.get(name, due_at) and (name, due_at) not in ahead else BACKFILL, due_at)
        for name, due_at in by_key
    ]
    last_id = execute(connection, LAST_OCCURRENCE).scalar_one()
    execute(connection, FILL, rows=to_json(rows), now=now_at, bot=bot)
    filled = rows_of(connection, FILLED, last=last_id, job=job)
    ids = {(name, due_at): row_id for row_id, name, due_at in filled}
    available_at = max(now_at, _next_available_at(connection, job, spacing_us))
    queued = []
    for number, ((name, due_at), gap) in enumerate((key, gap) for key, gap in by_key.items() if key in ids):
        facts = (ids[name, due_at], job, name, due_at, gap.schedule.params_json, gap.schedule.params_key)
        queued.append((*facts, available_at + number * spacing_us, None, 1))
    execute(connection, INSERT_RUNS, rows=to_json(queued), now=now_at)
    return len(queued)


def _marks(connection: Connection, job: str) -> dict[str, int]:
    rows = connection.execute(select(schedules).where(schedules.c.job == job, schedules.c.key == ""))
    return {row.schedule: row.planned_to for row in rows}


def _decided(connection: Connection, gaps: Sequence[Gap]) -> set[tuple[str, int]]:
    """The instants that have a row already, which did not run."""
    first, last = gaps[0].due_ts * SECOND, gaps[-1].due_ts * SECOND
    is_inside = (occurrences.c.job == gaps[0].schedule.job, occurrences.c.key == "")
    found = select(occurrences.c.schedule, occurrences.c.due_at).where(
        *is_inside, occurrences.c.due_at.between(first, last)
    )
    return {(row.schedule, row.due_at) for row in connection.execute(found)}


def _next_available_at(connection: Connection, job: str, spacing_us: int) -> int:
    if not spacing_us:
        return 0
    newest = select(func.max(runs.c.available_at)).join(occurrences, runs.c.occurrence_id == occurrences.c.id)
    is_waiting = (runs.c.job == job, runs.c.state == RunState.QUEUED, occurrences.c.key == BACKFILL)
    last_at = connection.scalar(newest.where(*is_waiting))
    return 0 if last_at is None else int(last_at) + spacing_us


def states_in(connection: Connection, span: Span, *, since: int = 0) -> Counter[RunState]:
    """How many runs of the span, from the run `since` on, are in each state."""
    joined = select(runs.c.state, func.count()).join(occurrences, runs.c.occurrence_id == occurrences.c.id)
    names = [schedule.name for schedule in span.schedules]
    rows = connection.execute(
        joined.where(_inside(span), occurrences.c.schedule.in_(names), runs.c.id >= since).group_by(runs.c.state)
    )
    return Counter({RunState(state): count for state, count in rows})


def first_open(connection: Connection, span: Span) -> int | None:
    """The oldest run of the span that has not ended; None if there is none."""
    oldest = select(func.min(runs.c.id)).join(occurrences, runs.c.occurrence_id == occurrences.c.id)
    names = [schedule.name for schedule in span.schedules]
    is_open = runs.c.state.in_([RunState.QUEUED, RunState.RUNNING])
    found: int | None = connection.scalar(oldest.where(_inside(span), occurrences.c.schedule.in_(names), is_open))
    return found
