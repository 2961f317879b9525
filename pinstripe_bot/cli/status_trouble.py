"""The trouble on the page of `status`: what failed, was late or missed lately, and what to type."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.text import Text

from pinstripe_bot.cli.pages import STYLES, Page
from pinstripe_bot.escapes import escape_line
from pinstripe_bot.ledger_failures import Trouble
from pinstripe_bot.ledger_overview import Overview, PassedGroup
from pinstripe_bot.occurrence import Decision, Run
from pinstripe_bot.outlook import lacks_workers
from pinstripe_bot.project import Project
from pinstripe_bot.reason_words import reason_in_words
from pinstripe_bot.records import ListingRecord
from pinstripe_bot.redaction import redact_text
from pinstripe_bot.shown import SET_CLOCK, count_of, error_line, show_at, show_bot, show_offset, show_tenant
from pinstripe_bot.spans import show_ago, show_duration
from pinstripe_bot.story_commands import run_command
from pinstripe_bot.zones import Zone, zone

MOST_BLOCKS = 20
"""How many jobs in trouble are told of."""


def draw_trouble(page: Page, project: Project, overview: Overview, now: datetime) -> None:
    """That no bot is there, and what failed, was late or missed, each with what to type."""
    shown_zone = zone(project.config.timezone)
    if not overview.has_bot:
        seen = max((bot.last_seen_at for bot in overview.bots if bot.kind == "bot"), default=None)
        since = "" if seen is None else f" since {show_at(seen, shown_zone)}, {show_ago(seen, now)}"
        page.say(f"No bot is running{since}: `pinstripe start-server` starts one.", "yellow")
    if lacks_workers(project, overview):
        page.say("No worker is running: `pinstripe start-worker` starts one.", "yellow")
    for queue in overview.queues:
        if queue.is_unserved and overview.workers:
            start = f"`pinstripe start-worker --queues {queue.name}` starts one"
            page.say(f"No worker serves the queue {queue.name}, in which runs wait: {start}.", "yellow")
    for bot in overview.bots:
        if bot.is_off:
            page.say(f"The clock of {show_bot(bot)} is {show_offset(bot)}: {SET_CLOCK}.", "yellow")
    missed = [group for group in overview.passed if group.newest.occurrence.decision is Decision.MISSED]
    listings = overview.failing_listings
    if not overview.troubles and not missed and not listings:
        return
    page.title("In the last 24 hours")
    blocks = [_listing_lines(listing, shown_zone, now, has_bot=overview.has_bot) for listing in listings]
    blocks += [_trouble_lines(trouble, project, shown_zone, now) for trouble in overview.troubles]
    blocks += [_missed_lines(group, project, now) for group in missed]
    for block in blocks[:MOST_BLOCKS]:
        for number, line in enumerate(block):
            page.say(line, indent=4 if number else 2)
    if len(blocks) > MOST_BLOCKS:
        command = "pinstripe runs --since 24h --state failed --state timed_out --state interrupted --state missed"
        page.say(f"and {len(blocks) - MOST_BLOCKS} more: {command}", "dim", indent=2)


def _listing_lines(listing: ListingRecord, shown_zone: Zone, now: datetime, *, has_bot: bool) -> Iterator[Text]:
    """Which tenants have no run and why, when it is tried again; what to type."""
    due = Text(f", due {show_at(listing.due_at, listing.zone or shown_zone)}", "dim")
    times = count_of(listing.failed_attempts, "time")
    what = Text(f" could not list its tenants, {times} so far" if listing.is_open else " gave up listing its tenants")
    what.stylize(STYLES["failed"])
    given = f"; {count_of(listing.runs, 'tenant')} had been listed before" if listing.runs else ""
    yield Text.assemble(Text(listing.job, "bold"), what, due)
    yield Text(escape_line(redact_text(listing.error)))
    yield Text(f"{_next_try(listing, now, has_bot=has_bot)}{given}")
    yield Text(f"pinstripe explain {listing.job} --at {listing.due_at:%Y-%m-%dT%H:%M:%SZ}", "cyan")


def _next_try(listing: ListingRecord, now: datetime, *, has_bot: bool) -> str:
    """What comes next of a listing that has failed."""
    if not listing.is_open:
        return f"attempt {listing.attempt} was the last"
    if listing.state == "running":
        return f"attempt {listing.attempt} goes on"
    if not has_bot:
        return f"attempt {listing.attempt} comes once a bot runs"
    when = show_ago(listing.available_at, now) if listing.available_at > now else "within a second"
    return f"attempt {listing.attempt} comes {when}"


def _trouble_lines(trouble: Trouble, project: Project, shown_zone: Zone, now: datetime) -> Iterator[Text]:
    """What, whose, how often and when; why; what to type."""
    run = trouble.newest
    often = "once," if trouble.count == 1 else f"{trouble.count} times, last"
    words = {"late": "started late", "interrupted": "was interrupted"}.get(trouble.kind, trouble.kind.replace("_", " "))
    at = run.started_at if trouble.kind == "late" else run.finished_at
    ago = "" if at is None else f" {show_ago(at, now)}"
    over = Text(" and has succeeded since", "dim") if trouble.is_over else ""
    what = Text(f" {words}", STYLES.get(trouble.kind, ""))
    due = Text(f", due {show_at(run.due_at, shown_zone)}", "dim")
    yield Text.assemble(Text(run.job, "bold"), what, _for_whom(trouble), f" {often}{ago}", due, over)
    if trouble.kind == "late":
        yield Text(f"{show_duration(run.lateness)} after it was due")
        yield Text(f"pinstripe show {run.id}", "cyan")
        return
    yield from _tenant_lines(trouble) if trouble.tenant_count > 1 else [Text(_why(run))]
    retry = f"    pinstripe retry {run.id}" if run.job in project.jobs else ""
    yield Text(f"pinstripe show {run.id}{retry}", "cyan")


def _for_whom(trouble: Trouble) -> Text:
    if trouble.tenant_count == 1:
        return Text.assemble(" for ", Text(show_tenant(trouble.tenants[0].newest), "bold"))
    return Text(f" for {count_of(trouble.tenant_count, 'tenant')}," if trouble.tenant_count else "")


def _tenant_lines(trouble: Trouble) -> Iterator[Text]:
    """A line for each of the latest tenants, and how many there are besides."""
    for one in trouble.tenants:
        often = f", {one.count} times, last" if one.count > 1 else ""
        over = Text(" and has succeeded since", "dim") if one.is_over and not trouble.is_over else ""
        run = one.newest
        yield Text.assemble(Text(show_tenant(run), "bold"), f"{often} in run {run.id}: {_why(run)}", over)
    more = trouble.tenant_count - len(trouble.tenants)
    if more:
        command = f"pinstripe runs {trouble.newest.job} --state {trouble.kind} --since 24h"
        yield Text(f"and {count_of(more, 'tenant')} more: {command}", "dim")


def _why(run: Run) -> str:
    place = f" ({run.error.place})" if run.error and run.error.place else ""
    return error_line(run.error) + place if run.error else f"because {reason_in_words(run.reason)}"


def _missed_lines(group: PassedGroup, project: Project, now: datetime) -> Iterator[Text]:
    """What, how often and why; what to type."""
    occurrence, last_at = group.newest.occurrence, group.newest.last_due_at
    often = "once," if group.count == 1 else f"{group.count} times, last"
    schedule = Text(f" ({occurrence.schedule})", "dim")
    why = f" {often} {show_ago(last_at, now)}: {reason_in_words(occurrence.reason)}"
    yield Text.assemble(Text(occurrence.job, "bold"), Text(" missed", STYLES["missed"]), why, schedule)
    at = last_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    yield Text(f"pinstripe explain {occurrence.job} --at {at}", "cyan")
    if occurrence.job in project.jobs:
        schedules = project.jobs[occurrence.job].schedules
        declared = next((one for one in schedules if one.name == occurrence.schedule), None)
        yield Text(run_command(occurrence.job, declared, last_at), "cyan")
