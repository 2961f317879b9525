"""Tenants in stories: what the ledger tells of the tenants of one occurrence, and of one of them. Only reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, func, select, text

from pinstripe_bot import ledger_listings, ledger_residences, ledger_turns
from pinstripe_bot.ledger_history import record_of
from pinstripe_bot.ledger_listed import read_listing
from pinstripe_bot.ledger_schema import ENDED_BADLY, runs
from pinstripe_bot.occurrence import Reason, RunState
from pinstripe_bot.records import BotRecord, RunRecord, TenantTally
from pinstripe_bot.residence import turn_of
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.story import Absence, Story

MOST_RUNS = 5
"""How many runs of one occurrence are told of one by one."""


class TenantStories:
    """Adds to the story of an occurrence what it came to for its tenants; or for one `tenant`, if it is given."""

    def __init__(self, connection: Connection, bots: Mapping[str, BotRecord], tenant: str) -> None:
        self._connection = connection
        self._bots = bots
        self._tenant = tenant

    def complete(self, story: Story, occurrence: int, schedule: Schedule | None) -> Story:
        """This story with the listing of its tenants, their runs and tallies; as it is where it lists none."""
        listing = read_listing(self._connection, occurrence, self._bots)
        if listing is None:
            return story
        story = replace(story, listing=listing, zone=listing.zone)
        if not self._tenant:
            return replace(story, tallies=self._tallies(occurrence), runs=self._gone_wrong(occurrence))
        found = self._records(_of(occurrence).where(runs.c.tenant == self._tenant))
        story = replace(story, runs=found)
        return story if found or story.passed is not None else self._without_run(story, occurrence, schedule)

    def _tallies(self, occurrence: int) -> tuple[TenantTally, ...]:
        """Runs that succeeded first."""
        kind = (runs.c.state, runs.c.reason)
        counted = select(*kind, func.count()).where(runs.c.occurrence_id == occurrence).group_by(*kind)
        rows = sorted(self._connection.execute(counted).all(), key=lambda row: (row[0] != RunState.SUCCEEDED, -row[2]))
        return tuple(self._tally(occurrence, *row) for row in rows)

    def _tally(self, occurrence: int, state: str, reason: str | None, count: int) -> TenantTally:
        """With some of those that were skipped: the others that matter are told of one by one."""
        skipped = _of(occurrence).where(runs.c.state == state, runs.c.reason == reason).limit(MOST_RUNS)
        some = self._records(skipped) if state == RunState.SKIPPED else ()
        named = tuple(record.run.whose for record in some)
        return TenantTally(RunState(state), None if reason is None else Reason(reason), count, named)

    def _gone_wrong(self, occurrence: int) -> tuple[RunRecord, ...]:
        return self._records(_of(occurrence).where(text(ENDED_BADLY)).limit(MOST_RUNS))

    def _records(self, found: Select[Any]) -> tuple[RunRecord, ...]:
        return tuple(record_of(row, self._bots) for row in self._connection.execute(found).mappings())

    def _without_run(self, story: Story, occurrence: int, schedule: Schedule | None) -> Story:
        """Why the tenant has no run of it."""
        assert story.listing is not None
        if schedule is not None and schedule.key:
            absence, zone = self._whose_turn(occurrence, schedule)
            if absence is not None:
                return replace(story, absence=absence, elsewhere=zone)
        unlisted = {"listed": Absence.NOT_CHOSEN, "failed": Absence.NOT_ASKED}.get(story.listing.state, Absence.NOT_YET)
        return replace(story, absence=unlisted)

    def _whose_turn(self, occurrence: int, schedule: Schedule) -> tuple[Absence | None, str]:
        """Whether the tenant lived elsewhere when this zone's turn was, or had had its run elsewhere, and where."""
        residence = ledger_residences.read(self._connection, [self._tenant]).get(self._tenant)
        (listing,) = ledger_listings.read(self._connection, [occurrence])
        if residence is None:
            return None, ""
        turn = turn_of(schedule, listing.due_ts)
        if not turn.is_for(residence):
            return Absence.ELSEWHERE, residence.at(listing.due_ts)
        given = ledger_turns.given(self._connection, listing, turn, [self._tenant]).get(self._tenant, [])
        if given and not turn.is_for(residence, given):
            return Absence.HAD_IT, given[0][0]
        return None, ""


def _of(occurrence: int) -> Select[Any]:
    return select(runs).where(runs.c.occurrence_id == occurrence).order_by(runs.c.id)
