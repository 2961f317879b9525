"""Deciding: what a window of due instants becomes, by the schedule's policy and by people's pauses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pinstripe_bot.ledger_claim import Candidate, decided_ahead
from pinstripe_bot.ledger_marks import Marks
from pinstripe_bot.ledger_skips import EVERY_JOB, Pause, goes_on, in_pause, read_pauses
from pinstripe_bot.occurrence import Due, Occurrence, Reason
from pinstripe_bot.policies import Verdict
from pinstripe_bot.schedule import Schedule


@dataclass(slots=True)
class Decided:
    """What the policies say: candidates to record, what was added to a paused stretch, the schedules that raised."""

    candidates: list[Candidate] = field(default_factory=list)
    extended: list[Occurrence] = field(default_factory=list)
    failed: dict[Schedule, Exception] = field(default_factory=dict)


def decide(
    connection: Connection, windows: Sequence[Due[Schedule]], marks: Marks, now: datetime, cause: Reason
) -> Decided:
    """Ask each schedule's policy about its window; what lies in a pause is skipped without asking.

    `cause` is why instants that nobody can catch up with are missed.
    """
    ahead = decided_ahead(connection, windows)
    pauses = read_pauses(connection)
    decided = Decided()
    for due in windows:
        decided_ts = ahead.get(due.schedule, ())
        try:
            verdicts = _verdicts(connection, due, pauses, decided_ts, now, cause, decided)
        except DBAPIError:
            raise
        except Exception as error:  # noqa: BLE001 - a wall: one schedule that misbehaves stops no other
            decided.failed[due.schedule] = error
            continue
        order = marks.order(due.schedule)
        decided.candidates += [Candidate(due.schedule, verdict, order) for verdict in verdicts]
    return decided


def _verdicts(
    connection: Connection,
    due: Due[Schedule],
    pauses: Mapping[str, Pause],
    decided_ts: Sequence[int],
    now: datetime,
    cause: Reason,
    decided: Decided,
) -> list[Verdict]:
    schedule, after_ts = due.schedule, due.after_ts
    paused: list[Verdict] = []
    pause = _pause_of(schedule, pauses)
    if pause is not None and not pause.ends_before_ts(after_ts + 1):
        end_ts = due.until_ts if pause.last_ts is None else min(due.until_ts, pause.last_ts)
        earlier, found = in_pause(schedule, pause, (after_ts, end_ts), decided_ts, cause)
        fresh = [one for one in found if not goes_on(connection, schedule, pause, one)]
        decided.extended += [Candidate(schedule, one, 0).occurrence() for one in found if one not in fresh]
        paused = earlier + fresh
        after_ts = end_ts
    if after_ts >= due.until_ts:
        return paused
    policy = schedule.policy
    return paused + policy.decide(schedule, after_ts, due.until_ts, now.timestamp(), decided_ts=decided_ts, cause=cause)


def _pause_of(schedule: Schedule, pauses: Mapping[str, Pause]) -> Pause | None:
    """The pause that holds a schedule the longest: its job's, or that of every job."""
    found = [pauses[name] for name in (schedule.job, EVERY_JOB) if name in pauses]
    return max(found, key=lambda pause: (pause.until_at is None, pause.until_at or pause.paused_at), default=None)
