"""The matters that need attention: what failed, is broken, stuck, missed, late or paused for long; the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from pinstripe_bot.console.words import and_list, at_clock, on_day, state_word, took
from pinstripe_bot.ledger_failures import Trouble
from pinstripe_bot.ledger_overview import Overview, PassedGroup
from pinstripe_bot.ledger_skips import EVERY_JOB, Pause
from pinstripe_bot.occurrence import BAD_ENDS, Decision, Reason, Run, RunState
from pinstripe_bot.outlook import lacks_workers
from pinstripe_bot.project import Problem, Project
from pinstripe_bot.reason_words import reason_in_words
from pinstripe_bot.records import BotRecord, ListingRecord, RunRecord
from pinstripe_bot.redaction import redact_text
from pinstripe_bot.shown import SET_CLOCK, count_of, error_line, show_bot, show_offset
from pinstripe_bot.zones import Zone

LONG_PAUSE: Final = timedelta(days=7)
"""From when on a pause is something that somebody may have forgotten."""

LATE_FOR: Final = timedelta(hours=1)
"""How long a late start needs attention, where the job has succeeded since."""

STUCK_TIMES: Final = 5
"""So many times as long as usual a run may take before it seems stuck."""

_ORDER: Final = ("failed", "timed_out", "broken", "running", "interrupted", "missed", "late", "paused")


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing: its glyph, its subject, what became of it, why, since when, and what can be done.

    `run` is the run to look at, `retry` whether it may be tried again, `cancel` whether it may be ended, `resume` the
    job whose pause may be ended ("" for that of every job).
    """

    kind: str
    subject: str
    told: str
    why: str
    at: datetime | None
    job: str | None = None
    code: str = ""  # an error, which stands behind `why` and before `after`
    after: str = ""
    run: int | None = None
    retry: bool = False
    cancel: bool = False
    resume: str | None = None
    tenant: str = ""  # whose pause it is
    place: str = ""
    filter: Mapping[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """All that is told of why."""
        return f"{self.why}{self.code}{self.after}"


@dataclass(frozen=True, slots=True)
class _Look:
    project: Project
    overview: Overview
    usual: Mapping[str, timedelta]
    now: datetime
    zone: Zone


def matters_of(
    project: Project,
    overview: Overview | None,
    usual: Mapping[str, timedelta],
    now: datetime,
    zone: Zone,
    *,
    last: Mapping[str, Run] = {},
) -> list[Matter]:
    """All of them, the worst first, and of one kind the newest first.

    `usual` says how long a run of a job takes, `last` is the newest run of each.
    """
    found = [_broken(problem) for problem in project.problems]
    if overview is not None:
        look = _Look(project, overview, usual, now, zone)
        found += [_trouble(look, one) for one in overview.troubles if _needs_attention(one, now)]
        found += [_not_since(look, one) for one in last.values() if _is_left_so(look, one)]
        found += [_listing(look, one) for one in overview.failing_listings]
        found += [_stuck(look, one) for one in overview.running if _is_stuck(look, one)]
        found += _without_workers(look)
        found += _missed(look)
        found += [_off(one) for one in overview.bots if one.is_off]
        pauses = (*overview.pauses, *overview.tenant_pauses)
        found += [_paused(look, one) for one in pauses if now - one.paused_at >= LONG_PAUSE]
    newest = sorted(found, key=lambda one: now.timestamp() if one.at is None else -one.at.timestamp())
    return sorted(newest, key=lambda one: _ORDER.index(one.kind))


def jobs_in_trouble(matters: Sequence[Matter]) -> dict[str, str]:
    """{job: the glyph of its worst matter}."""
    return {one.job: one.kind for one in reversed(matters) if one.job is not None}


def _needs_attention(trouble: Trouble, now: datetime) -> bool:
    started_at = trouble.newest.started_at
    if trouble.kind == "late" and started_at is not None:
        return now - started_at < LATE_FOR
    return not trouble.is_over


def _broken(problem: Problem) -> Matter:
    place, message = str(problem.place), redact_text(problem.message)
    name = problem.place.path.rpartition("/")[2]
    after = "" if problem.job is None else ". Its schedules are not planned; nothing is forgotten."
    line = "" if problem.place.line is None else f"Line {problem.place.line}: "
    told = message.removeprefix(f"{place}: ")
    return Matter("broken", name, "does not load", line, None, job=problem.job, code=told, after=after, place=place)


def _trouble(look: _Look, trouble: Trouble) -> Matter:
    run = trouble.newest
    if trouble.kind == "late":
        times = f" The last of {trouble.count} times." if trouble.count > 1 else ""
        told = f"started {took(run.lateness)} late"
        why = f"It was due at {at_clock(run.due_at, look.now, look.zone)}.{times}"
        return Matter("late", run.job, told, why, run.started_at, job=run.job, run=run.id)
    words = _became(trouble.kind)
    if trouble.tenant_count > 1:
        open_tenants = [one for one in trouble.tenants if not one.is_over]
        told = f"{words} for {count_of(trouble.tenant_count, 'tenant')}"
        names = [one.newest.tenant_name or one.newest.tenant for one in open_tenants]
        whose = f"{and_list(names)}: "
    else:
        whose = _whose(run)
        told = words + (" for one tenant" if run.tenant else "") + _often(trouble.count)
    tries = f"{run.attempt} attempts: " if run.attempt > 1 else ""
    why = f"{whose}{tries}{'' if run.error else _because(run.reason)}"
    can_retry = run.job in look.project.jobs
    at = run.finished_at or run.started_at
    return Matter(
        trouble.kind, run.job, told, why, at, job=run.job, code=error_line(run.error), run=run.id, retry=can_retry
    )


def _is_left_so(look: _Look, run: Run) -> bool:
    """Whether it is the newest run of its job, went wrong, and is too old to stand among the troubles."""
    is_old = (run.finished_at or run.claimed_at) < look.overview.since
    return is_old and run.state in BAD_ENDS and run.job in look.project.jobs


def _not_since(look: _Look, run: Run) -> Matter:
    why = f"{_whose(run)}{'' if run.error else _because(run.reason)}"
    return Matter(
        str(run.state),
        run.job,
        f"{_became(run.state)}, and has not run since",
        why,
        run.finished_at or run.claimed_at,
        job=run.job,
        code=error_line(run.error),
        run=run.id,
        retry=True,
    )


def _became(state: str) -> str:
    return "was interrupted" if state == RunState.INTERRUPTED else state_word(state)


def _whose(run: Run) -> str:
    return f"{run.tenant_name or run.tenant}: " if run.tenant else ""


def _because(reason: Reason | None) -> str:
    return "" if reason is None else f"Because {reason_in_words(reason)}."


def _often(count: int) -> str:
    return "" if count == 1 else f" {count:,} times in 24 hours"


def _listing(look: _Look, listing: ListingRecord) -> Matter:
    told = "cannot list its tenants" if listing.is_open else "gave up listing its tenants"
    tries = f"{count_of(listing.failed_attempts, 'attempt')}: "
    return Matter("failed", listing.job, told, tries, listing.due_at, job=listing.job, code=redact_text(listing.error))


def _is_stuck(look: _Look, record: RunRecord) -> bool:
    if record.lost_its_bot or record.lingers:
        return True
    started_at, usual = record.run.started_at, look.usual.get(record.run.job)
    if started_at is None or usual is None:
        return False
    return look.now - started_at > max(usual * STUCK_TIMES, usual + timedelta(minutes=1))


def _stuck(look: _Look, record: RunRecord) -> Matter:
    run = record.run
    since = run.started_at or run.claimed_at
    for_long = took(look.now - since)
    if record.lost_its_bot:
        told, why = "lost its bot", f"It was running for {for_long}; the next bot that starts records its end."
    elif record.lingers:
        told, why = "does not end", f"Its end is recorded as {state_word(run.state)}, and its thread goes on."
    else:
        job = look.project.jobs.get(run.job)
        limit = "No time-out is set." if job is None or job.options["timeout"] is None else "Its time-out ends it."
        told, why = "seems stuck", f"Running for {for_long}, usually {took(look.usual[run.job])}. {limit}"
    can_cancel = run.state is RunState.RUNNING and not record.lost_its_bot
    return Matter("running", run.job, told, why, since, job=run.job, run=run.id, cancel=can_cancel)


def _off(bot: BotRecord) -> Matter:
    told = f"has a clock that is {show_offset(bot)}"
    return Matter("late", show_bot(bot), told, f"{SET_CLOCK[:1].upper()}{SET_CLOCK[1:]}.", bot.heartbeat_at)


def _without_workers(look: _Look) -> Iterator[Matter]:
    """A cluster that has no worker, or a queue in which runs wait and that none serves."""
    if lacks_workers(look.project, look.overview):
        why = "Nothing that comes due runs until one starts: pinstripe start-worker."
        yield Matter("running", "The cluster", "has no worker", why, None)
        return
    for queue in look.overview.queues:
        if queue.is_unserved:
            why = f"{count_of(queue.waiting, 'run')} waiting, the oldest since {took(queue.oldest_waits(look.now))}."
            yield Matter("running", f"The queue {queue.name}", "has no worker", why, queue.oldest_at)


def _missed(look: _Look) -> Iterator[Matter]:
    """What was missed for one reason is one matter, whatever jobs it met."""
    missed = [one for one in look.overview.passed if one.newest.occurrence.decision is Decision.MISSED]
    by_reason = sorted(missed, key=lambda one: str(one.newest.occurrence.reason))
    for reason, several in groupby(by_reason, key=lambda one: one.newest.occurrence.reason):
        groups = list(several)
        jobs = sorted({one.newest.occurrence.job for one in groups})
        count = sum(one.count for one in groups)
        subject = jobs[0] if len(jobs) == 1 else count_of(len(jobs), "job")
        last_at = max(one.newest.last_due_at for one in groups)
        why = f"{_because(reason)}{_span_of(look, groups)}".strip()
        wanted = {"state": "missed"} | ({"job": jobs[0]} if len(jobs) == 1 else {})
        told = f"missed {count_of(count, 'instant')}"
        yield Matter("missed", subject, told, why, last_at, job=jobs[0] if len(jobs) == 1 else None, filter=wanted)


def _span_of(look: _Look, groups: Sequence[PassedGroup]) -> str:
    first = min(one.first_due_at for one in groups)
    last = max(one.newest.last_due_at for one in groups)
    begin, end = at_clock(first, look.now, look.zone), at_clock(last, look.now, look.zone)
    return "" if begin == end else f" From {begin} to {end}."


def _paused(look: _Look, pause: Pause) -> Matter:
    subject = "Every job" if pause.job == EVERY_JOB else pause.job
    until = "no end is set" if pause.until_at is None else f"until {at_clock(pause.until_at, look.now, look.zone)}"
    because = f": “{pause.why}”" if pause.why else ""
    passed = 0 if pause.tenant else look.overview.paused_counts.get(pause.job, 0)
    why = f"By {pause.who} on {on_day(pause.paused_at, look.now, look.zone)}{because}; {until}."
    why += f" {count_of(passed, 'instant')} skipped since." if passed else ""
    whose = look.overview.tenant_names.get(pause.tenant) or pause.tenant
    for_whom = f" for the tenant {whose}" if whose else ""
    told = f"has been paused{for_whom} for {(look.now - pause.paused_at).days} days"
    job = None if pause.job == EVERY_JOB else pause.job
    return Matter("paused", subject, told, why, pause.paused_at, job=job, resume=pause.job, tenant=pause.tenant)
