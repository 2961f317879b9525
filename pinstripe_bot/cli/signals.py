"""SIGTERM and SIGINT: the first stops gracefully, the second cancels what runs, the third exits at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """While entered, answers the stop signals with `steps`: one for each signal that comes.

    A step is what a person at the terminal is told, and what is done. It runs in the signal handler: it may set
    flags and write to a pipe, and takes no lock. After the last step the next signal ends the process at once.
    """

    def __init__(self, *steps: tuple[str, Callable[[], None]]) -> None:
        self.number: int | None = None  # of the first signal that came
        self._steps = list(steps)
        self._before: dict[signal.Signals, Any] = {}

    @property
    def exit_code(self) -> int:
        """128 and the signal's number: what a process that was cut off ends with."""
        return 128 + (self.number or 0)

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.number is None:
            self.number = number
        if not self._steps:
            os.write(2, b"exiting at once: the next start records the runs as interrupted\n")
            os._exit(128 + number)
        told, act = self._steps.pop(0)
        if os.isatty(2):
            os.write(2, f"\r{told}\n".encode())
        act()
