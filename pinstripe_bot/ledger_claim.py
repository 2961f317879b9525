"""Claiming: verdicts become occurrences and runs, unless another run or another bot was first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from pinstripe_bot.ledger_rows import SECOND, from_column, from_ts
from pinstripe_bot.ledger_schema import OPEN
from pinstripe_bot.ledger_skips import Skips
from pinstripe_bot.ledger_sql import both, execute, given, listed, rows_of, to_json, values_of
from pinstripe_bot.occurrence import Decision, Due, Occurrence, Reason, Run, RunState
from pinstripe_bot.policies import Overlap, Verdict
from pinstripe_bot.schedule import Schedule

INSERT_OCCURRENCES = both(
    """
    INSERT INTO occurrences (job, schedule, key, due_at, decision, reason, until_at, count, claimed_at, bot)
    SELECT job, schedule, '', due_at, decision, reason, until_at, count, :now, :bot FROM {rows} AS decided WHERE true
    ON CONFLICT (job, schedule, key, due_at) DO NOTHING
    """,
    rows=given(
        "rows",
        job="text",
        schedule="text",
        due_at="bigint",
        decision="text",
        reason="text",
        until_at="bigint",
        count="integer",
    ),
)

LAST_OCCURRENCE = both("SELECT coalesce(max(id), 0) FROM occurrences")

OCCURRENCES_SINCE = both(
    "SELECT {rows} FROM occurrences WHERE id > :last AND bot = :bot", rows=listed("id", "job", "schedule", "due_at")
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
    JOIN occurrences ON occurrences.job = due.job AND occurrences.schedule = due.schedule AND occurrences.key = ''
     AND occurrences.due_at > due.after_at AND occurrences.due_at <= due.until_at
    """,
    rows=listed("occurrences.job", "occurrences.schedule", "occurrences.due_at"),
    windows=given("windows", job="text", schedule="text", after_at="bigint", until_at="bigint"),
)

DECIDED_AT = both(
    """
    SELECT coalesce(until_at, due_at) >= :due_at FROM occurrences
    WHERE job = :job AND schedule = :schedule AND key = '' AND due_at <= :due_at
    ORDER BY due_at DESC LIMIT 1
    """
)

OPEN_RUNS = both(
    f"SELECT {{rows}} FROM runs WHERE {OPEN} AND job IN {{jobs}}",
    rows=listed("job", "params_key", "CASE WHEN state = 'queued' THEN in_turn ELSE 0 END"),
    jobs=values_of("jobs", "text"),
)

Work = tuple[str, str]
"""What overlap compares: a job, and the hash of its parameters."""


@dataclass(slots=True)
class OpenWork:
    """The work that is queued or running, and which of it has a run that waits for its turn."""

    busy: set[Work]
    waiting: set[Work]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A verdict on an instant of a schedule; `order` is the schedule's place in the declaration."""

    schedule: Schedule
    verdict: Verdict
    order: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes its occurrence unique: job, schedule, instant as its column holds it."""
        return (self.schedule.job, self.schedule.name, self.verdict.due_ts * SECOND)

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
    schedules that another bot plans by now, with its form; `failed` those that raised, undecided; `waiting`
    says how many runs wait in the ledger for their time or turn.
    """

    runs: list[Run]
    passed: list[Occurrence]
    superseded: dict[Schedule, str]
    failed: dict[Schedule, Exception]
    waiting: int


def decided_ahead(connection: Connection, windows: Sequence[Due[Schedule]]) -> dict[Schedule, list[int]]:
    """The instants in these windows that have been decided already: {schedule: [UTC seconds, ascending]}."""
    by_key = {(due.schedule.job, due.schedule.name): due.schedule for due in windows}
    rows = [(due.schedule.job, due.schedule.name, due.after_ts * SECOND, due.until_ts * SECOND) for due in windows]
    decided: dict[Schedule, list[int]] = {}
    for job, schedule, due_at in sorted(rows_of(connection, DECIDED_AHEAD, windows=to_json(rows))):
        decided.setdefault(by_key[job, schedule], []).append(due_at // SECOND)
    return decided


def is_decided(connection: Connection, candidate: Candidate) -> bool:
    """Whether its instant has been decided already, by itself or within a stretch of missed ones."""
    job, schedule, due_at = candidate.key
    return bool(execute(connection, DECIDED_AT, job=job, schedule=schedule, due_at=due_at).scalar())


def open_work(connection: Connection, jobs: Iterable[str]) -> OpenWork:
    """What of these jobs is queued or running, or has timed out and goes on."""
    rows = rows_of(connection, OPEN_RUNS, jobs=to_json(sorted(jobs)))
    return OpenWork({(job, key) for job, key, _ in rows}, {(job, key) for job, key, waits in rows if waits})


def record(
    connection: Connection, candidates: list[Candidate], *, bot: str, now_at: int
) -> tuple[list[Run], list[Occurrence], int]:
    """Write the occurrences that nobody has written yet.

    (A queued run of `bot` for each that is to run at once, those that do not run, how many wait for their time or
    turn.) The oldest instant comes first; of schedules due at the same one, the first declared.
    """
    candidates = sorted(candidates, key=lambda candidate: (candidate.verdict.due_ts, candidate.order))
    jobs = {candidate.schedule.job for candidate in candidates}
    skips = Skips.read(connection)
    settled = _Comparison(open_work(connection, jobs), skips).settle(candidates)
    if not settled:
        return [], [], 0
    last_id = execute(connection, LAST_OCCURRENCE).scalar_one()
    rows = to_json([_occurrence_row(candidate) for candidate in settled])
    execute(connection, INSERT_OCCURRENCES, now=now_at, bot=bot, rows=rows)
    # Whatever of ours is newer than `last_id` was written now: this transaction is the only one that writes.
    inserted = rows_of(connection, OCCURRENCES_SINCE, last=last_id, bot=bot)
    written = {(job, schedule, due_at): row_id for row_id, job, schedule, due_at in inserted}
    ours = [candidate for candidate in settled if candidate.key in written]
    skips.write(connection)
    to_run = {written[candidate.key]: candidate for candidate in ours if candidate.is_to_run}
    runs = _queue(connection, to_run, bot=bot, now_at=now_at) if to_run else []
    return runs, [candidate.occurrence() for candidate in ours if not candidate.is_to_run], len(to_run) - len(runs)


class _Comparison:
    """Lets those pass as skipped that meet another run of their work, or that a person asked to skip."""

    def __init__(self, open_work: OpenWork, skips: Skips) -> None:
        self._open = open_work
        self._skips = skips
        self._instants: set[tuple[str, str, int]] = set()
        self._batches: set[Work] = set()  # of which a catch-up has runs here, which are not compared

    def settle(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        return [self._settled(candidate) if candidate.is_to_run else candidate for candidate in candidates]

    def _settled(self, candidate: Candidate) -> Candidate:
        schedule, verdict = candidate.schedule, candidate.verdict
        work = (schedule.job, schedule.params_key)
        if (*work, verdict.due_ts) in self._instants:
            return candidate.skipped(Reason.SAME_INSTANT)
        if self._skips.take(schedule.job, schedule.name, verdict.due_ts):
            return candidate.skipped(Reason.SKIP_ASKED)
        is_in_turn = verdict.is_in_turn
        if work in self._batches:
            is_in_turn = True
        elif work in self._open.busy:
            is_full = schedule.overlap is Overlap.QUEUE and work in self._open.waiting
            if schedule.overlap is Overlap.SKIP or is_full:
                return candidate.skipped(Reason.OVERLAP)
            is_in_turn = is_in_turn or schedule.overlap is Overlap.QUEUE
        self._instants.add((*work, verdict.due_ts))
        self._open.busy.add(work)
        if is_in_turn:
            self._open.waiting.add(work)
        if verdict.is_in_turn:
            self._batches.add(work)
        return replace(candidate, verdict=replace(verdict, is_in_turn=is_in_turn))


def _occurrence_row(candidate: Candidate) -> tuple[object, ...]:
    verdict = candidate.verdict
    until_at = None if verdict.until_ts is None else verdict.until_ts * SECOND
    return (*candidate.key, verdict.decision, verdict.reason, until_at, verdict.count)


def _queue(connection: Connection, to_run: Mapping[int, Candidate], *, bot: str, now_at: int) -> list[Run]:
    """Write a queued run for each {occurrence: candidate}; the bot's own are those that may start at once."""
    rows = [_run_row(occurrence, candidate, bot, now_at) for occurrence, candidate in to_run.items()]
    execute(connection, INSERT_RUNS, now=now_at, rows=to_json(rows))
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


def _run_row(occurrence: int, candidate: Candidate, bot: str, now_at: int) -> tuple[object, ...]:
    schedule, verdict = candidate.schedule, candidate.verdict
    owner = bot if candidate.starts_at_once else None
    available_at = now_at + round(verdict.delay_s * SECOND)
    params = (schedule.params_json, schedule.params_key)
    return (occurrence, *candidate.key, *params, available_at, owner, int(verdict.is_in_turn))
