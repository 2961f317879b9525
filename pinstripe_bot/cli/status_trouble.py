"""The trouble on the page of `status`: what failed, was late or missed lately, and what to type."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.text import Text

from pinstripe_bot.cli.pages import STYLES, Page
from pinstripe_bot.cli.shown import error_line, show_at
from pinstripe_bot.ledger_failures import Trouble
from pinstripe_bot.ledger_overview import Overview, PassedGroup
from pinstripe_bot.occurrence import Decision
from pinstripe_bot.project import Project
from pinstripe_bot.reason_words import reason_in_words
from pinstripe_bot.spans import show_ago, show_duration
from pinstripe_bot.story_words import run_command
from pinstripe_bot.zones import Zone, zone

MOST_BLOCKS = 20
"""How many jobs in trouble are told of."""


def is_well(project: Project, overview: Overview | None) -> bool:
    """Whether nothing failed, was missed or late, no file is broken, and a bot is there."""
    if project.problems or overview is None or overview.troubles or not overview.has_bot:
        return False
    return not any(group.newest.occurrence.decision is Decision.MISSED for group in overview.passed)


def draw_trouble(page: Page, project: Project, overview: Overview, now: datetime) -> None:
    """That no bot is there, and what failed, was late or missed, each with what to type."""
    shown_zone = zone(project.config.timezone)
    if not overview.has_bot:
        seen = max((bot.last_seen_at for bot in overview.bots if bot.kind == "bot"), default=None)
        since = "" if seen is None else f" since {show_at(seen, shown_zone)}, {show_ago(seen, now)}"
        page.say(f"No bot is running{since}: `pinstripe start-server` starts one.", "yellow")
    missed = [group for group in overview.passed if group.newest.occurrence.decision is Decision.MISSED]
    if not overview.troubles and not missed:
        return
    page.title("In the last 24 hours")
    blocks = [_trouble_lines(trouble, project, shown_zone, now) for trouble in overview.troubles]
    blocks += [_missed_lines(group, project, now) for group in missed]
    for block in blocks[:MOST_BLOCKS]:
        for number, line in enumerate(block):
            page.say(line, indent=4 if number else 2)
    if len(blocks) > MOST_BLOCKS:
        command = "pinstripe runs --since 24h --state failed --state timed_out --state interrupted --state missed"
        page.say(f"and {len(blocks) - MOST_BLOCKS} more: {command}", "dim", indent=2)


def _trouble_lines(trouble: Trouble, project: Project, shown_zone: Zone, now: datetime) -> Iterator[Text]:
    """What, how often and when; why; what to type."""
    run = trouble.newest
    often = "once," if trouble.count == 1 else f"{trouble.count} times, last"
    words = {"late": "started late", "interrupted": "was interrupted"}.get(trouble.kind, trouble.kind.replace("_", " "))
    at = run.started_at if trouble.kind == "late" else run.finished_at
    ago = "" if at is None else f" {show_ago(at, now)}"
    over = Text(" and has succeeded since", "dim") if trouble.is_over else ""
    what = Text(f" {words}", STYLES.get(trouble.kind, ""))
    due = Text(f", due {show_at(run.due_at, shown_zone)}", "dim")
    yield Text.assemble(Text(run.job, "bold"), what, f" {often}{ago}", due, over)
    if trouble.kind == "late":
        yield Text(f"{show_duration(run.lateness)} after it was due")
        yield Text(f"pinstripe show {run.id}", "cyan")
        return
    place = f" ({run.error.place})" if run.error and run.error.place else ""
    yield Text(error_line(run.error) + place if run.error else f"because {reason_in_words(run.reason)}")
    retry = f"    pinstripe retry {run.id}" if run.job in project.jobs else ""
    yield Text(f"pinstripe show {run.id}{retry}", "cyan")


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
