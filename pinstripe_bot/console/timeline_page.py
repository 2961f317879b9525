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

WHOLE: Final = 200
"""Of a job with more runs in the time only those are drawn that stand out."""

MOST_WORDS: Final = 40
PLACES: Final = 96


def timeline_facts(visit: Visit, _standing: Standing) -> dict[str, Any]:
    """What the template shows."""
    asked = visit.asked("window", "24h")
    asked = asked if asked in WINDOWS else "24h"
    length = WINDOWS[asked][1]
    span = Span(visit.now - length, visit.now + length, visit.now, visit.zone)
    page = max(visit.number("page", 1), 1)
    looked = _look(visit, span)
    drawn = [one for one in looked.lanes if looked.has_past(one) or _comes_due(one, span)]
    names = {one.job for one in drawn}
    idle = [one.job for one in looked.lanes if one.job not in names]
    shown = drawn[(page - 1) * PAGE : page * PAGE]
    words = _read_marks(visit, span, looked, shown)
    usual = usual_of(visit, [one.job for one in shown])
    for lane in shown:
        lane.usual = usual.get(lane.job)
    label = f"{WINDOWS[asked][0]} back and {WINDOWS[asked][0]} ahead of {len(shown)} jobs"
    picture = timeline(
        [lane_of(one, span) for one in shown],
        span.begins_at,
        span.ends_at,
        visit.now,
        visit.zone,
        label=label,
        downs=looked.downs,
        busy=looked.busy,
        busy_name="runs",
    )
    return {
        "picture": picture if shown else "",
        "windows": [(name, to("timeline", window=key), key == asked) for key, (name, _) in WINDOWS.items()],
        "told": f"{WINDOWS[asked][0]} back, {WINDOWS[asked][0]} ahead.{_idle(idle)}",
        "words": [_in_words(visit, one) for one in words[:MOST_WORDS]],
        "word_count": len(words),
        "previous": with_query("timeline", {"window": asked}, page=page - 1) if page > 1 else "",
        "following": with_query("timeline", {"window": asked}, page=page + 1) if page * PAGE < len(drawn) else "",
        "lane_count": len(drawn),
    }


def _idle(names: list[str]) -> str:
    if not names:
        return ""
    have = "has" if len(names) == 1 else "have"
    counted = count_in_words(len(names), "job")
    return f" {counted[:1].upper()}{counted[1:]} {have} nothing in this window: {and_list(names)}."


def _comes_due(lane: LaneFacts, span: Span) -> bool:
    first = lane.first_due(span.now)
    return first is not None and first <= span.ends_at


@dataclass(frozen=True, slots=True)
class _Looked:
    """A lane for each job, how many runs each had, what did not run, and what stands above and behind them."""

    lanes: Sequence[LaneFacts]
    counted: Mapping[str, int] = field(default_factory=dict)
    passed: Sequence[PassedMark] = ()
    downs: Sequence[tuple[datetime, datetime, str]] = ()
    busy: Sequence[int] = ()

    def has_past(self, lane: LaneFacts) -> bool:
        """Whether something is to be drawn of what was."""
        return bool(lane.passed) or self.counted.get(lane.job, 0) > 0


def _look(visit: Visit, span: Span) -> _Looked:
    names = list(visit.project.jobs)
    lanes = lanes_by_job(names, {name: to_job(name) for name in names}, visit.planned())
    if visit.history is None:
        return _Looked(list(lanes.values()))
    store = visit.history.store
    with store.reading() as connection:
        counted = count_by_job(connection, span.begins_at)
        passed = read_passed(connection, span.begins_at)
        bots = read_bots(connection, store, visit.now)
        counts = count_per_span(connection, span.begins_at, (span.now - span.begins_at) / PLACES, PLACES)
    for one in passed:
        if one.job in lanes:
            lanes[one.job].passed.append(one)
    away = times_without_bot(bots.values(), span.begins_at, visit.now)
    downs = [(begins_at, ends_at, f"bot down {show_span(ends_at - begins_at)}") for begins_at, ends_at in away]
    busy = [*counts, *[0] * PLACES] if any(counts) else []
    return _Looked(list(lanes.values()), counted, passed, downs, busy)


def _read_marks(visit: Visit, span: Span, looked: _Looked, shown: Sequence[LaneFacts]) -> list[Told]:
    """Give the lanes that are shown their runs; what stands out of all jobs, in words."""
    if visit.history is None:
        return []
    late = {name: late_after(job) for name, job in visit.project.jobs.items()}
    lanes = {one.job: one for one in shown}
    for name, lane in lanes.items():
        lane.is_quiet = looked.counted.get(name, 0) > WHOLE
    with visit.history.store.reading() as connection:
        whole = [name for name, lane in lanes.items() if not lane.is_quiet]
        marks = read_marks(connection, late, span.begins_at, whole=whole)
    for mark in marks:
        if mark.job in lanes:
            lanes[mark.job].runs.append(mark)
    return words_of(marks, looked.passed)


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
