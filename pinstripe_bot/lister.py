"""The lister: lists the tenants of what has come due, on threads of its own, and lets each have its run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

import structlog
from structlog.contextvars import bound_contextvars

from pinstripe_bot.clock import Clock
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.errors import LedgerUnavailable, PinstripeError
from pinstripe_bot.failure import describe_error
from pinstripe_bot.hook_calls import Hooks
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_listings import Listing
from pinstripe_bot.ledger_tenants import Fanned, Turned
from pinstripe_bot.occurrence import Decision, Occurrence, Reason
from pinstripe_bot.project import Project
from pinstripe_bot.residence import NEAR_S, Residence, Turn, turn_of
from pinstripe_bot.schedule import Schedule, in_zones
from pinstripe_bot.tenant import Tenant
from pinstripe_bot.workspace import Workspace
from pinstripe_bot.zones import zone

GROUP = 500
"""How many tenants' runs one transaction writes: so many are in memory."""

THREADS = 4
"""How many listings one bot works on at the same time."""

MOST_ATTEMPTS = 10
FIRST_WAIT_S, LONGEST_WAIT_S = 10.0, 600.0
"""How often a listing is tried, and how long it waits in between; the last attempt comes about 40 minutes later."""

RETRY_S = 1.0
CLOSE_S = 5.0

Found = TypeVar("Found")

log = structlog.get_logger("pinstripe")


class Lister:
    """Takes listings of this project's jobs from the ledger, and works each off on a thread.

    `look` is called about every second and never waits for a tenant; `wake` tells whoever takes waiting runs.
    """

    def __init__(
        self, project: Project, ledger: Ledger, clock: Clock, hooks: Hooks, workspace: Callable[[], Workspace]
    ) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._project = project
        self._ledger = ledger
        self._clock = clock
        self._hooks = hooks
        self.workspace = workspace
        self._jobs = [name for name, job in project.jobs.items() if job.options["multi_tenant"]]
        self._known = {*project.jobs, *project.broken_jobs}
        self._threads: set[threading.Thread] = set()
        self._changing = threading.Lock()
        self._closed = threading.Event()

    def begin(self) -> None:
        """At a start: end the listings of jobs that are no more."""
        removed = self._ledger.fan_out.refuse_removed(self._known, self._clock.now())
        if removed:
            log.warning("listings_refused", listings=removed, reason=str(Reason.JOB_REMOVED))

    def look(self) -> None:
        """Start on what waits, as far as there are threads for it."""
        free = THREADS - len(self._threads)
        if not self._jobs or free <= 0 or self._closed.is_set():
            return
        for listing in self._ledger.fan_out.take(self._jobs, self._clock.now(), most=free):
            thread = threading.Thread(target=self._work, args=[listing], name="pinstripe-lister", daemon=True)
            with self._changing:
                self._threads.add(thread)
            thread.start()

    def list_now(self) -> list[int]:
        """Work off on this thread what waits; the occurrences that were listed."""
        listings = self._ledger.fan_out.take(self._jobs, self._clock.now(), most=GROUP) if self._jobs else []
        for listing in listings:
            self._work(listing)
        return [listing.occurrence for listing in listings]

    def read_zones(self) -> frozenset[str]:
        """Ask all tenants where they live, keep what the ledger does not know yet, and return the zones in use."""
        tenants = self._project.tenants
        if tenants is None:
            return frozenset()
        with self.workspace() as workspace, contextlib.closing(tenants.each(workspace)) as each:
            for group in groups_of(each):
                self._residences_of(group)
        return frozenset(self._ledger.fan_out.zones(self._clock.now()))

    def in_zones(self, declared: Sequence[Schedule]) -> list[Schedule]:
        """These schedules as they are planned: those that are due where each tenant lives once for each zone in use."""
        in_use = self.read_zones() if any(one.in_tenant_zone for one in declared) else frozenset()
        return in_zones(declared, lambda _: in_use)

    def close(self) -> None:
        """Stop between two groups, and give back what is not done; a thread that does not come back is left alone."""
        self._closed.set()
        with self._changing:
            working = list(self._threads)
        for thread in working:
            thread.join(CLOSE_S)

    def _work(self, listing: Listing) -> None:
        """The thread of one listing."""
        facts = {"job": listing.job, "schedule": listing.schedule, "due_at": listing.due_at.isoformat()}
        with bound_contextvars(**facts):
            try:
                self._list(listing)
            except LedgerUnavailable:
                pass  # asked until the end of this bot: whoever comes next goes on
            except BaseException as error:  # noqa: BLE001 - a wall: their filter, their lib/tenants.py, their database
                self._fail(listing, error)
            finally:
                with self._changing:
                    self._threads.discard(threading.current_thread())
                self.wake()

    def _list(self, listing: Listing) -> None:
        tally, rivals = _Tally(), self._rivals(listing)
        with self.workspace() as workspace, contextlib.closing(self._chosen(listing, workspace)) as groups:
            for group in groups:
                fanned = self._written(listing, group, rivals)
                if fanned is None:
                    log.warning("listing_lost")
                    return
                tally.add(len(group), fanned)
                self.wake()
                if self._closed.is_set():
                    self._ledger.fan_out.release([listing])
                    return
        if self._patiently(lambda: self._ledger.fan_out.finish(listing, self._clock.now())):
            log.info("tenants_listed", tenants=tally.tenants, runs=tally.runs, **tally.skipped)

    def _chosen(self, listing: Listing, workspace: Workspace) -> Generator[list[Tenant]]:
        """The tenants of an occurrence, in groups."""
        tenants = self._project.tenants
        assert tenants is not None  # or the job could not have been loaded
        definition = self._project.jobs[listing.job]
        turn = self._turn(definition, listing)
        with contextlib.closing(tenants.each(workspace, definition.options["tenants_filter"])) as each:
            for group in groups_of(each):
                yield group if turn is None else self._those_at_home(turn, group)

    def _turn(self, definition: JobDefinition, listing: Listing) -> _TurnHere | None:
        """Whose turn it is, where the listing is for those that live in one zone."""
        declared = _declared(definition, listing)
        if not listing.key or declared is None or not declared.in_tenant_zone:
            return None
        turn = turn_of(declared.in_zone(zone(listing.key)), listing.due_ts)
        neighbours = self._patiently(lambda: self._ledger.fan_out.neighbours(listing, NEAR_S))
        twins = set(turn.twins(neighbours.values()))
        return _TurnHere(turn, {row: each for row, each in neighbours.items() if each in twins})

    def _those_at_home(self, here: _TurnHere, group: Sequence[Tenant]) -> list[Tenant]:
        residences = self._patiently(lambda: self._residences_of(group))
        movers = [tenant for tenant, residence in residences.items() if residence.formers]
        given = self._patiently(lambda: self._ledger.fan_out.given(here.twins, movers)) if movers else {}
        return [tenant for tenant in group if here.turn.is_for(residences[tenant.key], given.get(tenant.key, ()))]

    def _residences_of(self, group: Sequence[Tenant]) -> dict[str, Residence]:
        homes = {tenant.key: home_of(tenant, self._project.config.timezone) for tenant in group}
        return self._ledger.fan_out.note_homes(homes, self._clock.now())

    def _written(self, listing: Listing, group: Sequence[Tenant], rivals: Collection[int]) -> Fanned | None:
        declared = _declared(self._project.jobs[listing.job], listing)

        def delay_of(tenant: str) -> timedelta:
            return timedelta(0) if declared is None else declared.tenant_delay(tenant)

        write = self._ledger.fan_out.write
        return self._patiently(lambda: write(listing, group, self._clock.now(), rivals=rivals, delay_of=delay_of))

    def _rivals(self, listing: Listing) -> Collection[int]:
        """Other occurrences that may have given a tenant the same work at the same instant.

        At a claim only schedules in one zone are compared; where tenants have their own, each is compared for itself.
        """
        definition = self._project.jobs[listing.job]
        names = {one.name for one in definition.schedules if one.params_key == listing.params_key}
        if len(names) < 2 or not any(one.in_tenant_zone for one in definition.schedules):
            return []
        return self._patiently(lambda: self._ledger.fan_out.rivals(listing, names - {listing.schedule}))

    def _patiently(self, step: Callable[[], Found]) -> Found:
        """Do a step in the ledger, again every second while it does not answer, until this bot closes."""
        while True:
            try:
                found = step()
            except LedgerUnavailable as error:
                self._ledger.trouble.note("listings", str(error))
                if self._closed.wait(RETRY_S):
                    raise
            else:
                self._ledger.trouble.note("listings", None)
                return found

    def _fail(self, listing: Listing, error: BaseException) -> None:
        told = describe_error(error, self._project.root)
        wait = timedelta(seconds=min(FIRST_WAIT_S * 2 ** (listing.attempt - 1), LONGEST_WAIT_S))
        retry_at = self._clock.now() + wait if listing.attempt < MOST_ATTEMPTS else None
        text = f"{told.type}: {told.message}"
        facts: dict[str, Any] = {"attempt": listing.attempt, "error": text, "place": told.place}
        log.error("listing_failed", retry_at=retry_at and retry_at.isoformat(), **facts, traceback=told.traceback)
        with contextlib.suppress(LedgerUnavailable):
            fail = self._ledger.fan_out.fail
            if self._patiently(lambda: fail(listing, self._clock.now(), error=text, retry_at=retry_at)):
                missed = Occurrence(
                    listing.job, listing.schedule, listing.due_at, Decision.MISSED, reason=Reason.NOT_LISTED
                )
                self._hooks.passed([missed])


@dataclass(frozen=True, slots=True)
class _TurnHere:
    """Whose turn it is in one zone, and the occurrences in other zones that stand for the same wall time."""

    turn: Turn
    twins: Mapping[int, Turned]


class _Tally:
    """What became of the tenants of one occurrence."""

    def __init__(self) -> None:
        self.tenants = 0
        self.runs = 0
        self.skipped: dict[str, int] = {}

    def add(self, tenants: int, fanned: Fanned) -> None:
        self.tenants += tenants
        self.runs += fanned.queued
        for reason, count in fanned.skipped.items():
            self.skipped[str(reason)] = self.skipped.get(str(reason), 0) + count


def _declared(definition: JobDefinition, listing: Listing) -> Schedule | None:
    return next((one for one in definition.schedules if one.name == listing.schedule), None)


def home_of(tenant: Tenant, otherwise: str) -> str:
    """The zone in which a tenant lives; `otherwise` where it has none that is known."""
    try:
        return zone(tenant.timezone or otherwise).name
    except PinstripeError as error:
        log.warning("tenant_zone_unknown", tenant=tenant.key, timezone=tenant.timezone, error=str(error))
        return zone(otherwise).name


def groups_of(tenants: Iterable[Tenant], most: int = GROUP) -> Iterator[list[Tenant]]:
    """The tenants as they come, as many at once as may be in memory."""
    iterator = iter(tenants)
    while group := list(islice(iterator, most)):
        yield group
