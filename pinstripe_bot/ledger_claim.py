"""Claiming: verdicts become occurrences and runs, unless another run or another bot was first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from pinstripe_bot.ledger_listings import open_listings, write_listings
from pinstripe_bot.ledger_rows import SECOND, from_column, from_ts
from pinstripe_bot.ledger_skips import Skips
from pinstripe_bot.ledger_sql import both, execute, given, listed, rows_of, to_json, values_of
from pinstripe_bot.ledger_work import OpenWork, Work, open_work
from pinstripe_bot.occurrence import Decision, Due, Occurrence, Reason, Run, RunState
from pinstripe_bot.policies import Overlap, Verdict
from pinstripe_bot.schedule import Schedule

INSERT_OCCURRENCES = both(
    """
    INSERT INTO occurrences (job, schedule, key, due_at, decision, reason, until_at, count, listing, claimed_at, bot)
    SELECT job, schedule, key, due_at, decision, reason, until_at, count, listing, :now, :bot
    FROM {rows} AS decided WHERE true
    ON CONFLICT (job, schedule, key, due_at) DO NOTHING
    """,
    rows=given(
        "rows",
        job="text",
        schedule="text",
        key="text",
        due_at="bigint",
        decision="text",
        reason="text",
        until_at="bigint",
        count="integer",
        listing="text",
    ),
)

LAST_OCCURRENCE = both("SELECT coalesce(max(id), 0) FROM occurrences")

OCCURRENCES_SINCE = both(
    "SELECT {rows} FROM occurrences WHERE id > :last AND bot = :bot",
    rows=listed("id", "job", "schedule", "key", "due_at"),
)

INSERT_RUNS = both(
    """
    INSERT INTO runs (occurrence_id, job, schedule, due_at, state, params, params_key, available_at, owner, in_turn,
                      claimed_at)
    SELECT occurrence_id, job, schedule, due_at, 'queued', params, params_key, available_at, owner, in_turn, :now
    FROM {rows} AS queued
    """,
    rows=given(
        "rows",
        occurrence_id="bigint",
        job="text",
        schedule="text",
        due_at="bigint",
        params="text",
        params_key="text",
        available_at="bigint",
        owner="text",
        in_turn="integer",
    ),
)

RUNS_OF = both(
    "SELECT {rows} FROM runs WHERE occurrence_id IN {ids}",
    rows=listed("occurrence_id", "id"),
    ids=values_of("ids", "bigint"),
)

DECIDED_AHEAD = both(
    """
    SELECT {rows}
    FROM {windows} AS due
    JOIN occurrences ON occurrences.job = due.job AND occurrences.schedule = due.schedule AND occurrences.key = due.key
     AND occurrences.due_at > due.after_at AND occurrences.due_at <= due.until_at
    """,
    rows=listed("occurrences.job", "occurrences.schedule", "occurrences.key", "occurrences.due_at"),
    windows=given("windows", job="text", schedule="text", key="text", after_at="bigint", until_at="bigint"),
)

DECIDED_AT = both(
    """
    SELECT coalesce(until_at, due_at) >= :due_at FROM occurrences
    WHERE job = :job AND schedule = :schedule AND key = :key AND due_at <= :due_at
    ORDER BY due_at DESC LIMIT 1
    """
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A verdict on an instant of a schedule; `order` is the schedule's place in the declaration."""

    schedule: Schedule
    verdict: Verdict
    order: int

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What makes its occurrence unique: job, schedule, the schedule's key, instant as its column holds it."""
        schedule = self.schedule
        return (schedule.job, schedule.name, schedule.key, self.verdict.due_ts * SECOND)

    @property
    def work(self) -> Work:
        """What overlap compares at a claim; of a job with tenants it is their listing that does not overlap."""
        return (self.schedule.job, self.schedule.params_key, self.schedule.key)

    @property
    def is_to_run(self) -> bool:
        return self.verdict.decision is Decision.RUN

    @property
    def starts_at_once(self) -> bool:
        """Whether its run waits neither for its time nor for its turn."""
        return not self.verdict.is_in_turn and not self.verdict.delay_s

    def skipped(self, reason: Reason) -> Candidate:
        """The same instant, decided against."""
        return replace(self, verdict=Verdict(self.verdict.due_ts, Decision.SKIPPED, reason))

    def occurrence(self) -> Occurrence:
        """The record of the verdict."""
        verdict = self.verdict
        return Occurrence(
            job=self.schedule.job,
            schedule=self.schedule.name,
            due_at=from_ts(verdict.due_ts),
            decision=verdict.decision,
            reason=verdict.reason,
            until_at=None if verdict.until_ts is None else from_ts(verdict.until_ts),
            count=verdict.count,
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim gave.

    `runs` are ours to dispatch, oldest due first; `passed` was decided and does not run; `superseded` are
    schedules that another bot plans by now, with its form; `failed` those that raised, undecided; `waiting` says
    how many runs wait in the ledger for their time or turn; `to_run` has the job of each instant that is to run;
    `windows` says how many were decided.
    """

    runs: list[Run]
    passed: list[Occurrence]
    superseded: dict[Schedule, str]
    failed: dict[Schedule, Exception]
    waiting: int
    to_run: list[str]
    windows: int


def decided_ahead(connection: Connection, windows: Sequence[Due[Schedule]]) -> dict[Schedule, list[int]]:
    """The instants in these windows that have been decided already: {schedule: [UTC seconds, ascending]}."""
    by_key = {(due.schedule.job, due.schedule.name, due.schedule.key): due.schedule for due in windows}
    rows = [(*key, due.after_ts * SECOND, due.until_ts * SECOND) for key, due in zip(by_key, windows, strict=True)]
    decided: dict[Schedule, list[int]] = {}
    for *key, due_at in sorted(rows_of(connection, DECIDED_AHEAD, windows=to_json(rows))):
        decided.setdefault(by_key[*key], []).append(due_at // SECOND)
    return decided


def is_decided(connection: Connection, candidate: Candidate) -> bool:
    """Whether its instant has been decided already, by itself or within a stretch of missed ones."""
    job, schedule, key, due_at = candidate.key
    return bool(execute(connection, DECIDED_AT, job=job, schedule=schedule, key=key, due_at=due_at).scalar())


def record(
    connection: Connection, candidates: list[Candidate], *, bot: str, now_at: int, is_sent: bool = False
) -> tuple[list[Run], list[Occurrence], list[str]]:
    """Write the occurrences that nobody has written yet.

    (A queued run of `bot` for each that is to run at once, those that do not run, the jobs of all that are to run.)
    The oldest instant comes first, then the first declared. Where what waits `is_sent` elsewhere, no run is the bot's.
    """
    candidates = sorted(candidates, key=lambda candidate: (candidate.verdict.due_ts, candidate.order))
    skips = Skips.read(connection)
    settled = _Comparison(_open_work(connection, candidates), skips).settle(candidates)
    if not settled:
        return [], [], []
    last_id = execute(connection, LAST_OCCURRENCE).scalar_one()
    rows = to_json([_occurrence_row(candidate) for candidate in settled])
    execute(connection, INSERT_OCCURRENCES, now=now_at, bot=bot, rows=rows)
    # Whatever of ours is newer than `last_id` was written now: this transaction is the only one that writes.
    inserted = rows_of(connection, OCCURRENCES_SINCE, last=last_id, bot=bot)
    written = {tuple(key): row_id for row_id, *key in inserted}
    ours = [candidate for candidate in settled if candidate.key in written]
    skips.write(connection)
    to_run = {written[candidate.key]: candidate for candidate in ours if candidate.is_to_run}
    to_list = {row_id: candidate for row_id, candidate in to_run.items() if candidate.schedule.multi_tenant}
    to_queue = {row_id: candidate for row_id, candidate in to_run.items() if row_id not in to_list}
    write_listings(connection, [_listing_row(row_id, one, now_at) for row_id, one in to_list.items()])
    runs = _queue(connection, to_queue, owner=None if is_sent else bot, now_at=now_at) if to_queue else []
    return runs, [one.occurrence() for one in ours if not one.is_to_run], [one.schedule.job for one in to_run.values()]


def _open_work(connection: Connection, candidates: Iterable[Candidate]) -> OpenWork:
    """The work that is open of the jobs of these; of jobs with tenants what is still to be listed."""
    kinds = {candidate.schedule.job: candidate.schedule.multi_tenant for candidate in candidates}
    runs = open_work(connection, [job for job, has_tenants in kinds.items() if not has_tenants])
    listings = open_listings(connection, [job for job, has_tenants in kinds.items() if has_tenants])
    return OpenWork(runs.busy | listings.busy, runs.waiting | listings.waiting)


class _Comparison:
    """Lets those pass as skipped that meet another run of their work, or that a person asked to skip."""

    def __init__(self, open_work: OpenWork, skips: Skips) -> None:
        self._open = open_work
        self._skips = skips
        self._instants: set[tuple[Work, int]] = set()
        self._batches: set[Work] = set()  # of which a catch-up has runs here, which are not compared

    def settle(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        return [self._settled(candidate) if candidate.is_to_run else candidate for candidate in candidates]

    def _settled(self, candidate: Candidate) -> Candidate:
        schedule, verdict = candidate.schedule, candidate.verdict
        work = candidate.work
        if (work, verdict.due_ts) in self._instants:
            return candidate.skipped(Reason.SAME_INSTANT)
        if self._skips.take(schedule, verdict.due_ts):
            return candidate.skipped(Reason.SKIP_ASKED)
        is_in_turn = verdict.is_in_turn
        if work in self._batches:
            is_in_turn = True
        elif work in self._open.busy:
            is_full = schedule.overlap is Overlap.QUEUE and work in self._open.waiting
            if schedule.overlap is Overlap.SKIP or is_full:
                return candidate.skipped(Reason.OVERLAP)
            is_in_turn = is_in_turn or schedule.overlap is Overlap.QUEUE
        self._instants.add((work, verdict.due_ts))
        self._open.busy.add(work)
        if is_in_turn:
            self._open.waiting.add(work)
        if verdict.is_in_turn:
            self._batches.add(work)
        return replace(candidate, verdict=replace(verdict, is_in_turn=is_in_turn))


def _occurrence_row(candidate: Candidate) -> tuple[object, ...]:
    verdict = candidate.verdict
    until_at = None if verdict.until_ts is None else verdict.until_ts * SECOND
    listing = "queued" if candidate.is_to_run and candidate.schedule.multi_tenant else None
    return (*candidate.key, verdict.decision, verdict.reason, until_at, verdict.count, listing)


def _listing_row(occurrence: int, candidate: Candidate, now_at: int) -> tuple[object, ...]:
    schedule, verdict = candidate.schedule, candidate.verdict
    # Runs of one catch-up are not compared with each other: the instant of the claim says which belong together.
    batch = now_at if verdict.is_in_turn else 0
    available_at = now_at + round(verdict.delay_s * SECOND)
    return (occurrence, schedule.params_json, schedule.params_key, schedule.overlap, batch, available_at)


def _queue(connection: Connection, to_run: Mapping[int, Candidate], *, owner: str | None, now_at: int) -> list[Run]:
    """Write a queued run for each {occurrence: candidate}; its `owner` has those that may start at once."""
    rows = [_run_row(occurrence, candidate, owner, now_at) for occurrence, candidate in to_run.items()]
    execute(connection, INSERT_RUNS, now=now_at, rows=to_json(rows))
    if owner is None:
        return []
    ids = dict(rows_of(connection, RUNS_OF, ids=to_json(list(to_run))))
    claimed_at = from_column(now_at)
    assert claimed_at is not None
    return [
        Run(
            id=ids[occurrence],
            job=candidate.schedule.job,
            schedule=candidate.schedule.name,
            due_at=from_ts(candidate.verdict.due_ts),
            state=RunState.QUEUED,
            claimed_at=claimed_at,
            params=candidate.schedule.params,
        )
        for occurrence, candidate in to_run.items()
        if candidate.starts_at_once
    ]


def _run_row(occurrence: int, candidate: Candidate, owner: str | None, now_at: int) -> tuple[object, ...]:
    schedule, verdict = candidate.schedule, candidate.verdict
    return (
        occurrence,
        schedule.job,
        schedule.name,
        verdict.due_ts * SECOND,
        schedule.params_json,
        schedule.params_key,
        now_at + round(verdict.delay_s * SECOND),
        owner if candidate.starts_at_once else None,
        int(verdict.is_in_turn),
    )
