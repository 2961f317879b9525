"""pause, resume and skip."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from pinstripe_bot.answers import refuse_tenant
from pinstripe_bot.cli.history import schedules_named
from pinstripe_bot.cli.invocation import Invocation, project_command, tenant_option
from pinstripe_bot.cli.tables import print_json
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.desk import Desk, has_ledger, open_desk
from pinstripe_bot.errors import InvalidParams, UnknownTenant
from pinstripe_bot.escapes import escape_line
from pinstripe_bot.instants import read_until
from pinstripe_bot.job import dasherize
from pinstripe_bot.ledger_acts import Resume, schedules_of
from pinstripe_bot.ledger_foresight import Instants
from pinstripe_bot.ledger_skips import EVERY_JOB, Pause, read_pauses
from pinstripe_bot.project import Project
from pinstripe_bot.scripting import reading_workspace
from pinstripe_bot.shown import for_tenant, show_at
from pinstripe_bot.zones import Zone, zone

MOST_SHOWN = 10
"""How many instants `skip` lists."""


@project_command()
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--all", "is_all", is_flag=True, help="Every job.")
@tenant_option("For this tenant only.")
@click.option("--until", metavar="T", help="When it ends: 2h, tomorrow 9:00, 2026-12-01 09:00 (default: at resume).")
@click.option("--reason", default="", metavar="TEXT", help="Why; shown wherever the pause is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def pause(
    invocation: Invocation,
    name: str | None,
    is_all: bool,
    tenant: str,
    until: str | None,
    reason: str,
    as_json: bool,
) -> None:
    """Let a job, or every job, not come due for a while.

    What comes due meanwhile is recorded as skipped and never runs. Running by hand goes on working.
    """
    project, now = invocation.load_project(), SystemClock().now()
    job = _job(project, name, is_all)
    until_at = None if until is None else read_until(until, project.config.timezone, now)
    if tenant:
        _check_tenant(project, job, tenant)
    with open_desk(project) as desk:
        begun = desk.acts.pause(job, desk.clock.now(), until_at=until_at, why=reason, tenant=tenant)
    if as_json:
        print_json(_pause_as_json(begun))
    else:
        ends = f"`pinstripe resume {job or '--all'}{f' --tenant {shlex.quote(tenant)}' if tenant else ''}` ends it"
        paused = f"{_subject(job)} paused{for_tenant(tenant)} {_until(begun, desk.zone)}"
        click.echo(f"{paused}; {ends}, running by hand goes on working")
        if job in project.jobs and not any(one.enabled for one in project.jobs[job].schedules):
            click.echo(f"{job} has no schedule that comes due, so the pause does nothing")


def _job(project: Project, name: str | None, is_all: bool) -> str:
    """The name of the job that is meant, '' for every job. Raises UnknownJob."""
    if (name is None) is not is_all:
        raise click.UsageError("name one job, or say --all")
    return EVERY_JOB if name is None else _known(project, name)


def _check_tenant(project: Project, job: str, tenant: str) -> None:
    """Raises InvalidParams for a job without tenants, and UnknownTenant.

    Where the tenants cannot be read, whoever wants to pause one is believed: it may be because of that.
    """
    refuse_tenant(project, job, tenant)
    if project.tenants is None:
        raise InvalidParams("the project has no tenants: leave --tenant out")
    try:
        with reading_workspace(project) as workspace:
            found = project.tenants.find(workspace, tenant)
    except Exception:  # noqa: BLE001 - their lib/tenants.py, their database
        return
    if found is None:
        raise UnknownTenant(f"there is no tenant {tenant!r}: `pinstripe tenants` lists them")


def _known(project: Project, name: str) -> str:
    """The name of a job of the project, also of one that cannot be loaded. Raises UnknownJob."""
    return dasherize(name) if dasherize(name) in project.broken_jobs else project.job(name).name


def _subject(job: str) -> str:
    return f"{job} is" if job else "all jobs are"


def _until(pause: Pause, shown_zone: Zone) -> str:
    until = f"until {show_at(pause.until_at, shown_zone)}" if pause.until_at else "until somebody resumes it"
    return f"{until} (by {pause.who}{': ' + escape_line(pause.why) if pause.why else ''})"


def _pause_as_json(pause: Pause) -> dict[str, Any]:
    return {
        "job": pause.job or None,
        "tenant": pause.tenant or None,
        "paused_at": pause.paused_at,
        "until_at": pause.until_at,
        "who": pause.who,
        "reason": pause.why,
    }


@project_command()
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--all", "is_all", is_flag=True, help="End the pause of every job; jobs with one of their own keep it.")
@tenant_option("For this tenant only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def resume(invocation: Invocation, name: str | None, is_all: bool, tenant: str, as_json: bool) -> None:
    """End a pause.

    The schedules start from now: what came due in the pause is recorded as skipped and does not run.
    """
    project = invocation.load_project()
    is_known = name is None or is_all or not has_ledger(project)
    job = _job(project, name, is_all) if is_known else dasherize(str(name))
    job, ended, own = _resume(project, job, tenant)
    if as_json:
        was = None if ended.pause is None else _pause_as_json(ended.pause)
        print_json({"job": job or None, "was": was, "passed": ended.passed})
    else:
        click.echo(_resumed(job, ended, own, zone(project.config.timezone), tenant))


def _resume(project: Project, job: str, tenant: str) -> tuple[str, Resume, list[str]]:
    """The name of the job, what came of its resume, and which jobs a pause of their own keeps from coming due."""
    if not has_ledger(project):
        return job, Resume(None), []
    with open_desk(project) as desk:
        now = desk.clock.now()
        if tenant:
            return job, desk.acts.resume_tenant(job, tenant, now), []
        if job and not desk.acts.is_paused(job, now):  # a job that is no more may still have a pause
            job = _known(project, job)
        ended = desk.acts.resume(job, now)
        return job, ended, [] if job else _paused_by_themselves(desk, now)


def _paused_by_themselves(desk: Desk, now: datetime) -> list[str]:
    with desk.store.reading() as connection:
        pauses = read_pauses(connection)
    return sorted(job for job in pauses if job and desk.acts.is_paused(job, now))


def _resumed(job: str, ended: Resume, own: Sequence[str], shown_zone: Zone, tenant: str) -> str:
    """What a resume did; `own` are the jobs with a pause of their own, which that of all jobs does not end."""
    still = f"; {_still_paused(own, 'but' if ended.pause else '')}" if own else ""
    if ended.still:
        still = f"; but every job is paused {_until(ended.still, shown_zone)}: `pinstripe resume --all`"
    if ended.pause is None:
        if tenant:
            return f"{job or 'every job together'} is not paused{for_tenant(tenant)}"
        return (f"{job} is not paused" if job else "no pause of all jobs is in force") + still
    was = "1 due instant is" if ended.passed == 1 else f"{ended.passed} due instants are"
    passed = f"; {was} recorded as skipped" if ended.passed else ""
    comes = "comes" if job else "come"
    return f"{_subject(job)} resumed{for_tenant(tenant)} and {comes} due from now on{passed}{still}"


def _still_paused(jobs: Sequence[str], but: str) -> str:
    shown = jobs[:MOST_SHOWN]
    commands = ", ".join(f"`pinstripe resume {job}`" for job in shown)
    if len(jobs) == 1:
        return f"{but} {jobs[0]} has {'a pause' if but else 'one'} of its own: {commands}".strip()
    more = f" and {len(jobs) - MOST_SHOWN} more" if len(jobs) > MOST_SHOWN else ""
    return f"{but} {', '.join(shown)}{more} have pauses of their own: {commands}".strip()


@project_command()
@click.argument("name", metavar="NAME")
@click.option("--count", type=click.IntRange(0, 1000), default=1, show_default=True, help="How many; 0 takes it back.")
@click.option("--schedule", default="", metavar="NAME", help="Of this schedule only (default: whichever is due first).")
@click.option("--reason", default="", metavar="TEXT", help="Why; shown wherever the skip is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def skip(invocation: Invocation, name: str, count: int, schedule: str, reason: str, as_json: bool) -> None:
    """Let the next due instants of a job not run.

    They are recorded as skipped. What was asked before for the same job and schedule is replaced. Of a schedule in
    tenants' zones, so many of each zone.
    """
    project = invocation.load_project()
    job, taken = project.job(name).name, Instants()
    meant = schedules_named(project.job(job).schedules, schedule)
    schedule = meant[0].name if len(meant) == 1 else schedule
    schedules_of(project.job(job), schedule)
    if count or has_ledger(project):
        with open_desk(project) as desk:
            taken = desk.acts.skip(job, count, desk.clock.now(), schedule=schedule, why=reason)
    if as_json:
        due = [{"due_at": at, "schedule": one.name, "timezone": one.key or None} for at, one in taken]
        print_json({"job": job, "schedule": schedule or None, "count": count, "due": due})
    else:
        click.echo("\n".join(_skip_lines(job, schedule, count, taken, zone(project.config.timezone))))


def _skip_lines(job: str, schedule: str, count: int, taken: Instants, shown_zone: Zone) -> list[str]:
    if not taken:
        those = "1 due instant is" if count == 1 else f"{count} due instants are"
        waits = f"{job} is paused: {those} skipped once it is resumed"
        return [waits if count else f"no due instant of {job} is skipped"]
    shown = [
        f"  {show_at(at, one.zone if one.key else shown_zone)}  {one.name}{f' in {one.key}' if one.key else ''}"
        for at, one in taken[:MOST_SHOWN]
    ]
    more = [f"  and {len(taken) - MOST_SHOWN} more"] if len(taken) > MOST_SHOWN else []
    which = f" --schedule {shlex.quote(schedule)}" if schedule else ""
    return [f"{job} will not run at:", *shown, *more, f"`pinstripe skip {job}{which} --count 0` takes it back"]
