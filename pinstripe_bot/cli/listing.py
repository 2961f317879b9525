"""list-background-jobs, check and show-config."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any

import click

from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.cli.tables import print_json, print_table
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.config import describe, load_config
from pinstripe_bot.cron_words import in_words
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.errors import InvalidConfig
from pinstripe_bot.instants import show_instant
from pinstripe_bot.ledger_history import open_history
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.occurrence import Run
from pinstripe_bot.options import TENANT_ZONE
from pinstripe_bot.project import Project, find_problems, jobs_without_timeout
from pinstripe_bot.schedule import Schedule, in_zones
from pinstripe_bot.shown import IN_TENANT_ZONES
from pinstripe_bot.spans import show_duration
from pinstripe_bot.tenants import TenantsFile
from pinstripe_bot.unscoped import unscoped_places

EXIT_PROBLEMS = 1


@project_command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_background_jobs(invocation: Invocation, as_json: bool) -> None:
    """List the jobs: when due next, how they ended.

    Each schedule is shown as an expression and in words, its next due instant in UTC and in its own zone; of one in
    tenants' zones, the first of all zones.
    """
    project = invocation.load_project()
    now = SystemClock().now()
    with open_history(ledger_place(project.config, project.root)) as history:
        last_runs = {} if history is None else history.last_runs()
        in_use = set() if history is None else history.zones()
    rows = [
        _row(job, schedule, last_runs.get(job.name), now, in_use)
        for job in project.jobs.values()
        for schedule in job.schedules or (None,)
    ]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(["name", "schedule", "next due", "last result"], [_cells(row) for row in rows], wraps="schedule")
    else:
        click.echo(f"No job found in {project.jobs_folder}: `pinstripe generate-background-job NAME` writes one.")
    for problem in project.problems:
        click.echo(f"broken: {problem}", err=True)


def _row(
    job: JobDefinition, schedule: Schedule | None, run: Run | None, now: datetime, in_use: Collection[str]
) -> dict[str, Any]:
    planned = in_zones([schedule], lambda _: in_use) if schedule is not None and schedule.enabled else []
    due_at, where = min(
        ((next(one.upcoming(now)), one.zone) for one in planned), key=itemgetter(0), default=(None, None)
    )
    return {
        "name": job.name,
        "summary": job.summary,
        "schedule": None if schedule is None else schedule.name,
        "expression": None if schedule is None else schedule.cron.expression,
        "in_words": None if schedule is None else in_words(schedule.cron.normalized),
        "timezone": None if schedule is None else schedule.timezone,
        "enabled": schedule is not None and schedule.enabled,
        "next_due_at": due_at,
        "next_due_local": None if due_at is None or where is None else due_at.astimezone(where.tzinfo),
        "next_due_timezone": None if where is None else where.name,
        "last_run": None if run is None else _last_run(run),
        "place": str(job.place),
    }


def _last_run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "state": run.state,
        "due_at": run.due_at,
        "finished_at": run.finished_at,
        "took": show_duration(run.duration),
    }


def _cells(row: dict[str, Any]) -> list[str]:
    """One row of the table; what belongs together stands on two lines of one cell, so that it fits 80 columns."""
    last = row["last_run"]
    result = f"{last['state']} {last['took']}".strip() if last else ""
    if row["expression"] is None:
        return [row["name"], "by hand", "", result]
    is_named = row["schedule"] != row["expression"] and not row["expression"].startswith("@")
    label = f"{row['expression']} ({row['schedule']})" if is_named else row["expression"]
    is_in_tenant_zones = row["timezone"] == TENANT_ZONE
    words = ", ".join(text for text in (row["in_words"], IN_TENANT_ZONES if is_in_tenant_zones else "") if text)
    instants = [show_instant(row[key]) for key in ("next_due_at", "next_due_local") if row[key]]
    if is_in_tenant_zones and instants:
        instants.append(f"first in {row['next_due_timezone']}")
    otherwise = "once a bot has asked\nwhere tenants live" if row["enabled"] else "disabled"
    return [row["name"], _lines(label, words), _lines(*instants) or otherwise, result]


def _lines(*texts: str) -> str:
    """The texts one below the other; equal ones, such as an instant in UTC and in UTC, once."""
    return "\n".join(dict.fromkeys(text for text in texts if text))


@project_command()
def check(invocation: Invocation) -> None:
    """List everything that is wrong in the project.

    Exits with 1 if there is anything, so that a pipeline may ask before a deploy.
    """
    try:
        project = invocation.load_project()
    except InvalidConfig as error:
        click.echo(str(error))
        sys.exit(EXIT_PROBLEMS)
    problems = find_problems(project)
    for problem in problems:
        click.echo(str(problem))
    for note in _notes(project):
        click.echo(note)
    click.echo(_verdict(project, len(problems)))
    sys.exit(EXIT_PROBLEMS if problems else 0)


def _notes(project: Project) -> Iterator[str]:
    """What is no problem, and worth knowing."""
    tenants = project.tenants
    if unlimited := jobs_without_timeout(project):
        yield f"without a time-out, so that one that hangs holds a worker: {', '.join(unlimited)}"
    if isinstance(tenants, TenantsFile) and tenants.find_one is None:
        yield f"{tenants.place.path} has no tenant(workspace, id): each run that uses its tenant lists all of them"
    if unscoped := unscoped_places(project):
        yield "reaches the rows of all tenants, which is worth a second look:"
        yield from (f"  {one}" for one in unscoped)


def _verdict(project: Project, problems: int) -> str:
    found = f"{_count(len(project.jobs), 'sound job')} with {_count(len(project.schedules), 'schedule')}"
    return f"{found}, {_count(problems, 'problem') if problems else 'no problem'} in {project.root}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@project_command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_config(invocation: Invocation, as_json: bool) -> None:
    """Show each setting, its value and its origin.

    Secrets are redacted.
    """
    rows = describe(load_config(invocation.root()))
    if as_json:
        print_json([{"key": row.key, "value": row.value, "origin": row.origin} for row in rows])
    else:
        print_table(["setting", "value", "from"], [(row.key, row.value, row.origin) for row in rows], wraps="value")
