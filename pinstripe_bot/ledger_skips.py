"""What people have asked of the due instants to come: pauses, and skips of the next ones. Steps of a transaction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from pinstripe_bot.ledger_rows import SECOND, from_column, to_column
from pinstripe_bot.ledger_schema import pauses, skips
from pinstripe_bot.ledger_sql import both, execute
from pinstripe_bot.occurrence import Decision, Reason
from pinstripe_bot.policies import Verdict, stretches
from pinstripe_bot.schedule import Schedule

EVERY_JOB = ""

EXTEND = both(
    """
    UPDATE occurrences SET until_at = :until_at, count = count + :count
    WHERE decision = 'skipped' AND reason = 'paused'
      AND coalesce(until_at, due_at) >= :since AND coalesce(until_at, due_at) < :first_at AND id = (
        SELECT id FROM occurrences WHERE job = :job AND schedule = :schedule AND key = :key
        ORDER BY due_at DESC LIMIT 1
    )
    """
)


@dataclass(frozen=True, slots=True)
class Pause:
    """A job, or every job (''), that does not come due for a while; who asked for it and why."""

    job: str
    paused_at: datetime
    until_at: datetime | None
    who: str
    why: str
    tenant: str = ""

    @property
    def last_ts(self) -> int | None:
        """Its last UTC second, None without an end: what comes due at the very end is not paused any more."""
        return None if self.until_at is None else math.ceil(self.until_at.timestamp()) - 1

    def ends_before_ts(self, instant_ts: int) -> bool:
        """Whether it is over at this UTC second."""
        return self.last_ts is not None and self.last_ts < instant_ts

    def lasts(self, now: datetime) -> bool:
        """Whether a whole second is still to come that lies in it."""
        return not self.ends_before_ts(int(now.timestamp()) + 1)


def read_pauses(connection: Connection, tenant: str = "") -> dict[str, Pause]:
    """{job: its pause}, '' for one of every job; also those that are over. Of one tenant, those of it alone."""
    found = connection.execute(select(pauses).where(pauses.c.tenant == tenant))
    return {row.job: _pause_of(row) for row in found}


def read_tenant_pauses(connection: Connection) -> list[Pause]:
    """The pauses of tenants, job by job, the latest first; also those that are over."""
    of_tenants = select(pauses).where(pauses.c.tenant != "").order_by(pauses.c.job, pauses.c.paused_at.desc())
    return [_pause_of(row) for row in connection.execute(of_tenants)]


def _pause_of(row: Row[Any]) -> Pause:
    until_at = from_column(row.until_at)
    return Pause(row.job, _instant(row.paused_at), until_at, row.who, row.why, row.tenant)


def _instant(column: int) -> datetime:
    instant = from_column(column)
    assert instant is not None
    return instant


def write_pause(connection: Connection, pause: Pause) -> None:
    """Begin a pause; one that was there is replaced, but for its beginning where it still lasts."""
    before = read_pauses(connection, pause.tenant).get(pause.job)
    goes_on = before is not None and not before.ends_before_ts(int(pause.paused_at.timestamp()))
    since = before.paused_at if before is not None and goes_on else pause.paused_at
    connection.execute(delete(pauses).where(pauses.c.job == pause.job, pauses.c.tenant == pause.tenant))
    row = {"job": pause.job, "tenant": pause.tenant, "paused_at": to_column(since), "who": pause.who, "why": pause.why}
    until_at = None if pause.until_at is None else to_column(pause.until_at)
    connection.execute(insert(pauses), row | {"until_at": until_at})


def end_pause(connection: Connection, job: str, now: datetime, *, tenant: str = "") -> bool:
    """End the pause of a job, or of every job, or of a tenant in it; false if there was none.

    Its row stays, as one that is over: what came due in it while no bot ran is still to be decided. So is what comes
    due at this very second, which is no longer to come.
    """
    until_at = to_column(now) + 1
    lasts = (
        (pauses.c.job == job)
        & (pauses.c.tenant == tenant)
        & (pauses.c.until_at.is_(None) | (pauses.c.until_at > until_at))
    )
    return bool(connection.execute(update(pauses).where(lasts).values(until_at=until_at)).rowcount)


def in_pause(
    schedule: Schedule, pause: Pause, window: tuple[int, int], decided_ts: Sequence[int], cause: Reason
) -> tuple[list[Verdict], list[Verdict]]:
    """(What came due in a window before the pause, missed because of `cause`; what came due in it, skipped).

    `window` is (after, until] in UTC seconds, and ends no later than the pause.
    """
    after_ts, until_ts = window
    begin_ts = min(max(after_ts, math.ceil(pause.paused_at.timestamp()) - 1), until_ts)
    earlier = stretches(schedule, after_ts, begin_ts, decided_ts, cause)
    return earlier, stretches(schedule, begin_ts, until_ts, decided_ts, Reason.PAUSED, decision=Decision.SKIPPED)


def goes_on(connection: Connection, schedule: Schedule, pause: Pause, stretch: Verdict) -> bool:
    """Let the newest occurrence of a schedule go on to the end of `stretch`, if it is one of this pause; whether it is.

    It only grows: after the clock was set back, an edited schedule may have to decide what lies before its end.
    """
    values = {
        "first_at": stretch.due_ts * SECOND,
        "until_at": (stretch.due_ts if stretch.until_ts is None else stretch.until_ts) * SECOND,
        "count": stretch.count,
        "since": to_column(pause.paused_at),
    }
    return bool(
        execute(connection, EXTEND, job=schedule.job, schedule=schedule.name, key=schedule.key, **values).rowcount
    )


Wish = tuple[str, str, str]
"""Whose instants people asked to skip: a job, a schedule of it or '' for whichever is due first, and its key."""


class Skips:
    """How many of the next due instants people asked to skip: {wish: how many}.

    In the zones of tenants each zone counts for itself, so that no tenant's turn is taken by another one's.
    """

    def __init__(self, remaining: Mapping[Wish, int]) -> None:
        self._before = dict(remaining)
        self._remaining = dict(remaining)
        self._skipped: set[tuple[str, str, int]] = set()  # of whole jobs: one wish is for all schedules due then

    @classmethod
    def read(cls, connection: Connection) -> Skips:
        rows = connection.execute(select(skips.c.job, skips.c.schedule, skips.c.key, skips.c.remaining))
        return cls({(row.job, row.schedule, row.key): row.remaining for row in rows})

    @property
    def are_used_up(self) -> bool:
        """Whether no instant later than the last one will be taken."""
        return not any(self._remaining.values())

    def take(self, schedule: Schedule, due_ts: int) -> bool:
        """Whether this due instant is one to skip; then there is one less to come."""
        own, whole = (schedule.job, schedule.name, schedule.key), (schedule.job, "", schedule.key)
        if self._remaining.get(own, 0) > 0:
            self._remaining[own] -= 1
            return True
        instant = (schedule.job, schedule.key, due_ts)
        if instant not in self._skipped and self._remaining.get(whole, 0) > 0:
            self._remaining[whole] -= 1
            self._skipped.add(instant)
        return instant in self._skipped

    def write(self, connection: Connection) -> None:
        """Record what has been taken."""
        taken = [wish for wish, remaining in self._remaining.items() if remaining != self._before[wish]]
        if not taken:
            return
        names = ("its_job", "its_schedule", "its_key")
        is_row = (
            (skips.c.job == bindparam("its_job"))
            & (skips.c.schedule == bindparam("its_schedule"))
            & (skips.c.key == bindparam("its_key"))
        )
        rows = [dict(zip(names, wish, strict=True)) | {"now": self._remaining[wish]} for wish in taken]
        connection.execute(update(skips).where(is_row).values(remaining=bindparam("now")), rows)
        connection.execute(delete(skips).where(skips.c.remaining <= 0))


def forget_zones(connection: Connection, gone: Iterable[Schedule]) -> None:
    """Drop the wishes for zones in which these schedules are planned no more: who comes to live there later runs."""
    for job, key in {(one.job, one.key) for one in gone}:
        connection.execute(delete(skips).where(skips.c.job == job, skips.c.key == key, skips.c.key != ""))
