"""next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

import click

from pinstripe_bot import cron
from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.cli.tables import print_json, print_table
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.config import load_config
from pinstripe_bot.cron import CronExpression
from pinstripe_bot.cron_words import in_words
from pinstripe_bot.errors import InvalidProject, InvalidSchedule
from pinstripe_bot.instants import read_instant, show_instant
from pinstripe_bot.ledger_history import open_history
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.options import TENANT_ZONE
from pinstripe_bot.project import Project
from pinstripe_bot.schedule import Schedule, in_zones
from pinstripe_bot.shown import IN_TENANT_ZONES, NO_ZONE_YET
from pinstripe_bot.upcoming import Upcoming, upcoming
from pinstripe_bot.zones import Zone, zone


@dataclass(frozen=True, slots=True)
class _Asked:
    """One schedule, or one expression that stands for itself (then `name` is empty), in the zones that it is due in."""

    name: str
    cron: CronExpression
    zones: tuple[Zone, ...]
    dst: str
    offset_s: int = 0
    is_in_tenant_zones: bool = False

    def after(self, start: str | None, count: int, now: datetime) -> list[tuple[Zone, list[Upcoming]]]:
        """So many instants of each zone; `start` is an instant on its clock."""
        return [(zone, list(islice(self._after(zone, start, now), count))) for zone in self.zones]

    def _after(self, zone: Zone, start: str | None, now: datetime) -> Iterator[Upcoming]:
        after = now if start is None else read_instant(start, zone.name, now=now)
        return upcoming(self.cron, zone, after, dst=self.dst, offset_s=self.offset_s)


@project_command(name="next")
@click.argument("subject", metavar='NAME|"EXPRESSION"')
@click.option("--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many due instants.")
@click.option("--timezone", metavar="ZONE", help="The zone to read it in (default: the schedule's, or the project's).")
@click.option("--from", "start", metavar="INSTANT", help="The instant to start after (default: now).")
@click.option("--dst", type=click.Choice(["once", "wall"]), help="The rule for changes of the clocks.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def next(
    invocation: Invocation,
    subject: str,
    count: int,
    timezone: str | None,
    start: str | None,
    dst: str | None,
    as_json: bool,
) -> None:
    """Show when a job or a cron expression is due next.

    In UTC, in its zone and in words, with a note where the clocks change. A schedule in tenants' zones is shown in each
    zone in which one lives.
    """
    now = SystemClock().now()
    shown = [(one, one.after(start, count, now)) for one in _asked(invocation, subject, timezone, dst, now)]
    if as_json:
        print_json([each for one, planned in shown for each in _as_json(one, planned)])
        return
    for number, (one, planned) in enumerate(shown):
        click.echo(f"\n{_title(one)}" if number else _title(one))
        _draw(one, planned)


def _asked(invocation: Invocation, subject: str, timezone: str | None, dst: str | None, now: datetime) -> list[_Asked]:
    """An expression has blanks or begins with @; anything else is a job's name."""
    if subject.strip().startswith("@") or len(subject.split()) > 1:
        zone_name = timezone or _default_zone(invocation)
        return [_Asked("", cron.parse(subject), (zone(zone_name),), dst or "once")]
    project = invocation.load_project()
    job = project.job(subject)
    if not job.schedules:
        raise InvalidSchedule(f"the job {job.name!r} has no schedule: it runs by hand only")
    in_use = frozenset[str]() if timezone else _zones_in_use(project, job.schedules, now)
    return [
        _Asked(
            name=f"{job.name} ({one.name})" if one.name != one.cron.normalized else job.name,
            cron=one.cron,
            zones=(zone(timezone),) if timezone else tuple(each.zone for each in in_zones([one], lambda _: in_use)),
            dst=dst or one.dst,
            offset_s=one.offset_s,
            is_in_tenant_zones=one.in_tenant_zone and not timezone,
        )
        for one in job.schedules
    ]


def _zones_in_use(project: Project, schedules: Iterable[Schedule], now: datetime) -> frozenset[str]:
    """The zones of the tenants that the ledger knows, where one of these schedules is due in tenants' zones."""
    if not any(one.in_tenant_zone for one in schedules):
        return frozenset()
    with open_history(ledger_place(project.config, project.root)) as history:
        return frozenset() if history is None else frozenset(history.zones())


def _default_zone(invocation: Invocation) -> str:
    """The project's zone, or outside of any project the machine's."""
    try:
        root = invocation.root()
    except InvalidProject:
        root = Path("/")
    return load_config(root).config.timezone


def _title(one: _Asked) -> str:
    spread = f", spread by {one.offset_s} s" if one.offset_s else ""
    where = f", {IN_TENANT_ZONES}" if one.is_in_tenant_zones else ""
    words = in_words(one.cron.normalized)
    facts = f'"{one.cron.expression}"' + (f": {words}" if words else "") + where + spread
    return f"{one.name}: {facts}" if one.name else facts


def _draw(one: _Asked, planned: Sequence[tuple[Zone, Sequence[Upcoming]]]) -> None:
    """A table of the instants; of those in tenants' zones one for all of them, soonest first."""
    if one.is_in_tenant_zones:
        if not planned:
            click.echo(f"{NO_ZONE_YET}; --timezone ZONE shows one zone.")
            return
        each = sorted(((zone.name, at) for zone, instants in planned for at in instants), key=lambda one: one[1].due_at)
        cells = [(show_instant(at.due_at), show_instant(at.local), name, at.note) for name, at in each]
        print_table(["UTC", "there", "zone", "clocks"], cells, wraps="clocks")
        return
    ((zone, instants),) = planned
    rows = [(show_instant(at.due_at), show_instant(at.local), at.note) for at in instants]
    print_table(["UTC", zone.name, "clocks"], rows, wraps="clocks")


def _as_json(one: _Asked, planned: Sequence[tuple[Zone, Sequence[Upcoming]]]) -> list[dict[str, object]]:
    """One object for each zone; where no tenant's zone is known yet, one without instants."""
    return [
        {
            "schedule": one.name or None,
            "expression": one.cron.expression,
            "in_words": in_words(one.cron.normalized),
            "timezone": name,
            "is_tenants_zone": one.is_in_tenant_zones,
            "due": [{"utc": at.due_at, "local": at.local.isoformat(), "note": at.note} for at in instants],
        }
        for name, instants in [(zone.name, instants) for zone, instants in planned] or [(TENANT_ZONE, ())]
    ]
