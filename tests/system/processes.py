"""Bots in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import msgspec

PATIENCE_S = 40.0
"""How long a test waits for something that has to come; within a second or two, on a machine that is not busy."""

SOAK = os.environ.get("PINSTRIPE_TEST_SOAK") == "1"
"""The switch of the long forms: `make soak` sets it, and runs every test in this folder.

A test that has a long form asks `soaking(short, long)` for what differs, such as how long or how often, and gives
itself more time: `@pytest.mark.timeout(soaking(120, 900))`. Nothing else reads the variable.
"""

T = TypeVar("T")


def soaking(short: T, long: T) -> T:
    """The short form of something in `make test`, its long form in `make soak`."""
    return long if SOAK else short


class BotProcess:
    """`start-bot` in a process of its own; its log is read as it comes."""

    def __init__(self, root: Path, *flags: str) -> None:
        command = [sys.executable, "-m", "pinstripe_bot", "start-bot", "--project", str(root), "--log-format", "json"]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PINSTRIPE_")}
        self.process = subprocess.Popen(
            [*command, *flags], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environ
        )
        self.heard: Counter[str] = Counter()
        self.said: list[dict[str, Any]] = []
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
        said: dict[str, Any] = {}
        while self.heard[event] < times:
            said = self._hear(event)
        return said

    def wait_for_one(self, event: str, **keys: Any) -> dict[str, Any]:
        """The first `event` with these keys, of all that the log has said since the start, or will say."""
        wanted, known = {"event": event, **keys}, 0
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            for said in self.said[known:]:
                if wanted.items() <= said.items():
                    return said
            known = len(self.said)
            self._hear(f"{event} with {keys}")
        raise AssertionError(f"no {event} with {keys} within {PATIENCE_S} s, but {self.heard}")

    def _hear(self, awaited: str) -> dict[str, Any]:
        """What the log says next."""
        try:
            said = self._said.get(timeout=PATIENCE_S)
        except Empty:
            raise AssertionError(f"no {awaited} within {PATIENCE_S} s, but {self.heard}") from None
        assert said is not None, f"the bot has ended without {awaited}: {self.heard}"
        self.heard[said["event"]] += 1
        self.said.append(said)
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
