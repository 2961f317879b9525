"""explain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from typing import Any

import click

from pinstripe_bot.answers import Answer, Question, refuse_tenant
from pinstripe_bot.cli.history import find_job, schedules_named
from pinstripe_bot.cli.invocation import Invocation, project_command, tenant_option
from pinstripe_bot.cli.pages import Page
from pinstripe_bot.cli.tables import print_json
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.errors import InvalidSchedule
from pinstripe_bot.escapes import escape_line
from pinstripe_bot.json_forms import listing_as_json, passed_as_json, run_as_json
from pinstripe_bot.ledger_history import open_history
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.occurrence import MANUAL
from pinstripe_bot.options import did_you_mean
from pinstripe_bot.project import Project
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.shown import broken_line, count_of
from pinstripe_bot.story import Story
from pinstripe_bot.story_commands import story_commands
from pinstripe_bot.story_words import story_sentences
from pinstripe_bot.zones import Zone

MOST_COMMANDS = 6

MOST_SHOWN = 5
"""How many of them are told in full."""


@project_command()
@click.argument("name")
@click.option("--at", "at", metavar="T", required=True, help='When: "02:30", "last night 02:00", 2026-03-29T02:30.')
@click.option("--schedule", metavar="NAME", help="Only this schedule of the job.")
@tenant_option("What it came to for this tenant.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(invocation: Invocation, name: str, at: str, schedule: str | None, tenant: str, as_json: bool) -> None:
    """Say what became of a job at an instant, and why.

    Whether it was due by each of its schedules, what the clocks had to do with it, what became of it and why, and
    what to type next. Without an offset, T is on the clock of the schedule's zone, or of each tenant's.
    """
    project, now = invocation.load_project(), SystemClock().now()
    with open_history(ledger_place(project.config, project.root)) as history:
        job = find_job(project, history, name)
        schedules = _schedules(project, job, schedule)
        refuse_tenant(project, job, tenant)
        question = Question(project, job, schedules, at, now, tenant=tenant, is_of_one=schedule is not None)
        answers = list(question.answers(history))
    broken = broken_line(project, job)
    if broken:
        click.echo(
            f"the job {job!r} cannot be loaded, so only the ledger is asked: {broken} (`pinstripe check`)", err=True
        )
    if as_json:
        print_json([_as_json(answer, now, has_job=job in project.jobs) for answer in answers])
    else:
        commands = _commands(answers, has_ledger=history is not None, has_job=job in project.jobs)
        _draw(Page(), answers, commands, has_ledger=history is not None, now=now)


def _schedules(project: Project, job: str, name: str | None) -> list[Schedule]:
    declared = list(project.jobs[job].schedules) if job in project.jobs else []
    found = declared if name is None else schedules_named(declared, name)
    if name is not None and not found:
        known = [one.name for one in declared]
        raise InvalidSchedule(f"the job {job!r} has no schedule {name!r}: {did_you_mean(name, known)}")
    return found


def _draw(page: Page, answers: Sequence[Answer], commands: Sequence[str], *, has_ledger: bool, now: datetime) -> None:
    for answer in answers:
        page.title(answer.heading)
        for sentence in answer.sentences:
            page.say(escape_line(sentence), indent=2)
        _draw_stories(page, answer, now)
    if not answers:
        page.say("The ledger has nothing of this job at that time.")
    if not has_ledger:
        page.say("There is no ledger yet, so nothing has run: `pinstripe start-server` starts the bot.", "yellow")
    if commands:
        page.title("What to type next")
        for command in commands[:MOST_COMMANDS]:
            page.say(command, "cyan", indent=2)


def _draw_stories(page: Page, answer: Answer, now: datetime) -> None:
    """Each story in full where there are few; those of which the same is to be said together."""
    groups = _alike(answer.stories)
    is_one = len(answer.stories) == 1 and answer.explanation is not None
    for group in groups[:MOST_SHOWN]:
        if not is_one:
            page.say(_when(group, answer), "bold", indent=2)
        told = escape_line(" ".join(story_sentences(group[0], answer.zone, now)))
        page.say(told, indent=2 if is_one else 4)
    rest = [story for group in groups[MOST_SHOWN:] for story in group]
    if rest:
        counts = ", ".join(f"{number} {kind}" for kind, number in Counter(map(_kind, rest)).items())
        page.say(f"and {count_of(len(rest), 'more instant')}: {counts}", "dim", indent=2)


def _alike(stories: Sequence[Story]) -> list[list[Story]]:
    """The stories in groups: each run by itself, and what did not run with its neighbours of the same reason."""

    def reason(story: Story) -> object:
        return id(story) if story.runs else (story.schedule, story.standing, story.passed, story.act)

    return [list(group) for _, group in groupby(stories, key=reason)]


def _when(group: Sequence[Story], answer: Answer) -> str:
    local = group[0].due_at.astimezone(answer.zone.tzinfo)
    whose = "" if answer.explanation is not None else f", {_whose(group[0].schedule)}"
    more = f" and {len(group) - 1} more" if len(group) > 1 else ""
    return f"{local:%H:%M:%S} {local:%Z}{more}{whose}"


def _whose(schedule: str) -> str:
    return "by hand" if schedule == MANUAL else f"schedule {schedule}"


def _kind(story: Story) -> str:
    """What became of it, in a word."""
    if story.runs:
        return str(story.runs[0].run.state).replace("_", " ")
    return str(story.passed.occurrence.decision if story.passed else story.standing).replace("_", " ")


def _commands(answers: Sequence[Answer], *, has_ledger: bool, has_job: bool) -> list[str]:
    """What to type next, each once."""
    each = (_commands_of(answer, has_ledger=has_ledger, has_job=has_job) for answer in answers)
    return list(dict.fromkeys(command for commands in each for command in commands))


def _commands_of(answer: Answer, *, has_ledger: bool, has_job: bool) -> list[str]:
    if not has_ledger:
        return ["pinstripe start-server"]
    if answer.schedule is not None and not answer.stories:
        return [f"pinstripe next {answer.job}"]
    firsts = [group[0] for group in _alike(answer.stories)[:MOST_SHOWN]]
    return [command for story in firsts for command in story_commands(story, has_job=has_job)]


def _as_json(answer: Answer, now: datetime, *, has_job: bool) -> dict[str, Any]:
    it, schedule = answer.explanation, answer.schedule
    return {
        "job": answer.job,
        "schedule": None if schedule is None else schedule.name,
        "timezone": answer.zone.name if schedule is None else schedule.timezone,
        "is_due": None if it is None else bool(it.due_at),
        "exists": None if it is None else it.exists,
        "is_repeated": None if it is None else it.is_repeated,
        "rule": None if it is None else it.rule,
        "nearest": [] if it is None else it.nearest,
        "sentences": answer.sentences,
        "instants": [_story_as_json(story, answer.zone, now, has_job=has_job) for story in answer.stories],
    }


def _story_as_json(story: Story, zone: Zone, now: datetime, *, has_job: bool) -> dict[str, Any]:
    return {
        "due_at": story.due_at,
        "schedule": story.schedule,
        "timezone": None if story.zone is None else story.zone.name,
        "standing": story.standing,
        "listing": None if story.listing is None else listing_as_json(story.listing),
        "tenants": [asdict(one) for one in story.tallies],
        "absence": story.absence,
        "runs": [run_as_json(record.run) for record in story.runs],
        "passed": None if story.passed is None else passed_as_json(story.passed),
        "other_run": None if story.other is None else story.other.id,
        "who": None if story.act is None else story.act.who,
        "why": None if story.act is None else story.act.why,
        "sentences": story_sentences(story, zone, now),
        "commands": story_commands(story, has_job=has_job),
    }
