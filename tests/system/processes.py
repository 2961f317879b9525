"""Bots in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import msgspec

PATIENCE_S = 20.0


class BotProcess:
    """`start-bot` in a process of its own; its log is read as it comes."""

    def __init__(self, root: Path, *flags: str) -> None:
        command = [sys.executable, "-m", "pinstripe_bot", "start-bot", "--project", str(root), "--log-format", "json"]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PINSTRIPE_")}
        self.process = subprocess.Popen(
            [*command, *flags], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environ
        )
        self.heard: Counter[str] = Counter()
        self._said: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._said.put(msgspec.json.decode(line) if line.startswith(b"{") else {"event": line.decode()})
        self._said.put(None)

    def wait_for(self, event: str, times: int = 1) -> dict[str, Any]:
        """Read the log until it has said `event` so many times since the start; what it said the last time."""
        said: dict[str, Any] | None = {}
        while self.heard[event] < times:
            try:
                said = self._said.get(timeout=PATIENCE_S)
            except Empty:
                raise AssertionError(f"no {event} within {PATIENCE_S} s, but {self.heard}") from None
            assert said is not None, f"the bot has ended without {event}: {self.heard}"
            self.heard[said["event"]] += 1
        return said

    def kill(self) -> None:
        """As a crash: nothing is tidied up."""
        self.process.kill()
        self._end()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self._end()

    def _end(self) -> int:
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@contextmanager
def bots_of(root: Path) -> Iterator[Callable[..., BotProcess]]:
    """Start bots of the project in `root`; at the end each is killed, if it still runs."""
    started: list[BotProcess] = []

    def start(*flags: str) -> BotProcess:
        started.append(BotProcess(root, *flags))
        return started[-1]

    try:
        yield start
    finally:
        for bot in started:
            bot.kill()
