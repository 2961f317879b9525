"""The page Runs: all runs, and what did not run, filtered by job, state, tenant and time, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pinstripe_bot.console.addresses import to_job, to_run, with_query
from pinstripe_bot.console.standing import Standing
from pinstripe_bot.console.visit import Visit, late_after
from pinstripe_bot.console.words import STATE_TONES, at_clock, at_second, state_word, took
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.instants import read_since
from pinstripe_bot.job import dasherize
from pinstripe_bot.ledger_failures import LATE_AFTER
from pinstripe_bot.ledger_pages import Cursor, Page, Wanted, read_page
from pinstripe_bot.occurrence import MANUAL, Decision, Run, RunState
from pinstripe_bot.reason_words import reason_in_words, tenant_reason_in_words
from pinstripe_bot.records import PassedRecord
from pinstripe_bot.shown import error_line

PAGE: Final = 50

FILTERS: Final = {
    "": ("All", ""),
    "failed": ("Failed", "failed"),
    "running": ("Running", "running"),
    "late": ("Late", "late"),
    "skipped": ("Skipped", "skipped"),
    "missed": ("Missed", "missed"),
    "manual": ("By hand", ""),
}
"""{state: (its name, its glyph)}."""

_STATES: Final = {
    "failed": (RunState.FAILED, RunState.TIMED_OUT, RunState.INTERRUPTED),
    "running": (RunState.RUNNING, RunState.QUEUED),
    "skipped": (RunState.SKIPPED,),
}


def read_wanted(visit: Visit) -> Wanted:
    """What the address asks for. Raises InvalidParams for a state or a time that cannot be read."""
    state = visit.asked("state").lower().replace("-", "_")
    known = {*FILTERS, *RunState}
    if state not in known:
        raise InvalidParams(f"{state!r} is no state of a run: choose one of {', '.join(sorted(filter(None, known)))}")
    states = _STATES.get(state) or ((RunState(state),) if state in set(RunState) else ())
    decisions = {"missed": (Decision.MISSED,), "skipped": (Decision.SKIPPED,)}.get(state, ())
    return Wanted(
        job=dasherize(visit.asked("job")) or None,
        tenant=visit.asked("tenant") or None,
        states=states,
        decisions=decisions,
        is_late=state == "late",
        is_by_hand=state == "manual",
        since=_read_time(visit, "since"),
        until=_read_time(visit, "until"),
        late_after={name: late_after(job) for name, job in visit.project.jobs.items()},
    )


def _read_time(visit: Visit, name: str) -> datetime | None:
    written = visit.asked(name)
    return None if not written else read_since(written, visit.project.config.timezone, visit.now)


def runs_facts(visit: Visit, _standing: Standing) -> dict[str, Any]:
    """What the template shows."""
    wanted = read_wanted(visit)
    page = Page((), None)
    if visit.history is not None:
        with visit.history.store.reading() as connection:
            page = read_page(connection, wanted, Cursor.read(visit.asked("before")), most=PAGE)
    query = {name: visit.asked(name) for name in ("state", "job", "tenant", "since", "until")}
    return {
        "rows": [row_of(visit, one) for one in page.rows],
        "filters": [
            {
                "name": name,
                "glyph": glyph,
                "href": with_query("runs", query, state=key),
                "is_current": key == query["state"],
            }
            for key, (name, glyph) in FILTERS.items()
        ],
        "query": query,
        "jobs": sorted(visit.project.jobs),
        "is_filtered": any(query.values()),
        "is_first": not visit.asked("before"),
        "newest": with_query("runs", query),
        "following": "" if page.following is None else with_query("runs", query, before=str(page.following)),
        "empty": _empty(visit, query),
    }


def _empty(visit: Visit, query: Mapping[str, str]) -> str:
    if any(query.values()):
        words = [
            query["state"],
            *(f"{name} {query[name]}" for name in ("job", "tenant", "since", "until") if query[name]),
        ]
        return f"Nothing matches {', '.join(filter(None, words))}."
    return "No runs yet."


def row_of(visit: Visit, one: Run | PassedRecord) -> dict[str, Any]:
    """A row of the table."""
    if isinstance(one, PassedRecord):
        return _passed_row(visit, one)
    late = one.lateness if one.attempt == 1 else None
    job = visit.project.jobs.get(one.job)
    is_late = late is not None and late > (LATE_AFTER if job is None else late_after(job))
    ended = one.duration
    if ended is None and one.started_at is not None and one.state is RunState.RUNNING:
        ended = visit.now - one.started_at
    because = tenant_reason_in_words(one.reason) if one.tenant else reason_in_words(one.reason)
    tries = f"attempt {one.attempt}" if one.attempt > 1 else ""
    by_hand = "by hand" if one.schedule == MANUAL else ""
    told = [one.tenant_name or one.tenant, by_hand, tries, error_line(one.error) or because]
    return {
        "state": str(one.state),
        "word": state_word(one.state),
        "tone": STATE_TONES.get(str(one.state), "mid"),
        "job": one.job,
        "href": to_run(one.id),
        "due_at": one.due_at,
        "due": at_second(one.due_at, visit.now, visit.zone)
        if one.due_at.second
        else at_clock(one.due_at, visit.now, visit.zone),
        "late": "" if late is None else f"+{took(late)}",
        "is_late": is_late,
        "took": took(ended),
        "is_running": one.state is RunState.RUNNING,
        "started_at": one.started_at,
        "reason": " · ".join(filter(None, told)),
    }


def _passed_row(visit: Visit, passed: PassedRecord) -> dict[str, Any]:
    occurrence = passed.occurrence
    times = ""
    if occurrence.count > 1:
        until = at_clock(passed.last_due_at, visit.now, visit.zone)
        times = f"{occurrence.count:,} instants, the last at {until}: "
    job = visit.project.jobs.get(occurrence.job)
    is_for_tenants = job is not None and bool(job.options["multi_tenant"])
    return {
        "state": str(occurrence.decision),
        "word": str(occurrence.decision),
        "tone": STATE_TONES.get(str(occurrence.decision), "mid"),
        "job": occurrence.job,
        "href": to_job(occurrence.job),
        "due_at": occurrence.due_at,
        "due": (at_second if occurrence.due_at.second else at_clock)(occurrence.due_at, visit.now, visit.zone),
        "late": "",
        "is_late": False,
        "took": "",
        "is_running": False,
        "started_at": None,
        "reason": f"{times}{reason_in_words(occurrence.reason, is_for_tenants=is_for_tenants)}",
    }
