"""The fan-out: a bot takes the listings of the ledger, and turns tenants into runs group by group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, update

from pinstripe_bot import ledger_listings, ledger_residences, ledger_sweep, ledger_tenants, ledger_turns
from pinstripe_bot.ledger_listings import Listing
from pinstripe_bot.ledger_schema import occurrences
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.ledger_tenants import Fanned, Terms
from pinstripe_bot.occurrence import Decision, Reason, Run
from pinstripe_bot.tenant import Tenant


@dataclass(frozen=True, slots=True)
class FanOut:
    """The listings of a ledger, for one bot; every method is one transaction.

    Each raises LedgerUnavailable if the database does not answer; then nothing was changed, or, where the answer to
    the commit was lost, all of it: asking once more gives the same result.
    """

    _store: LedgerStore
    _claiming: Callable[[datetime], AbstractContextManager[Connection]]
    _bot: Callable[[], str]

    def take(self, jobs: Collection[str], now: datetime, *, most: int, known: Collection[int] = ()) -> list[Listing]:
        """Take over listings of these jobs that nobody has and whose time and turn have come; oldest first.

        Those that this bot has already, but for the occurrences it has `known` of, were taken by such a commit.
        """
        bot = self._bot()
        with self._store.reading() as connection:  # nearly always there is none: wait for nobody to find that out
            if not (
                ledger_listings.available(connection, jobs, now=now, most=1)
                or ledger_listings.own(connection, jobs, bot=bot, besides=known)
            ):
                return []
        with self._claiming(now) as connection:
            return ledger_listings.take(connection, jobs, bot=bot, now=now, most=most, known=known)

    def write(
        self,
        listing: Listing,
        tenants: Sequence[Tenant],
        terms: Terms,
        now: datetime,
        *,
        homes: Mapping[str, str],
    ) -> Fanned | None:
        """Let these tenants have their runs, which wait in the ledger; None if the listing is no longer ours.

        `homes` are the zones where they live, {tenant: zone}, where the occurrence is one zone's.
        """
        with self._claiming(now) as connection:
            if not ledger_listings.is_owned(connection, listing, bot=self._bot()):
                return None
            if terms.turn is not None:
                theirs = ledger_turns.at_home(connection, listing, terms.turn, homes, now)
                tenants = [tenant for tenant in tenants if tenant.key in theirs]
            ledger_listings.count(connection, listing, len(tenants))
            return ledger_tenants.fan_out(connection, listing, tenants, now, terms)

    def finish(self, listing: Listing, now: datetime) -> bool:
        """Record that all tenants have been listed; false if the listing was no longer ours."""
        with self._store.writing() as connection:
            if not ledger_listings.is_owned(connection, listing, bot=self._bot()):
                return False
            ledger_listings.end(connection, [listing.occurrence], now, state="listed")
            return True

    def fail(self, listing: Listing, now: datetime, *, error: str, retry_at: datetime | None) -> bool:
        """Record that a listing failed, and is tried again or given up; whether the instant is missed by that.

        What has been listed keeps its runs; where nothing has, the instant is missed.
        """
        with self._store.writing() as connection:
            if not ledger_listings.is_owned(connection, listing, bot=self._bot()):
                return False
            if retry_at is not None:
                ledger_listings.again(connection, listing, retry_at, error=error)
                return False
            return _give_up(connection, [listing], now, error=error, reason=Reason.NOT_LISTED) > 0

    def release(self, listings: Sequence[Listing]) -> None:
        """Let whoever comes next go on with these listings, where they are still ours."""
        with self._store.writing() as connection:
            ours = [one.occurrence for one in listings if ledger_listings.is_owned(connection, one, bot=self._bot())]
            ledger_listings.release(connection, ours)

    def refuse_removed(self, known: Collection[str], now: datetime) -> int:
        """End the listings that nobody has of jobs that are not `known`; how many there were."""
        with self._store.reading() as connection:
            if not ledger_listings.of_unknown_jobs(connection, known):
                return 0
        with self._store.writing() as connection:
            ids = ledger_listings.of_unknown_jobs(connection, known)
            removed = ledger_listings.read(connection, ids)
            _give_up(connection, removed, now, error="the job is no longer in the project", reason=Reason.JOB_REMOVED)
            return len(ids)

    def take_runs(self, occurrence: int, now: datetime, *, most: int) -> list[Run]:
        """Take over runs of an occurrence that nobody has, whenever their time comes: whoever asks wants them now."""
        with self._claiming(now) as connection:
            found = ledger_tenants.waiting(connection, occurrence, most=most)
            return ledger_sweep.adopt(connection, found, bot=self._bot())

    def note_homes(self, homes: Mapping[str, str], now: datetime) -> None:
        """Note in which zones these tenants live, {tenant: zone}."""
        with self._store.reading() as connection:  # nearly always nobody has moved: wait for nobody to find that out
            if not ledger_residences.unnoticed(ledger_residences.read(connection, homes), homes, now):
                return
        with self._store.writing() as connection:
            ledger_residences.note(connection, homes, now)

    def zones_of_movers(self, now: datetime) -> dict[str, int | None]:
        """{zone: when the first came} of the zones that tenants have come to or left lately; UTC seconds."""
        with self._store.reading() as connection:
            return ledger_residences.lately(connection, now)


def _give_up(connection: Connection, listings: Sequence[Listing], now: datetime, *, error: str, reason: Reason) -> int:
    """End listings for good; how many of their instants are missed, since no tenant had a run."""
    ids = [listing.occurrence for listing in listings]
    ledger_listings.end(connection, ids, now, state="failed", error=error)
    empty = ledger_listings.without_runs(connection, ids)
    missed = update(occurrences).where(occurrences.c.id.in_(empty))
    connection.execute(missed.values(decision=Decision.MISSED, reason=reason))
    return len(empty)
