"""The page of `status`: trouble first, then what is paused, what runs, what waits, what comes, and who does it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from rich.text import Text

from pinstripe_bot.cli.pages import Cell, Page
from pinstripe_bot.cli.status_trouble import draw_trouble
from pinstripe_bot.escapes import escape_line
from pinstripe_bot.ledger_overview import Overview, PassedGroup, Skip
from pinstripe_bot.ledger_skips import Pause
from pinstripe_bot.occurrence import MANUAL, Decision, Reason, Run, RunState
from pinstripe_bot.outlook import Coming, Outlook, is_well
from pinstripe_bot.project import Project
from pinstripe_bot.reason_words import reason_in_words
from pinstripe_bot.records import BotRecord, ListingRecord, QueueRecord, RunRecord
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.shown import count_of, show_at, show_bot, show_offset, show_size, show_tenant, show_work
from pinstripe_bot.spans import show_ago, show_span
from pinstripe_bot.story_words import GONE
from pinstripe_bot.zones import Zone, zone

MOST_TENANTS = 3
"""How many tenants' pauses of one job are told of one by one."""

MOST_LINES = 10
"""How many lines a section has at most; the rest is one count."""


def draw_overview(page: Page, project: Project, outlook: Outlook) -> None:
    """The whole page."""
    overview, ground, now = outlook.overview, outlook.ground, outlook.at
    shown_zone = zone(project.config.timezone)
    if is_well(project, overview):
        page.say("All is well: in the last 24 hours nothing failed, was missed or late.", "green")
    _draw_broken(page, project)
    if overview is None:
        page.say("There is no ledger yet, so nothing has run: `pinstripe start-server` starts the bot.", "yellow")
    else:
        draw_trouble(page, project, overview, now)
        _draw_skipped(page, project, overview, now)
        _draw_paused(page, overview, shown_zone)
        _draw_open(page, overview, now)
    if outlook.coming:
        page.title("Next" if overview is not None and overview.has_bot else "Next, once a bot runs")
        page.grid([_coming_cells(one, now) for one in outlook.coming])
    if overview is not None and ground is not None:
        _draw_queues(page, overview, now)
        _draw_bots(page, overview, now)
        page.title("Ledger")
        size = "" if ground.size is None else f", {show_size(ground.size)}"
        page.say(f"{ground.place}, covers {ground.covers}{size}", indent=2)


def _coming_cells(coming: Coming, now: datetime) -> list[Cell]:
    at, schedule = coming.due_at, coming.schedule
    words = {Reason.PAUSED: "paused", Reason.SKIP_ASKED: "will be skipped"}
    fate = Text(words.get(coming.fate, "") if coming.fate else "", "yellow")
    return [show_at(at, schedule.zone), Text(show_ago(at, now), "dim"), schedule.job, _name_of(schedule), fate]


def _name_of(schedule: Schedule) -> str:
    return f"{schedule.name} in {schedule.key}" if schedule.key else schedule.name


def _draw_broken(page: Page, project: Project) -> None:
    if project.problems:
        page.title("Broken files")
        for problem in project.problems:
            page.say(str(problem), "red", indent=2)


def _draw_rest(page: Page, count: int, command: str) -> None:
    if count > MOST_LINES:
        page.say(f"and {count - MOST_LINES} more: {command}", "dim", indent=2)


def _draw_skipped(page: Page, project: Project, overview: Overview, now: datetime) -> None:
    groups = [group for group in overview.passed if group.newest.occurrence.decision is Decision.SKIPPED]
    if groups:
        page.title("Skipped in the last 24 hours")
        page.grid([_skipped_cells(group, project, now) for group in groups[:MOST_LINES]])
        _draw_rest(page, len(groups), "pinstripe runs --all --since 24h --state skipped")


def _skipped_cells(group: PassedGroup, project: Project, now: datetime) -> list[Cell]:
    occurrence = group.newest.occurrence
    job = project.jobs.get(occurrence.job)
    why = reason_in_words(occurrence.reason, is_for_tenants=job is not None and job.options["multi_tenant"])
    often = "once," if group.count == 1 else f"{group.count} times, last"
    told = f"{often} {show_ago(group.newest.last_due_at, now)}: {why}"
    return [Text(occurrence.job, "bold"), occurrence.schedule, told]


def _draw_paused(page: Page, overview: Overview, shown_zone: Zone) -> None:
    rows: list[list[Cell]] = [_paused_cells(pause, overview, shown_zone) for pause in overview.pauses]
    for _, several in groupby(overview.tenant_pauses, key=lambda pause: pause.job):
        rows += _tenants_paused(list(several), overview, shown_zone)
    for _, alike in groupby(overview.skips, key=lambda skip: (skip.job, skip.schedule, skip.remaining, skip.who)):
        rows.append(_skip_cells(list(alike)))
    if rows:
        page.title("Paused")
        page.grid(rows)


def _paused_cells(pause: Pause, overview: Overview, shown_zone: Zone) -> list[Cell]:
    count = 0 if pause.tenant else overview.paused_counts[pause.job]
    passed = f", {count_of(count, 'instant')} passed over" if count else ""
    until = f" until {show_at(pause.until_at, shown_zone)}" if pause.until_at else ""
    why = f" ({escape_line(pause.why)})" if pause.why else ""
    told = f"since {show_at(pause.paused_at, shown_zone)}{until} by {pause.who}{why}{passed}"
    resume, whose = f"pinstripe resume {pause.job or '--all'}", ""
    if pause.tenant:
        resume, whose = f"{resume} --tenant {shlex.quote(pause.tenant)}", f"for {_named(pause, overview)} "
    return [Text(pause.job or "every job", "bold"), Text(f"{whose}{told}: {resume}")]


def _tenants_paused(pauses: Sequence[Pause], overview: Overview, shown_zone: Zone) -> list[list[Cell]]:
    """The pauses of tenants in one job, or in every job: each where they are few, else how many."""
    if len(pauses) <= MOST_TENANTS:
        return [_paused_cells(pause, overview, shown_zone) for pause in pauses]
    named = ", ".join(_named(pause, overview) for pause in pauses[:MOST_TENANTS])
    job = pauses[0].job
    told = f"for {count_of(len(pauses), 'tenant')}: {named} and {len(pauses) - MOST_TENANTS:,} more"
    return [[Text(job or "every job", "bold"), f"{told}: pinstripe resume {job or '--all'} --tenant ID"]]


def _named(pause: Pause, overview: Overview) -> str:
    name = overview.tenant_names.get(pause.tenant, "")
    return escape_line(f"{pause.tenant} ({name})" if name else pause.tenant)


def _skip_cells(alike: Sequence[Skip]) -> list[Cell]:
    """A wish; of a schedule in tenants' zones, that of several zones."""
    skip, zones = alike[0], [one.key for one in alike if one.key]
    which = f" of {skip.schedule}" if skip.schedule else ""
    where = f" in each of {len(zones)} zones" if len(zones) > 1 else f" in {zones[0]}" if zones else ""
    those = "instant" if skip.remaining == 1 else f"{skip.remaining} instants"
    told = f"skips its next {those}{which}{where}, asked by {skip.who}"
    return [Text(skip.job, "bold"), told + (f" ({escape_line(skip.why)})" if skip.why else "")]


def _draw_open(page: Page, overview: Overview, now: datetime) -> None:
    if overview.running:
        page.title("Running")
        page.grid([_running_cells(record, now) for record in overview.running[:MOST_LINES]])
        _draw_rest(page, len(overview.running), "pinstripe runs --state running")
    waiting = [one for one in overview.listings if not one.failed_attempts]
    if overview.waiting or waiting:
        page.title("Waiting")
        waited_for = "a worker" if overview.has_bot or overview.workers else "a bot"
        rows = [_listing_cells(one, has_bot=overview.has_bot) for one in waiting[:MOST_LINES]]
        page.grid(rows + [_waiting_cells(record, waited_for, now) for record in overview.waiting[:MOST_LINES]])
        _draw_rest(page, overview.open_count - len(overview.running), "pinstripe runs --state queued")


def _running_cells(record: RunRecord, now: datetime) -> list[Cell]:
    run = record.run
    since = "" if run.started_at is None else f"since {show_span(now - run.started_at)}"
    progress = ""
    if record.progress is not None:
        done, total = record.progress
        progress = f"{done} of {total}" if total else str(done)
    if run.state is not RunState.RUNNING:
        progress = f"{str(run.state).replace('_', ' ')}, and its thread goes on"
    if record.cancel_requested_at is not None:
        progress = "told to end"
    if record.lost_its_bot:
        since, progress = since.replace("since", "begun", 1) + " ago" if since else "", GONE
    return [str(run.id), _whose(run), since, progress, Text(f"on {show_bot(record.bot)}", "dim")]


def _whose(run: Run) -> Text:
    """The job, and the tenant."""
    return Text.assemble(Text(run.job, "bold"), f" for {show_tenant(run)}" if run.tenant else "")


def _waiting_cells(record: RunRecord, waited_for: str, now: datetime) -> list[Cell]:
    run = record.run
    if record.available_at > now:
        why = f"attempt {run.attempt} " if run.attempt > 1 else "starts "
        told = f"{why}{show_ago(record.available_at, now)}"
    elif record.is_in_turn and waited_for == "a worker":
        told = "waits for the earlier runs of its work"
    else:
        waited_for = f"a worker of the queue {record.queue}" if record.queue else waited_for
        told = f"waits for {waited_for} since {show_span(now - record.available_at)}"
    schedule = "by hand" if run.schedule == MANUAL else run.schedule
    return [str(run.id), _whose(run), schedule, told]


def _listing_cells(listing: ListingRecord, *, has_bot: bool) -> list[Cell]:
    told = "its tenants wait to be listed" if has_bot else "its tenants wait for a bot that lists them"
    if listing.state == "running":
        told = f"its tenants are being listed, {listing.runs:,} so far"
    where = "" if listing.zone is None else f" in {listing.zone.name}"
    return ["", Text(listing.job, "bold"), f"{listing.schedule}{where}", told]


def _draw_queues(page: Page, overview: Overview, now: datetime) -> None:
    if overview.queues:
        page.title("Queues")
        page.grid([_queue_cells(queue, now) for queue in overview.queues])


def _queue_cells(queue: QueueRecord, now: datetime) -> list[Cell]:
    oldest = f"the oldest since {show_span(queue.oldest_waits(now))}"
    waiting = f"{count_of(queue.waiting, 'run')} waiting, {oldest}" if queue.waiting else "empty"
    served = Text(count_of(queue.workers, "worker"), "dim" if queue.workers else "yellow")
    return [Text(queue.name, "bold"), waiting, f"{queue.running:,} running", served]


def _draw_bots(page: Page, overview: Overview, now: datetime) -> None:
    alive = [bot for bot in overview.bots if bot.is_alive]
    gone = [bot for bot in overview.bots if not bot.is_alive and bot.kind != "command"]
    shown = gone[max(len(gone) + len(alive) - MOST_LINES, 0) :] + alive
    if shown:
        page.title("Bots and workers" if overview.workers else "Bots")
        page.grid([_bot_cells(bot, now) for bot in shown])


def _bot_cells(bot: BotRecord, now: datetime) -> list[Cell]:
    told = []
    if work := show_work(bot):
        lingering = bot.stats.get("lingering", 0)
        told.append(f"{work} workers busy" + (f", {lingering} held by runs that timed out" if lingering else ""))
    if bot.is_alive:
        told.append(f"heard {show_ago(bot.last_seen_at, now)}")
    told.append(f"version {bot.version}")
    if bot.is_off:
        told.append(f"its clock {show_offset(bot)}")
    if bot.queues:
        told.append(f"serves {', '.join(bot.queues)}")
    where = show_bot(bot) if bot.kind == "bot" else f"{show_bot(bot)} ({bot.kind})"
    return [_bot_state(bot, now), where, ", ".join(told)]


def _bot_state(bot: BotRecord, now: datetime) -> Text:
    if bot.is_alive:
        return Text("alive", "green")
    ago = show_ago(bot.last_seen_at, now)
    return Text(f"died {ago}", "yellow") if bot.has_died else Text(f"stopped {ago}", "dim")
