"""The desk: where people act, on the open ledger of a project."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from pinstripe_bot.clock import Clock, SystemClock
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.ledger_history import find_run, open_history
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_roll import read_bots
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.project import Project
from pinstripe_bot.zones import Zone, zone


@dataclass(frozen=True, slots=True)
class Desk:
    """Where somebody acts: the project, its open ledger, and the acts of that person."""

    project: Project
    store: LedgerStore
    acts: Acts
    clock: Clock

    @property
    def zone(self) -> Zone:
        return zone(self.project.config.timezone)

    @property
    def starter(self) -> str:
        """Who starts what waits in the ledger: a "bot", or in a cluster a "worker"."""
        return "worker" if self.project.config.dispatcher == "cluster" else "bot"

    def has_starter(self) -> bool:
        """Whether one of these lives."""
        with self.store.reading() as connection:
            bots = read_bots(connection, self.store, self.clock.now())
        return any(bot.is_alive and bot.kind == self.starter for bot in bots.values())

    def who_starts(self, those: str = "it") -> str:
        """Finishes "...: "."""
        if self.has_starter():
            return f"a {self.starter} starts {those} within a second"
        return f"no {self.starter} is running, `pinstripe start-{self.starter}` runs one"


@contextlib.contextmanager
def open_desk(project: Project, person: Person | None = None) -> Iterator[Desk]:
    """Open the project's ledger to act on it, as `person` or as whoever uses this machine; a new one is made."""
    clock = SystemClock()
    place = ledger_place(project.config, project.root)
    store = place.store()
    store.open(project.name, clock.now(), is_own=place.is_own)
    try:
        yield Desk(project, store, Acts(store, project, person or Person.at_this_machine()), clock)
    finally:
        store.close()


def has_ledger(project: Project) -> bool:
    """Whether there is one: without it nothing can be taken back."""
    with open_history(ledger_place(project.config, project.root)) as history:
        return history is not None


def number_of(project: Project, written: str) -> int:
    """The number of a run that there is. Raises UnknownRun, and makes no ledger to find that out."""
    with open_history(ledger_place(project.config, project.root)) as history:
        return find_run(history, written, SystemClock().now()).run.id
