"""The zones of tenants: where they live now, and so in which zones their schedules are planned."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from datetime import datetime

import structlog

from pinstripe_bot.clock import Clock
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.failure import describe_error
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.project import Project
from pinstripe_bot.schedule import Schedule, in_zones
from pinstripe_bot.tenant_homes import TenantHomes
from pinstripe_bot.timetable import Timetable

LOOK_EVERY_S = 10.0
"""How often all tenants are asked where they live."""

SHARE = 20
"""So many times as long as a look takes passes before the next one: it costs a twentieth of a thread at most."""

log = structlog.get_logger("pinstripe")


class TenantZones:
    """Keeps an entry of the timetable for each zone in use, of each schedule that is due where each tenant lives.

    `look` is for the poller: it reads the tenants on a thread of its own. `plan` is for the loop.
    """

    def __init__(self, project: Project, ledger: Ledger, clock: Clock, homes: TenantHomes) -> None:
        self._project = project
        self._ledger = ledger
        self._clock = clock
        self._homes = homes
        self._declared = [one for one in project.schedules if one.enabled and one.in_tenant_zone]
        self._in_use: Mapping[str, int | None] | None = None  # what the last look has found
        self._planned: Mapping[str, int | None] | None = None  # of that, what the timetable has
        self._next_s = 0.0
        self._looking: threading.Thread | None = None
        self._has_failed = False

    def look(self) -> None:
        """Ask the tenants where they live, now and then; returns at once."""
        is_looking = self._looking is not None and self._looking.is_alive()
        if not self._declared or is_looking or self._clock.monotonic() < self._next_s:
            return
        self._looking = threading.Thread(target=self._look, name="pinstripe-zones", daemon=True)
        self._looking.start()

    def _look(self) -> None:
        began_s = self._clock.monotonic()
        try:
            self._in_use = self._homes.read_zones()
        except LedgerUnavailable:
            pass  # the claims tell it
        except BaseException as error:  # noqa: BLE001 - a wall: their lib/tenants.py, their database
            if not self._has_failed:
                log.error(
                    "tenant_zones_unread", error=str(error), place=describe_error(error, self._project.root).place
                )
            self._has_failed = True
        else:
            self._has_failed = False
        took_s = self._clock.monotonic() - began_s
        self._next_s = began_s + max(LOOK_EVERY_S, took_s * SHARE)

    def plan(self, timetable: Timetable[Schedule], now: datetime) -> None:
        """Let the timetable have the zones in use: one that is new starts with who came there, else from now."""
        wanted = self._in_use
        if wanted is None or wanted == self._planned:
            return
        with contextlib.suppress(LedgerUnavailable):  # the claims tell it; this is asked again
            planned = {(one.job, one.name, one.key): one for one in timetable.schedules if one.key}
            named = {(one.job, one.name, one.key): one for one in in_zones(self._declared, lambda _: wanted)}
            new = {one: wanted[one.key] for place, one in named.items() if place not in planned}
            gone = [one for place, one in planned.items() if place not in named]
            timetable.add(self._ledger.replan(new, gone, now))
            timetable.remove(gone)
            self._planned = wanted
            for one in new:
                log.info("zone_planned", job=one.job, schedule=one.name, zone=one.key)
            for one in gone:
                log.info("zone_dropped", job=one.job, schedule=one.name, zone=one.key)
