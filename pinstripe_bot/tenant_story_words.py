"""Tenants in a story: how far their listing is, what their runs came to, and why one of them has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from pinstripe_bot.occurrence import RunState
from pinstripe_bot.reason_words import tenant_reason_in_words
from pinstripe_bot.records import ListingRecord, TenantTally
from pinstripe_bot.redaction import redact_text
from pinstripe_bot.spans import show_ago
from pinstripe_bot.story import Absence, Story

Clock = Callable[[datetime | None], str]
"""How an instant is written."""


def tenant_sentences(story: Story, now: datetime, at: Clock) -> list[str]:
    """What is to be said of the tenants of an occurrence, but for single runs."""
    listing = story.listing
    if listing is None:
        return []
    if story.tenant:
        return [] if story.absence is None else [*_listing(listing, story, now, at), _absence(story)]
    return [*_listing(listing, story, now, at), *_tallied(story.tallies)]


def _listing(it: ListingRecord, story: Story, now: datetime, at: Clock) -> list[str]:
    """How far it is with listing them; what was listed at once needs no word where one tenant is asked for."""
    if it.state == "listed":
        told = f"Its tenants were listed at {at(it.finished_at)}"
        return [f"{told}." if it.runs or story.tenant else f"{told}: there was none to run for."]
    if it.state == "failed":
        times = "attempt" if it.attempt == 1 else f"{it.attempt} attempts"
        return [f"Its tenants could not be listed, which was given up after {times}: {_error(it)}."]
    failed = []
    if it.failed_attempts:
        times = "once" if it.failed_attempts == 1 else f"{it.failed_attempts} times"
        failed = [f"Listing its tenants has failed {times}: {_error(it)}."]
    return [*failed, _going_on(it, now, has_bot=story.has_bot)]


def _going_on(it: ListingRecord, now: datetime, *, has_bot: bool) -> str:
    if it.state == "running":
        where = f" on {it.bot.host}, pid {it.bot.pid}" if it.bot else ""
        return f"Its tenants are being listed{where}: so far {it.runs:,} {'has' if it.runs == 1 else 'have'} a run."
    if not has_bot:
        return "Its tenants wait to be listed: no bot is running."
    if it.available_at > now:
        return f"Attempt {it.attempt} comes {show_ago(it.available_at, now)}."
    return "Its tenants wait to be listed: a bot does it within a second, once those of the instants before are."


def _error(it: ListingRecord) -> str:
    lines = it.error.strip().splitlines()
    return redact_text(lines[0]).rstrip(".") if lines else "nothing is known of the error"


def _tallied(tallies: Sequence[TenantTally]) -> list[str]:
    """What the runs came to: "Of its 4 runs 3 succeeded and 1 was skipped because the tenant was paused (7)."."""
    if not tallies:
        return []
    total = sum(one.count for one in tallies)
    if total == 1:
        return [f"Its one run {_end(tallies[0])}."]
    each = [f"{one.count:,} {_end(one)}" for one in tallies]
    told = each[0] if len(each) == 1 else f"{', '.join(each[:-1])} and {each[-1]}"
    return [f"Of its {total:,} runs {told}."]


def _end(it: TenantTally) -> str:
    is_one = it.count == 1
    words = {
        RunState.TIMED_OUT: "timed out",
        RunState.CANCELLED: "was cancelled" if is_one else "were cancelled",
        RunState.INTERRUPTED: "was interrupted" if is_one else "were interrupted",
        RunState.QUEUED: "waits" if is_one else "wait",
        RunState.RUNNING: "is running" if is_one else "are running",
        RunState.SKIPPED: "was skipped" if is_one else "were skipped",
    }.get(it.state, str(it.state))
    if it.state is not RunState.SKIPPED:
        return words
    more = f" and {it.count - len(it.tenants):,} more" if it.count > len(it.tenants) else ""
    return f"{words} because {tenant_reason_in_words(it.reason)} ({', '.join(it.tenants)}{more})"


def _absence(it: Story) -> str:
    """Why the tenant that is asked for has no run."""
    match it.absence:
        case Absence.NOT_YET:
            return f"The tenant {it.tenant} has no run of it yet."
        case Absence.NOT_ASKED:
            return f"The tenant {it.tenant} has no run of it."
        case Absence.ELSEWHERE:
            return f"The tenant {it.tenant} has no run of it: it lived in {it.elsewhere} then."
        case Absence.HAD_IT:
            return f"The tenant {it.tenant} has no run of it: it had had this time in {it.elsewhere} already."
    return (
        f"The tenant {it.tenant} has no run of it, as it was not listed: a tenants_filter of the job left it out,"
        " or it was no tenant then."
    )
