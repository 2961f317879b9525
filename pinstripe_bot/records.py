"""The records: what a reader of the ledger is told of runs, attempts, passed instants, bots and people's acts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pinstripe_bot.occurrence import Occurrence, Reason, Run, RunError, RunState
from pinstripe_bot.zones import Zone

CLOCK_TOLERANCE = timedelta(seconds=1)
"""How far a bot's clock may be from the database's before people are told."""


@dataclass(frozen=True, slots=True)
class BotRecord:
    """A bot, or a command that ran jobs by hand; `stats` are what its last heartbeat told of its work."""

    id: str
    kind: str
    host: str
    pid: int
    version: str
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None
    stats: dict[str, Any]
    is_alive: bool

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues of a cluster that a worker serves; none for all of them."""
        return tuple(self.stats.get("queues", ()))

    def serves(self, queue: str) -> bool:
        """Whether it is a living worker that performs the runs of this queue."""
        return self.is_alive and self.kind == "worker" and (not self.queues or queue in self.queues)

    @property
    def has_died(self) -> bool:
        """Whether it ended without a word; another one signs it out then, as of its last heartbeat."""
        return not self.is_alive and self.stopped_at in (None, self.heartbeat_at)

    @property
    def last_seen_at(self) -> datetime:
        """When it stopped, or was last heard."""
        return self.stopped_at or self.heartbeat_at

    @property
    def clock_offset(self) -> timedelta:
        """How far its clock was ahead of the database's when it was heard last; negative where it was behind."""
        return timedelta(milliseconds=self.stats.get("clock_offset_ms", 0))

    @property
    def is_off(self) -> bool:
        """Whether it lives, and its clock differs from the database's."""
        return self.is_alive and abs(self.clock_offset) > CLOCK_TOLERANCE


@dataclass(frozen=True, slots=True)
class QueueRecord:
    """A queue of a cluster: what waits in it, the oldest since when, what runs of it, and how many workers serve it."""

    name: str
    waiting: int
    running: int
    oldest_at: datetime | None  # since when the oldest one could have started
    workers: int

    @property
    def is_unserved(self) -> bool:
        """Whether runs wait in it, and no living worker serves it."""
        return self.waiting > 0 and self.workers == 0

    def oldest_waits(self, now: datetime) -> timedelta:
        """For how long the oldest one could have started; nothing where none waits."""
        return max(now - (self.oldest_at or now), timedelta(0))


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try of a run that was followed by another one."""

    attempt: int
    state: RunState
    reason: Reason | None
    started_at: datetime | None
    finished_at: datetime | None
    error: RunError | None
    output: str
    bot: BotRecord | None

    @property
    def duration(self) -> timedelta | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run with all that surrounds it: who has it, what it waits for, how far it is, its earlier attempts.

    It lingers only while its bot lives: with the process its threads have ended.
    """

    run: Run
    available_at: datetime
    is_in_turn: bool
    lingers: bool
    progress: tuple[int, int | None] | None
    cancel_requested_at: datetime | None
    cancelled_by: str | None
    bot: BotRecord | None
    attempts: tuple[AttemptRecord, ...] = ()
    is_backfill: bool = False
    queue: str = ""  # the queue of a cluster by which a worker gets it, or got it; '' where no carrier has it
    is_served: bool = False  # whether a living worker serves that queue
    zone: Zone | None = None  # the zone of tenants that it came due in, where its schedule is due in theirs

    @property
    def lost_its_bot(self) -> bool:
        """Whether it stands as running, and nothing performs it: the next bot that starts records its end."""
        return self.run.state is RunState.RUNNING and (self.bot is None or not self.bot.is_alive)


@dataclass(frozen=True, slots=True)
class PassedRecord:
    """A due instant, or a stretch of them, that did not run."""

    occurrence: Occurrence
    decided_at: datetime

    @property
    def last_due_at(self) -> datetime:
        return self.occurrence.until_at or self.occurrence.due_at


@dataclass(frozen=True, slots=True)
class ListingRecord:
    """How far it is with listing the tenants of one occurrence; `attempt` is the one that goes on, or comes next."""

    job: str
    schedule: str
    due_at: datetime
    zone: Zone | None  # the zone of tenants that it came due in, where its schedule is due in theirs
    state: str  # "queued", "running", "listed", "failed"
    attempt: int
    available_at: datetime
    finished_at: datetime | None
    error: str  # of the last attempt that failed
    bot: BotRecord | None
    runs: int  # how many tenants have one

    @property
    def is_open(self) -> bool:
        """Whether tenants are still to be listed."""
        return self.state in ("queued", "running")

    @property
    def failed_attempts(self) -> int:
        """How often it has failed."""
        return self.attempt if self.state == "failed" else self.attempt - 1


@dataclass(frozen=True, slots=True)
class TenantTally:
    """How many runs of one occurrence stand alike, and for which tenants some of them are: "7 (Acme)"."""

    state: RunState
    reason: Reason | None
    count: int
    tenants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MarkRecord:
    """What the ledger knows of a schedule: its form, from when it counts, up to when it is decided."""

    form: str
    effective_from: datetime
    planned_to: datetime
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Act:
    """What a person did: "pause" or "skip", who, when, why, and for how long."""

    action: str
    who: str
    at: datetime
    why: str = ""
    until_at: datetime | None = None
    tenant: str = ""  # whom a pause is of; '' for all
    job: str = ""  # of which job it is; '' for every one
