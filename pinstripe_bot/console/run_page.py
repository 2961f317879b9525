"""The page of one run: why it ran and how it ended, its way from due to finished, what it printed, its error."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from pinstripe_bot.console.addresses import to, to_job, to_run
from pinstripe_bot.console.bars import same_instant
from pinstripe_bot.console.printed import printed_lines
from pinstripe_bot.console.run_words import how_it_began, what_else
from pinstripe_bot.console.standing import Standing
from pinstripe_bot.console.strips import Stripe
from pinstripe_bot.console.tracebacks import Part, parts_of
from pinstripe_bot.console.visit import Visit
from pinstripe_bot.console.waterfalls import Step, waterfall
from pinstripe_bot.console.words import STATE_TONES, at_clock, at_millisecond, at_second, on_day, state_word, took
from pinstripe_bot.ledger_history import find_run
from pinstripe_bot.ledger_neighbours import Neighbours, read_neighbours
from pinstripe_bot.ledger_story import Stories
from pinstripe_bot.occurrence import MANUAL, RunState
from pinstripe_bot.records import RunRecord
from pinstripe_bot.redaction import conceal, redact, redact_text
from pinstripe_bot.shown import count_of, error_line, params_of, show_bot, show_json, show_params, show_size
from pinstripe_bot.story import Story
from pinstripe_bot.story_commands import RETRIABLE
from pinstripe_bot.story_words import story_sentences


def run_facts(visit: Visit, standing: Standing, number: str) -> dict[str, Any]:
    """What the template shows. Raises UnknownRun."""
    record = find_run(visit.history, number, visit.now)
    assert visit.history is not None
    run, job = record.run, visit.project.jobs.get(record.run.job)
    with visit.history.store.reading() as connection:
        stories = Stories(connection, visit.history.store, visit.now, visit.project.config.retention, tenant=run.tenant)
        story = stories.of_run(run.id, () if job is None else job.schedules)
        near = read_neighbours(connection, run.id)
    output, search = hidden(visit, record, run.output), visit.asked("find")
    lines = printed_lines(output, search) if output else []
    return {
        "record": record,
        "run": run,
        "heading": _heading(record),
        "tone": STATE_TONES.get(str(run.state), ""),
        "sentences": _sentences(visit, record, story, near),
        "day": f"{on_day(run.due_at, visit.now, visit.zone)} {run.due_at.astimezone(visit.zone.tzinfo):%H:%M}",
        "waterfall": waterfall(list(_steps(record)), visit.zone, label=_sum(visit, record), now=visit.now),
        "sum": _sum(visit, record),
        "facts": [one for one in _facts(visit, record) if one[1]],
        "attempts": _attempts(visit, record),
        "lines": lines,
        "find": search,
        "found": sum(one.is_found for one in lines),
        "output_size": show_size(len(output.encode())) if output else "",
        "output_lines": count_of(len(lines), "line") if output else "",
        "traceback": [] if run.error is None else _traceback(visit, record, run.error.traceback),
        "result": "" if run.result is None else hidden(visit, record, show_json(redact("", run.result))),
        "job_href": to_job(run.job),
        "output_href": to(f"api/runs/{run.id}/output"),
        "previous": "" if near.previous is None else to_run(near.previous),
        "following": "" if near.following is None else to_run(near.following),
        "same": _same(visit, record, near),
        **_acts(record, has_job=job is not None),
        "is_live": run.state.is_open,
    }


def hidden(visit: Visit, record: RunRecord, text: str) -> str:
    """A text of the run without the values of its secret parameters, and without passwords of URLs."""
    job = visit.project.jobs.get(record.run.job)
    secrets = frozenset() if job is None else job.params.secret_texts(record.run.params)
    return redact_text(conceal(text, secrets))


def _sentences(visit: Visit, record: RunRecord, story: Story | None, near: Neighbours) -> list[str]:
    """Why it ran, how it ended, how it goes on."""
    job = visit.project.jobs.get(record.run.job)
    declared = () if job is None else job.schedules
    schedule = next((one for one in declared if one.name == record.run.schedule), None)
    told = [] if story is None else story_sentences(story, visit.zone, visit.now)
    around = (how_it_began(visit, record, schedule), *told, *what_else(visit, record, near, schedule))
    return [hidden(visit, record, one) for one in around]


def _acts(record: RunRecord, *, has_job: bool) -> dict[str, Any]:
    """What can be done with it."""
    run = record.run
    return {
        "can_cancel": run.state.is_open and not record.lost_its_bot and record.cancel_requested_at is None,
        "can_retry": run.state in RETRIABLE and has_job,
        "can_repeat": run.state is RunState.SUCCEEDED and has_job,
        "actions": {act: to_run(run.id, act) for act in ("cancel", "retry")},
    }


def _traceback(visit: Visit, record: RunRecord, traceback: str) -> list[Part]:
    """Its parts, with the project's own files as they are written in it."""
    return parts_of(hidden(visit, record, traceback).replace(f"{visit.project.root}/", ""))


def _heading(record: RunRecord) -> str:
    run = record.run
    whose = f" for {run.tenant_name or run.tenant}" if run.tenant else ""
    word = state_word(run.state)
    if record.lost_its_bot:
        word = "lost its bot"
    elif run.state in (RunState.RUNNING, RunState.QUEUED):
        word = f"is {word}"
    elif run.state in (RunState.CANCELLED, RunState.INTERRUPTED, RunState.SKIPPED):
        word = f"was {word}"
    return f"{run.job}{whose} {word}"


def _sum(visit: Visit, record: RunRecord) -> str:
    """From due to finished, and how much of it running."""
    run = record.run
    spans = [one.duration for one in record.attempts if one.duration is not None]
    if run.started_at is not None:
        spans.append((run.finished_at or visit.now) - run.started_at)
    running = took(sum(spans, timedelta(0)))
    if run.finished_at is None:
        return f"{running} running so far" if run.started_at is not None else "it has not started yet"
    if run.schedule == MANUAL or run.started_at is None:
        return f"{running} running"
    return f"{took(run.finished_at - run.due_at)}, of which {running} running"


def _steps(record: RunRecord) -> Iterator[Step]:
    """The way of the run: each wait, each attempt and each backoff."""
    run = record.run
    asked_at = run.claimed_at if run.schedule == MANUAL else run.due_at
    yield Step("asked" if run.schedule == MANUAL else "due", asked_at, asked_at, "due")
    yield Step("claimed", asked_at, max(run.claimed_at, asked_at), "queued")
    tries = [(one.state, one.started_at, one.finished_at) for one in record.attempts]
    tries.append((run.state, run.started_at, run.finished_at))
    last: datetime | None = max(run.claimed_at, asked_at)
    for number, (state, started_at, finished_at) in enumerate(tries, start=1):
        if started_at is None:
            yield Step("waits", last or run.claimed_at, finished_at, "queued")
            continue
        name = "started" if number == 1 else "backoff"
        yield Step(name, last or started_at, started_at, "queued" if number == 1 else "backoff")
        note = state_word(state) if len(tries) > 1 or state is RunState.RUNNING else ""
        yield Step(f"attempt {number}" if len(tries) > 1 else "attempt", started_at, finished_at, str(state), note)
        last = finished_at
    if run.finished_at is not None:
        yield Step("finished", run.finished_at, run.finished_at, str(run.state))


def _facts(visit: Visit, record: RunRecord) -> Iterator[tuple[str, str, str]]:
    """(name, value, address) of what is known."""
    run, now, where = record.run, visit.now, visit.zone
    yield "Job", run.job, to_job(run.job)
    yield "Tenant", run.whose, to("runs", tenant=run.tenant)
    job = visit.project.jobs.get(run.job)
    zones = {one.name: one.timezone for one in (() if job is None else job.schedules)}
    by = f"{run.schedule} {zones.get(run.schedule, '')}".strip()
    yield "Schedule", "by hand" if run.schedule == MANUAL else by, ""
    yield "Due", f"{on_day(run.due_at, now, where)} {run.due_at.astimezone(where.tzinfo):%H:%M:%S %Z}", ""
    if record.zone is not None:
        yield "There", f"{run.due_at.astimezone(record.zone.tzinfo):%H:%M:%S} in {record.zone.name}", ""
    late = f", {took(run.lateness)} late" if run.attempt == 1 and not record.is_backfill else ""
    yield "Started", "" if run.started_at is None else f"{at_second(run.started_at, now, where)}{late}", ""
    lasted = "" if run.duration is None else f", after {took(run.duration)}"
    yield "Finished", "" if run.finished_at is None else f"{at_second(run.finished_at, now, where)}{lasted}", ""
    if record.available_at > now and run.state is RunState.QUEUED:
        yield "Starts", at_second(record.available_at, now, where), ""
    if record.cancel_requested_at is not None:
        asked = f"by {record.cancelled_by or 'somebody'}, {at_second(record.cancel_requested_at, now, where)}"
        yield "Cancelled", asked, ""
    if record.progress is not None:
        done, total = record.progress
        yield "Progress", f"{done:,} of {total:,}" if total else f"{done:,}", ""
    yield "Bot", show_bot(record.bot), ""
    yield "Parameters", show_params(params_of(visit.project, run)), ""
    yield "Run", str(run.id), ""


def _attempts(visit: Visit, record: RunRecord) -> list[dict[str, Any]]:
    if not record.attempts:
        return []
    rows = [
        {
            "number": one.attempt,
            "state": str(one.state),
            "at": "" if one.started_at is None else at_millisecond(one.started_at, visit.zone)[:-4],
            "took": took(one.duration),
            "error": hidden(visit, record, error_line(one.error)),
            "lines": printed_lines(hidden(visit, record, one.output)),
        }
        for one in record.attempts
    ]
    run = record.run
    started = "" if run.started_at is None else at_millisecond(run.started_at, visit.zone)[:-4]
    now = {"number": run.attempt, "state": str(run.state), "at": started, "took": took(run.duration)}
    return [*rows, now | {"error": hidden(visit, record, error_line(run.error)), "lines": []}]


def _same(visit: Visit, record: RunRecord, near: Neighbours) -> dict[str, Any] | None:
    """The other runs of its instant: those for other tenants."""
    if len(near.same) < 2:
        return None
    stripes, mine, rows = [], 0, []
    for place, one in enumerate(near.same):
        lasted = None if one.took is None else one.took.total_seconds()
        whose = one.name or one.tenant
        stripes.append(Stripe(one.state, lasted, told=f"{whose}: {state_word(one.state)} {took(one.took)}"))
        mine = place if one.run == record.run.id else mine
        rows.append({"href": to_run(one.run), "name": whose, "state": one.state, "took": took(one.took)})
    mine_href = to_run(record.run.id)
    bad = [row for row in rows if row["state"] not in ("succeeded", "running", "queued") and row["href"] != mine_href]
    return {
        "count": near.same_count,
        "picture": same_instant(stripes, mine, label=f"{count_of(near.same_count, 'run')} of the same instant"),
        "bad": bad[:6],
        "at": at_clock(record.run.due_at, visit.now, visit.zone),
    }
