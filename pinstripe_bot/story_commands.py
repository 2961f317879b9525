"""A story's commands: what to type next."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

from pinstripe_bot.occurrence import Reason, RunState
from pinstripe_bot.records import RunRecord
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.story import Standing, Story

RETRIABLE = (RunState.FAILED, RunState.TIMED_OUT, RunState.INTERRUPTED, RunState.CANCELLED)
"""The ends of a run that `pinstripe retry` takes."""


def story_commands(story: Story, *, has_job: bool = True) -> list[str]:
    """What to type next; `has_job` says whether the project can run the job today."""
    if story.runs:
        has_bot = story.has_bot
        return [each for record in story.runs for each in _run_commands(record, has_job=has_job, has_bot=has_bot)]
    if story.listing is not None and story.passed is None:
        start = [] if story.has_bot or not story.listing.is_open else ["pinstripe start-server"]
        return [*start, f"pinstripe runs {story.job}{_of_tenant(story.tenant)}"]
    if story.standing is Standing.TO_COME:
        if story.act is None:
            return [f"pinstripe next {story.job}"]
        return [f"pinstripe resume {story.act.job or '--all'}{_of_tenant(story.act.tenant)}"]
    if story.standing in (Standing.UNPLANNED, Standing.EDITED) or (
        story.standing is Standing.UNDECIDED and not story.has_bot
    ):
        return ["pinstripe start-server"]
    if story.standing in (Standing.DISABLED, Standing.REMOVED):
        return [f"pinstripe runs {story.job} --all"]
    other = [] if story.other is None or story.other.tenant else [f"pinstripe show {story.other.id}"]
    return other + (_again_commands(story) if has_job else [f"pinstripe runs {story.job} --all"])


def _again_commands(story: Story) -> list[str]:
    """How the job runs for an instant that had no run, and for the whole stretch."""
    passed = story.passed
    if passed is not None and passed.occurrence.reason is Reason.SAME_INSTANT and story.other is not None:
        return []  # its work has run
    again = [run_command(story.job, story.declared, story.due_at, story.tenant)]
    if passed is None or passed.occurrence.count == 1 or story.declared is None:
        return again
    return [*again, f"{_backfill(story.declared, passed.occurrence.due_at, passed.last_due_at)} --dry-run"]


def run_command(job: str, declared: Schedule | None, due_at: datetime, tenant: str = "") -> str:
    """What to type so that a job runs for a due instant of a schedule, None where the project has it no more.

    A run by hand takes the parameters of the job, and is for all tenants or for those that are named: the parameters
    of a schedule come with a backfill alone, and so does the zone in which it is due.
    """
    if declared is not None and declared.enabled and (declared.params or (declared.in_tenant_zone and not tenant)):
        return _backfill(declared, due_at, due_at)
    return f"pinstripe run-background-job {job} --at {_iso(due_at)}{_of_tenant(tenant)}"


def _of_tenant(tenant: str) -> str:
    return f" --tenant {shlex.quote(tenant)}" if tenant else ""


def _backfill(schedule: Schedule, first_at: datetime, last_at: datetime) -> str:
    which = f"{schedule.job} --schedule {shlex.quote(schedule.name)}"
    return f"pinstripe backfill {which} --from {_iso(first_at)} --to {_iso(last_at)}"


def _iso(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _run_commands(record: RunRecord, *, has_job: bool, has_bot: bool) -> list[str]:
    run = record.run
    if record.lost_its_bot:
        return [f"pinstripe show {run.id}", *([] if has_bot else ["pinstripe start-server"])]
    if run.state.is_open:
        return [f"pinstripe logs {run.id} --follow", f"pinstripe cancel {run.id}"]
    retry = [f"pinstripe retry {run.id}"] if has_job and run.state in RETRIABLE else []
    return [f"pinstripe show {run.id}", f"pinstripe logs {run.id}", *retry]
