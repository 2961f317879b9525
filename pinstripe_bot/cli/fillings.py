"""The fillings: what a backfill adds, for a job without tenants and for one with them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol, TypeVar

from pinstripe_bot.desk import Desk
from pinstripe_bot.ledger_backfill import Gap, Span, missing
from pinstripe_bot.ledger_backfill_tenants import TenantGap, TenantGaps
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.project import Project
from pinstripe_bot.scripting import reading_workspace
from pinstripe_bot.tenant_homes import told_where_it_fails
from pinstripe_bot.tenants import chosen, groups_of, home_of
from pinstripe_bot.zones import Zone

PART = 1000
"""Runs that one transaction writes, so that the bots can claim in between."""

AnyGap = TypeVar("AnyGap", Gap, TenantGap)


class Instant(NamedTuple):
    """A due instant of a schedule, in the zone in which it is due."""

    due_ts: int
    schedule: str
    zone: Zone


class Filling(Protocol):
    """What a backfill of one span adds."""

    def planned(self, store: LedgerStore | None) -> Counter[Instant]:
        """{instant: how many runs are missing there}, oldest first; without a ledger all are."""

    def add(self, desk: Desk, apart: timedelta) -> int:
        """Add what is missing, so far apart; how many runs there were."""


class PlainFilling:
    """A run for each due instant that has none."""

    def __init__(self, project: Project, span: Span) -> None:
        self._span = span
        self._declared = project.job(span.job).schedules

    def planned(self, store: LedgerStore | None) -> Counter[Instant]:
        gaps = self._gaps(store)
        return Counter(Instant(gap.due_ts, gap.schedule.name, gap.schedule.zone) for gap in gaps)

    def add(self, desk: Desk, apart: timedelta) -> int:
        parts = _parts(self._gaps(desk.store))
        return sum(desk.acts.backfill(self._span, part, desk.clock.now(), spacing=apart) for part in parts)

    def _gaps(self, store: LedgerStore | None) -> list[Gap]:
        if store is None:
            return sorted(self._span.instants(), key=lambda gap: (gap.due_ts, gap.order))
        with store.reading() as connection:
            return missing(connection, self._span, self._declared)


class TenantFilling:
    """A run for each tenant and due instant that has none; for those with these `keys`, or all that the job chooses.

    The tenants are read once to count and once to add, a group at a time.
    """

    def __init__(self, project: Project, span: Span, keys: Sequence[str] | None) -> None:
        self._project = project
        self._job = project.job(span.job)
        self._wanted = TenantGaps(span, self._job.schedules)
        self._keys = keys

    def planned(self, store: LedgerStore | None) -> Counter[Instant]:
        found: Counter[Instant] = Counter()
        for gaps in self._groups():
            for gap in self._missing(store, gaps):
                found[Instant(gap.due_ts, gap.schedule.name, gap.schedule.zone)] += 1
        return Counter(dict(sorted(found.items(), key=lambda item: (item[0].due_ts, item[0].zone.name))))

    def add(self, desk: Desk, apart: timedelta) -> int:
        added = 0
        for gaps in self._groups():
            for part in _parts(self._missing(desk.store, gaps)):
                added += desk.acts.backfill_for_tenants(self._wanted, part, desk.clock.now(), spacing=apart)
        return added

    def _missing(self, store: LedgerStore | None, gaps: list[TenantGap]) -> list[TenantGap]:
        if store is None or not gaps:
            return gaps
        with store.reading() as connection:
            return self._wanted.missing(connection, gaps)

    def _groups(self) -> Iterator[list[TenantGap]]:
        """All that comes to the tenants, group by group."""
        otherwise = self._project.config.timezone
        with reading_workspace(self._project) as workspace:
            found = chosen(self._project.tenants, workspace, self._job, self._keys)
            with contextlib.closing(found) as each, told_where_it_fails(self._project):
                for group in groups_of(each):
                    homes = {tenant.key: home_of(tenant, otherwise) for tenant in group}
                    yield self._wanted.of(group, homes)


def _parts(gaps: Sequence[AnyGap]) -> Iterator[Sequence[AnyGap]]:
    for first in range(0, len(gaps), PART):
        yield gaps[first : first + PART]
