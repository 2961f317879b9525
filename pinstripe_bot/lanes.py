"""The lanes: claimed runs wait for their start in one lane per job, and the lanes take turns."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from pinstripe_bot.occurrence import Run


class _Lane:
    """The runs of one job that wait."""

    __slots__ = ("going", "has_turn", "job", "limit", "waiting")

    def __init__(self, job: str, limit: int | None) -> None:
        self.job = job
        self.limit = limit
        self.waiting: deque[Run] = deque()
        self.going = 0  # taken, and not left; counted only where there is a limit
        self.has_turn = False

    @property
    def may_go_on(self) -> bool:
        """Whether one more of it may start now."""
        return bool(self.waiting) and (self.limit is None or self.going < self.limit)

    def pop(self) -> Run:
        self.going += 1
        return self.waiting.popleft()


class Lanes:
    """Who starts next: a turn for each lane, a run at each turn, so that no job's crowd keeps another job waiting.

    `limit_of` says how many runs of a job may go at the same time; None: as many as there are workers. A run goes
    from when it is taken until its worker is free for another one.
    """

    def __init__(self, limit_of: Callable[[str], int | None]) -> None:
        self._limit_of = limit_of
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane] = {}
        self._turns: deque[_Lane] = deque()  # those that get one in this round, the next one first
        self._next_turns: deque[_Lane] = deque()  # and in the next round
        self._served: set[str] = set()  # the jobs that had theirs in this round; they come back in the next one
        self._bell = threading.Lock()  # the starter sleeps in `acquire` until somebody else calls `release`
        self._bell.acquire()
        self._is_starter_waiting = False
        self._is_closed = False

    def waiting(self, job: str) -> int:
        """How many runs of a job wait here."""
        lane = self._lanes.get(job)
        return 0 if lane is None else len(lane.waiting)

    def put(self, runs: Iterable[Run]) -> None:
        """Let claimed runs wait, behind those of their job that wait already."""
        with self._lock:
            for run in runs:
                lane = self._lanes.get(run.job)
                if lane is None:
                    lane = self._lanes[run.job] = _Lane(run.job, self._limit_of(run.job))
                lane.waiting.append(run)
                self._offer(lane)

    def wait(self) -> bool:
        """Wait until a run may start; false once closed. For the starter alone."""
        while True:
            with self._lock:
                if self._is_closed:
                    return False
                if self._turns or self._next_turns:
                    return True
                self._is_starter_waiting = True
            self._bell.acquire()

    def take(self, most: int) -> list[Run]:
        """Up to so many runs that may go now."""
        taken: list[Run] = []
        with self._lock:
            while len(taken) < most and (lane := self._next_lane()) is not None:
                taken.append(lane.pop())
                if lane.may_go_on:
                    self._next_turns.append(lane)
                    continue
                lane.has_turn = False
                if lane.limit is None:
                    del self._lanes[lane.job]  # it is empty, and there may be many of them
        return taken

    def _next_lane(self) -> _Lane | None:
        """The lane whose turn it is; a new round begins where all have had theirs."""
        if not self._turns:
            self._turns, self._next_turns = self._next_turns, self._turns
            self._served.clear()
        if not self._turns:
            return None
        lane = self._turns.popleft()
        self._served.add(lane.job)
        return lane

    def leave(self, runs: Iterable[Run]) -> None:
        """These runs, once taken, do not go any more."""
        limited = [run for run in runs if self._limit_of(run.job) is not None]
        if not limited:
            return
        with self._lock:
            for run in limited:
                self._leave(self._lanes[run.job])

    def _leave(self, lane: _Lane) -> None:
        lane.going -= 1
        self._offer(lane)

    def _offer(self, lane: _Lane) -> None:
        """Give a lane a turn, if it may go on and has none."""
        if lane.has_turn or not lane.may_go_on:
            return
        lane.has_turn = True
        (self._next_turns if lane.job in self._served else self._turns).append(lane)
        self._wake_the_starter()

    def clear(self) -> list[Run]:
        """All runs that wait: they leave."""
        with self._lock:
            left = [run for lane in self._lanes.values() for run in lane.waiting]
            self._lanes = {job: lane for job, lane in self._lanes.items() if lane.limit is not None}
            for lane in self._lanes.values():
                lane.waiting.clear()
                lane.has_turn = False
            self._turns.clear()
            self._next_turns.clear()
        return left

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._lock:
            self._is_closed = True
            self._wake_the_starter()

    def _wake_the_starter(self) -> None:
        if self._is_starter_waiting:
            self._is_starter_waiting = False
            self._bell.release()
