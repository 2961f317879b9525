"""A visit: one request to the console, with the project, the time, the person, and a look at the ledger."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pinstripe_bot.clock import Clock
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.errors import LedgerError
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.ledger_changes import read_mark
from pinstripe_bot.ledger_history import History
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.project import Project
from pinstripe_bot.schedule import Schedule, in_zones
from pinstripe_bot.zones import Zone, zone


@dataclass(frozen=True, slots=True)
class Visit:
    """What a page is made from; `history` is None where there is no ledger yet."""

    project: Project
    now: datetime
    history: History | None
    person: Person | None = None
    is_read_only: bool = False
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def zone(self) -> Zone:
        """The one zone in which the console shows times."""
        return zone(self.project.config.timezone)

    def asked(self, name: str, otherwise: str = "") -> str:
        """A value of the address's query, without blanks around it, and no longer than anything that is a name."""
        return self.query.get(name, otherwise).replace("\0", "").strip()[:200]

    def number(self, name: str, otherwise: int) -> int:
        """A whole number of the address's query."""
        written = self.asked(name)
        return int(written) if written.isascii() and written.isdigit() and len(written) < 10 else otherwise

    def planned(self, job: JobDefinition | None = None) -> list[Schedule]:
        """The schedules of one job or of all that come due; those in tenants' zones once for each zone in use."""
        declared = self.project.schedules if job is None else job.schedules
        in_use = (
            self.history.zones() if self.history is not None and any(one.in_tenant_zone for one in declared) else ()
        )
        return in_zones([one for one in declared if one.enabled], lambda _: in_use)


def late_after(job: JobDefinition) -> timedelta:
    """From when on a run of this job is late: as its schedules say where they agree, else as the job does."""
    after: timedelta = job.options["late_after"]
    own = {one.policy.late_after_s for one in job.schedules}
    return timedelta(seconds=own.pop()) if len(own) == 1 else after


class LedgerDoor:
    """The console's way to the ledger of a project: opened to look at the first visit that finds one."""

    def __init__(self, project: Project, clock: Clock) -> None:
        self._project = project
        self._clock = clock
        self._opening = threading.Lock()
        self._store: LedgerStore | None = None

    @property
    def clock(self) -> Clock:
        return self._clock

    def history(self) -> History | None:
        """The ledger as it is now; None if there is none yet. Raises LedgerError for one that cannot be read."""
        with self._opening:
            if self._store is None:
                store = ledger_place(self._project.config, self._project.root).store()
                if not store.open_for_reading():
                    store.close()
                    return None
                self._store = store
            return History(self._store)

    def mark(self) -> str:
        """Another text whenever something has changed; `none` without a ledger, `lost` if it does not answer."""
        try:
            history = self.history()
            if history is None:
                return "none"
            with history.store.reading() as connection:
                return read_mark(connection)
        except LedgerError:
            return "lost"

    def problem(self) -> str | None:
        """Why the ledger cannot be read; None where it can, or where there is none yet."""
        try:
            history = self.history()
            if history is not None:
                with history.store.reading() as connection:
                    read_mark(connection)
        except LedgerError as error:
            return str(error)
        return None

    @contextlib.contextmanager
    def closing(self) -> Iterator[None]:
        """Close it at the end of the block."""
        try:
            yield
        finally:
            self.close()

    def close(self) -> None:
        """Close it; the next look opens it again."""
        with self._opening:
            store, self._store = self._store, None
        if store is not None:
            store.close()
