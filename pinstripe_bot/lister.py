"""The lister: works off what has come due for tenants, on threads of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import structlog

from pinstripe_bot.clock import Clock
from pinstripe_bot.failure import describe_stack
from pinstripe_bot.hook_calls import Hooks
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_listings import Listing
from pinstripe_bot.metrics import Tally
from pinstripe_bot.occurrence import Reason
from pinstripe_bot.project import Project
from pinstripe_bot.tenant_homes import TenantHomes
from pinstripe_bot.tenant_listing import TenantListing

THREADS = 4
"""How many listings one bot works on at the same time."""

STUCK_S = 60.0
"""A listing that has come no further for so long is told of, and keeps no place that another one could have."""

MOST_THREADS = 8
"""With those of listings that are stuck."""

MOST_AT_ONCE = 500
"""How many listings are worked off on a thread that waits for them."""

CLOSE_S = 5.0

log = structlog.get_logger("pinstripe")


class Lister:
    """Takes listings of this project's jobs from the ledger, and works each off on a thread.

    `look` is called about every second and never waits for a tenant; `wake` tells whoever takes waiting runs.
    """

    def __init__(
        self,
        project: Project,
        ledger: Ledger,
        clock: Clock,
        hooks: Hooks,
        tally: Tally,
        homes: TenantHomes,
    ) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._project = project
        self._ledger = ledger
        self._clock = clock
        self._hooks = hooks
        self._tally = tally
        self._homes = homes
        self._jobs = [name for name, job in project.jobs.items() if job.options["multi_tenant"]]
        self._known = {*project.jobs, *project.broken_jobs}
        self._working: dict[threading.Thread, TenantListing] = {}
        self._told: set[threading.Thread] = set()  # that they are stuck
        self._in_hand: set[int] = set()  # the occurrences that are worked off, or will be
        self._taking = threading.Lock()  # held until it is known in whose hand they are
        self._changing = threading.Lock()
        self._closed = threading.Event()

    def begin(self) -> None:
        """At a start: end the listings of jobs that are no more."""
        removed = self._ledger.fan_out.refuse_removed(self._known, self._clock.now())
        if removed:
            log.warning("listings_refused", listings=removed, reason=str(Reason.JOB_REMOVED))

    def look(self) -> None:
        """Start on what waits, as far as there are threads for it; tell of the listings that come no further."""
        free = self._free_threads()
        if not self._jobs or free <= 0 or self._closed.is_set():
            return
        for listing in self._take(most=free):
            self._start(listing)

    def list_now(self) -> list[Listing]:
        """Work off on this thread what waits, and what may be listed after it: of one work, one after another."""
        worked: list[Listing] = []
        while self._jobs and not self._closed.is_set():
            listings = self._take(most=MOST_AT_ONCE)
            if not listings:
                break
            for listing in listings:
                self._work(listing)
            worked += [one.listing for one in listings]
        return worked

    def stop(self) -> None:
        """Let each listing stop after the group that it is at, and be given back; returns at once."""
        self._closed.set()

    def close(self) -> None:
        """Wait for the listings to stop; a thread that does not come back is left alone."""
        self.stop()
        with self._changing:
            working = list(self._working)
        until_s = self._clock.monotonic() + CLOSE_S
        for thread in working:
            thread.join(max(until_s - self._clock.monotonic(), 0.0))

    def _take(self, *, most: int) -> list[TenantListing]:
        shared = (self._project, self._ledger, self._clock, self._hooks, self._tally, self._homes, self._closed)
        with self._taking:
            with self._changing:
                known = set(self._in_hand)
            taken = self._ledger.fan_out.take(self._jobs, self._clock.now(), most=most, known=known)
            with self._changing:
                self._in_hand.update(listing.occurrence for listing in taken)
        return [TenantListing(listing, *shared, wake=self.wake) for listing in taken]

    def _work(self, listing: TenantListing) -> None:
        try:
            listing.work()
        finally:
            with self._changing:
                self._in_hand.discard(listing.listing.occurrence)

    def _start(self, listing: TenantListing) -> None:
        def work() -> None:
            try:
                self._work(listing)
            finally:
                with self._changing:
                    del self._working[threading.current_thread()]

        thread = threading.Thread(target=work, name="pinstripe-lister", daemon=True)
        with self._changing:
            self._working[thread] = listing
        thread.start()

    def _free_threads(self) -> int:
        now_s = self._clock.monotonic()
        with self._changing:
            working = dict(self._working)
        stuck = {thread for thread, listing in working.items() if now_s - listing.moved_s >= STUCK_S}
        for thread in stuck - self._told:
            place, stack = describe_stack(sys._current_frames().get(thread.ident or 0), self._project.root)
            quiet_s = round(now_s - working[thread].moved_s)
            log.warning("listing_stuck", **working[thread].facts, quiet_s=quiet_s, place=place, stack=stack)
        self._told = stuck
        return min(THREADS - (len(working) - len(stuck)), MOST_THREADS - len(working))
