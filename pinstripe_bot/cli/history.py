"""runs and show."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import click
from rich.text import Text

from pinstripe_bot import cron
from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.cli.pages import Cell, Page, state_cell
from pinstripe_bot.cli.run_page import draw_run
from pinstripe_bot.cli.tables import print_json
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.errors import InvalidParams, InvalidSchedule
from pinstripe_bot.instants import read_since
from pinstripe_bot.job import dasherize
from pinstripe_bot.json_forms import passed_as_json, record_as_json, run_as_json
from pinstripe_bot.ledger_history import History, find_run, open_history
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.occurrence import Decision, Run, RunState
from pinstripe_bot.options import did_you_mean
from pinstripe_bot.project import Project
from pinstripe_bot.records import PassedRecord
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.shown import for_tenant, show_tenant, show_wall
from pinstripe_bot.spans import show_duration
from pinstripe_bot.zones import Zone, zone

STATES = [*(str(state) for state in RunState), str(Decision.MISSED)]

NO_LEDGER = "There is no ledger yet, so nothing has run: `pinstripe start-server` starts the bot."


@project_command()
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--tenant", metavar="ID", help="Only those for this tenant.")
@click.option("--state", "states", multiple=True, metavar="STATE", help="Only those that ended so; several allowed.")
@click.option("--since", metavar="T", help="Only those claimed since T: 2h, or an instant such as 02:30.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many at most.")
@click.option("--all", "with_passed", is_flag=True, help="Also the instants that did not run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def runs(
    invocation: Invocation,
    name: str | None,
    tenant: str | None,
    states: Sequence[str],
    since: str | None,
    limit: int,
    with_passed: bool,
    as_json: bool,
) -> None:
    """List the runs of one job or of all.

    Newest first. With --all, or --state missed, also the due instants that did not run, and why.
    """
    project, now = invocation.load_project(), SystemClock().now()
    read_states = [_read_state(state) for state in states]
    since_at = None if since is None else read_since(since, project.config.timezone, now)
    with open_history(ledger_place(project.config, project.root)) as history:
        if history is None:
            _say_no_ledger(project, name, as_json)
            return
        job = None if name is None else find_job(project, history, name)
        wanted = _Wanted(job, tenant, read_states, since_at, limit, with_passed)
        found = wanted.find(history, project)
        listed = [one for one in found if isinstance(one, Run)]
        backfills, gone = history.backfills(listed), history.without_bot(listed, now)
    if as_json:
        print_json([run_as_json(one) if isinstance(one, Run) else passed_as_json(one) for one in found])
    elif found:
        _draw_runs(found, zone(project.config.timezone), backfills, gone)
    else:
        click.echo(_nothing_found(wanted, since))


def _say_no_ledger(project: Project, name: str | None, as_json: bool) -> None:
    if name is not None:
        project.job(name)  # an unknown one is refused here too
    if as_json:
        print_json([])
    else:
        click.echo(NO_LEDGER)


def find_job(project: Project, history: History | None, name: str) -> str:
    """The name of a job of the project, or of one that only the ledger still knows. Raises UnknownJob."""
    known = dasherize(name)
    if known not in project.jobs and history is not None and history.knows(known):
        return known
    return project.job(name).name


def schedules_named(declared: Sequence[Schedule], written: str) -> list[Schedule]:
    """The schedules of a job that are meant by a name or, in whatever form, by an expression."""
    named = [one for one in declared if one.name == written]
    if named:
        return named
    try:
        normalized = cron.parse(written).normalized
    except InvalidSchedule:  # a name that is none
        return []
    return [one for one in declared if one.cron.normalized == normalized]


def _read_state(written: str) -> str:
    state = written.lower().replace("-", "_")
    if state not in STATES:
        raise InvalidParams(f"{written!r} is no state of a run: {did_you_mean(state, STATES)}")
    return state


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What `runs` is asked for."""

    job: str | None
    tenant: str | None
    states: Sequence[str]
    since: datetime | None
    limit: int
    with_passed: bool

    def find(self, history: History, project: Project) -> list[Run | PassedRecord]:
        """Runs and what did not run, newest decision first."""
        of_runs = [RunState(state) for state in self.states if state != Decision.MISSED]
        found: list[Run | PassedRecord] = []
        if of_runs or not self.states:
            found += history.runs(self.job, tenant=self.tenant, states=of_runs, since=self.since, limit=self.limit)
        if self.with_passed or Decision.MISSED in self.states:
            found += self._passed(history, project)
        return sorted(found, key=_decided_at, reverse=True)[: self.limit]

    def _passed(self, history: History, project: Project) -> list[PassedRecord]:
        """What did not run; for a tenant that of the jobs with tenants alone, where it lives and has lived."""
        jobs, keys = None, None
        if self.tenant is not None:
            jobs = [name for name, job in project.jobs.items() if job.options["multi_tenant"]]
            home = history.residence(self.tenant)
            keys = ["", *([] if home is None else home.zones)]
        decisions = [one for one in (Decision.MISSED, Decision.SKIPPED) if not self.states or one in self.states]
        return history.passed(self.job, among=jobs, keys=keys, decisions=decisions, since=self.since, limit=self.limit)


def _decided_at(one: Run | PassedRecord) -> tuple[datetime, datetime]:
    if isinstance(one, Run):
        return one.claimed_at, one.due_at
    return one.decided_at, one.last_due_at


def _draw_runs(
    found: Sequence[Run | PassedRecord], shown_zone: Zone, backfills: Collection[int], gone: Collection[int]
) -> None:
    """`backfills` and `gone` are the runs that a backfill added, and those whose bot is gone."""
    due = f"due ({shown_zone.name})"
    columns = ["run", "job", "tenant", "schedule", due, "state", "reason", "late by", "took", "attempt"]
    rows = [
        _run_cells(one, shown_zone, is_backfill=one.id in backfills, is_gone=one.id in gone)
        if isinstance(one, Run)
        else _passed_cells(one, shown_zone)
        for one in found
    ]
    Page().table(columns, rows, drops=["schedule", "took"], right="run attempt")


def _run_cells(run: Run, shown_zone: Zone, *, is_backfill: bool, is_gone: bool) -> list[Cell]:
    return [
        str(run.id),
        run.job,
        show_tenant(run),
        run.schedule,
        show_wall(run.due_at, shown_zone),
        state_cell(run.state),
        "its bot is gone" if is_gone else run.reason or "",
        "" if is_backfill else show_duration(run.lateness),
        show_duration(run.duration),
        str(run.attempt) if run.attempt > 1 else "",
    ]


def _passed_cells(passed: PassedRecord, shown_zone: Zone) -> list[Cell]:
    occurrence = passed.occurrence
    due, state = show_wall(occurrence.due_at, shown_zone), state_cell(occurrence.decision)
    if occurrence.until_at is not None:
        day, until = due[:10], show_wall(occurrence.until_at, shown_zone)
        due = f"{due}\n{'to':>10} {until.removeprefix(day).strip()}" if until.startswith(day) else f"{due}\n{until}"
        state = Text.assemble(state, f"\n{occurrence.count} times")
    return ["", occurrence.job, "", occurrence.schedule, due, state, occurrence.reason or "", "", "", ""]


def _nothing_found(wanted: _Wanted, since: str | None) -> str:
    kind = f" {' or '.join(state.replace('_', ' ') for state in wanted.states)}" if wanted.states else ""
    whose = f"{f' of {wanted.job}' if wanted.job else ''}{for_tenant(wanted.tenant)}"
    return f"No{kind} run{whose}{f' since {since}' if since else ''}."


@project_command()
@click.argument("run", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(invocation: Invocation, run: str, as_json: bool) -> None:
    """Show everything about one run.

    RUN is its number, as `pinstripe runs` and the log have it.
    """
    project, now = invocation.load_project(), SystemClock().now()
    with open_history(ledger_place(project.config, project.root)) as history:
        record = find_run(history, run, now)
        has_bot = history is not None and history.has_bot(now)
    if as_json:
        print_json(record_as_json(project, record))
    else:
        draw_run(Page(), record, project, now, has_bot=has_bot)
