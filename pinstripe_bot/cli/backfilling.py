"""backfill."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import click

from pinstripe_bot.cli.desk import Desk, open_desk
from pinstripe_bot.cli.history import schedules_named
from pinstripe_bot.cli.instants import read_instant
from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.cli.progress import ProgressBar
from pinstripe_bot.cli.shown import show_at
from pinstripe_bot.cli.tables import print_json
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.durations import parse_duration
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.ledger_acts import schedules_of
from pinstripe_bot.ledger_backfill import Gap, Span, first_open, missing, states_in
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_rows import from_ts
from pinstripe_bot.occurrence import RunState
from pinstripe_bot.project import Project

EXIT_FAILED = 1

ASKS_ABOVE = 1000
"""More runs than this are asked for twice."""

MOST = 100_000
"""Due instants in one call: they are held in memory."""

PART = 1000
"""Runs that one transaction writes, so that the bots can claim in between."""


@project_command()
@click.argument("name", metavar="NAME")
@click.option("--from", "start", required=True, metavar="T", help="The first instant: 2026-03-01, yesterday 02:30.")
@click.option("--to", "end", required=True, metavar="T", help="The last instant, which belongs to it.")
@click.option("--schedule", default="", metavar="NAME", help="Of this schedule only (default: all of the job).")
@click.option("--spacing", default="0", metavar="DURATION", help="At least so long between their starts: 30s.")
@click.option("--dry-run", is_flag=True, help="List the instants, and write nothing.")
@click.option("--yes", is_flag=True, help=f"Do not ask, also for more than {ASKS_ABOVE} runs.")
@click.option("--wait", is_flag=True, help="Show the progress until the last has ended (default on a terminal).")
@click.option("--no-wait", is_flag=True, help="Add the runs and return.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def backfill(
    invocation: Invocation,
    name: str,
    start: str,
    end: str,
    schedule: str,
    spacing: str,
    dry_run: bool,
    yes: bool,
    wait: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Run a job for the due instants of a span in the past.

    Each that has no run gets one, oldest first, one after another. The same command again adds only what is missing.
    """
    project, now = invocation.load_project(), SystemClock().now()
    span = _read_span(project, name, schedule, start, end, now)
    apart = parse_duration(spacing)
    if dry_run:
        _print_gaps(span, _look(project, span), as_json)
        return
    with open_desk(project) as desk:
        gaps = _missing(desk, span)
        _ask(span, len(gaps), yes)
        added = _add(desk, span, gaps, apart)
        is_watched = wait or (sys.stderr.isatty() and not as_json and not no_wait)
        if not as_json:
            those = "it" if added == 1 else "them"
            click.echo(f"{_runs(added)} of {span.job} added: {desk.who_starts(those)}" if added else _none(span))
        states = _watch(desk, span) if is_watched and (wait or desk.has_bot()) else None
    if as_json:
        print_json({"job": span.job, "added": added, "states": states})
    elif states:
        click.echo(", ".join(f"{count} {str(state).replace('_', ' ')}" for state, count in states.items()))
    sys.exit(EXIT_FAILED if states and _has_failed(states) else 0)


def _add(desk: Desk, span: Span, gaps: Sequence[Gap], apart: timedelta) -> int:
    parts = [gaps[first : first + PART] for first in range(0, len(gaps), PART)]
    return sum(desk.acts.backfill(span, part, desk.clock.now(), spacing=apart) for part in parts)


def _read_span(project: Project, name: str, schedule: str, start: str, end: str, now: datetime) -> Span:
    job, timezone = project.job(name), project.config.timezone
    start_at, end_at = (read_instant(written, timezone, now=now) for written in (start, end))
    if job.options["multi_tenant"]:
        raise InvalidParams(
            f"the job {job.name!r} has tenants, for which there is no backfill:"
            f" `pinstripe run-background-job {job.name} --at T` runs it for one instant"
        )
    if end_at < start_at:
        raise InvalidParams(f"--to {end!r} lies before --from {start!r}: exchange them")
    if end_at > now:
        raise InvalidParams(f"--to {end!r} is still to come, and will run by itself: write --to now")
    meant = schedules_named(job.schedules, schedule)
    declared = schedules_of(job, meant[0].name if len(meant) == 1 else schedule)
    span = Span(tuple(declared), int(start_at.timestamp()), int(end_at.timestamp()))
    if span.count > MOST:
        raise InvalidParams(f"{job.name} is due {span.count} times in this span: take at most {MOST} at once")
    return span


def _look(project: Project, span: Span) -> list[Gap]:
    """What is missing, without making a ledger."""
    store = ledger_place(project.config, project.root).store()
    try:
        if not store.open_for_reading():
            return sorted(span.instants(), key=lambda gap: (gap.due_ts, gap.order))
        with store.reading() as connection:
            return missing(connection, span, project.job(span.job).schedules)
    finally:
        store.close()


def _missing(desk: Desk, span: Span) -> list[Gap]:
    with desk.store.reading() as connection:
        return missing(connection, span, desk.project.job(span.job).schedules)


def _print_gaps(span: Span, gaps: Sequence[Gap], as_json: bool) -> None:
    if as_json:
        due = [{"due_at": from_ts(gap.due_ts), "schedule": gap.schedule.name} for gap in gaps]
        print_json({"job": span.job, "would_add": len(gaps), "due": due})
        return
    for gap in gaps:
        click.echo(f"{show_at(from_ts(gap.due_ts), gap.schedule.zone)}  {gap.schedule.name}")
    click.echo(f"{_runs(len(gaps))} of {span.job} would be added" if gaps else _none(span))


def _none(span: Span) -> str:
    return f"every due instant of {span.job} in this span has a run: nothing to add"


def _runs(count: int) -> str:
    return f"{count} run{'s' if count != 1 else ''}"


def _ask(span: Span, count: int, yes: bool) -> None:
    if count <= ASKS_ABOVE or yes:
        return
    if not sys.stdin.isatty():
        raise InvalidParams(f"these are {count} runs of {span.job}: say --yes if you mean it")
    click.confirm(f"Add {count} runs of {span.job}?", abort=True, err=True)


def _watch(desk: Desk, span: Span) -> dict[RunState, int]:
    """Show the progress until no run of the span is open, or until Ctrl-C: {state: how many}."""
    with desk.store.reading() as connection:
        first = first_open(connection, span)
    if first is None:
        return {}
    states: Counter[RunState] = Counter()
    try:
        with ProgressBar() as bar:
            while True:
                with desk.store.reading() as connection:
                    states = states_in(connection, span, since=first)
                waiting = sum(count for state, count in states.items() if state.is_open)
                bar.show(states.total() - waiting, states.total())
                if not waiting:
                    break
                if not desk.has_bot():
                    click.echo("no bot is running: `pinstripe start-bot` runs what waits", err=True)
                    break
                desk.clock.sleep_until(desk.clock.now() + timedelta(milliseconds=500))
    except KeyboardInterrupt:
        click.echo("left: the runs go on, and the same command shows them again", err=True)
        return {}
    return dict(sorted(states.items()))


def _has_failed(states: dict[RunState, int]) -> bool:
    return any(state not in (RunState.SUCCEEDED, RunState.SKIPPED) for state in states)
