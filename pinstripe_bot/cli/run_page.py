"""Everything about one run, for `show`: as a page, and as JSON."""

from __future__ import annotations

import shlex
from datetime import datetime

from rich.text import Text

from pinstripe_bot.cli.pages import STYLES, Cell, Page, state_cell
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.occurrence import MANUAL, Run, RunError, RunState
from pinstripe_bot.project import Project
from pinstripe_bot.reason_words import reason_in_words
from pinstripe_bot.records import AttemptRecord, RunRecord
from pinstripe_bot.redaction import redact, redact_text
from pinstripe_bot.shown import (
    broken_line,
    error_line,
    params_of,
    show_at,
    show_bot,
    show_json,
    show_params,
    show_tenant,
)
from pinstripe_bot.spans import show_ago, show_duration
from pinstripe_bot.story_commands import RETRIABLE
from pinstripe_bot.story_words import GONE
from pinstripe_bot.zones import Zone, zone

LINES = 20
"""How many of the last lines of an output stand on the page."""


def draw_run(page: Page, record: RunRecord, project: Project, now: datetime, *, has_bot: bool) -> None:
    """The whole page."""
    run, shown_zone = record.run, zone(project.config.timezone)
    page.title(f"Run {run.id} of {run.job}{f' for {show_tenant(run)}' if run.tenant else ''}")
    page.say(_verdict(record, now, has_bot=has_bot), _style(run))
    page.grid([(Text(name, "dim"), value) for name, value in _facts(record, project, shown_zone, now) if value])
    if record.attempts:
        page.title("Earlier attempts")
        for attempt in record.attempts:
            _draw_attempt(page, attempt, shown_zone)
    if run.error is not None:
        page.title("Error")
        page.say(traceback_of(run.error), indent=2)
    if run.output:
        page.title("Output")
        _draw_output(page, run.output, f"pinstripe logs {run.id}")
    page.title("What to type next")
    page.grid([(command, Text(what, "dim")) for command, what in _commands(record, project, has_bot=has_bot)])


def _style(run: Run) -> str:
    return STYLES.get(run.state, "")


def _verdict(record: RunRecord, now: datetime, *, has_bot: bool) -> str:
    """How it stands, in a sentence."""
    run = record.run
    because = f" because {reason_in_words(run.reason)}" if run.reason else ""
    if run.state is RunState.QUEUED:
        return _waiting(record, now, has_bot=has_bot)
    if record.lost_its_bot and run.started_at is not None:
        return f"It was running, since {show_ago(run.started_at, now)[:-4]}, and {GONE}."
    if run.state is RunState.RUNNING and run.started_at is not None:
        return f"It is running since {show_ago(run.started_at, now)[:-4]}."
    told = f": {error_line(run.error)}" if run.error else because
    after = f" after {show_duration(run.duration)}" if run.duration is not None else ""
    goes_on = " Its thread goes on." if record.lingers else ""
    words = "was skipped" if run.state is RunState.SKIPPED else str(run.state).replace("_", " ")
    words = f"was {words}" if run.state in (RunState.CANCELLED, RunState.INTERRUPTED) else words
    return f"It {words}{after}{told}.{goes_on}".replace("..", ".")


def _waiting(record: RunRecord, now: datetime, *, has_bot: bool) -> str:
    if record.available_at > now:
        return f"It waits: it may start {show_ago(record.available_at, now)}."
    if record.queue:
        none = "" if record.is_served else ", and none serves it: `pinstripe start-worker` starts one"
        return f"It waits for a worker of the queue {record.queue}{none}."
    if not has_bot:
        return "It waits for a bot, and none is running: `pinstripe start-server` starts one."
    return f"It waits for {'the earlier runs of its work' if record.is_in_turn else 'a worker'}."


def _facts(record: RunRecord, project: Project, zone: Zone, now: datetime) -> list[tuple[str, Cell]]:
    run, job = record.run, project.jobs.get(record.run.job)
    asked_to_end = f"by {record.cancelled_by or 'somebody'}, {_clock(record.cancel_requested_at, run, zone)}"
    return [
        ("due", f"{show_at(run.due_at, zone)}{_there(record)}, {show_ago(run.due_at, now)}"),
        ("schedule", "by hand" if run.schedule == MANUAL else run.schedule),
        ("tenant", show_tenant(run)),
        ("params", show_params(params_of(project, run))),
        ("claimed", _clock(run.claimed_at, run, zone)),
        ("available", _clock(record.available_at, run, zone) if record.available_at > run.claimed_at else ""),
        ("started", _started(record, zone)),
        ("cancelled", asked_to_end if record.cancel_requested_at else ""),
        ("finished", _finished(run, zone)),
        ("attempt", _attempt(run, job)),
        ("progress", _progress(record)),
        ("result", "" if run.result is None else show_json(redact("", run.result))),
        ("job", _home(project, run.job)),
    ]


def _there(record: RunRecord) -> str:
    """When it was due on the clock of the tenant's zone."""
    return "" if record.zone is None else f" ({show_at(record.run.due_at, record.zone)} in {record.zone.name})"


def _home(project: Project, job: str) -> str:
    """Where the job is today, and why it cannot be loaded."""
    if job in project.jobs:
        return str(project.jobs[job].place)
    broken = broken_line(project, job)
    return f"its file cannot be loaded (`pinstripe check`): {broken}" if broken else "no longer in the project"


def _clock(instant: datetime | None, run: Run, zone: Zone) -> str:
    """The time of day, to the millisecond; with the day where that is not the due instant's."""
    if instant is None:
        return ""
    local, due = instant.astimezone(zone.tzinfo), run.due_at.astimezone(zone.tzinfo)
    day = "" if local.date() == due.date() else f"{local.date()} "
    return f"{day}{local:%H:%M:%S}.{local.microsecond // 1000:03d} {local:%Z}"


def _started(record: RunRecord, zone: Zone) -> str:
    run = record.run
    if run.started_at is None:
        return ""
    is_expected = run.attempt == 1 and not record.is_backfill
    late = f", {show_duration(run.lateness)} late" if is_expected else ""
    return f"{_clock(run.started_at, run, zone)}{late}" + (f", on {show_bot(record.bot)}" if record.bot else "")


def _finished(run: Run, zone: Zone) -> str:
    took = f", after {show_duration(run.duration)}" if run.duration is not None else ""
    return _clock(run.finished_at, run, zone) + took if run.finished_at else ""


def _attempt(run: Run, job: JobDefinition | None) -> str:
    most = 1 + (0 if job is None else job.options["retries"])
    return "" if max(run.attempt, most) == 1 else f"{run.attempt} of {max(most, run.attempt)}"


def _progress(record: RunRecord) -> str:
    if record.progress is None:
        return ""
    done, total = record.progress
    return f"{done} of {total} ({100 * done // total} %)" if total else str(done)


def _draw_attempt(page: Page, attempt: AttemptRecord, zone: Zone) -> None:
    at = show_at(attempt.started_at, zone)
    took = f"after {show_duration(attempt.duration)}" if attempt.duration is not None else ""
    told = error_line(attempt.error) or reason_in_words(attempt.reason)
    page.grid([(str(attempt.attempt), at, state_cell(attempt.state), took, told)])
    if attempt.output:
        page.say(_last_lines(attempt.output), "dim", indent=5)


def _draw_output(page: Page, output: str, command: str) -> None:
    page.say(_last_lines(output), indent=2)
    cut = len(output.rstrip().splitlines()) - LINES
    if cut > 0:
        page.say(f"{cut} more lines before: {command}", "dim", indent=2)


def _last_lines(output: str) -> str:
    return "\n".join(output.rstrip().splitlines()[-LINES:])


def traceback_of(error: RunError) -> str:
    place = f" ({error.place})" if error.place else ""
    return redact_text(error.traceback.rstrip() or f"{error_line(error)}{place}")


def _commands(record: RunRecord, project: Project, *, has_bot: bool) -> list[tuple[str, str]]:
    run = record.run
    others = [(f"pinstripe runs {run.job}", "the other runs of the job")]
    if run.tenant:
        others.insert(0, (f"pinstripe runs --tenant {shlex.quote(run.tenant)}", "all runs for the tenant"))
    if record.lost_its_bot:
        return [*([] if has_bot else [("pinstripe start-server", "a bot, which records its end")]), *others]
    if run.state.is_open:
        follow = (f"pinstripe logs {run.id} --follow", "what it prints, as it comes")
        return [follow, (f"pinstripe cancel {run.id}", "end it")]
    is_retriable = run.state in RETRIABLE and run.job in project.jobs
    again = [(f"pinstripe retry {run.id}", "run it again")] if is_retriable else []
    logs = [(f"pinstripe logs {run.id}", "all that it printed")] if run.output else []
    return [*again, *logs, *others]
