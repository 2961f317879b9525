"""The handle of a bot's loop that runs in a thread of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol


class Loops(Protocol):
    """What a handle needs of its bot."""

    looping: threading.Thread | None

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LoopHandle:
    """A loop that runs in a thread of its own."""

    bot: Loops
    thread: threading.Thread

    @property
    def is_running(self) -> bool:
        return self.bot.looping is self.thread

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until the loop has stopped, or `timeout_s` is over."""
        self.thread.join(timeout_s)

    def stop(self) -> None:
        """As `Bot.stop`."""
        self.bot.stop()
