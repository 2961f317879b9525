"""The control of a run: what the outside may tell it, and it the outside."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from pinstripe_bot.errors import RunCancelled
from pinstripe_bot.occurrence import Run


class RunControl:
    """What the outside may tell a run, and the run the outside; written and read by several threads.

    `is_cancelled`: somebody asked it to end. `has_ended`: its end is already recorded, so that nothing of it
    may be committed any more. `progress`: (done, total) as the job last said.
    """

    def __init__(self, run: Run | None = None, parent: RunControl | None = None) -> None:
        self.run = run
        self.has_ended = False
        self.progress: tuple[int, int | None] | None = None
        self._parent = parent
        self._is_cancelled = False
        self._cancel_task: Callable[[], None] | None = None

    @property
    def is_cancelled(self) -> bool:
        return self._is_cancelled or (self._parent is not None and self._parent.is_cancelled)

    def cancel(self) -> None:
        """Ask the run to end: an async one is cancelled at its next await, any other sees it in `checkpoint`."""
        self._is_cancelled = True
        cancel_task = self._cancel_task  # once: the run may end meanwhile
        if cancel_task is not None:
            with contextlib.suppress(RuntimeError):  # its event loop is closed by now
                cancel_task()

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
