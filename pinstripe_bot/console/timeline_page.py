"""The page Timeline: what ran, what did not and what is to come, job by job on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pinstripe_bot.console.addresses import to, to_job, to_run, with_query
from pinstripe_bot.console.lanes import LaneFacts, Span, Told, lane_of, lanes_by_job, words_of
from pinstripe_bot.console.standing import Standing, usual_of
from pinstripe_bot.console.timelines import timeline
from pinstripe_bot.console.visit import Visit, late_after
from pinstripe_bot.console.words import STATE_TONES, and_list, at_clock, count_in_words, state_word
from pinstripe_bot.ledger_roll import read_bots
from pinstripe_bot.ledger_timeline import (
    PassedMark,
    RunMark,
    count_by_job,
    count_per_span,
    read_marks,
    read_passed,
    times_without_bot,
)
from pinstripe_bot.spans import show_span

WINDOWS: Final = {
    "6h": ("6 h", timedelta(hours=6)),
    "24h": ("24 h", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
}
PAGE: Final = 40
"""How many lanes one picture has."""

WHOLE: Final = 120
"""Of a job with more runs in the time only those are drawn that stand out."""

WHOLE_OF_TENANTS: Final = 600

MOST_WORDS: Final = 40
PLACES: Final = 96


@dataclass(frozen=True, slots=True)
class _Past:
    """What the ledger has of the window: how much of each job, what stands out, when no bot was there."""

    tallies: Mapping[str, int] = field(default_factory=dict)
    marks: Sequence[RunMark] = ()
    passed: Sequence[PassedMark] = ()
    downs: Sequence[tuple[datetime, datetime, str]] = ()
    counts: Sequence[int] = ()


def timeline_facts(visit: Visit, _standing: Standing) -> dict[str, Any]:
    """What the template shows."""
    asked = visit.asked("window", "24h")
    asked = asked if asked in WINDOWS else "24h"
    name, length = WINDOWS[asked]
    span = Span(visit.now - length, visit.now + length, visit.now, visit.zone)
    lanes = lanes_by_job(list(visit.project.jobs), visit.planned())
    past = _read_past(visit, span)
    busy = past.tallies.keys() | {one.job for one in past.passed}
    drawn = [one for one in lanes.values() if one.job in busy or _comes_due(one, span)]
    drawn.sort(key=lambda one: (-one.count_due(span.now, span.ends_at), one.job))
    idle = sorted(lanes.keys() - {one.job for one in drawn})
    page = max(visit.number("page", 1), 1)
    shown = drawn[(page - 1) * PAGE : page * PAGE]
    _fill(visit, shown, past, span)
    told = words_of(past.marks, past.passed)
    return {
        "picture": _picture(shown, past, span, f"{name} back and {name} ahead of {len(shown)} jobs") if shown else "",
        "windows": [(words, to("timeline", window=key), key == asked) for key, (words, _) in WINDOWS.items()],
        "told": f"{name} back, {name} ahead.{_idle(idle)}",
        "words": [_in_words(visit, one) for one in told[:MOST_WORDS]],
        "word_count": len(told),
        "previous": with_query("timeline", {"window": asked}, page=page - 1) if page > 1 else "",
        "following": with_query("timeline", {"window": asked}, page=page + 1) if page * PAGE < len(drawn) else "",
        "lane_count": len(drawn),
    }


def _picture(shown: Sequence[LaneFacts], past: _Past, span: Span, label: str) -> str:
    return timeline(
        [lane_of(one, span) for one in shown],
        span.begins_at,
        span.ends_at,
        span.now,
        span.zone,
        label=label,
        downs=past.downs,
        busy=[*past.counts, *[0] * PLACES] if any(past.counts) else (),
        busy_name="runs",
    )


def _read_past(visit: Visit, span: Span) -> _Past:
    if visit.history is None:
        return _Past()
    store, since = visit.history.store, span.begins_at
    with store.reading() as connection:
        gaps = times_without_bot(read_bots(connection, store, visit.now).values(), since, span.now)
        return _Past(
            tallies=count_by_job(connection, since),
            marks=read_marks(connection, _late_after(visit), since),
            passed=read_passed(connection, since),
            downs=[(begin, end, f"bot down {show_span(end - begin)}") for begin, end in gaps],
            counts=count_per_span(connection, since, (span.now - since) / PLACES, PLACES),
        )


def _most(visit: Visit, job: str) -> int:
    """Up to how many runs of a job are drawn one by one; those for tenants lie on each other."""
    return WHOLE_OF_TENANTS if visit.project.jobs[job].options["multi_tenant"] else WHOLE


def _late_after(visit: Visit) -> dict[str, timedelta]:
    return {name: late_after(job) for name, job in visit.project.jobs.items()}


def _fill(visit: Visit, shown: Sequence[LaneFacts], past: _Past, span: Span) -> None:
    """Give the lanes their marks: all runs of a job where there are few, else those that stand out."""
    few = {one.job for one in shown if 0 < past.tallies.get(one.job, 0) <= _most(visit, one.job)}
    whole: list[RunMark] = []
    if visit.history is not None and few:
        with visit.history.store.reading() as connection:
            whole = read_marks(connection, _late_after(visit), span.begins_at, whole=few, is_all=False)
    usual = usual_of(visit, [one.job for one in shown])
    for lane in shown:
        lane.is_quiet = lane.job in past.tallies and lane.job not in few
        lane.runs = [one for one in (past.marks if lane.is_quiet else whole) if one.job == lane.job]
        lane.passed = [one for one in past.passed if one.job == lane.job]
        lane.usual = usual.get(lane.job)


def _idle(names: list[str]) -> str:
    if not names:
        return ""
    have = "has" if len(names) == 1 else "have"
    counted = count_in_words(len(names), "job")
    return f" {counted[:1].upper()}{counted[1:]} {have} nothing in this window: {and_list(names)}."


def _comes_due(lane: LaneFacts, span: Span) -> bool:
    first = lane.first_due(span.now)
    return first is not None and first <= span.ends_at


def _in_words(visit: Visit, one: Told) -> dict[str, Any]:
    """A row of the table."""
    return {
        "due": at_clock(one.due_at, visit.now, visit.zone),
        "state": one.state,
        "word": state_word(one.state),
        "tone": STATE_TONES.get(one.state, "mid"),
        "job": one.job,
        "href": to_job(one.job) if one.run is None else to_run(one.run),
        "why": one.why,
        "count": one.count,
        "since": at_clock(one.first_due_at or one.due_at, visit.now, visit.zone),
    }
