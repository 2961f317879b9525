"""A fleet: the bots and workers of a cluster, and what befalls them at random."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos import LOOK_S, end_connections, kill_a_backend
from many_bots import Nursery, nursery_of
from processes import PATIENCE_S

CHILD_EVERY = 2
BACKEND_EVERY = 7
STOP_EVERY = 4
LEAVE_EVERY = 5
CUT_EVERY = 3
"""One in so many blows also hits the child of a worker, or the database, lets a process stand still, or ends one."""


class Fleet:
    """Bots and workers; whoever has ended is started again. A process that stands still is woken when it is time."""

    def __init__(self, bots: Nursery, workers: Nursery, *, of_each: int) -> None:
        self._nurseries = (bots, workers)
        self._of_each = of_each
        self._wakes: dict[int, float] = {}  # {pid of one that stands still: when it goes on, monotonic}
        self._leaving: set[int] = set()  # who was asked to end

    @property
    def members(self) -> list[tuple[Nursery, int]]:
        return [(nursery, pid) for nursery in self._nurseries for pid in nursery.alive]

    def look(self, *, after_all: bool = False) -> None:
        """Let go on who has stood still for long enough, or `after_all`, and start again who has ended."""
        for pid, at_s in list(self._wakes.items()):
            if after_all or time.monotonic() >= at_s:
                os.kill(pid, signal.SIGCONT)
                del self._wakes[pid]
        for nursery, pid in self.members:
            if has_ended(pid):
                self._bury(nursery, pid)
        for nursery in self._nurseries:
            while len(nursery.alive) < self._of_each:
                nursery.start()

    def kill(self, nursery: Nursery, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self._bury(nursery, pid)

    def ask_to_end(self, pid: int) -> None:
        """As in a deployment: what has not begun is given back, what runs may end."""
        os.kill(pid, signal.SIGTERM)
        self._leaving.add(pid)

    def _bury(self, nursery: Nursery, pid: int) -> None:
        self._wakes.pop(pid, None)
        if pid not in self._leaving:
            nursery.kill(pid)
            return
        self._leaving.remove(pid)
        log, code = nursery.log_of(pid), nursery.wait(pid)
        is_early = not nursery.has_started(pid)  # there is no ledger, or nobody to heed the signal yet
        assert code in (0, -signal.SIGKILL) or is_early, f"asked to end, it ended with {code}: {log}"

    def stop_for(self, pid: int, seconds: float) -> None:
        """Let it stand still; not one that does so already."""
        if pid not in self._wakes:
            os.kill(pid, signal.SIGSTOP)
            self._wakes[pid] = time.monotonic() + seconds

    def children(self) -> tuple[list[int], list[int]]:
        """(The fork servers of the workers, the processes of the jobs that these have made.)"""
        servers = [child for pid in self._nurseries[1].alive for child in children_of(pid)]
        return servers, [child for server in servers for child in children_of(server)]

    def wait_until_started(self) -> None:
        """Wake everybody, and wait until all work, and whoever was asked to end has ended."""
        deadline_s = time.monotonic() + PATIENCE_S
        self.look(after_all=True)
        while waiting := [pid for nursery, pid in self.members if pid in self._leaving or not nursery.has_started(pid)]:
            assert time.monotonic() < deadline_s, f"these do not start, or do not end: {waiting}"
            time.sleep(LOOK_S)
            self.look()

    def stop(self) -> dict[int, int]:
        """Send SIGTERM to all, bots first; {pid: exit code}."""
        for _, pid in self.members:
            os.kill(pid, signal.SIGTERM)
        return {pid: nursery.wait(pid) for nursery, pid in self.members}

    def grep(self, *events: str) -> Counter[str]:
        """How often these events stand in the logs."""
        bots, workers = (nursery.grep(*events) for nursery in self._nurseries)
        return bots + workers


@contextmanager
def fleet_of(root: Path, *, of_each: int) -> Iterator[Fleet]:
    with nursery_of("command", root) as bots, nursery_of("worker", root) as workers:
        yield Fleet(bots, workers, of_each=of_each)


class Misfortunes:
    """About once a second `kill -9` of a bot or worker; now and then what else happens to a cluster."""

    def __init__(self, fleet: Fleet, url: str, chance: random.Random, *, lease_s: float) -> None:
        self.counts: Counter[str] = Counter()
        self._fleet = fleet
        self._url = url
        self._chance = chance
        self._lease_s = lease_s

    def befall(self, seconds: float) -> None:
        begun_s = time.monotonic()
        number = 0
        while time.monotonic() < begun_s + seconds:
            number += 1
            due_s = begun_s + number + self._chance.uniform(-0.5, 0.5)
            while time.monotonic() < due_s:
                self._fleet.look()
                time.sleep(LOOK_S)
            self._strike(number)

    def _strike(self, number: int) -> None:
        if number % CHILD_EVERY == 0:
            self._kill_a_child()
        if number % STOP_EVERY == 0:
            _, pid = self._chance.choice(self._fleet.members)
            self._fleet.stop_for(pid, self._lease_s * self._chance.uniform(1.2, 2.2))
            self.counts["stopped for longer than the lease"] += 1
        if number % LEAVE_EVERY == 0:
            _, pid = self._chance.choice(self._fleet.members)
            self._fleet.ask_to_end(pid)
            self.counts["asked to end"] += 1
        if number % CUT_EVERY == 0:
            self.counts["connections ended"] += end_connections(self._url, self._chance.random)
        if number % BACKEND_EVERY == 0:
            self.counts["processes of the database killed"] += kill_a_backend(self._url, self._chance.choice)
        nursery, pid = self._chance.choice(self._fleet.members)
        self._fleet.kill(nursery, pid)
        self.counts["bots and workers killed"] += 1

    def _kill_a_child(self) -> None:
        servers, jobs = self._fleet.children()
        with contextlib.suppress(ProcessLookupError, IndexError):  # it has ended just now, or there is none
            os.kill(self._chance.choice(jobs or servers), signal.SIGKILL)
            self.counts["processes of jobs killed" if jobs else "fork servers killed"] += 1


def has_ended(pid: int) -> bool:
    """Whether our child of this number has ended; nobody has waited for it yet."""
    return _fields_of(pid)[0] == "Z"


def children_of(pid: int) -> list[int]:
    """The processes that this one has started, as far as they have not ended."""
    found = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [child for child in found if (fields := _fields_of(child))[1] == str(pid) and fields[0] != "Z"]


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is not only waiting to be heard of."""
    return _fields_of(pid)[0] not in ("", "Z")


def _fields_of(pid: int) -> list[str]:
    """The state of a process and its parent; empty words for one that is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return ["", ""]
