"""The overview: what went wrong lately, what is paused, what runs and waits, and who does the work; in one look."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from pinstripe_bot.ledger_failures import Trouble, read_failures
from pinstripe_bot.ledger_history import first_since, passed_of, record_of
from pinstripe_bot.ledger_listed import broken_off_listings, open_listings
from pinstripe_bot.ledger_queues import read_queues
from pinstripe_bot.ledger_roll import read_bots
from pinstripe_bot.ledger_rows import BRIEF, from_column, to_column
from pinstripe_bot.ledger_schema import OPEN, occurrences, runs, skips
from pinstripe_bot.ledger_skips import EVERY_JOB, Pause, Skips, read_pauses, read_tenant_pauses
from pinstripe_bot.ledger_sql import both, given, listed, rows_of, to_json, values_of
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.occurrence import MANUAL, Decision, Reason, RunState
from pinstripe_bot.records import BotRecord, ListingRecord, PassedRecord, QueueRecord, RunRecord
from pinstripe_bot.schedule import Schedule

MOST_SHOWN = 1000
"""How many open runs are read; there may be 100,000 of them."""

NEWEST = 20_000
"""In so many of the newest runs the names of tenants are looked for."""

NAMES = both(
    """
    SELECT {rows} FROM (
        SELECT tenant, max(tenant_name) AS name FROM runs
        WHERE id > :after AND tenant_name <> '' AND tenant IN {tenants} GROUP BY tenant
    ) AS named
    """,
    rows=listed("tenant", "name"),
    tenants=values_of("tenants", "text"),
)


# Schedule by schedule, where an index leads to its instants.
PAUSED_COUNTS = both(
    """
    SELECT {rows} FROM (
        SELECT wanted.job AS job, sum((
            SELECT coalesce(sum(occurrences.count), 0) FROM occurrences
            WHERE occurrences.job = schedules.job AND occurrences.schedule = schedules.schedule
              AND occurrences.key = schedules.key AND occurrences.due_at >= wanted.paused_at
              AND occurrences.reason = 'paused'
        )) AS count
        FROM {wanted} AS wanted JOIN schedules ON wanted.job IN ('', schedules.job) GROUP BY wanted.job
    ) AS counted
    """,
    rows=listed("job", "count"),
    wanted=given("wanted", job="text", paused_at="bigint"),
)


@dataclass(frozen=True, slots=True)
class PassedGroup:
    """Instants of one schedule that did not run, for one reason: how many, from when to when."""

    count: int
    first_due_at: datetime
    newest: PassedRecord


@dataclass(frozen=True, slots=True)
class Skip:
    """How many of the next instants of a job, or of one schedule of it, a person asked to skip; `key` is the zone."""

    job: str
    schedule: str
    key: str
    remaining: int
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Overview:
    """What a ledger tells of the present, and of the time since `since`."""

    since: datetime
    troubles: tuple[Trouble, ...]
    passed: tuple[PassedGroup, ...]
    pauses: tuple[Pause, ...]
    paused_counts: Mapping[str, int]  # {job: how many instants its pause, or that of every job, has passed over}
    tenant_pauses: tuple[Pause, ...]
    tenant_names: Mapping[str, str]  # {tenant: its name}, of those that are paused, where it is known
    skips: tuple[Skip, ...]
    listings: tuple[ListingRecord, ...]  # those that go on or wait
    broken_off: tuple[ListingRecord, ...]  # those that were given up since, and have given some tenants their run
    running: tuple[RunRecord, ...]
    waiting: tuple[RunRecord, ...]
    open_count: int
    bots: tuple[BotRecord, ...]  # the living, and those that have died or stopped since
    queues: tuple[QueueRecord, ...] = ()  # of a cluster

    @property
    def failing_listings(self) -> list[ListingRecord]:
        """Those that have failed, and are tried again or were given up half done."""
        return [*(one for one in self.listings if one.failed_attempts), *self.broken_off]

    @property
    def workers(self) -> list[BotRecord]:
        """The living workers of a cluster."""
        return [bot for bot in self.bots if bot.is_alive and bot.kind == "worker"]

    @property
    def has_bot(self) -> bool:
        """Whether a bot lives that plans schedules."""
        return any(bot.is_alive and bot.kind == "bot" for bot in self.bots)


def read_overview(
    store: LedgerStore,
    planned: Iterable[Schedule],
    *,
    since: datetime,
    now: datetime,
    queue_of: Mapping[str, str] | None = None,
) -> Overview:
    """One look at the whole ledger; `planned` say from when on a run of theirs is late, `queue_of` has {job: queue}."""
    with store.reading() as connection:
        bots = read_bots(connection, store, now)
        found = _open_runs(connection, bots)
        open_runs = [one for one in found if one.run.state.is_open or one.lingers]
        lasting = [pause for pause in read_pauses(connection).values() if pause.lasts(now)]
        of_tenants = [pause for pause in read_tenant_pauses(connection) if pause.lasts(now)]
        return Overview(
            since=since,
            troubles=tuple(read_failures(connection, planned, since)),
            passed=tuple(_passed(connection, since)),
            pauses=tuple(lasting),
            paused_counts=_paused_counts(connection, lasting),
            tenant_pauses=tuple(of_tenants),
            tenant_names=_names(connection, {pause.tenant for pause in of_tenants}),
            skips=tuple(_skips(connection)),
            listings=tuple(open_listings(connection, bots)),
            broken_off=tuple(broken_off_listings(connection, bots, since)),
            running=tuple(one for one in open_runs if one.run.state is not RunState.QUEUED),
            waiting=tuple(one for one in open_runs if one.run.state is RunState.QUEUED),
            open_count=_open_count(connection) - len(found) + len(open_runs),
            bots=tuple(bot for bot in bots.values() if bot.is_alive or bot.last_seen_at >= since),
            queues=tuple(read_queues(connection, bots.values(), queue_of or {}, now)),
        )


def fates(overview: Overview, due: Sequence[tuple[datetime, Schedule]]) -> list[Reason | None]:
    """For which wish of a person each of the next due instants, soonest first, will not run; None for those that will.

    Where a bot has still to catch up, a wish to skip may be used up before.
    """
    wishes = Skips({(one.job, one.schedule, one.key): one.remaining for one in overview.skips})
    return [_fate(overview.pauses, wishes, schedule, int(at.timestamp())) for at, schedule in due]


def _fate(pauses: Sequence[Pause], wishes: Skips, schedule: Schedule, due_ts: int) -> Reason | None:
    own = (pause for pause in pauses if pause.job in (EVERY_JOB, schedule.job))
    if any(not pause.ends_before_ts(due_ts) for pause in own):
        return Reason.PAUSED
    return Reason.SKIP_ASKED if wishes.take(schedule, due_ts) else None


def _passed(connection: Connection, since: datetime) -> list[PassedGroup]:
    # The job as an expression, as in LATE.
    kind = (occurrences.c.job + "", occurrences.c.schedule, occurrences.c.decision, occurrences.c.reason)
    columns = (func.sum(occurrences.c.count), func.min(occurrences.c.due_at), func.max(occurrences.c.id))
    is_passed = (occurrences.c.decision != Decision.RUN) & (occurrences.c.schedule != MANUAL)
    query = (
        select(*columns)
        .where(occurrences.c.id >= first_since(connection, occurrences, since), is_passed)
        .group_by(*kind)
    )
    groups = connection.execute(query).all()
    found = connection.execute(select(occurrences).where(occurrences.c.id.in_([row[2] for row in groups])))
    newest = {row["id"]: passed_of(row) for row in found.mappings()}
    passed = [PassedGroup(int(count), _instant(first), newest[row_id]) for count, first, row_id in groups]
    return sorted(passed, key=lambda group: group.newest.last_due_at, reverse=True)


def _instant(column: int) -> datetime:
    instant = from_column(column)
    assert instant is not None
    return instant


def _paused_counts(connection: Connection, lasting: Collection[Pause]) -> dict[str, int]:
    """{job: how many instants its pause has passed over so far}."""
    wanted = [(pause.job, to_column(pause.paused_at)) for pause in lasting]
    counts = rows_of(connection, PAUSED_COUNTS, wanted=to_json(wanted))
    return dict.fromkeys((pause.job for pause in lasting), 0) | {job: int(count) for job, count in counts}


def _names(connection: Connection, tenants: Collection[str]) -> dict[str, str]:
    """{tenant: its name}, as the newest runs have it: no index leads to those of one tenant."""
    if not tenants:
        return {}
    last = connection.scalar(select(func.max(runs.c.id))) or 0
    return dict(rows_of(connection, NAMES, tenants=to_json(list(tenants)), after=last - NEWEST))


def _skips(connection: Connection) -> list[Skip]:
    rows = connection.execute(select(skips).order_by(skips.c.job, skips.c.schedule, skips.c.key))
    return [Skip(row.job, row.schedule, row.key, row.remaining, row.who, row.why) for row in rows]


def _open_count(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(runs).where(text(OPEN))) or 0


def _open_runs(connection: Connection, bots: Mapping[str, BotRecord]) -> list[RunRecord]:
    """What runs (also what has timed out and goes on), and what waits: what comes first, first."""
    found = select(*BRIEF).where(text(OPEN)).order_by(runs.c.state == RunState.QUEUED, runs.c.available_at, runs.c.id)
    return [record_of(row, bots) for row in connection.execute(found.limit(MOST_SHOWN)).mappings()]
