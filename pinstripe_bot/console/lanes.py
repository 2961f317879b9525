"""The lanes of the timeline: what ran of each job, what did not, and what is to come."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from pinstripe_bot.console.addresses import to_job
from pinstripe_bot.console.timelines import Lane, Mark
from pinstripe_bot.console.words import at_clock, state_word, took
from pinstripe_bot.cron_words import in_words
from pinstripe_bot.errors import InvalidSchedule
from pinstripe_bot.ledger_timeline import PassedMark, RunMark
from pinstripe_bot.occurrence import Reason
from pinstripe_bot.reason_words import reason_in_words
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.shown import error_line
from pinstripe_bot.zones import Zone

DENSE: Final = timedelta(minutes=5)
"""A job that comes due so often is shown as a band."""

MOST_TO_COME: Final = 400
"""How many instants to come one lane shows; of more, every second, third and so on: of a band, half as many."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time that a picture shows, and the zone of its clock."""

    begins_at: datetime
    ends_at: datetime
    now: datetime
    zone: Zone


@dataclass(slots=True)
class LaneFacts:
    """What a lane is made from."""

    job: str
    href: str
    schedules: list[Schedule] = field(default_factory=list)
    runs: list[RunMark] = field(default_factory=list)
    passed: list[PassedMark] = field(default_factory=list)
    usual: timedelta | None = None
    is_quiet: bool = False  # only what stands out of its runs was read

    def count_due(self, after: datetime, until: datetime) -> int:
        """How often it comes due in a time."""
        begins, ends = int(after.timestamp()), int(until.timestamp())
        return sum(one.count_ts(begins, ends) for one in self.schedules)

    def first_due(self, now: datetime) -> datetime | None:
        """When it comes due next."""
        return min(filter(None, (next_of(one, now) for one in self.schedules)), default=None)


def next_of(schedule: Schedule, after: datetime) -> datetime | None:
    """The next due instant of a schedule; None where it has none any more."""
    try:
        return datetime.fromtimestamp(schedule.next_after_ts(int(after.timestamp())), UTC)
    except (InvalidSchedule, OverflowError, ValueError):
        return None


def is_dense(schedules: Iterable[Schedule], now: datetime) -> bool:
    """Whether a job comes due every five minutes or more often."""
    begins, hour = int(now.timestamp()), 3600
    return sum(one.count_ts(begins, begins + hour) for one in schedules) >= hour // DENSE.total_seconds()


def lane_of(facts: LaneFacts, span: Span) -> Lane:
    """One lane, drawn from its facts."""
    dense = facts.is_quiet or (span.ends_at - span.now > timedelta(hours=2) and is_dense(facts.schedules, span.now))
    marks = [_run_mark(one, span) for one in facts.runs]
    marks += [_passed_mark(one, span) for one in facts.passed]
    marks += _to_come(facts, span, is_dense=dense)
    words = in_words(facts.schedules[0].cron.normalized) if facts.schedules else ""
    every = (words[:1].lower() + words[1:]) if dense else ""
    note = "" if facts.usual is None else took(facts.usual)
    return Lane(facts.job, facts.href, note, tuple(marks), every)


def _run_mark(run: RunMark, span: Span) -> Mark:
    begins_at = run.started_at or run.due_at
    if run.state == "succeeded" and not run.is_late:  # one of the many that nobody can point at
        return Mark(run.state, begins_at, run.finished_at)
    word = state_word(run.state)
    lasted = "" if run.finished_at is None else f" after {took(run.finished_at - begins_at)}"
    late = f", {took(begins_at - run.due_at)} late" if run.is_late else ""
    whose = f" for {run.whose}" if run.whose else ""
    told = f"{run.job}{whose}, {at_clock(run.due_at, span.now, span.zone)}: {word}{lasted}{late}"
    return Mark(run.state, begins_at, run.finished_at, run.due_at if run.is_late else None, 1, told)


def _passed_mark(passed: PassedMark, span: Span) -> Mark:
    times = "" if passed.count == 1 else f" {passed.count:,} times"
    because = f", because {reason_in_words(Reason(passed.reason))}" if passed.reason else ""
    at = at_clock(passed.due_at, span.now, span.zone)
    told = f"{passed.job}, {at}: {passed.decision}{times}{because}"
    return Mark(passed.decision, passed.due_at, passed.until_at, None, passed.count, told)


def _to_come(facts: LaneFacts, span: Span, *, is_dense: bool) -> list[Mark]:
    """The due instants to come; as long as the job usually takes, but a band's are ticks, and some of many."""
    begins, ends = int(span.now.timestamp()), span.ends_at.timestamp()
    usual = timedelta(0) if is_dense or facts.usual is None else facts.usual
    least = int(ends - begins) // (MOST_TO_COME // 2 if is_dense else MOST_TO_COME)  # seconds between two ticks
    found = []
    for schedule in facts.schedules:
        after_ts = begins
        with contextlib.suppress(InvalidSchedule):  # nothing in the next fifty years
            while (due_ts := schedule.next_after_ts(after_ts)) <= ends:
                at = datetime.fromtimestamp(due_ts, UTC)
                found.append(Mark("due", at, at + usual if usual else None))
                after_ts = due_ts + max(least - 1, 0)
    return found


_UNTOLD: Final = {"timed_out": reason_in_words(Reason.TIMEOUT), "cancelled": reason_in_words(Reason.CANCELLED)}
"""Why a run without an error ended so, where its state says it."""


@dataclass(frozen=True, slots=True)
class Told:
    """A mark of the picture, in words: when it was due, its glyph, of which job or run, why, and how many alike."""

    due_at: datetime
    state: str
    job: str
    why: str
    run: int | None = None
    count: int = 1
    first_due_at: datetime | None = None


def words_of(marks: Sequence[RunMark], passed: Sequence[PassedMark]) -> list[Told]:
    """What stands out, newest first; of one job the same again and again is told once."""
    found = [told for run in marks if (told := _told(run)) is not None]
    for one in passed:
        reason = reason_in_words(Reason(one.reason)) if one.reason else ""
        found.append(Told(one.due_at, one.decision, one.job, reason, count=one.count))
    alike: dict[tuple[str, str, str], list[Told]] = {}
    for told in found:
        alike.setdefault((told.job, told.state, told.why), []).append(told)
    return sorted((_together(each) for each in alike.values()), key=lambda one: one.due_at, reverse=True)


def _together(alike: Sequence[Told]) -> Told:
    newest = max(alike, key=lambda one: one.due_at)
    return replace(newest, count=sum(one.count for one in alike), first_due_at=min(one.due_at for one in alike))


def _told(run: RunMark) -> Told | None:
    whose = f"for {run.whose}: " if run.whose else ""
    if run.state in ("failed", "timed_out", "interrupted", "cancelled"):
        why = error_line(run.error) or _UNTOLD.get(run.state, "")
        return Told(run.due_at, run.state, run.job, f"{whose}{why}", run.run)
    if run.is_late and run.started_at is not None:
        return Told(run.due_at, "late", run.job, f"{whose}started {took(run.started_at - run.due_at)} late", run.run)
    return None


def lanes_by_job(names: Sequence[str], schedules: Iterable[Schedule]) -> dict[str, LaneFacts]:
    """An empty lane for each of these jobs, with its schedules."""
    lanes = {name: LaneFacts(name, to_job(name)) for name in names}
    for schedule in schedules:
        if schedule.job in lanes:
            lanes[schedule.job].schedules.append(schedule)
    return lanes
