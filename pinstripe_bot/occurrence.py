"""The records of what came due and what became of it: `Due`, `Occurrence`, `Run`, their states and reasons."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

import msgspec

MANUAL = "manual"
"""The schedule of every run that somebody started by hand."""


class Decision(StrEnum):
    """What the ledger made of one due instant."""

    RUN = "run"
    SKIPPED = "skipped"
    MISSED = "missed"


class Reason(StrEnum):
    """Why an occurrence did not run, or a run ended the way it did."""

    OVERLAP = "overlap"  # the same job with the same parameters was still queued or running
    SAME_INSTANT = "same_instant"  # another schedule of the job ran it at this instant
    COALESCED = "coalesced"  # superseded by a newer instant of the same schedule
    TOO_LATE = "too_late"  # older than max_lateness, or than late_after where catch_up is "none"
    SHUTDOWN = "shutdown"  # cut off because the bot had to stop
    BOT_DIED = "bot_died"  # its bot was gone when another one looked
    JOB_REMOVED = "job_removed"  # claimed before a restart, and its job is no longer in the project
    PAUSED = "paused"  # its job was paused
    BOT_DOWN = "bot_down"  # came due while no bot ran, and is older than the newest catch_up_max
    CLOCK_JUMP = "clock_jump"  # the same, where the clock jumped ahead or the machine slept
    EDITED = "edited"  # came due by a form of its schedule that was edited before anybody decided it
    REMOVED = "removed"  # the same, where the schedule was removed or disabled
    NOT_LISTED = "not_listed"  # the tenants of its job could not be listed
    SKIP_ASKED = "skip_asked"  # a person asked to skip it
    TIMEOUT = "timeout"  # ran longer than its job's timeout
    CANCELLED = "cancelled"  # a person told it to end


class RunState(StrEnum):
    """The states of a run; drawn in docs/ledger.md."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"

    @property
    def is_open(self) -> bool:
        """Whether the run still has to end."""
        return self in (RunState.QUEUED, RunState.RUNNING)


BAD_ENDS = (RunState.FAILED, RunState.TIMED_OUT, RunState.INTERRUPTED)
"""The ends of a run that a person wants to hear of first; as a condition in SQL, `ledger_schema.ENDED_BADLY`."""


class Plan(Protocol):
    """What the timetable asks of a schedule; instants are UTC seconds."""

    @property
    def job(self) -> str:
        """The job that it belongs to."""

    def next_after_ts(self, after_ts: int) -> int:
        """The first due instant strictly after `after_ts`."""

    def previous_before_ts(self, before_ts: int) -> int | None:
        """The last due instant strictly before `before_ts`, or None where there is none."""

    def count_ts(self, after_ts: int, until_ts: int) -> int:
        """How many due instants lie in (after_ts, until_ts]."""


PlanT = TypeVar("PlanT", bound=Plan)


@dataclass(frozen=True, slots=True)
class Due(Generic[PlanT]):
    """A schedule that has come due, with its undecided window (after_ts, until_ts]."""

    schedule: PlanT
    after_ts: int
    until_ts: int


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One due instant of one schedule, or a stretch of missed ones, decided; of one `tenant`, where it is its own."""

    job: str
    schedule: str
    due_at: datetime
    decision: Decision
    reason: Reason | None = None
    until_at: datetime | None = None  # the last instant of a stretch
    count: int = 1
    tenant: str = ""

    def lateness(self, now: datetime) -> timedelta:
        """How long ago it came due; never negative."""
        return max(now - self.due_at, timedelta(0))


class RunError(msgspec.Struct, frozen=True):
    """What a job raised: its type, message, place (`file:line in function`) and the author's traceback."""

    type: str
    message: str
    place: str
    traceback: str


# A Struct, not a dataclass: 10,000 runs change state three times a second, and `replace` costs 0.2 us instead of 6.
class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of an occurrence for one tenant, as the ledger records it; instants are aware UTC."""

    id: int
    job: str
    schedule: str
    due_at: datetime
    state: RunState
    claimed_at: datetime
    params: dict[str, Any]
    tenant: str = ""
    tenant_name: str = ""
    attempt: int = 1
    reason: Reason | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: RunError | None = None
    result: Any = None
    output: str = ""
    retry_at: datetime | None = None  # of an attempt that has ended: when the next one may start
    wanted_at: datetime | None = None  # when it was to start, where a tenant's `spread` makes that later than due

    @property
    def whose(self) -> str:
        """For which tenant it is: "7 (Acme)"; empty where for none."""
        return f"{self.tenant} ({self.tenant_name})" if self.tenant_name else self.tenant

    @property
    def occurrence_key(self) -> str:
        """What this run is for, as one line of ASCII: "invoices/nightly/2026-11-28T02:00:00Z/acme".

        The same for each of its attempts; another one for another job, schedule, due instant or tenant. Runs by hand
        may share all that, so theirs has the run's number: "invoices/manual:17/2026-11-28T02:00:00Z".
        """
        schedule = f"{MANUAL}:{self.id}" if self.schedule == MANUAL else _key_part(self.schedule)
        due_at = self.due_at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
        job = "/".join(map(_key_part, self.job.split("/")))
        return "/".join([job, schedule, due_at, *([_key_part(self.tenant)] if self.tenant else ())])

    @property
    def duration(self) -> timedelta | None:
        """From start to finish, or None while it has not ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at

    @property
    def lateness(self) -> timedelta | None:
        """From when it was to start until it did, or None while it has not started; never negative.

        It is to start when it is due; by hand, when it was asked for, or later.
        """
        if self.started_at is None:
            return None
        wanted_at = self.wanted_at or (max(self.claimed_at, self.due_at) if self.schedule == MANUAL else self.due_at)
        return max(self.started_at - wanted_at, timedelta(0))


# What separates the parts and the colons of instants and numbers, and what would not pass in a header as it is.
_NOT_IN_KEYS = re.compile(r"[^!-~]|[%/:+]")


def _key_part(text: str) -> str:
    """The text as a part of a key, from which it can be told again: as in the query of a URL, with + for a blank."""
    return _NOT_IN_KEYS.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    if match[0] == " ":
        return "+"
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class TenantRuns:
    """What a job came to that was run by hand for several tenants; `unsuccessful` are the first that failed.

    `is_cut_short`: the bot was stopped before it had come to all of them.
    """

    job: str
    states: Mapping[RunState, int]
    unsuccessful: tuple[Run, ...] = ()
    is_cut_short: bool = False

    @property
    def count(self) -> int:
        """For how many tenants it ran, or was skipped."""
        return sum(self.states.values())

    @property
    def is_success(self) -> bool:
        """Whether it came to all tenants, and no run failed, timed out, or was cut off."""
        return not self.is_cut_short and not any(
            count for state, count in self.states.items() if state not in _HARMLESS
        )

    def plus(self, ended: Run) -> TenantRuns:
        """With one more run."""
        states = {**self.states, ended.state: self.states.get(ended.state, 0) + 1}
        is_shown = ended.state not in _HARMLESS and len(self.unsuccessful) < MOST_SHOWN
        return TenantRuns(self.job, states, (*self.unsuccessful, ended) if is_shown else self.unsuccessful)

    def cut_short(self) -> TenantRuns:
        """With no more runs, though there are more tenants."""
        return TenantRuns(self.job, self.states, self.unsuccessful, is_cut_short=True)


MOST_SHOWN = 20
"""How many runs that did not succeed are kept of a job that was run for all its tenants."""

_HARMLESS = (RunState.SUCCEEDED, RunState.SKIPPED)
