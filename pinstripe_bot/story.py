"""The story of one due instant: what the ledger has decided about it, and where it has decided nothing, why not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pinstripe_bot.occurrence import Run
from pinstripe_bot.records import Act, ListingRecord, MarkRecord, PassedRecord, RunRecord, TenantTally
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.zones import Zone


class Standing(StrEnum):
    """Whether an instant is decided, or why it is not."""

    DECIDED = "decided"
    TO_COME = "to_come"  # later than now
    UNDECIDED = "undecided"  # has come due, and no bot has looked since
    BEFORE = "before"  # before the schedule counts in its present form
    EDITED = "edited"  # the ledger has the schedule in another form than the project
    UNPLANNED = "unplanned"  # no bot has ever planned the schedule
    DISABLED = "disabled"
    REMOVED = "removed"  # the ledger has the schedule as removed
    PRUNED = "pruned"  # older than what is kept
    UNKNOWN = "unknown"  # it should be there


class Absence(StrEnum):
    """Why a tenant has no run of an occurrence whose tenants were to be listed."""

    NOT_YET = "not_yet"  # they are still being listed
    NOT_ASKED = "not_asked"  # the listing was given up
    ELSEWHERE = "elsewhere"  # it did not live in that zone then
    HAD_IT = "had_it"  # it had had this wall time in another zone
    NOT_CHOSEN = "not_chosen"  # the job's filter left it out, or it was no tenant then


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without any bot; it begins before the first one and lasts after the last one with None."""

    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Story:
    """What the ledger tells of one due instant of one schedule.

    `passed` is the row that it lies in where it did not run, `other` the run that was in its way or took its place.
    `act` is what a person asked for; `gap` the time without a bot that it lies in.
    """

    job: str
    schedule: str
    due_at: datetime
    standing: Standing
    runs: tuple[RunRecord, ...] = ()
    passed: PassedRecord | None = None
    other: Run | None = None
    act: Act | None = None
    gap: Gap | None = None
    mark: MarkRecord | None = None
    skips: int = 0  # how many of the next instants are to be skipped
    has_bot: bool = False
    is_queue: bool = False  # of runs that would overlap, one waits
    retention: timedelta = timedelta(days=30)
    declared: Schedule | None = None  # as the project has it today
    zone: Zone | None = None  # the zone of tenants that it came due in, where its schedule is due in theirs
    listing: ListingRecord | None = None  # of a job with tenants; `runs` are then those that went wrong, a few of them
    tallies: tuple[TenantTally, ...] = ()  # what all its runs come to
    tenant: str = ""  # the one that is asked for; `runs` has its run
    absence: Absence | None = None  # why that has no run
    elsewhere: str = ""  # the zone where it lived instead, or had it


def standing_of(
    due_at: datetime,
    mark: MarkRecord | None,
    *,
    form: str | None,
    is_enabled: bool,
    now: datetime,
    retention: timedelta,
) -> Standing:
    """Why an instant of which the ledger has no row is not decided; `form` is None for a schedule that is no more."""
    if form is not None and not is_enabled:
        return Standing.DISABLED
    if due_at > now:
        return Standing.TO_COME if form is not None else Standing.REMOVED
    if mark is None:
        return Standing.UNPLANNED
    if due_at <= mark.effective_from:
        return Standing.BEFORE
    if mark.removed_at is not None and due_at > mark.planned_to:
        return Standing.REMOVED
    if form is not None and mark.form != form:
        return Standing.EDITED
    if due_at > mark.planned_to:
        return Standing.UNDECIDED
    return Standing.PRUNED if due_at < now - retention else Standing.UNKNOWN
