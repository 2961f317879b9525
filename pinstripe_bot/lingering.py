"""The lingering runs: their end is recorded, and their threads go on because the job does not listen."""

from __future__ import annotations

import sys
import threading
from datetime import datetime
from pathlib import Path

import structlog
from msgspec.structs import replace

from pinstripe_bot.control import RunControl
from pinstripe_bot.failure import describe_stack
from pinstripe_bot.occurrence import Run, RunError
from pinstripe_bot.runner import ENDS

log = structlog.get_logger("pinstripe")


class Lingering:
    """Counts them; above `most`, whoever lingers keeps its worker."""

    def __init__(self, most: int, root: Path) -> None:
        self._most = most
        self._root = root
        self._lock = threading.Lock()
        self._runs: dict[int, Run] = {}
        self._replaced = 0

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, run_id: int) -> bool:
        return run_id in self._runs

    @property
    def jobs(self) -> list[str]:
        """The jobs whose runs linger, one name for each."""
        return sorted(run.job for run in list(self._runs.values()))

    @property
    def is_full(self) -> bool:
        """Whether the next one could not be replaced any more."""
        return self._replaced >= self._most

    def add(self, control: RunControl, now: datetime) -> Run:
        """The recorded end of a run that does not listen; its worker may be replaced if `control.is_replaced`."""
        run, reason = control.run, control.reason
        assert run is not None
        assert reason is not None
        with self._lock:
            self._runs[run.id] = run
            control.is_replaced = control.is_outermost and not self.is_full
            self._replaced += control.is_replaced
        log.error("run_lingers", job=run.job, run_id=run.id, reason=str(reason), lingering=len(self))
        output = control.output.text() if control.output is not None else ""
        error = _where_it_is(control.thread, self._root)
        return replace(run, state=ENDS[reason], reason=reason, finished_at=now, output=output, error=error)

    def remove(self, control: RunControl) -> None:
        """Its thread has come back."""
        assert control.run is not None
        with self._lock:
            self._runs.pop(control.run.id, None)
            self._replaced -= control.is_replaced


def _where_it_is(thread: int | None, root: Path) -> RunError:
    """What the thread is doing now, told as an error: it says where the job does not listen."""
    frame = sys._current_frames().get(thread) if thread is not None else None
    place, stack = describe_stack(frame, root)
    told = f"Where it was when its time was over (most recent call last):\n{stack}"
    message = "the job did not end when it was told to, and its thread goes on"
    return RunError("DoesNotListen", message, place, told.rstrip("\n"))
