"""Where a tenant lives and has lived, and whose turn it is when a schedule comes due in one zone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from pinstripe_bot.schedule import Schedule
from pinstripe_bot.shifts import passes
from pinstripe_bot.zones import Segment, Zone, zone

KEPT_S: Final = 48 * 3600
"""For so long a former zone is remembered, and planned."""

NEAR_S: Final = 27 * 3600
"""Two zones show one wall time at most so far apart: the clocks of the earth span 26 hours."""

MOST_FORMERS: Final = 50
"""No more are remembered, should a tenant's zone change at every look."""

_DAY_S: Final = 86400


class Former(NamedTuple):
    """A zone where a tenant lived, and the UTC second in which it was noticed that it had left."""

    zone: str
    left_ts: int


@dataclass(frozen=True, slots=True)
class Residence:
    """The zone where a tenant was last seen to live, and those where it lived before, oldest first."""

    zone: str
    formers: tuple[Former, ...] = ()

    def moved(self, to: str, noticed_ts: int) -> Residence:
        """This residence, now that the tenant is seen in `to`; the same one if it lives there already.

        `noticed_ts` is the second of the look itself, never an earlier one: what came due until then was answered
        from the zone known before, and stays so.
        """
        if to == self.zone:
            return self
        left_ts = max([noticed_ts, *(former.left_ts for former in self.formers)])
        kept = [former for former in self.formers if former.left_ts > left_ts - KEPT_S]
        return Residence(to, (*kept, Former(self.zone, left_ts))[-MOST_FORMERS:])

    @property
    def zones(self) -> list[str]:
        """Where it lives, and then where it lived before, the latest first."""
        return list(dict.fromkeys([self.zone, *(former.zone for former in reversed(self.formers))]))

    def at(self, ts: int) -> str:
        """The zone where it lived at this second, as far as had been noticed; the second of a move is the old one's."""
        return next((former.zone for former in self.formers if former.left_ts >= ts), self.zone)

    def arrived_ts(self, ts: int) -> int | None:
        """When it came to where it lived at this second; None if it is not known to have moved before."""
        return max((former.left_ts for former in self.formers if former.left_ts < ts), default=None)

    def had_left(self, zone_name: str, ts: int) -> bool:
        """Whether it lived in this zone and left it before this second."""
        return any(former.zone == zone_name and former.left_ts < ts for former in self.formers)

    @property
    def formers_json(self) -> str:
        """Its formers as the ledger keeps them: [[zone, left_ts], ...]."""
        return msgspec.json.encode(self.formers).decode()


def residence_of(zone_name: str, formers_json: str) -> Residence:
    """A residence as the ledger keeps it."""
    return Residence(zone_name, msgspec.json.decode(formers_json, type=tuple[Former, ...]))


def lately_in_use(residences: Iterable[Residence], now_ts: int) -> dict[str, int | None]:
    """The zones of tenants that have moved in the last KEPT_S: they must be planned.

    {zone: the second after which the first of them lived there, or None for one that all of them have left}.
    """
    found: dict[str, int | None] = {}
    for residence in residences:
        recent = [former for former in residence.formers if former.left_ts > now_ts - KEPT_S]
        for former in recent:
            found.setdefault(former.zone, None)
        for arrived, to in zip(recent, [*(former.zone for former in recent[1:]), residence.zone], strict=False):
            known_ts = found.get(to)
            found[to] = arrived.left_ts if known_ts is None else min(known_ts, arrived.left_ts)
    return found


@dataclass(frozen=True, slots=True)
class Turn:
    """A schedule come due in one zone, asked tenant by tenant whose turn it is.

    It stands for wall times: the one that the zone's clocks show, and those that they have just skipped.
    That of a schedule which follows real time stands for its instant alone.
    Source: docs/tenants.md, "In each tenant's own zone".
    """

    schedule: Schedule  # in its zone
    due_ts: int
    stands_for: frozenset[int]  # wall seconds, or the one UTC second

    @property
    def near_ts(self) -> tuple[int, int]:
        """The first and the last second in which a twin can come due."""
        apart_s = NEAR_S if self.schedule.cron.is_fixed else 0
        return self.due_ts - apart_s, self.due_ts + apart_s

    def twins(self, others: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
        """Those (zone, due second) of other zones that stand for the same, or for some of it."""
        elsewhere = (each for each in others if each[0] != self.schedule.zone.name)
        return [each for each in elsewhere if self.stands_for & self._beside(*each)]

    def is_for(self, residence: Residence, given: Iterable[tuple[str, int]] = ()) -> bool:
        """Whether a tenant with this residence gets a run; `given` are the twins in which it got one already.

        A tenant without formers has been given none: the ledger need not be asked for it.
        """
        left = self._falls_to(residence)
        for each in given if left else ():
            left -= self._beside(*each)
        return bool(left)

    def _falls_to(self, residence: Residence) -> frozenset[int]:
        """What of it is this tenant's: all where it lives; where it lived, the wall times over which it jumped."""
        lived_in = residence.at(self.due_ts)
        if lived_in == self.schedule.zone.name:
            return self.stands_for
        arrived_ts = residence.arrived_ts(self.due_ts)
        if arrived_ts is None or not self.schedule.cron.is_fixed:
            return frozenset()
        if not residence.had_left(self.schedule.zone.name, self.due_ts):
            return frozenset()
        return frozenset(wall for wall in self.stands_for if _passed_ts(lived_in, wall) <= arrived_ts)

    def _beside(self, zone_name: str, due_ts: int) -> frozenset[int]:
        return _stands_for(self.schedule, zone(zone_name), due_ts)


def turn_of(schedule: Schedule, due_ts: int) -> Turn:
    """The turn of a schedule that comes due, in its zone, at this UTC second."""
    return Turn(schedule, due_ts, _stands_for(schedule, schedule.zone, due_ts))


def _stands_for(schedule: Schedule, where: Zone, due_ts: int) -> frozenset[int]:
    if not schedule.cron.is_fixed:
        return frozenset({due_ts})
    segment = where.place(due_ts)[1]
    shown = due_ts + segment.offset
    skipped = _skipped_before(shown, segment) if schedule.dst == "once" else range(0)
    # On a clock that never shifts, a wall time is an instant.
    walls = (wall for wall in (*skipped, shown) if schedule.cron.is_due_ts(wall, zone("UTC")))
    return frozenset(walls) or frozenset({shown})


def _skipped_before(shown: int, segment: Segment) -> range:
    """The wall seconds for which one in the first whole minute after a gap stands in: with its own second only."""
    first_wall = segment.start_ts + segment.offset
    is_first_minute = 0 <= shown - -(-first_wall // 60) * 60 < 60
    return range(segment.settled + (shown - segment.settled) % 60, first_wall, 60) if is_first_minute else range(0)


def _passed_ts(zone_name: str, wall: int) -> int:
    """The UTC second in which the zone's clocks first show this wall second, or a later one because they skip it."""
    return passes(zone(zone_name), wall, wall + 3 * _DAY_S)[0].start
