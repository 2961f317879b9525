"""The page Jobs: each job with its schedule in words, its next due instant, its last result and its last runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pinstripe_bot.console.addresses import to_job, to_run, with_query
from pinstripe_bot.console.lanes import next_of
from pinstripe_bot.console.matters import jobs_in_trouble
from pinstripe_bot.console.schedule_words import schedule_words
from pinstripe_bot.console.standing import Standing
from pinstripe_bot.console.strips import Stripe, strip
from pinstripe_bot.console.visit import Visit, late_after
from pinstripe_bot.console.words import STATE_TONES, at_clock, state_word, took
from pinstripe_bot.cron_words import in_words
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.ledger_skips import EVERY_JOB, Pause
from pinstripe_bot.ledger_strips import Stretch, Wanted, p50_of, read_strips
from pinstripe_bot.occurrence import Reason, Run, RunState
from pinstripe_bot.policies import Isolation
from pinstripe_bot.reason_words import reason_in_words
from pinstripe_bot.spans import show_span

PAGE: Final = 50
"""How many jobs one page shows."""

FILTERS: Final = {
    "": ("All", ""),
    "trouble": ("Trouble", "failed"),
    "running": ("Running", "running"),
    "paused": ("Paused", "paused"),
    "tenants": ("Per tenant", ""),
    "process": ("Process", ""),
}
"""{what is asked for: (its name, its glyph)}."""

SORTS: Final = {"due": "Next due", "name": "Name", "result": "Last result", "duration": "Duration"}


@dataclass(frozen=True, slots=True)
class Row:
    """A job as the list knows it; `job` is None for one whose file is broken."""

    name: str
    job: JobDefinition | None
    due_at: datetime | None
    last: Run | None
    trouble: str = ""
    pause: Pause | None = None
    is_running: bool = False
    problem: str = ""
    place: str = ""

    @property
    def kinds(self) -> set[str]:
        """Which filters it passes."""
        its = {"trouble": bool(self.trouble or self.problem), "running": self.is_running, "paused": self.pause}
        options = {} if self.job is None else self.job.options
        its |= {"tenants": options.get("multi_tenant"), "process": options.get("isolation") is Isolation.PROCESS}
        return {"", *(name for name, holds in its.items() if holds)}

    @property
    def glyph(self) -> str:
        """Its state at a glance."""
        if self.problem:
            return "broken"
        if self.is_running:
            return "running"
        if self.pause is not None:
            return "paused"
        if self.trouble and self.trouble not in ("late", "missed", "paused"):
            return self.trouble
        return "queued" if self.last is None else str(self.last.state)


def jobs_facts(visit: Visit, standing: Standing) -> dict[str, Any]:
    """What the template shows."""
    rows = rows_of(visit, standing)
    kind, words, sort = visit.asked("show"), visit.asked("q").lower(), visit.asked("sort")
    kind, sort = kind if kind in FILTERS else "", sort if sort in SORTS else "due"
    found = sorted((one for one in rows if kind in one.kinds and _is_found(one, words)), key=_order(sort))
    page = min(max(visit.number("page", 1), 1), -(-len(found) // PAGE) or 1)
    shown = found[(page - 1) * PAGE : page * PAGE]
    strips = _strips(visit, shown)
    counts = Counter(name for one in rows for name in one.kinds)
    query = {"show": kind, "q": visit.asked("q"), "sort": "" if sort == "due" else sort}
    return {
        "rows": [_cells(visit, one, strips.get(one.name, [])) for one in shown],
        "total": len(rows),
        "found": len(found),
        "filters": [
            {
                "name": name,
                "glyph": glyph,
                "count": counts[key],
                "href": with_query("jobs", query, show=key),
                "is_current": key == kind,
            }
            for key, (name, glyph) in FILTERS.items()
        ],
        "sorts": SORTS,
        "sort": sort,
        "sort_hrefs": {key: with_query("jobs", query, sort=key) for key in SORTS},
        "show": kind,
        "q": visit.asked("q"),
        "previous": with_query("jobs", query, page=page - 1) if page > 1 else "",
        "following": with_query("jobs", query, page=page + 1) if page * PAGE < len(found) else "",
        "first": (page - 1) * PAGE + 1,
        "last": (page - 1) * PAGE + len(shown),
    }


def rows_of(visit: Visit, standing: Standing) -> list[Row]:
    """All jobs of the project, also those that do not load."""
    overview = standing.overview
    last = {} if visit.history is None else visit.history.last_runs()
    trouble = jobs_in_trouble(standing.matters)
    pauses = {} if overview is None else {one.job: one for one in overview.pauses}
    running = set() if overview is None else {one.run.job for one in overview.running}
    due: dict[str, datetime] = {}
    for schedule in visit.planned():
        at = next_of(schedule, visit.now)
        if at is not None:
            due[schedule.job] = min(at, due.get(schedule.job, at))
    rows = [
        Row(
            name,
            job,
            due.get(name),
            last.get(name),
            trouble=trouble.get(name, ""),
            pause=pauses.get(name) or pauses.get(EVERY_JOB),
            is_running=name in running,
            place=str(job.place),
        )
        for name, job in visit.project.jobs.items()
    ]
    for problem in visit.project.problems:
        if problem.job is not None and problem.job not in visit.project.jobs:
            broken = Row(problem.job, None, None, last.get(problem.job), problem=problem.message)
            rows.append(replace(broken, place=str(problem.place)))
    return rows


def _is_found(row: Row, words: str) -> bool:
    text = row.name if row.job is None else f"{row.name} {row.job.summary} {' '.join(_schedule_texts(row.job))}"
    return all(word in text.lower() for word in words.split())


def _schedule_texts(job: JobDefinition) -> list[str]:
    return [f"{one.cron.expression} {in_words(one.cron.normalized)}" for one in job.schedules]


_WORST_FIRST: Final = (
    *("broken", "failed", "timed_out", "interrupted", "cancelled", "skipped", "paused", "running", "queued"),
    "succeeded",
)

_FAR: Final = datetime.max.replace(tzinfo=UTC)


def _order(sort: str) -> Callable[[Row], Any]:
    """What sorts the rows; names break ties, and what is not known comes last."""

    def key(row: Row) -> Any:
        if sort == "name":
            return row.name
        if sort == "result":
            return _WORST_FIRST.index(row.glyph), row.name
        if sort == "duration":
            lasted = None if row.last is None else row.last.duration
            return lasted is None, timedelta(0) if lasted is None else -lasted, row.name
        return row.pause is not None, row.due_at or _FAR, row.name

    return key


def _strips(visit: Visit, shown: Sequence[Row]) -> Mapping[str, list[Stretch]]:
    if visit.history is None or not shown:
        return {}
    wanted = [
        Wanted(one.name, one.job is not None and bool(one.job.options["multi_tenant"]), _late_after(one.job))
        for one in shown
    ]
    with visit.history.store.reading() as connection:
        return read_strips(connection, wanted)


def _late_after(job: JobDefinition | None) -> timedelta:
    return timedelta(seconds=60) if job is None else late_after(job)


def _cells(visit: Visit, row: Row, stretches: Sequence[Stretch]) -> dict[str, Any]:
    result, detail, tone = _result(visit, row, stretches)
    due, clock = _due(visit, row)
    p50 = p50_of(stretches)
    return {
        "name": row.name,
        "href": to_job(row.name),
        "glyph": row.glyph,
        "kind": _kind(row),
        "schedules": _schedules(row),
        "due": due,
        "due_at": row.due_at if row.pause is None else None,
        "clock": clock,
        "result": result,
        "detail": detail,
        "tone": tone,
        "run_href": "" if row.last is None else to_run(row.last.id),
        "p50": "" if p50 is None else took(p50),
        "strip": strip([stripe_of(visit, one) for one in stretches], label=f"the last runs of {row.name}"),
        "has_run": bool(stretches),
    }


def _kind(row: Row) -> str:
    kinds = row.kinds
    return " · ".join(word for key, word in (("tenants", "per tenant"), ("process", "process")) if key in kinds)


def _schedules(row: Row) -> list[tuple[str, str]]:
    """(in words, expression) of each schedule; of a broken file, where it is."""
    if row.job is None:
        return [("not planned", row.place.rpartition("/")[2])]
    if not row.job.schedules:
        return [("by hand only", "")]
    return [schedule_words(one) for one in row.job.schedules]


def _due(visit: Visit, row: Row) -> tuple[str, str]:
    """When it is due next: how soon, and on the clock."""
    if row.problem:
        return "unknown", ""
    if row.pause is not None:
        until = row.pause.until_at
        ends = "no end" if until is None else f"until {at_clock(until, visit.now, visit.zone)}"
        return "paused", f"by {row.pause.who}, {ends}"
    if row.due_at is None:
        return "never", "no schedule comes due"
    return f"in {show_span(row.due_at - visit.now)}", at_clock(row.due_at, visit.now, visit.zone)


def _result(visit: Visit, row: Row, stretches: Sequence[Stretch]) -> tuple[str, str, str]:
    """(the last result, its detail, the class of its word)."""
    if row.problem:
        return "does not load", row.problem.splitlines()[0][:80], STATE_TONES["broken"]
    last = row.last
    if last is None:
        return "no runs yet", "", "dim"
    ended = [one for one in stretches if one.run is not None]
    newest = ended[-1] if ended else None
    at = at_clock(last.due_at, visit.now, visit.zone)
    if newest is not None and newest.count > 1:
        state = newest.state
        told = f"{newest.bad:,} of {newest.count:,} tenants" if newest.bad else f"{newest.count:,} tenants"
        return state_word(state), f"{told} · {at}", STATE_TONES.get(state, "")
    if last.state is RunState.RUNNING and last.started_at is not None:
        return "running", f"for {took(visit.now - last.started_at)}", STATE_TONES["running"]
    lasted = "" if last.duration is None else f" · {took(last.duration)}"
    return state_word(last.state), f"{at}{lasted}", STATE_TONES.get(str(last.state), "")


def stripe_of(visit: Visit, stretch: Stretch) -> Stripe:
    """One stripe of a strip, with what it tells."""
    lasted = stretch.took
    if lasted is None and stretch.state == "running" and stretch.started_at is not None:
        lasted = visit.now - stretch.started_at
    reason = f", because {reason_in_words(Reason(stretch.reason))}" if stretch.reason else ""
    times = f" {stretch.count:,} times" if stretch.run is None and stretch.count > 1 else ""
    is_of_many = stretch.run is not None and stretch.count > 1
    tenants = f" for {stretch.bad:,} of {stretch.count:,} tenants" if is_of_many and stretch.bad else ""
    length = "" if lasted is None else f", {took(lasted)}"
    late = ", late" if stretch.is_late else ""
    at = at_clock(stretch.due_at, visit.now, visit.zone)
    told = f"{at}: {state_word(stretch.state)}{times}{tenants}{length}{late}{reason}"
    seconds = None if lasted is None else lasted.total_seconds()
    return Stripe(stretch.state, seconds, stretch.is_late, stretch.count, told)
