"""The handoff: started runs on their way to the worker threads, with as few threads woken as can be."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from pinstripe_bot.occurrence import Run


class Handoff:
    """Who is free for a run, and which started runs nobody has taken yet.

    To wake a thread costs as much as a short run takes. So at most one worker is on its way at a time: when it
    arrives and finds more than one run, it wakes the next one. A herd of short runs is worked through by the
    threads that are awake, and a run that blocks lets the next worker in at once.

    A place is a free worker's: the starter reserves places before it starts runs, so that there are never more
    started runs than workers to take them.
    """

    def __init__(self, workers: int) -> None:
        self._enough = max(workers // 2, 1)  # places worth a commit while other started runs still wait
        self._lock = threading.Lock()
        self._started: deque[Run] = deque()
        self._places = 0
        self._asleep: list[threading.Lock] = []
        self._is_one_coming = False
        self._starter = _asleep()
        self._is_starter_waiting = False
        self._is_closed = False

    def reserve(self) -> int:
        """Wait until there are places and take all of them; 0 once closed. For the starter alone."""
        while True:
            with self._lock:
                if self._is_closed:
                    return 0
                if self._is_worth_starting():
                    taken, self._places = self._places, 0
                    return taken
                self._is_starter_waiting = True
            self._starter.acquire()

    def _is_worth_starting(self) -> bool:
        return self._places > 0 and (not self._started or self._places >= self._enough)

    def give_back(self, places: int) -> None:
        """Return places that no run was started for."""
        with self._lock:
            self._places += places

    def put(self, runs: Sequence[Run]) -> bool:
        """Hand over started runs, one for each reserved place; false once closed: then they are still the caller's."""
        with self._lock:
            if self._is_closed:
                return False
            self._started.extend(runs)
            self._wake_a_worker()
            return True

    def take(self) -> Run | None:
        """Say that this worker is free, and wait for a run; None once closed and nothing is left."""
        bell: threading.Lock | None = None
        with self._lock:
            self._places += 1
        while True:
            with self._lock:
                if bell is not None:
                    self._is_one_coming = False
                run = self._started.popleft() if self._started else None
                self._wake_a_worker()
                self._wake_the_starter()
                if run is not None or self._is_closed:
                    return run
                bell = bell or _asleep()
                self._asleep.append(bell)
            bell.acquire()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._lock:
            self._is_closed = True
            while self._asleep:
                self._asleep.pop().release()
            self._wake_the_starter()

    def _wake_a_worker(self) -> None:
        if self._started and self._asleep and not self._is_one_coming:
            self._is_one_coming = True
            self._asleep.pop().release()

    def _wake_the_starter(self) -> None:
        if self._is_starter_waiting and (self._is_closed or self._is_worth_starting()):
            self._is_starter_waiting = False
            self._starter.release()


def _asleep() -> threading.Lock:
    """A bell: its owner sleeps in `acquire` until somebody else calls `release`."""
    bell = threading.Lock()
    bell.acquire()
    return bell
