"""Claiming: verdicts become occurrences and runs, unless another run or another bot was first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, text

from pinstripe_bot.ledger_schema import SECOND, from_column, from_ts, rows_of, to_json
from pinstripe_bot.occurrence import Decision, Due, Occurrence, Reason, Run, RunState
from pinstripe_bot.policies import Overlap, Verdict
from pinstripe_bot.schedule import Schedule

INSERT_OCCURRENCES = """
    INSERT INTO occurrences (job, schedule, key, due_at, decision, reason, until_at, count, claimed_at, bot)
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), '', json_extract(value, '$[2]'),
           json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
           json_extract(value, '$[6]'), ?, ?
    FROM json_each(?) WHERE true
    ON CONFLICT (job, schedule, key, due_at) DO NOTHING
"""

OCCURRENCES_SINCE = "SELECT json_group_array(json_array(id, job, schedule, due_at)) FROM occurrences WHERE id > ?"

INSERT_RUNS = """
    INSERT INTO runs (occurrence_id, job, schedule, due_at, state, params, params_key, available_at, owner, claimed_at)
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
           json_extract(value, '$[3]'), 'queued', json_extract(value, '$[4]'), json_extract(value, '$[5]'), ?, ?, ?
    FROM json_each(?)
"""

RUNS_SINCE = "SELECT json_group_array(json_array(occurrence_id, id)) FROM runs WHERE id > ?"

DECIDED_AHEAD = """
    SELECT json_group_array(json_array(occurrences.job, occurrences.schedule, occurrences.due_at))
    FROM json_each(?) AS due
    JOIN occurrences
      ON occurrences.job = json_extract(due.value, '$[0]')
     AND occurrences.schedule = json_extract(due.value, '$[1]') AND occurrences.key = ''
     AND occurrences.due_at > json_extract(due.value, '$[2]')
     AND occurrences.due_at <= json_extract(due.value, '$[3]')
"""

DECIDED_AT = text(
    """
    SELECT coalesce(until_at, due_at) >= :due_at FROM occurrences
    WHERE job = :job AND schedule = :schedule AND key = '' AND due_at <= :due_at
    ORDER BY due_at DESC LIMIT 1
    """
)

OPEN_RUNS = """
    SELECT json_group_array(json_array(job, params_key)) FROM runs
    WHERE state IN ('queued', 'running') AND job IN (SELECT value FROM json_each(?))
"""


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


def decided_ahead(connection: Connection, windows: Sequence[Due[Schedule]]) -> dict[Schedule, list[int]]:
    """The instants in these windows that have been decided already: {schedule: [UTC seconds, ascending]}."""
    by_key = {(due.schedule.job, due.schedule.name): due.schedule for due in windows}
    rows = [(due.schedule.job, due.schedule.name, due.after_ts * SECOND, due.until_ts * SECOND) for due in windows]
    decided: dict[Schedule, list[int]] = {}
    for job, schedule, due_at in sorted(rows_of(connection, DECIDED_AHEAD, (to_json(rows),))):
        decided.setdefault(by_key[job, schedule], []).append(due_at // SECOND)
    return decided


def is_decided(connection: Connection, candidate: Candidate) -> bool:
    """Whether its instant has been decided already, by itself or within a stretch of missed ones."""
    job, schedule, due_at = candidate.key
    values = {"job": job, "schedule": schedule, "due_at": due_at}
    return bool(connection.scalar(DECIDED_AT, values))


def open_runs(connection: Connection, jobs: Iterable[str]) -> set[tuple[str, str]]:
    """(job, hash of parameters) of all runs that are queued or running."""
    return {(job, key) for job, key in rows_of(connection, OPEN_RUNS, (to_json(sorted(jobs)),))}


def record(
    connection: Connection, candidates: list[Candidate], *, bot: str, now_at: int
) -> tuple[list[Run], list[Occurrence]]:
    """Write the occurrences that nobody has written yet: (a queued run of `bot` for each that is to run, the others).

    The oldest instant comes first; of schedules due at the same one, the first declared.
    """
    candidates = sorted(candidates, key=lambda candidate: (candidate.verdict.due_ts, candidate.order))
    settled = _compare(candidates, open_runs(connection, {candidate.schedule.job for candidate in candidates}))
    if not settled:
        return [], []
    last_id = connection.exec_driver_sql("SELECT coalesce(max(id), 0) FROM occurrences").scalar_one()
    rows = to_json([_occurrence_row(candidate) for candidate in settled])
    connection.exec_driver_sql(INSERT_OCCURRENCES, (now_at, bot, rows))
    # Whatever is newer than `last_id` is ours: this transaction holds the one write lock.
    inserted = rows_of(connection, OCCURRENCES_SINCE, (last_id,))
    written = {(job, schedule, due_at): row_id for row_id, job, schedule, due_at in inserted}
    ours = [candidate for candidate in settled if candidate.key in written]
    to_run = {written[candidate.key]: candidate for candidate in ours if candidate.is_to_run}
    runs = _queue(connection, to_run, bot=bot, now_at=now_at) if to_run else []
    return runs, [candidate.occurrence() for candidate in ours if not candidate.is_to_run]


def _compare(candidates: Sequence[Candidate], busy: set[tuple[str, str]]) -> list[Candidate]:
    """Turn those into skipped ones that meet another run of the same job with the same parameters."""
    instants: set[tuple[str, str, int]] = set()
    settled = []
    for candidate in candidates:
        schedule, verdict = candidate.schedule, candidate.verdict
        if candidate.is_to_run:
            work = (schedule.job, schedule.params_key)
            if (*work, verdict.due_ts) in instants:
                verdict = Verdict(verdict.due_ts, Decision.SKIPPED, Reason.SAME_INSTANT)
            elif schedule.overlap is Overlap.SKIP and work in busy:
                verdict = Verdict(verdict.due_ts, Decision.SKIPPED, Reason.OVERLAP)
            else:
                instants.add((*work, verdict.due_ts))
                busy.add(work)
        settled.append(candidate if verdict is candidate.verdict else replace(candidate, verdict=verdict))
    return settled


def _occurrence_row(candidate: Candidate) -> tuple[object, ...]:
    verdict = candidate.verdict
    until_at = None if verdict.until_ts is None else verdict.until_ts * SECOND
    return (*candidate.key, verdict.decision, verdict.reason, until_at, verdict.count)


def _queue(connection: Connection, to_run: Mapping[int, Candidate], *, bot: str, now_at: int) -> list[Run]:
    """Write a queued run for each {occurrence: candidate}, in that order."""
    rows = to_json(
        [
            (occurrence, *candidate.key, candidate.schedule.params_json, candidate.schedule.params_key)
            for occurrence, candidate in to_run.items()
        ]
    )
    last_id = connection.exec_driver_sql("SELECT coalesce(max(id), 0) FROM runs").scalar_one()
    connection.exec_driver_sql(INSERT_RUNS, (now_at, bot, now_at, rows))
    ids = dict(rows_of(connection, RUNS_SINCE, (last_id,)))
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
    ]
