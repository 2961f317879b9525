"""Tenants in the ledger: each listed one gets its run, or the reason why it has none. Steps of a transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from pinstripe_bot.ledger_listings import Listing
from pinstripe_bot.ledger_rows import SECOND, to_column
from pinstripe_bot.ledger_schema import BACKFILL
from pinstripe_bot.ledger_sql import both, execute, given, listed, rows_of, to_json, values_of
from pinstripe_bot.ledger_work import open_work_of_tenants
from pinstripe_bot.occurrence import MANUAL, Reason, RunState
from pinstripe_bot.policies import Overlap
from pinstripe_bot.residence import Turn
from pinstripe_bot.tenant import Tenant

LISTED = both(
    "SELECT {rows} FROM runs WHERE occurrence_id IN {ids} AND tenant IN {tenants}",
    rows=listed("occurrence_id", "tenant"),
    ids=values_of("ids", "bigint"),
    tenants=values_of("tenants", "text"),
)

PAUSED = both(
    """
    SELECT {rows} FROM pauses
    WHERE tenant IN {tenants} AND job IN ('', :job) AND paused_at <= :due_at
      AND (until_at IS NULL OR until_at > :due_at)
    """,
    rows=listed("tenant"),
    tenants=values_of("tenants", "text"),
)

WAITING = both(
    """
    SELECT {rows} FROM (
        SELECT id FROM runs
        WHERE occurrence_id = :occurrence AND state = 'queued' AND owner IS NULL AND carrier IS NULL AND in_turn = 0
        ORDER BY id LIMIT :most
    ) AS found
    """,
    rows=listed("id"),
)

BACKFILLED = both(
    """
    SELECT {rows} FROM occurrences
    WHERE job = :job AND schedule = :schedule AND key = 'backfill' AND due_at = :due_at
    """,
    rows=listed("id"),
)

RIVALS = both(
    """
    SELECT {rows} FROM occurrences JOIN listings ON listings.occurrence_id = occurrences.id
    WHERE occurrences.job = :job AND occurrences.schedule IN {schedules} AND occurrences.due_at = :due_at
      AND occurrences.id < :id AND occurrences.key <> 'backfill' AND listings.params_key = :params_key
    """,
    rows=listed("occurrences.id"),
    schedules=values_of("schedules", "text"),
)

INSERT_RUNS = both(
    """
    INSERT INTO runs (occurrence_id, tenant, tenant_name, job, schedule, due_at, state, reason, params, params_key,
                      available_at, in_turn, claimed_at, finished_at)
    SELECT CAST(:occurrence AS bigint), tenant, tenant_name, CAST(:job AS text), CAST(:schedule AS text),
           CAST(:due_at AS bigint), state, reason, CAST(:params AS text), CAST(:params_key AS text), available_at,
           in_turn, CAST(:now AS bigint), CASE WHEN state = 'skipped' THEN CAST(:now AS bigint) END
    FROM {rows} AS listed WHERE true
    ON CONFLICT (occurrence_id, tenant) DO NOTHING
    """,
    rows=given(
        "rows",
        tenant="text",
        tenant_name="text",
        state="text",
        reason="text",
        available_at="bigint",
        in_turn="integer",
    ),
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the project says of an occurrence whose tenants are listed.

    `turn` tells whose it is, where it is one zone's; `rivals` are the schedules of the job that may have given a
    tenant the same work at the same instant; `delay_of` is how long after the instant a tenant's run may start.
    """

    turn: Turn | None = None
    rivals: frozenset[str] = frozenset()
    delay_of: Callable[[str], timedelta] = lambda _: timedelta(0)


@dataclass(frozen=True, slots=True)
class Fanned:
    """What became of a group of `tenants`, so many: how many got a run now, and {tenant: why} were skipped."""

    tenants: int
    queued: int
    skipped: Mapping[str, Reason]


def fan_out(
    connection: Connection,
    listing: Listing,
    tenants: Sequence[Tenant],
    now: datetime,
    terms: Terms,
) -> Fanned:
    """Write a run that waits for a bot for each of these tenants that has none yet.

    It is skipped where the tenant is paused, its work is open, or one of the rivals has given it a run.
    """
    named = {tenant.key: tenant.name for tenant in tenants}
    place = {"job": listing.job, "schedule": listing.schedule, "due_at": listing.due_ts * SECOND}
    backfilled = rows_of(connection, BACKFILLED, **place)
    for _, known in with_runs(connection, [listing.occurrence, *backfilled], named):
        named.pop(known, None)
    if not named:
        return Fanned(len(tenants), 0, {})
    fates = _Fates(connection, listing, named, terms)
    due_at, now_at = listing.due_at, to_column(now)
    rows: list[tuple[object, ...]] = []
    skipped: dict[str, Reason] = {}
    for tenant, name in named.items():
        reason = fates.reason(tenant)
        if reason is None:
            available_at = to_column(due_at + terms.delay_of(tenant))
            rows.append((tenant, name, RunState.QUEUED, None, available_at, int(fates.is_in_turn(tenant))))
        else:
            rows.append((tenant, name, RunState.SKIPPED, reason, now_at, 0))
            skipped[tenant] = reason
    execute(connection, INSERT_RUNS, rows=to_json(rows), now=now_at, **_facts(listing))
    return Fanned(len(tenants), len(rows) - len(skipped), skipped)


def _facts(listing: Listing) -> dict[str, object]:
    """What the runs of all tenants of an occurrence have in common."""
    return {
        "occurrence": listing.occurrence,
        "job": listing.job,
        "schedule": listing.schedule,
        "due_at": listing.due_ts * SECOND,
        "params": listing.params_json,
        "params_key": listing.params_key,
    }


class _Fates:
    """Why some tenants of a group have no run now, and which of them have to wait for their turn."""

    def __init__(self, connection: Connection, listing: Listing, tenants: Collection[str], terms: Terms) -> None:
        self._listing = listing
        is_scheduled = listing.schedule != MANUAL and listing.key != BACKFILL
        self._paused = _paused(connection, listing, tenants) if is_scheduled else set()
        rivals = _rivals(connection, listing, terms.rivals)
        self._rivals = {tenant for _, tenant in with_runs(connection, rivals, tenants)}
        self._work = None
        if listing.overlap is not Overlap.ALLOW:
            work = (listing.job, listing.params_key)
            is_owed = terms.turn is not None and terms.turn.schedule.cron.is_fixed
            place = (listing.schedule, listing.key) if is_owed else ("", "")
            self._work = open_work_of_tenants(connection, *work, tenants, batch=listing.batch, place=place)

    def reason(self, tenant: str) -> Reason | None:
        if tenant in self._rivals:
            return Reason.SAME_INSTANT
        if tenant in self._paused:
            return Reason.PAUSED
        if self._work is None:
            return None
        is_skipping = self._listing.overlap is Overlap.SKIP
        met = self._work.busy if is_skipping else self._work.waiting
        return Reason.OVERLAP if self._key(tenant) in met else None

    def is_in_turn(self, tenant: str) -> bool:
        if self._work is None:
            return self._listing.batch != 0
        work = self._key(tenant)
        return self._listing.batch != 0 or work in self._work.busy or work in self._work.beside

    def _key(self, tenant: str) -> tuple[str, str, str]:
        return (self._listing.job, self._listing.params_key, tenant)


def with_runs(connection: Connection, occurrences: Collection[int], tenants: Collection[str]) -> list[tuple[int, str]]:
    """(occurrence, tenant) of the runs that these tenants have in these occurrences."""
    if not occurrences:
        return []
    found = rows_of(connection, LISTED, ids=to_json(list(occurrences)), tenants=to_json(list(tenants)))
    return [(occurrence, tenant) for occurrence, tenant in found]


def _paused(connection: Connection, listing: Listing, tenants: Collection[str]) -> set[str]:
    values = {"tenants": to_json(list(tenants)), "job": listing.job, "due_at": listing.due_ts * SECOND}
    return set(rows_of(connection, PAUSED, **values))


def waiting(connection: Connection, occurrence: int, *, most: int) -> list[int]:
    """The runs of an occurrence that nobody has, whenever their time comes; not those that wait for their turn."""
    found: list[int] = rows_of(connection, WAITING, occurrence=occurrence, most=most)
    return found


def _rivals(connection: Connection, listing: Listing, schedules: Collection[str]) -> list[int]:
    """Earlier occurrences of these schedules of the job, at the same instant and with the same parameters."""
    if not schedules:
        return []
    values = {"id": listing.occurrence, "job": listing.job, "params_key": listing.params_key}
    named = to_json(sorted(schedules))
    found: list[int] = rows_of(connection, RIVALS, schedules=named, due_at=listing.due_ts * SECOND, **values)
    return found
