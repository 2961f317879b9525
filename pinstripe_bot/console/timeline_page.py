"""The page Timeline: what ran, what did not and what is to come, job by job on one axis."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from pinstripe_bot.console.addresses import to, to_job, to_run, with_query
from pinstripe_bot.console.lanes import LaneFacts, Span, Told, lane_of, lanes_by_job, words_of
from pinstripe_bot.console.standing import Standing, usual_of
from pinstripe_bot.console.timelines import timeline
from pinstripe_bot.console.visit import Visit, late_after
from pinstripe_bot.console.words import STATE_TONES, and_list, at_clock, count_in_words, state_word
from pinstripe_bot.ledger_roll import read_bots
from pinstripe_bot.ledger_timeline import (
    count_per_span,
    count_runs,
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
    lanes, words, facts = _lanes(visit, span)
    drawn = [one for one in lanes.values() if one.runs or one.passed or one.is_quiet or _comes_due(one, span)]
    names = {one.job for one in drawn}
    idle = [name for name in lanes if name not in names]
    page = max(visit.number("page", 1), 1)
    shown = drawn[(page - 1) * PAGE : page * PAGE]
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
        downs=facts["downs"],
        busy=facts["busy"],
        busy_name="runs",
    )
    return {
        "picture": picture if shown else "",
        "windows": [(name, to("timeline", window=key), key == asked) for key, (name, _) in WINDOWS.items()],
        "told": f"{WINDOWS[asked][0]} back, {WINDOWS[asked][0]} ahead.{_idle(idle)}",
        "words": words[:MOST_WORDS],
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


def _lanes(visit: Visit, span: Span) -> tuple[dict[str, LaneFacts], list[dict[str, Any]], dict[str, Any]]:
    """A lane for each job, the marks in words, and what stands above and behind them."""
    names = list(visit.project.jobs)
    lanes = lanes_by_job(names, {name: to_job(name) for name in names}, visit.planned())
    if visit.history is None:
        return lanes, [], {"downs": (), "busy": ()}
    late = {name: late_after(job) for name, job in visit.project.jobs.items()}
    store = visit.history.store
    with store.reading() as connection:
        tallies = count_runs(connection, late, span.begins_at)
        whole = {job for job, one in tallies.items() if one.count <= WHOLE}
        marks = read_marks(connection, late, span.begins_at, whole=whole)
        passed = read_passed(connection, span.begins_at)
        bots = read_bots(connection, store, visit.now)
        counts = count_per_span(connection, span.begins_at, (span.now - span.begins_at) / PLACES, PLACES)
        busy = [*counts, *[0] * PLACES] if any(counts) else []
    for mark in marks:
        if mark.job in lanes:
            lanes[mark.job].runs.append(mark)
    for one in passed:
        if one.job in lanes:
            lanes[one.job].passed.append(one)
    for job, tally in tallies.items():
        if job in lanes:
            lanes[job].is_quiet = tally.count > WHOLE
    downs = [
        (a, b, f"bot down {show_span(b - a)}") for a, b in times_without_bot(bots.values(), span.begins_at, visit.now)
    ]
    words = [_in_words(visit, one) for one in words_of(marks, passed)]
    return lanes, words, {"downs": downs, "busy": busy}


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
