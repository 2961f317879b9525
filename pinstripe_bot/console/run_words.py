"""What is told of a run around what became of it: how it came to start, how others fared, when it is due again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pinstripe_bot.console.lanes import next_of
from pinstripe_bot.console.visit import Visit
from pinstripe_bot.console.words import at_clock, at_second, count_in_words, took
from pinstripe_bot.ledger_neighbours import Neighbours
from pinstripe_bot.occurrence import BAD_ENDS, MANUAL
from pinstripe_bot.records import RunRecord
from pinstripe_bot.schedule import Schedule


def how_it_began(visit: Visit, record: RunRecord, schedule: Schedule | None) -> str:
    """By what it was due, or that somebody asked for it; when it was claimed, and how long it waited for a worker."""
    run = record.run
    if run.schedule == MANUAL:
        told, claimed = f"It was asked for by hand at {at_second(run.claimed_at, visit.now, visit.zone)}", ""
    else:
        where = "" if schedule is None else f" ({schedule.timezone})"
        told = f"It was due at {at_second(run.due_at, visit.now, visit.zone)} by the schedule `{run.schedule}`{where}"
        claimed = f", was claimed {took(run.claimed_at - run.due_at)} later"
    started_at = _first_start(record)
    if started_at is None:
        return f"{told}{claimed}."
    waited = f"waited {took(started_at - run.claimed_at)} for a worker"
    return f"{told}{claimed} and {waited}."


def _first_start(record: RunRecord) -> datetime | None:
    return record.attempts[0].started_at if record.attempts else record.run.started_at


def what_else(visit: Visit, record: RunRecord, near: Neighbours, schedule: Schedule | None) -> Iterator[str]:
    """How the other tenants of the instant fared, and when it is due again."""
    others = [one for one in near.same if one.run != record.run.id]
    if others and near.same_count == len(near.same):
        bad = sum(one.state in BAD_ENDS for one in others)
        good = sum(one.state == "succeeded" for one in others)
        if good == len(others):
            who = "The other tenant" if good == 1 else f"The {good:,} other tenants"
            yield f"{who} succeeded."
        elif bad:
            yield f"Of the {count_in_words(len(others), 'other tenant')} {bad:,} did not succeed."
    if schedule is not None and schedule.enabled and not schedule.in_tenant_zone:
        due_at = next_of(schedule, visit.now)
        if due_at is not None:
            at = "at" if _is_today(visit, due_at) else "on"
            yield f"It is due again {at} {at_clock(due_at, visit.now, visit.zone)}."


def _is_today(visit: Visit, instant: datetime) -> bool:
    return instant.astimezone(visit.zone.tzinfo).date() == visit.now.astimezone(visit.zone.tzinfo).date()
