"""`pinstripe` in a process of its own, such as a server, whose log is events to wait for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from processes import PATIENCE_S

TOKEN = "correct-horse-battery-staple"
"""What lets a test into the console of each server."""


class Lines:
    """What a process writes, line by line, read by a thread of its own and to be waited for."""

    def __init__(self, stream: IO[str] | None) -> None:
        assert stream is not None
        self.all: list[str] = []
        self._stream = stream
        self._has_come = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until(self, has_come: Callable[[], bool], what: str) -> None:
        """Until it has come, or nothing more can; fails with all lines if it has not."""
        with self._has_come:
            self._has_come.wait_for(lambda: has_come() or not self._reader.is_alive(), PATIENCE_S)
        assert has_come(), f"{what} has not come:\n{''.join(self.all)}"

    def wait_for_end(self) -> None:
        self._reader.join(PATIENCE_S)

    def close(self) -> None:
        self._stream.close()

    def _read(self) -> None:
        for line in self._stream:
            with self._has_come:
                self.all.append(line)
                self._has_come.notify_all()
        with self._has_come:
            self._has_come.notify_all()


class Daemon:
    """A `pinstripe` process of its own, whose log lines are events to wait for."""

    def __init__(self, root: Path, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PINSTRIPE_")}
        environment["PINSTRIPE_CONSOLE__TOKEN"] = TOKEN
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pinstripe_bot", *arguments],
            cwd=root,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._told = Lines(self.process.stderr)
        self.lines = self._told.all

    def wait_for(self, event: str, *, after: int = 0, **keys: Any) -> dict[str, Any]:
        """The first event of this name with these keys, not counting the first `after` lines."""

        def found() -> dict[str, Any] | None:
            logged = (json.loads(line) for line in self.lines[after:] if line.startswith("{"))
            return next((one for one in logged if {"event": event, **keys}.items() <= one.items()), None)

        self._told.wait_until(lambda: found() is not None, event)
        told = found()
        assert told is not None
        return told

    def wait_for_text(self, text: str) -> str:
        """The first line with this text in it."""
        self._told.wait_until(lambda: any(text in line for line in self.lines), text)
        return next(line for line in self.lines if text in line)

    def get(self, path: str, *, after: int = 0) -> tuple[int, Any]:
        """(status, JSON) of a request to its first address, with the token of its console."""
        url = self.wait_for("server_started", after=after)["url"].split()[0]
        request = urllib.request.Request(f"{url}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def signal(self, *numbers: signal.Signals) -> None:
        for number in numbers:
            self.process.send_signal(number)

    def exit_code(self) -> int:
        """How it ends, once it has."""
        code = self.process.wait(PATIENCE_S)
        self._told.wait_for_end()
        return code

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.lines if line.startswith("{")]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.exit_code()
        self._told.close()
