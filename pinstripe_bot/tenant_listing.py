"""A tenant listing: the tenants of an occurrence are listed, group by group, and each gets its run."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from structlog.contextvars import bound_contextvars

from pinstripe_bot.clock import Clock
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.failure import describe_error
from pinstripe_bot.hook_calls import Hooks
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_listings import Listing
from pinstripe_bot.ledger_tenants import Fanned, Terms
from pinstripe_bot.metrics import Tally
from pinstripe_bot.occurrence import Decision, Occurrence, Reason
from pinstripe_bot.project import Project
from pinstripe_bot.residence import turn_of
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.tenant import Tenant
from pinstripe_bot.tenant_homes import TenantHomes
from pinstripe_bot.tenants import groups_of
from pinstripe_bot.workspace import Workspace
from pinstripe_bot.zones import zone

MOST_ATTEMPTS = 10
FIRST_WAIT_S, LONGEST_WAIT_S = 10.0, 600.0
"""How often a listing is tried, and how long it waits in between; the last attempt comes about 40 minutes later."""

RETRY_S = 1.0

Found = TypeVar("Found")

log = structlog.get_logger("pinstripe")


@dataclass(eq=False)
class TenantListing:
    """A listing that this bot has taken, worked off by the thread that calls `work`.

    `wake` tells whoever takes waiting runs; once `closed` is set, it stops after the group that it is at.
    """

    listing: Listing
    project: Project
    ledger: Ledger
    clock: Clock
    hooks: Hooks
    tally: Tally
    homes: TenantHomes
    closed: threading.Event
    wake: Callable[[], None]
    moved_s: float = field(init=False)
    """When it last came a step further; seconds of the monotonic clock."""

    def __post_init__(self) -> None:
        self.moved_s = self.clock.monotonic()

    @property
    def facts(self) -> dict[str, str]:
        """What the log calls it by."""
        listing = self.listing
        return {"job": listing.job, "schedule": listing.schedule, "due_at": listing.due_at.isoformat()}

    def work(self) -> None:
        """List the tenants; where that fails, record that it did. Raises nothing."""
        with bound_contextvars(**self.facts):
            try:
                self._list()
            except LedgerUnavailable:
                pass  # asked until the end of this bot: whoever comes next goes on
            except BaseException as error:  # noqa: BLE001 - a wall: their filter, their lib/tenants.py, their database
                self._fail(error)
            finally:
                self.wake()

    def _list(self) -> None:
        counts, terms = _Counts(), self._terms()
        with self.homes.workspace() as workspace, contextlib.closing(self._groups(workspace)) as groups:
            for group in groups:
                fanned = self._written(group, terms)
                if fanned is None:
                    log.warning("listing_lost")
                    return
                counts.add(fanned)
                self._tell_passed(self._skipped(fanned))
                self.wake()
                if self.closed.is_set():
                    self.ledger.fan_out.release([self.listing])
                    return
        if self._patiently(lambda: self.ledger.fan_out.finish(self.listing, self.clock.now())):
            log.info("tenants_listed", tenants=counts.tenants, runs=counts.runs, **counts.skipped)

    def _groups(self, workspace: Workspace) -> Generator[list[Tenant]]:
        tenants = self.project.tenants
        assert tenants is not None  # or the job could not have been loaded
        chosen_by = self.project.jobs[self.listing.job].options["tenants_filter"]
        with contextlib.closing(tenants.each(workspace, chosen_by)) as each:
            yield from groups_of(each)

    def _terms(self) -> Terms:
        listing, definition = self.listing, self.project.jobs[self.listing.job]
        declared = next((one for one in definition.schedules if one.name == listing.schedule), None)
        if declared is None:  # asked for by hand, or no longer declared
            return Terms()
        turn = None
        if listing.key and declared.in_tenant_zone:
            turn = turn_of(declared.in_zone(zone(listing.key)), listing.due_ts)
        return Terms(turn, _rivals(definition, declared), declared.tenant_delay)

    def _written(self, group: Sequence[Tenant], terms: Terms) -> Fanned | None:
        homes = {} if terms.turn is None else self.homes.of(group)
        write = self.ledger.fan_out.write
        return self._patiently(lambda: write(self.listing, group, terms, self.clock.now(), homes=homes))

    def _patiently(self, step: Callable[[], Found]) -> Found:
        """Do a step in the ledger, again every second while it does not answer, until this bot closes."""
        while True:
            self.moved_s = self.clock.monotonic()
            try:
                found = step()
            except LedgerUnavailable as error:
                self.ledger.trouble.note("listings", str(error))
                if self.closed.wait(RETRY_S):
                    raise
            else:
                self.ledger.trouble.note("listings", None)
                return found

    def _fail(self, error: BaseException) -> None:
        told, attempt = describe_error(error, self.project.root), self.listing.attempt
        wait = timedelta(seconds=min(FIRST_WAIT_S * 2 ** (attempt - 1), LONGEST_WAIT_S))
        retry_at = self.clock.now() + wait if attempt < MOST_ATTEMPTS else None
        text = f"{told.type}: {told.message}"
        facts: dict[str, Any] = {"attempt": attempt, "error": text, "place": told.place}
        log.error("listing_failed", retry_at=retry_at and retry_at.isoformat(), **facts, traceback=told.traceback)
        with contextlib.suppress(LedgerUnavailable):
            fail = self.ledger.fan_out.fail
            if self._patiently(lambda: fail(self.listing, self.clock.now(), error=text, retry_at=retry_at)):
                self._tell_passed([self._passed(Decision.MISSED, Reason.NOT_LISTED)])

    def _tell_passed(self, passed: Sequence[Occurrence]) -> None:
        self.tally.passed_at_listing(passed)
        self.hooks.passed(passed)

    def _skipped(self, fanned: Fanned) -> list[Occurrence]:
        """What is told of the tenants that have no run."""
        return [self._passed(Decision.SKIPPED, reason, tenant=tenant) for tenant, reason in fanned.skipped.items()]

    def _passed(self, decision: Decision, reason: Reason, *, tenant: str = "") -> Occurrence:
        listing = self.listing
        return Occurrence(listing.job, listing.schedule, listing.due_at, decision, reason=reason, tenant=tenant)


class _Counts:
    """What became of the tenants of one occurrence."""

    def __init__(self) -> None:
        self.tenants = 0
        self.runs = 0
        self.skipped: Counter[str] = Counter()

    def add(self, fanned: Fanned) -> None:
        self.tenants += fanned.tenants
        self.runs += fanned.queued
        self.skipped.update(str(reason) for reason in fanned.skipped.values())


def _rivals(definition: JobDefinition, declared: Schedule) -> frozenset[str]:
    """The other schedules of the job that may give a tenant the same work at the same instant.

    At a claim only schedules in one zone are compared; where tenants have their own, each is compared for itself.
    """
    if not any(one.in_tenant_zone for one in definition.schedules):
        return frozenset()
    same = {one.name for one in definition.schedules if one.params_key == declared.params_key}
    return frozenset(same - {declared.name})
