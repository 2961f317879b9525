"""The backfill for tenants: each gets a run for the due instants of a span for which it has none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Connection

from pinstripe_bot.ledger_backfill import FILL, Span
from pinstripe_bot.ledger_rows import SECOND
from pinstripe_bot.ledger_schema import BACKFILL
from pinstripe_bot.ledger_sql import both, execute, given, listed, rows_of, to_json, values_of
from pinstripe_bot.residence import NEAR_S, Residence, turn_of
from pinstripe_bot.schedule import Schedule, in_zones
from pinstripe_bot.tenant import Tenant

HAD = both(
    """
    SELECT {rows} FROM occurrences JOIN runs ON runs.occurrence_id = occurrences.id
    WHERE occurrences.job = :job AND occurrences.schedule IN {schedules} AND runs.tenant IN {tenants}
      AND occurrences.due_at BETWEEN :first_at AND :last_at AND runs.state <> 'skipped'
    """,
    rows=listed("runs.tenant", "occurrences.schedule", "occurrences.key", "occurrences.due_at"),
    schedules=values_of("schedules", "text"),
    tenants=values_of("tenants", "text"),
)

FILL_RUNS = both(
    """
    INSERT INTO runs (occurrence_id, tenant, tenant_name, job, schedule, due_at, state, params, params_key,
                      available_at, in_turn, claimed_at)
    SELECT occurrences.id, missing.tenant, missing.tenant_name, occurrences.job, occurrences.schedule,
           occurrences.due_at, 'queued', missing.params, missing.params_key, missing.available_at, 1, :now
    FROM {rows} AS missing JOIN occurrences ON occurrences.job = :job AND occurrences.schedule = missing.schedule
      AND occurrences.key = 'backfill' AND occurrences.due_at = missing.due_at
    WHERE true ORDER BY occurrences.due_at, missing.tenant
    ON CONFLICT (occurrence_id, tenant) DO NOTHING
    """,
    rows=given(
        "rows",
        schedule="text",
        due_at="bigint",
        tenant="text",
        tenant_name="text",
        params="text",
        params_key="text",
        available_at="bigint",
    ),
)


@dataclass(frozen=True, slots=True)
class TenantGap:
    """A due instant that comes to a tenant, and of which it may have no run.

    `schedule` is the one in the tenant's zone, where it is due there; `number` counts what comes to this tenant.
    """

    due_ts: int
    number: int
    schedule: Schedule
    tenant: str
    tenant_name: str


class TenantGaps:
    """What comes to tenants in a span; `declared` are all schedules of the job, in their order."""

    def __init__(self, span: Span, declared: Sequence[Schedule]) -> None:
        self.span = span
        self._work = {one.name: one.params_key for one in declared}
        self._by_zone: dict[str, list[tuple[int, Schedule]]] = {}

    def of(self, tenants: Sequence[Tenant], homes: Mapping[str, str]) -> list[TenantGap]:
        """All due instants that come to these tenants, oldest first; `homes` are the zones where they live."""
        found = [
            TenantGap(due_ts, number, schedule, tenant.key, tenant.name)
            for tenant in tenants
            for number, (due_ts, schedule) in enumerate(self._in_zone(homes[tenant.key]))
        ]
        return sorted(found, key=lambda gap: (gap.due_ts, gap.number))

    def _in_zone(self, home: str) -> list[tuple[int, Schedule]]:
        """What is due for one who lives here; of schedules with equal parameters, an instant is the first one's."""
        if home not in self._by_zone:
            planned = Span(tuple(in_zones(self.span.schedules, lambda _: [home])), *self.span.bounds)
            instants = sorted(planned.instants(), key=lambda gap: (gap.due_ts, gap.order))
            firsts = {(gap.due_ts, gap.schedule.params_key): gap for gap in reversed(instants)}
            own = sorted(firsts.values(), key=lambda gap: (gap.due_ts, gap.order))
            self._by_zone[home] = [(gap.due_ts, gap.schedule) for gap in own]
        return self._by_zone[home]

    def missing(self, connection: Connection, gaps: Sequence[TenantGap]) -> list[TenantGap]:
        """Those of these gaps for which the tenant has no run: one that was skipped is none."""
        had = self._had(connection, {gap.tenant for gap in gaps})
        return [gap for gap in gaps if not had[gap.tenant].stand_for(gap, self._work)]

    def _had(self, connection: Connection, tenants: Collection[str]) -> dict[str, _Had]:
        first_ts, last_ts = self.span.bounds
        values = {
            "job": self.span.job,
            "schedules": to_json(sorted(self._work)),
            "tenants": to_json(sorted(tenants)),
            "first_at": (first_ts - NEAR_S) * SECOND,
            "last_at": (last_ts + NEAR_S) * SECOND,
        }
        had = {tenant: _Had(set()) for tenant in tenants}
        for tenant, schedule, key, due_at in rows_of(connection, HAD, **values):
            had[tenant].instants.add((schedule, key, due_at // SECOND))
        return had


@dataclass(frozen=True)
class _Had:
    """What one tenant has had: (schedule, key, due second) of its runs."""

    instants: set[tuple[str, str, int]]

    @cached_property
    def _in_other_zones(self) -> dict[str, list[tuple[str, int]]]:
        zones: dict[str, list[tuple[str, int]]] = {}
        for name, key, due_ts in self.instants:
            if key not in ("", BACKFILL):
                zones.setdefault(name, []).append((key, due_ts))
        return zones

    @cached_property
    def _at(self) -> set[tuple[str, int]]:
        return {(name, due_ts) for name, _, due_ts in self.instants}

    def stand_for(self, gap: TenantGap, work: Mapping[str, str]) -> bool:
        """Whether one of its runs was for this instant, for this wall time in another zone, or for the same work."""
        schedule = gap.schedule
        if any((name, gap.due_ts) in self._at for name, key in work.items() if key == schedule.params_key):
            return True
        elsewhere = self._in_other_zones.get(schedule.name, []) if schedule.key else []
        if not elsewhere:
            return False
        turn = turn_of(schedule, gap.due_ts)
        return not turn.is_for(Residence(schedule.key), turn.twins(elsewhere))


def fill_for_tenants(
    connection: Connection, gaps: Sequence[TenantGap], *, bot: str, now_at: int, spacing_us: int
) -> int:
    """Write a run that waits for its turn for each of these gaps, all of one job; how many there were.

    The first one of each tenant may start now, and each further one so much later.
    """
    job = gaps[0].schedule.job
    instants = sorted({(gap.schedule.name, gap.due_ts * SECOND) for gap in gaps})
    occurrences = [(job, name, BACKFILL, due_at) for name, due_at in instants]
    execute(connection, FILL, rows=to_json(occurrences), now=now_at, bot=bot)
    rows = [
        (
            gap.schedule.name,
            gap.due_ts * SECOND,
            gap.tenant,
            gap.tenant_name,
            gap.schedule.params_json,
            gap.schedule.params_key,
            now_at + gap.number * spacing_us,
        )
        for gap in gaps
    ]
    return execute(connection, FILL_RUNS, rows=to_json(rows), job=job, now=now_at).rowcount
