"""The page Now: what needs attention, what runs, the last day and the next hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pinstripe_bot.console.addresses import to_job, to_run
from pinstripe_bot.console.bars import meter, quarters
from pinstripe_bot.console.lanes import LaneFacts, Span, lane_of, lanes_by_job, next_of
from pinstripe_bot.console.matters import Matter
from pinstripe_bot.console.standing import Standing, usual_of, verdict
from pinstripe_bot.console.timelines import timeline
from pinstripe_bot.console.visit import Visit, late_after
from pinstripe_bot.console.words import ago, at_clock, at_second, took
from pinstripe_bot.ledger_timeline import RunMark, count_per_span, count_runs, read_marks, read_passed
from pinstripe_bot.outlook import LATELY
from pinstripe_bot.records import RunRecord
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.spans import show_span

MOST_LANES: Final = 12
MOST_RUNNING: Final = 12
MOST_MATTERS: Final = 30
BEFORE: Final = timedelta(minutes=10)
QUARTER: Final = timedelta(minutes=15)
HOUR: Final = timedelta(hours=1)


def now_facts(visit: Visit, standing: Standing) -> dict[str, Any]:
    """What the template shows."""
    planned = visit.planned()
    first = {one: at for one in planned if (at := next_of(one, visit.now)) is not None}
    day = _last_day(visit, standing)
    running = () if standing.overview is None else standing.overview.running
    soonest = min(first.items(), key=lambda one: one[1], default=None)
    return {
        "is_well": standing.is_well,
        "verdict": verdict(standing, jobs=len(visit.project.jobs), day=(day["runs"], day["bad"], day["late"])),
        "fine": len(visit.project.jobs) - len({one.job for one in standing.matters} & visit.project.jobs.keys()),
        "jobs": len(visit.project.jobs) + len(visit.project.broken_jobs - visit.project.jobs.keys()),
        "running_count": len(running),
        "soonest": None if soonest is None else _soonest(visit, *soonest),
        "matters": [_matter(visit, one) for one in standing.matters[:MOST_MATTERS]],
        "more_matters": max(len(standing.matters) - MOST_MATTERS, 0),
        "running": [_running(visit, standing, one) for one in running[:MOST_RUNNING]],
        "more_running": max(len(running) - MOST_RUNNING, 0),
        "workers": _workers(standing),
        "day": day,
        "hour": _next_hour(visit, first, running),
    }


def _soonest(visit: Visit, schedule: Schedule, at: datetime) -> dict[str, Any]:
    return {"job": schedule.job, "href": to_job(schedule.job), "at": at, "in": show_span(at - visit.now)}


def _matter(visit: Visit, matter: Matter) -> dict[str, Any]:
    """A row."""
    return {
        "kind": matter.kind,
        "subject": matter.subject,
        "href": "" if matter.job is None else to_job(matter.job),
        "told": matter.told,
        "before": matter.why,
        "code": matter.code,
        "after": matter.after,
        "when": "" if matter.at is None else at_clock(matter.at, visit.now, visit.zone),
        "ago": "" if matter.at is None else ago(matter.at, visit.now),
        "matter": matter,
        "run_href": "" if matter.run is None else to_run(matter.run),
    }


def _running(visit: Visit, standing: Standing, record: RunRecord) -> dict[str, Any]:
    """How far it is, and when it ends; by its progress where it tells of it, else by how long it usually takes."""
    run = record.run
    started_at = run.started_at or run.claimed_at
    elapsed, usual = visit.now - started_at, standing.usual.get(run.job)
    done, total = record.progress or (None, None)
    part = None
    if done is not None and total:
        part = min(done / total, 1.0)
    elif usual is not None and usual.total_seconds() > 0 and elapsed < usual:
        part = elapsed / usual
    ends_at = started_at + elapsed / part if part and not record.lost_its_bot else None
    return {
        "job": run.job,
        "whose": run.whose,
        "href": to_run(run.id),
        "started_at": started_at,
        "elapsed": took(elapsed),
        "meter": meter(done, total, expected=None if total else part),
        "progress": _progress(done, total) or (f"usually {took(usual)}" if usual else "the first time"),
        "is_over_usual": usual is not None and elapsed > 2 * usual,
        "ends": "no expected end" if ends_at is None else f"ends about {at_second(ends_at, visit.now, visit.zone)}",
    }


def _progress(done: int | None, total: int | None) -> str:
    if done is None:
        return ""
    return f"{done:,} of {total:,}" if total else f"{done:,} so far"


def _workers(standing: Standing) -> str:
    stats = [bot.stats for bot in standing.bots]
    total, busy = sum(one.get("workers", 0) for one in stats), sum(one.get("busy", 0) for one in stats)
    return f"{busy} of {total} workers" if total else ""


def _last_day(visit: Visit, standing: Standing) -> dict[str, Any]:
    """How many runs there were in each quarter of an hour, and where something went wrong."""
    if visit.history is None or standing.overview is None:
        return {"runs": 0, "bad": 0, "picture": "", "late": 0}
    since, places = visit.now - LATELY, LATELY // QUARTER
    late = {name: late_after(job) for name, job in visit.project.jobs.items()}
    with visit.history.store.reading() as connection:
        counts = count_per_span(connection, since, QUARTER, places + 1)
        tallies = count_runs(connection, late, since)
        marks = read_marks(connection, late, since)
        passed = read_passed(connection, since)
    troubles = [((one.started_at or one.due_at, "late" if one.state == "succeeded" else one.state)) for one in marks]
    troubles += [(one.due_at, one.decision) for one in passed if one.decision == "missed"]
    placed = {(min(max((at - since) // QUARTER, 0), places - 1), state) for at, state in troubles}
    shown = sorted(one for one in placed if one[1] not in ("running", "queued", "cancelled", "skipped"))
    runs, bad = sum(one.count for one in tallies.values()), sum(one.bad for one in tallies.values())
    label = f"{runs:,} runs in the last 24 hours, by quarters of an hour; {bad:,} of them failed"
    return {
        "runs": runs,
        "bad": bad,
        "late": sum(one.late for one in tallies.values()),
        "picture": quarters(counts[:places], shown, _hours(visit, since), label=label),
    }


def _hours(visit: Visit, since: datetime) -> list[tuple[int, str]]:
    """Every sixth hour of the zone's clock, as a place among the quarters."""
    found = []
    for place in range(LATELY // QUARTER):
        local = (since + place * QUARTER).astimezone(visit.zone.tzinfo)
        if local.hour % 6 == 0 and local.minute < QUARTER.total_seconds() // 60:
            found.append((place, f"{local:%H}:00"))
    return found


def _next_hour(visit: Visit, first: Mapping[Schedule, datetime], running: Sequence[RunRecord]) -> dict[str, Any]:
    """A timeline of the jobs that come due soonest, with what runs of them, however long."""
    now, until = visit.now, visit.now + HOUR
    due = sum(one.count_ts(int(now.timestamp()), int(until.timestamp())) for one in first)
    soon: dict[str, datetime] = {}
    for schedule, at in sorted(first.items(), key=lambda one: one[1]):
        if at <= until:
            soon.setdefault(schedule.job, at)
    names = list(soon)[:MOST_LANES]
    if not names:
        return {"due": 0, "picture": "", "more": 0}
    lanes = lanes_by_job(names, first)
    _add_past(visit, lanes)
    for one in running:
        lane = lanes.get(one.run.job)
        if lane is not None and one.run.id not in {mark.run for mark in lane.runs}:
            lane.runs.append(_mark_of(visit, one))
    span = Span(now - BEFORE, until, now, visit.zone)
    drawn = [lane_of(lane, span) for lane in lanes.values()]
    label = f"the next hour: {due:,} due instants of {len(soon)} jobs"
    picture = timeline(drawn, span.begins_at, span.ends_at, now, visit.zone, label=label)
    return {"due": f"{due:,}", "picture": picture, "more": len(soon) - len(names)}


def _mark_of(visit: Visit, record: RunRecord) -> RunMark:
    run = record.run
    is_late = run.lateness is not None and run.lateness > late_after(visit.project.jobs[run.job])
    return RunMark(
        run.id, run.job, run.due_at, str(run.state), run.started_at, run.finished_at, run.whose, is_late=is_late
    )


def _add_past(visit: Visit, lanes: Mapping[str, LaneFacts]) -> None:
    """What ran and what did not in the last minutes, and how long each usually takes."""
    if visit.history is None:
        return
    since, names = visit.now - BEFORE, list(lanes)
    late = {name: late_after(visit.project.jobs[name]) for name in names}
    with visit.history.store.reading() as connection:
        marks = read_marks(connection, late, since, whole=names)
        passed = read_passed(connection, since)
    usual = usual_of(visit, names)
    for name, lane in lanes.items():
        lane.usual = usual.get(name)
        lane.runs = [one for one in marks if one.job == name]
        lane.passed = [one for one in passed if one.job == name]
