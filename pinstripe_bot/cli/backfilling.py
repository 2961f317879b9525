"""backfill."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import click

from pinstripe_bot.answers import refuse_tenant
from pinstripe_bot.cli.fillings import Filling, Instant, PlainFilling, TenantFilling
from pinstripe_bot.cli.history import schedules_named
from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.cli.progress import ProgressBar
from pinstripe_bot.cli.tables import print_json
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.desk import Desk, open_desk
from pinstripe_bot.durations import parse_duration
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.instants import read_instant
from pinstripe_bot.ledger_acts import schedules_of
from pinstripe_bot.ledger_backfill import Span, first_open, states_in
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_rows import from_ts
from pinstripe_bot.occurrence import RunState
from pinstripe_bot.project import Project
from pinstripe_bot.shown import show_at

EXIT_FAILED = 1

ASKS_ABOVE = 1000
"""More runs than this are asked for twice."""

MOST = 100_000
"""Due instants in one call: they are held in memory."""


@project_command()
@click.argument("name", metavar="NAME")
@click.option("--from", "start", required=True, metavar="T", help="The first instant: 2026-03-01, yesterday 02:30.")
@click.option("--to", "end", required=True, metavar="T", help="The last instant, which belongs to it.")
@click.option("--schedule", default="", metavar="NAME", help="Of this schedule only (default: all of the job).")
@click.option("--tenant", multiple=True, metavar="ID", help="Only for this tenant; may be given several times.")
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
    tenant: tuple[str, ...],
    spacing: str,
    dry_run: bool,
    yes: bool,
    wait: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Run a job for the due instants of a span in the past.

    Each that has no run gets one, oldest first, one after another; of a job with tenants, each of them.
    The same command again adds only what is missing.
    """
    project, now = invocation.load_project(), SystemClock().now()
    span = _read_span(project, name, schedule, start, end, now)
    apart = parse_duration(spacing)
    filling = _filling(project, span, tenant)
    if dry_run:
        is_for_tenants = project.job(name).options["multi_tenant"]
        _print_planned(span, _look(project, filling), as_json, is_for_tenants=is_for_tenants)
        return
    with open_desk(project) as desk:
        _ask(span, filling.planned(desk.store).total(), yes)
        added = filling.add(desk, apart)
        is_watched = wait or (sys.stderr.isatty() and not as_json and not no_wait)
        if not as_json:
            click.echo(_added(span, added, desk))
        states = _watch(desk, span) if is_watched and (wait or desk.has_starter()) else None
    if as_json:
        print_json({"job": span.job, "added": added, "states": states})
    elif states:
        click.echo(", ".join(f"{count} {str(state).replace('_', ' ')}" for state, count in states.items()))
    sys.exit(EXIT_FAILED if states and _has_failed(states) else 0)


def _read_span(project: Project, name: str, schedule: str, start: str, end: str, now: datetime) -> Span:
    job, timezone = project.job(name), project.config.timezone
    start_at, end_at = (read_instant(written, timezone, now=now) for written in (start, end))
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


def _filling(project: Project, span: Span, tenants: Sequence[str]) -> Filling:
    if project.job(span.job).options["multi_tenant"]:
        return TenantFilling(project, span, tenants or None)
    refuse_tenant(project, span.job, next(iter(tenants), ""))
    return PlainFilling(project, span)


def _look(project: Project, filling: Filling) -> Counter[Instant]:
    """What is missing, without making a ledger."""
    store = ledger_place(project.config, project.root).store()
    try:
        return filling.planned(store if store.open_for_reading() else None)
    finally:
        store.close()


def _print_planned(span: Span, planned: Counter[Instant], as_json: bool, *, is_for_tenants: bool) -> None:
    if as_json:
        due = [_as_json(one, count if is_for_tenants else None) for one, count in planned.items()]
        print_json({"job": span.job, "would_add": planned.total(), "due": due})
        return
    for one, count in planned.items():
        those = f"  {count} tenant{'s' if count != 1 else ''}" if is_for_tenants else ""
        click.echo(f"{show_at(from_ts(one.due_ts), one.zone)}  {one.schedule}{those}")
    click.echo(f"{_runs(planned.total())} of {span.job} would be added" if planned else _none(span))


def _as_json(instant: Instant, tenants: int | None) -> dict[str, Any]:
    told = {"due_at": from_ts(instant.due_ts), "schedule": instant.schedule}
    return told if tenants is None else {**told, "timezone": instant.zone.name, "tenants": tenants}


def _added(span: Span, added: int, desk: Desk) -> str:
    those = "it" if added == 1 else "them"
    return f"{_runs(added)} of {span.job} added: {desk.who_starts(those)}" if added else _none(span)


def _none(span: Span) -> str:
    return f"every due instant of {span.job} in this span has a run: nothing to add"


def _runs(count: int) -> str:
    return f"{count} run{'s' if count != 1 else ''}"


def _ask(span: Span, count: int, yes: bool) -> None:
    if count > MOST:
        raise InvalidParams(f"these are {count} runs of {span.job}: take at most {MOST} at once")
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
                if not desk.has_starter():
                    who = desk.starter
                    click.echo(f"no {who} is running: `pinstripe start-{who}` runs what waits", err=True)
                    break
                desk.clock.sleep_until(desk.clock.now() + timedelta(milliseconds=500))
    except KeyboardInterrupt:
        click.echo("left: the runs go on, and the same command shows them again", err=True)
        return {}
    return dict(sorted(states.items()))


def _has_failed(states: dict[RunState, int]) -> bool:
    return any(state not in (RunState.SUCCEEDED, RunState.SKIPPED) for state in states)
