"""The failures: which runs went wrong or began late lately, job by job and tenant by tenant. Only reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, text

from pinstripe_bot.ledger_history import first_since
from pinstripe_bot.ledger_rows import BRIEF, SECOND, run_of, to_column
from pinstripe_bot.ledger_schema import ENDED_BADLY, WANTED_AT, runs
from pinstripe_bot.ledger_sql import Statement, both, given, listed, rows_of, to_json
from pinstripe_bot.occurrence import Run
from pinstripe_bot.schedule import Schedule

LATE_AFTER = timedelta(seconds=60)
"""For runs that no schedule of the project stands for any more: the default of `late_after`."""

LOOKED_AT = 200_000
"""In so many of the newest runs late ones are looked for."""

_LATENESS = f"(runs.started_at - {WANTED_AT})"

# What is later than any limit is compared with that of its schedule: few are, and a comparison costs more than a row.
# Grouped by an expression: grouped by the column, SQLite walks a whole index of jobs instead of the newest ids.
LATE = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT max(runs.job) AS job, runs.tenant AS tenant, count(*) AS count, max(runs.id) AS newest
        FROM runs WHERE runs.id >= :first AND runs.attempt = 1 AND {_LATENESS} > :least
          AND {_LATENESS} > coalesce(
              (SELECT after_us FROM {{limits}} AS late WHERE late.job = runs.job AND late.schedule = runs.schedule),
              :otherwise
          )
          AND (SELECT key FROM occurrences WHERE occurrences.id = runs.occurrence_id) <> 'backfill'
        GROUP BY runs.job || '', runs.tenant
    ) AS found
    """,
    rows=listed("job", "tenant", "count", "newest"),
    limits=given("limits", job="text", schedule="text", after_us="bigint"),
)

_WANTED = given("wanted", job="text", first="bigint")

# Job by job from the newest run back: nearly always it is the first one.
SUCCEEDED = both(
    """
    SELECT {rows} FROM (
        SELECT job, (
            SELECT id FROM runs WHERE runs.job = wanted.job AND runs.id > wanted.first AND runs.tenant = ''
              AND runs.state = 'succeeded' ORDER BY runs.id DESC LIMIT 1
        ) AS newest FROM {wanted} AS wanted
    ) AS found WHERE newest IS NOT NULL
    """,
    rows=listed("job", "newest"),
    wanted=_WANTED,
)

# SQLite knows no LATERAL, and PostgreSQL would look at all runs for a few jobs.
_THEIRS = Statement(
    f"{_WANTED.sqlite} AS wanted CROSS JOIN runs WHERE runs.job = wanted.job AND runs.id > wanted.first",
    f"{_WANTED.postgres} AS wanted CROSS JOIN LATERAL ("
    "SELECT * FROM runs AS one WHERE one.job = wanted.job AND one.id > wanted.first OFFSET 0"
    ") AS runs WHERE true",
)

SUCCEEDED_TENANTS = both(
    """
    SELECT {rows} FROM (
        SELECT max(runs.job) AS job, runs.tenant, max(runs.id) AS newest FROM {theirs} AND runs.state = 'succeeded'
        GROUP BY runs.job || '', runs.tenant
    ) AS found
    """,
    rows=listed("job", "tenant", "newest"),
    theirs=_THEIRS,
)

MOST_TENANTS = 3
"""How many tenants a trouble names."""


@dataclass(frozen=True, slots=True)
class TenantTrouble:
    """The part of one tenant in a trouble."""

    count: int
    newest: Run
    is_over: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """Runs of one job with the same trouble, a state or "late": how many, the newest, whether it is over.

    It is over where whoever had it has had a run since that succeeded. `tenants` are the latest of `tenant_count`.
    """

    kind: str
    count: int
    newest: Run
    is_over: bool
    tenants: tuple[TenantTrouble, ...] = ()
    tenant_count: int = 0


@dataclass(frozen=True, slots=True)
class _Group:
    """Runs of one job and tenant with the same trouble."""

    kind: str
    job: str
    tenant: str
    count: int
    newest: int


def read_failures(connection: Connection, planned: Iterable[Schedule], since: datetime) -> list[Trouble]:
    """What went wrong since, the newest first, and then what was late; `planned` say from when on a run is late."""
    groups = [*_ended_badly(connection, since), *_late(connection, planned, since)]
    troubles: dict[tuple[str, str], list[_Group]] = {}
    for group in sorted(groups, key=lambda one: -one.newest):
        troubles.setdefault((group.kind, group.job), []).append(group)
    newest = _runs_of(connection, [one.newest for each in troubles.values() for one in each[:MOST_TENANTS]])
    succeeded = _successes_after(connection, groups)
    found = [_trouble(each, newest, succeeded) for each in troubles.values()]
    return sorted(found, key=lambda trouble: (trouble.kind == "late", -trouble.newest.id))


def _trouble(groups: Sequence[_Group], newest: Mapping[int, Run], succeeded: Mapping[tuple[str, str], int]) -> Trouble:
    """One trouble of one job; its groups are those of each tenant, the latest first."""

    def is_over(one: _Group) -> bool:
        return succeeded.get((one.job, one.tenant), 0) > one.newest

    of_tenants = [one for one in groups if one.tenant]
    return Trouble(
        kind=groups[0].kind,
        count=sum(one.count for one in groups),
        newest=newest[groups[0].newest],
        is_over=all(is_over(one) for one in groups),
        tenants=tuple(TenantTrouble(one.count, newest[one.newest], is_over(one)) for one in of_tenants[:MOST_TENANTS]),
        tenant_count=len(of_tenants),
    )


def _ended_badly(connection: Connection, since: datetime) -> list[_Group]:
    kind = (runs.c.state, runs.c.job, runs.c.tenant)
    bad = select(*kind, func.count(), func.max(runs.c.id)).where(
        text(ENDED_BADLY), runs.c.finished_at >= to_column(since)
    )
    return [_Group(*row) for row in connection.execute(bad.group_by(*kind))]


def _late(connection: Connection, planned: Iterable[Schedule], since: datetime) -> list[_Group]:
    first = first_since(connection, runs, since, among=LOOKED_AT)
    own = [one for one in planned if one.policy.late_after_s != LATE_AFTER.total_seconds()]
    limits = [(one.job, one.name, round(one.policy.late_after_s * SECOND)) for one in own]
    otherwise = LATE_AFTER // timedelta(microseconds=1)
    least = min([otherwise, *(after_us for _, _, after_us in limits)])
    rows = rows_of(connection, LATE, first=first, limits=to_json(limits), least=least, otherwise=otherwise)
    return [_Group("late", *row) for row in rows]


def _runs_of(connection: Connection, run_ids: Collection[int]) -> dict[int, Run]:
    found = connection.execute(select(*BRIEF).where(runs.c.id.in_(run_ids))).mappings()
    return {row["id"]: run_of(row) for row in found}


def _successes_after(connection: Connection, groups: Collection[_Group]) -> dict[tuple[str, str], int]:
    """{(job, tenant): its newest run that succeeded}, of those jobs, as far as it came after their first trouble."""
    firsts: dict[bool, dict[str, int]] = {False: {}, True: {}}  # those of tenants are many for each job
    for one in groups:
        its = firsts[bool(one.tenant)]
        its[one.job] = min(one.newest, its.get(one.job, one.newest))
    alone, of_tenants = (to_json(list(its.items())) for its in firsts.values())
    found = {(job, ""): newest for job, newest in rows_of(connection, SUCCEEDED, wanted=alone)}
    theirs = rows_of(connection, SUCCEEDED_TENANTS, wanted=of_tenants)
    return found | {(job, tenant): newest for job, tenant, newest in theirs if tenant}
