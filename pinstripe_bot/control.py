"""The control of a run: what the outside may tell it, and it the outside."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pinstripe_bot.errors import RunCancelled
from pinstripe_bot.occurrence import Reason, Run
from pinstripe_bot.output import RunOutput

MOST = 2**63 - 1
"""The largest number that a column of the ledger holds."""


def read_progress(done: Any, total: Any) -> tuple[int, int | None] | None:
    """What a job says of its progress as plain numbers, or None where it says no numbers.

    Asked on the job's own thread: its objects may run code of its own here.
    """
    try:
        return (_whole(done), None if total is None else _whole(total))
    except Exception:  # noqa: BLE001 - a wall: their objects
        return None


def _whole(number: Any) -> int:
    return max(-MOST, min(int(number), MOST))


@dataclass(frozen=True, slots=True)
class CommitTerms:
    """What the bot says to a run that commits its outcome with its work: whose it is, its end, its output so far."""

    owner: str
    finished_at: datetime
    output: str


class RunControl:
    """What the outside may tell a run, and the run the outside; written and read by several threads.

    `is_cancelled`: somebody asked it to end. `has_ended`: its end is already recorded, so that nothing of it
    may be committed any more. `progress`: (done, total) as the job last said; `output`: what it has printed so far.
    """

    def __init__(self, run: Run | None = None, parent: RunControl | None = None) -> None:
        self.run = run
        self.output: RunOutput | None = None
        self.has_ended = False
        self.on_told: Callable[[], None] = lambda: None  # called when it is told something; from any thread
        self.commits_at: datetime | None = None  # set once it is about to commit its end together with its work
        self.progress: tuple[int, int | None] | None = None
        self.thread: int | None = None  # of the worker that performs it
        self.is_replaced = False  # whether another thread has taken its worker's place
        self._ending = threading.Lock()
        self._parent = parent
        self._callees: weakref.WeakSet[RunControl] = weakref.WeakSet()
        if parent is not None:
            parent._callees.add(self)
        self._reason: Reason | None = None
        self._cancel_task: Callable[[], None] | None = None

    @property
    def is_outermost(self) -> bool:
        """Whether no other run waits for it on the same thread."""
        return self._parent is None

    def end(self) -> bool:
        """Say that the run's end is being recorded; true for the first who says so, who is to record it."""
        with self._ending:
            return self._end()

    def end_early(self) -> bool:
        """As `end`, while its code goes on; false also for a run that is about to commit its end itself."""
        with self._ending:
            return self.commits_at is None and self._end()

    def _end(self) -> bool:
        is_first, self.has_ended = not self.has_ended, True
        self.on_told()
        return is_first

    def begin_commit(self, at: datetime) -> bool:
        """Say that the run itself commits its end, dated `at`, together with its work; false where it has ended."""
        with self._ending:
            if self.has_ended:
                return False
            self.commits_at = at
            return True

    @property
    def is_cancelled(self) -> bool:
        return self.reason is not None

    @property
    def reason(self) -> Reason | None:
        """Why the run was told to end, first of all; None if it was not."""
        return self._reason or (self._parent.reason if self._parent is not None else None)

    def cancel(self, reason: Reason) -> None:
        """Ask the run to end: an async one is cancelled at its next await, any other sees it in `checkpoint`."""
        self._reason = self._reason or reason
        self._tell()

    def _tell(self) -> None:
        self.on_told()
        cancel_task = self._cancel_task  # once: the run may end meanwhile
        if cancel_task is not None:
            with contextlib.suppress(RuntimeError):  # its event loop is closed by now
                cancel_task()
        for callee in list(self._callees):
            callee._tell()

    def check(self) -> None:
        """Raise RunCancelled if the run was told to end."""
        if self.is_cancelled or self.has_ended:
            raise RunCancelled("this run was told to end")

    async def listening(self, work: Any) -> Any:
        """Await `work` as a task that `cancel` cancels, from any thread."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def cancel_task() -> None:
            loop.call_soon_threadsafe(task.cancel)

        self._cancel_task = cancel_task
        try:
            self.check()  # it may have been told to end before there was a task to cancel
            return await work
        finally:
            self._cancel_task = None
            if asyncio.iscoroutine(work):
                work.close()  # harmless, unless it never began


class Commits(Protocol):
    """What the commit of an atomic run asks of its bot, where its outcome is to be a part of it."""

    @property
    def is_one_database(self) -> bool:
        """Whether the ledger is in the project's database, so that this can be."""

    def begin(self, run: Run, control: RunControl) -> CommitTerms | None:
        """With what the run ends that is about to commit; None where it may not."""

    def kept(self, run: Run, finished_at: datetime) -> Run | None:
        """The run, if its commit has ended it so after all."""
