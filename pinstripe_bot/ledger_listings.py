"""The listings of a ledger: for which occurrences tenants are still to be listed, and how far that is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pinstripe_bot.ledger_rows import SECOND, from_ts, to_column
from pinstripe_bot.ledger_schema import LISTING
from pinstripe_bot.ledger_sql import both, execute, given, listed, rows_of, to_json, values_of
from pinstripe_bot.ledger_work import OpenWork
from pinstripe_bot.policies import Overlap

INSERT_LISTINGS = both(
    """
    INSERT INTO listings (occurrence_id, params, params_key, overlap, batch, available_at)
    SELECT occurrence_id, params, params_key, overlap, batch, available_at FROM {rows} AS queued
    """,
    rows=given(
        "rows",
        occurrence_id="bigint",
        params="text",
        params_key="text",
        overlap="text",
        batch="bigint",
        available_at="bigint",
    ),
)

OPEN_LISTINGS = both(
    f"""
    SELECT {{rows}} FROM occurrences JOIN listings ON listings.occurrence_id = occurrences.id
    WHERE {LISTING} AND occurrences.job IN {{jobs}}
    """,
    rows=listed("occurrences.job", "listings.params_key", "occurrences.key"),
    jobs=values_of("jobs", "text"),
)

# Those of one work are listed one after another: each tenant's runs come in that order, and what one has given a
# tenant that moves between zones the next one sees.
AVAILABLE = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT waiting.id AS id FROM occurrences AS waiting JOIN listings ON listings.occurrence_id = waiting.id
        WHERE {LISTING} AND waiting.listing = 'queued' AND listings.owner IS NULL
          AND listings.available_at <= :now AND waiting.job IN {{jobs}}
          AND NOT EXISTS (
            SELECT 1 FROM occurrences AS earlier JOIN listings AS its ON its.occurrence_id = earlier.id
            WHERE {LISTING.replace("listing", "earlier.listing")} AND earlier.id < waiting.id
              AND earlier.job = waiting.job AND its.params_key = listings.params_key
          )
        ORDER BY waiting.id LIMIT :most
    ) AS found
    """,
    rows=listed("id"),
    jobs=values_of("jobs", "text"),
)

OWN = both(
    f"""
    SELECT {{rows}} FROM occurrences JOIN listings ON listings.occurrence_id = occurrences.id
    WHERE {LISTING} AND listings.owner = :bot AND occurrences.job IN {{jobs}} AND occurrences.id NOT IN {{known}}
    """,
    rows=listed("occurrences.id"),
    jobs=values_of("jobs", "text"),
    known=values_of("known", "bigint"),
)

UNOWNED = both(
    f"""
    SELECT {{rows}} FROM occurrences JOIN listings ON listings.occurrence_id = occurrences.id
    WHERE {LISTING} AND listings.owner IS NULL AND occurrences.job NOT IN {{known}}
    """,
    rows=listed("occurrences.id"),
    known=values_of("known", "text"),
)

IDS = values_of("ids", "bigint")

SET_STATE = both("UPDATE occurrences SET listing = :state WHERE id IN {ids}", ids=IDS)

TAKE = both("UPDATE listings SET owner = :bot WHERE occurrence_id IN {ids}", ids=IDS)

READ = both(
    """
    SELECT {rows} FROM occurrences JOIN listings ON listings.occurrence_id = occurrences.id
    WHERE occurrences.id IN {ids}
    """,
    rows=listed(
        "occurrences.id",
        "occurrences.job",
        "occurrences.schedule",
        "occurrences.key",
        "occurrences.due_at",
        "listings.params",
        "listings.params_key",
        "listings.overlap",
        "listings.batch",
        "listings.attempt",
    ),
    ids=IDS,
)

OWNED = both(
    f"""
    SELECT count(*) FROM occurrences JOIN listings ON listings.occurrence_id = occurrences.id
    WHERE {LISTING} AND occurrences.id = :id AND listings.owner = :bot AND listings.attempt = :attempt
    """
)

COUNT = both("UPDATE listings SET listed = listed + :count WHERE occurrence_id = :id")

RELEASE = both("UPDATE listings SET owner = NULL WHERE occurrence_id IN {ids}", ids=IDS)

END = both("UPDATE listings SET owner = NULL, finished_at = :now, error = :error WHERE occurrence_id IN {ids}", ids=IDS)

AGAIN = both(
    """
    UPDATE listings SET owner = NULL, attempt = attempt + 1, available_at = :available_at, error = :error
    WHERE occurrence_id IN {ids}
    """,
    ids=IDS,
)

EMPTY = both(
    """
    SELECT {rows} FROM occurrences
    WHERE id IN {ids} AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.occurrence_id = occurrences.id)
    """,
    rows=listed("id"),
    ids=IDS,
)

OF_OTHERS = both(
    f"""
    SELECT {{rows}} FROM occurrences JOIN listings ON listings.occurrence_id = occurrences.id
    WHERE {LISTING} AND listings.owner IS NOT NULL AND listings.owner NOT IN {{living}}
    """,
    rows=listed("occurrences.id"),
    living=values_of("living", "text"),
)


@dataclass(frozen=True, slots=True)
class Listing:
    """An occurrence of a job with tenants, whose tenants are being listed: a run for each of them is to be written."""

    occurrence: int
    job: str
    schedule: str
    key: str
    due_ts: int
    params_json: str
    params_key: str
    overlap: Overlap
    batch: int
    attempt: int

    @property
    def due_at(self) -> datetime:
        """The due instant; aware, UTC."""
        return from_ts(self.due_ts)


def write_listings(connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Let the tenants of these occurrences be listed: (id, params, their key, overlap, batch, available_at) each."""
    if rows:
        execute(connection, INSERT_LISTINGS, rows=to_json(rows))


def open_listings(connection: Connection, jobs: Collection[str]) -> OpenWork:
    """The work of these jobs whose tenants are still to be listed; it waits where two occurrences of it do."""
    if not jobs:
        return OpenWork(set(), set())
    works = [tuple(row) for row in rows_of(connection, OPEN_LISTINGS, jobs=to_json(sorted(jobs)))]
    return OpenWork(set(works), {work for work in works if works.count(work) > 1})


def take(
    connection: Connection, jobs: Collection[str], *, bot: str, now: datetime, most: int, known: Collection[int]
) -> list[Listing]:
    """Make `bot` the owner of listings of these jobs that nobody has and whose time has come; oldest first.

    Those that it has already and does not know of are there as well.
    """
    ids = [*own(connection, jobs, bot=bot, besides=known), *available(connection, jobs, now=now, most=most)][:most]
    execute(connection, TAKE, ids=to_json(ids), bot=bot)
    execute(connection, SET_STATE, ids=to_json(ids), state="running")
    return read(connection, ids)


def available(connection: Connection, jobs: Collection[str], *, now: datetime, most: int) -> list[int]:
    """The occurrences of these jobs whose listing nobody has, and whose time and turn have come."""
    values = {"jobs": to_json(sorted(jobs)), "now": to_column(now), "most": most}
    found: list[int] = rows_of(connection, AVAILABLE, **values)
    return found


def own(connection: Connection, jobs: Collection[str], *, bot: str, besides: Collection[int]) -> list[int]:
    """The occurrences of these jobs whose listing `bot` has, but for those whose ids are given."""
    values = {"jobs": to_json(sorted(jobs)), "bot": bot, "known": to_json(sorted(besides))}
    found: list[int] = rows_of(connection, OWN, **values)
    return found


def read(connection: Connection, ids: Iterable[int]) -> list[Listing]:
    """These listings, oldest first."""
    return [_listing_of(*row) for row in sorted(rows_of(connection, READ, ids=to_json(list(ids))))]


def _listing_of(
    occurrence: int,
    job: str,
    schedule: str,
    key: str,
    due_at: int,
    params: str,
    params_key: str,
    overlap: str,
    batch: int,
    attempt: int,
) -> Listing:
    facts = (occurrence, job, schedule, key, due_at // SECOND, params, params_key)
    return Listing(*facts, Overlap(overlap), batch, attempt)


def is_owned(connection: Connection, listing: Listing, *, bot: str) -> bool:
    """Whether a listing is still this bot's, in this very attempt."""
    values = {"id": listing.occurrence, "attempt": listing.attempt, "bot": bot}
    return bool(execute(connection, OWNED, **values).scalar_one())


def count(connection: Connection, listing: Listing, tenants: int) -> None:
    """Note how many more tenants have been listed."""
    execute(connection, COUNT, id=listing.occurrence, count=tenants)


def end(connection: Connection, ids: Sequence[int], now: datetime, *, state: str, error: str | None = None) -> None:
    """Record that these listings have ended: "listed", or "failed" with what went wrong."""
    execute(connection, END, ids=to_json(ids), now=to_column(now), error=error)
    execute(connection, SET_STATE, ids=to_json(ids), state=state)


def again(connection: Connection, listing: Listing, available_at: datetime, *, error: str) -> None:
    """Let a listing that failed be tried again; what has been listed stays."""
    execute(connection, AGAIN, ids=to_json([listing.occurrence]), available_at=to_column(available_at), error=error)
    execute(connection, SET_STATE, ids=to_json([listing.occurrence]), state="queued")


def release(connection: Connection, ids: Sequence[int]) -> None:
    """Let whoever comes next go on with these listings."""
    execute(connection, RELEASE, ids=to_json(ids))
    execute(connection, SET_STATE, ids=to_json(ids), state="queued")


def of_unknown_jobs(connection: Connection, known: Collection[str]) -> list[int]:
    """The occurrences that nobody lists of jobs that are not `known`."""
    found: list[int] = rows_of(connection, UNOWNED, known=to_json(sorted(known)))
    return found


def without_runs(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Which of these occurrences have given no tenant a run."""
    found: list[int] = rows_of(connection, EMPTY, ids=to_json(ids))
    return found


def of_others(connection: Connection, living: Collection[str]) -> list[int]:
    """The occurrences that are listed by a bot that is not one of the `living`."""
    found: list[int] = rows_of(connection, OF_OTHERS, living=to_json(sorted(living)))
    return found
