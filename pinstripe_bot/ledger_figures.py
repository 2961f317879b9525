"""The figures: what of a ledger is measured: what runs and waits, who works, what each job did last and does next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pinstripe_bot.ledger_marks import Stored, identity, in_stored_zones, read_stored
from pinstripe_bot.ledger_queues import read_queues
from pinstripe_bot.ledger_roll import read_bots
from pinstripe_bot.ledger_rows import SECOND
from pinstripe_bot.ledger_schema import OPEN
from pinstripe_bot.ledger_sql import both, execute, given, listed, rows_of, to_json
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.records import QueueRecord
from pinstripe_bot.schedule import Schedule

RECENT = 10_000
"""So many of the newest runs are looked at again for those that have succeeded meanwhile: a person may retry one."""

OPEN_RUNS = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT job, state, count(*) AS count, min(id) AS oldest FROM runs WHERE {OPEN} GROUP BY job, state
    ) AS open_runs
    """,
    rows=listed("job", "state", "count", "oldest"),
)

NEWEST = both("SELECT coalesce(max(id), 0) FROM runs")

# Job by job from the newest run back: nearly always it is the first one.
SUCCEEDED = both(
    """
    SELECT {rows} FROM (
        SELECT job, (
            SELECT finished_at FROM runs WHERE runs.job = wanted.job AND runs.id >= :first AND state = 'succeeded'
            ORDER BY runs.id DESC LIMIT 1
        ) AS finished_at FROM {jobs} AS wanted
    ) AS found WHERE finished_at IS NOT NULL
    """,
    rows=listed("job", "finished_at"),
    jobs=given("jobs", job="text"),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at a ledger. `succeeded` and `next_due` are {job: UTC seconds}; the others {job: how many runs}.

    `lingering` have timed out, and their threads go on. `bots` are those that live and plan schedules,
    `worker_processes` the workers of a cluster that live; `workers` and `busy` are the threads of both, as they told
    last; `heartbeat_at` is the last one of any bot. `clock_offset_s` is that of the living one whose clock is off most
    from the database's, None where none has compared them. `recent` is for the next look.
    """

    running: Mapping[str, int]
    queued: Mapping[str, int]
    lingering: Mapping[str, int]
    bots: int
    worker_processes: int
    workers: int
    busy: int
    heartbeat_at: datetime | None
    clock_offset_s: float | None
    succeeded: Mapping[str, float]
    next_due: Mapping[str, int]
    recent: int
    queues: Sequence[QueueRecord]


def read_figures(
    store: LedgerStore,
    jobs: Iterable[str],
    planned: Iterable[Schedule],
    now: datetime,
    *,
    since: int = 0,
    queue_of: Mapping[str, str] | None = None,
) -> Figures:
    """Read the figures of these jobs and schedules, and of the queues in {job: queue}.

    When each job last succeeded is looked for among the runs from the number `since` on.
    """
    with store.reading() as connection:
        found = read_bots(connection, store, now).values()
        bots = [bot for bot in found if bot.kind == "bot"]
        living = [bot for bot in found if bot.is_alive and bot.kind != "command"]
        alive = [bot.stats for bot in living]
        depths = read_queues(connection, found, queue_of or {}, now)
        states, recent = _open_runs(connection)
        succeeded = rows_of(connection, SUCCEEDED, first=since, jobs=to_json([[job] for job in jobs]))
        stored = read_stored(connection)
    return Figures(
        running=states.pop("running", {}),
        queued=states.pop("queued", {}),
        lingering={job: count for counts in states.values() for job, count in counts.items()},
        bots=sum(bot.kind == "bot" for bot in living),
        worker_processes=sum(bot.kind == "worker" for bot in living),
        workers=sum(stats.get("workers", 0) for stats in alive),
        busy=sum(stats.get("busy", 0) for stats in alive),
        clock_offset_s=max(
            (one["clock_offset_ms"] / 1000 for one in alive if "clock_offset_ms" in one), key=abs, default=None
        ),
        heartbeat_at=max((bot.heartbeat_at for bot in bots), default=None),
        succeeded={job: finished_at / SECOND for job, finished_at in succeeded},
        next_due=_next_due(planned, stored),
        recent=recent,
        queues=depths,
    )


def _open_runs(connection: Connection) -> tuple[dict[str, dict[str, int]], int]:
    """({state: {job: how many}}, the number from which on runs may succeed after this look)."""
    rows = rows_of(connection, OPEN_RUNS)
    newest: int = execute(connection, NEWEST).scalar_one()
    states: dict[str, dict[str, int]] = {}
    for job, state, count, _ in rows:
        states.setdefault(state, {})[job] = count
    return states, min([newest - RECENT, *(oldest for *_, oldest in rows)])


def _next_due(planned: Iterable[Schedule], stored: Stored) -> dict[str, int]:
    """{job: the first instant of any of its schedules that is not decided yet}; in the past where no bot decides it."""
    next_due: dict[str, int] = {}
    for schedule in in_stored_zones([one for one in planned if one.enabled], stored):
        row = stored.get(identity(schedule))
        if row is None or row.removed_at:
            continue
        try:
            due_ts = schedule.next_after_ts(row.planned_to // SECOND)
        except Exception:  # noqa: BLE001 - a wall: of a schedule that misbehaves the timetable tells
            continue
        next_due[schedule.job] = min(next_due.get(schedule.job, due_ts), due_ts)
    return next_due
