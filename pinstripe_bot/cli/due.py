"""next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

import click

from pinstripe_bot import cron
from pinstripe_bot.cli.instants import read_instant, show_instant
from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.cli.tables import in_words, print_json, print_table
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.config import load_config
from pinstripe_bot.cron import CronExpression
from pinstripe_bot.errors import InvalidProject, InvalidSchedule
from pinstripe_bot.upcoming import Upcoming, upcoming
from pinstripe_bot.zones import Zone, zone


@dataclass(frozen=True, slots=True)
class _Asked:
    """One schedule, or one expression that stands for itself (then `name` is empty)."""

    name: str
    cron: CronExpression
    zone: Zone
    dst: str
    offset_s: int = 0

    def after(self, instant: datetime) -> Iterator[Upcoming]:
        return upcoming(self.cron, self.zone, instant, dst=self.dst, offset_s=self.offset_s)


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

    In UTC, in its zone and in words, with a note where the clocks change.
    """
    asked = _asked(invocation, subject, timezone, dst)
    now = SystemClock().now()
    after = {one: read_instant(start, one.zone.name, now=now) if start else now for one in asked}
    shown = {one: list(islice(one.after(after[one]), count)) for one in asked}
    if as_json:
        print_json([_as_json(one, instants) for one, instants in shown.items()])
        return
    for number, (one, instants) in enumerate(shown.items()):
        click.echo(f"\n{_title(one)}" if number else _title(one))
        rows = [(show_instant(at.due_at), show_instant(at.local), at.note) for at in instants]
        print_table(["UTC", one.zone.name, "clocks"], rows, wraps="clocks")


def _asked(invocation: Invocation, subject: str, timezone: str | None, dst: str | None) -> list[_Asked]:
    """An expression has blanks or begins with @; anything else is a job's name."""
    if subject.strip().startswith("@") or len(subject.split()) > 1:
        zone_name = timezone or _default_zone(invocation)
        return [_Asked("", cron.parse(subject), zone(zone_name), dst or "once")]
    job = invocation.load_project().job(subject)
    if not job.schedules:
        raise InvalidSchedule(f"the job {job.name!r} has no schedule: it runs by hand only")
    return [
        _Asked(
            name=f"{job.name} ({one.name})" if one.name != one.cron.normalized else job.name,
            cron=one.cron,
            zone=zone(timezone) if timezone else one.zone,
            dst=dst or one.dst,
            offset_s=one.offset_s,
        )
        for one in job.schedules
    ]


def _default_zone(invocation: Invocation) -> str:
    """The project's zone, or outside of any project the machine's."""
    try:
        root = invocation.root()
    except InvalidProject:
        root = Path("/")
    return load_config(root).config.timezone


def _title(one: _Asked) -> str:
    spread = f", spread by {one.offset_s} s" if one.offset_s else ""
    words = in_words(one.cron.normalized)
    facts = f'"{one.cron.expression}"' + (f": {words}" if words else "") + spread
    return f"{one.name}: {facts}" if one.name else facts


def _as_json(one: _Asked, instants: list[Upcoming]) -> dict[str, object]:
    return {
        "schedule": one.name or None,
        "expression": one.cron.expression,
        "in_words": in_words(one.cron.normalized),
        "timezone": one.zone.name,
        "due": [{"utc": at.due_at, "local": at.local.isoformat(), "note": at.note} for at in instants],
    }
