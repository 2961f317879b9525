"""The schedule: a cron expression with its zone, parameters and policies on a job."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pinstripe_bot.cron import CronExpression, parse
from pinstripe_bot.errors import InvalidSchedule
from pinstripe_bot.options import TENANT_ZONE
from pinstripe_bot.params import params_key
from pinstripe_bot.policies import CatchUp, CatchUpPolicy, Overlap
from pinstripe_bot.zones import Zone, zone


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written: a file relative to the project, and a line."""

    path: str
    line: int | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """One schedule of one job; `offset_s`, from `spread`, is part of every due instant.

    Of a job with tenants the spread delays each tenant's run instead. One that is `in_tenant_zone` is planned once
    for each zone in which tenants live: these are its `in_zone(...)`, and their `key` is the zone's name.
    """

    job: str
    name: str
    cron: CronExpression
    zone: Zone
    dst: str
    offset_s: int
    policy: CatchUpPolicy
    overlap: Overlap
    params: dict[str, Any]  # cast by the job's annotations
    params_json: str
    params_key: str
    enabled: bool
    place: Place
    multi_tenant: bool = False
    tenant_spread: timedelta | None = None
    in_tenant_zone: bool = False
    key: str = ""

    def in_zone(self, where: Zone) -> Schedule:
        """This schedule for the tenants that live in this zone."""
        return replace(self, zone=where, key=where.name)

    @property
    def timezone(self) -> str:
        """The name of its zone; "tenant" for one that is due in each tenant's zone, and is not in one of them."""
        return TENANT_ZONE if self.in_tenant_zone and not self.key else self.zone.name

    @property
    def fingerprint(self) -> str:
        """What decides when it is due: expression, zone, DST rule and spread. A changed one starts from now."""
        return f"{self.cron.normalized} | {self.zone.name} | {self.dst} | {self.offset_s}"

    def next_after_ts(self, after_ts: int) -> int:
        """The first due instant strictly after `after_ts`; UTC seconds."""
        return self.cron.next_after_ts(after_ts - self.offset_s, self.zone, self.dst) + self.offset_s

    def previous_before_ts(self, before_ts: int) -> int | None:
        """The last due instant strictly before `before_ts`; UTC seconds."""
        return self.cron.previous_before_ts(before_ts - self.offset_s, self.zone, self.dst) + self.offset_s

    def count_ts(self, after_ts: int, until_ts: int) -> int:
        """How many due instants lie in (after_ts, until_ts]."""
        return self.cron.count_ts(after_ts - self.offset_s, until_ts - self.offset_s, self.zone, self.dst)

    def is_due_ts(self, instant_ts: int) -> bool:
        """Whether it is due at exactly this UTC second."""
        return self.cron.is_due_ts(instant_ts - self.offset_s, self.zone, self.dst)

    def tenant_delay(self, tenant: str) -> timedelta:
        """How long after the due instant the run of this tenant may start; the same every day."""
        return timedelta(seconds=spread_offset_s(self.job, f"{self.name}\n{tenant}", self.tenant_spread))

    def upcoming(self, after: datetime) -> Iterator[datetime]:
        """The due instants after `after`, aware UTC, without end."""
        instant_ts = int(after.timestamp() // 1)
        while True:
            instant_ts = self.next_after_ts(instant_ts)
            yield datetime.fromtimestamp(instant_ts, UTC)


def in_zones(declared: Iterable[Schedule], zones_of: Callable[[Schedule], Iterable[str]]) -> list[Schedule]:
    """These schedules as they are planned: one that is due in each tenant's zone once for each of its zones.

    `zones_of` is asked for the names of these alone; a zone that only another machine knows is left out.
    """
    planned: list[Schedule] = []
    for one in declared:
        if one.timezone != TENANT_ZONE:
            planned.append(one)
            continue
        for name in sorted(zones_of(one)):
            with contextlib.suppress(InvalidSchedule):
                planned.append(one.in_zone(zone(name)))
    return planned


def spread_offset_s(job: str, schedule: str, spread: timedelta | None) -> int:
    """A whole number of seconds below `spread`, the same every day and on every machine."""
    if spread is None:
        return 0
    digest = hashlib.blake2b(f"{job}\n{schedule}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % max(int(spread.total_seconds()), 1)


def schedule_of(
    job: str,
    cron: CronExpression,
    options: Mapping[str, Any],
    *,
    params: dict[str, Any],
    params_json: str,
    place: Place,
) -> Schedule:
    """The schedule of `job` with these options, which hold a value for each name of OPTIONS."""
    name = options["name"] or cron.normalized
    in_tenant_zone, multi_tenant = options["timezone"] == TENANT_ZONE, options["multi_tenant"]
    return Schedule(
        job=job,
        name=name,
        cron=cron,
        zone=zone("UTC" if in_tenant_zone else options["timezone"]),
        dst=options["dst"],
        offset_s=0 if multi_tenant else spread_offset_s(job, name, options["spread"]),
        policy=catch_up_policy(options),
        overlap=options["overlap"],
        params=params,
        params_json=params_json,
        params_key=params_key(params_json),
        enabled=options["enabled"],
        place=place,
        multi_tenant=multi_tenant,
        tenant_spread=options["spread"] if multi_tenant else None,
        in_tenant_zone=in_tenant_zone,
    )


def former_schedule(job: str, name: str, key: str, fingerprint: str) -> Schedule:
    """What a fingerprint tells of a schedule that the project has no more: when it was due, and nothing else.

    Raises InvalidSchedule and InvalidTimezone where this version does not read it.
    """
    expression, zone_name, dst, offset_s = fingerprint.rsplit(" | ", 3)
    return Schedule(
        job=job,
        name=name,
        cron=parse(expression),
        zone=zone(zone_name),
        dst=dst,
        offset_s=int(offset_s),
        policy=CatchUpPolicy(CatchUp.NONE, late_after_s=0.0, max_lateness_s=None),
        overlap=Overlap.SKIP,
        params={},
        params_json="{}",
        params_key="",
        enabled=False,
        place=Place(""),
        key=key,
    )


def catch_up_policy(options: Mapping[str, Any]) -> CatchUpPolicy:
    """The options that decide over an undecided window."""
    max_lateness = options["max_lateness"]
    return CatchUpPolicy(
        catch_up=options["catch_up"],
        late_after_s=options["late_after"].total_seconds(),
        max_lateness_s=None if max_lateness is None else max_lateness.total_seconds(),
        catch_up_max=options["catch_up_max"],
        catch_up_spacing_s=options["catch_up_spacing"].total_seconds(),
    )
