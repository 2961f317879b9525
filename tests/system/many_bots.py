"""Bots by the dozen, in processes of their own, forked by a nursery (nursery.py)."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos import LOOK_S
from processes import PATIENCE_S


class Nursery:
    """Forks bots or workers of a project; see nursery.py. Each writes its log into a file of its own."""

    def __init__(self, kind: str, root: Path) -> None:
        self.logs = root / "logs" / kind
        self.logs.mkdir(parents=True, exist_ok=True)
        self._started_event = "worker_started" if kind == "worker" else "bot_started"
        self.alive: list[int] = []
        self._numbers: dict[int, int] = {}  # by pid, of the newest bot that had it
        self._started = 0
        command = [sys.executable, str(Path(__file__).with_name("nursery.py")), kind, str(root), str(self.logs)]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PINSTRIPE_")}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, text=True, bufsize=1
        )

    def start(self) -> int:
        """Start a bot; its pid."""
        pid = self._ask("start")
        self._started += 1
        self._numbers[pid] = self._started
        self.alive.append(pid)
        return pid

    def kill(self, pid: int) -> None:
        """As a crash: nothing is tidied up. It may have ended before only where it found no ledger at its start."""
        os.kill(pid, signal.SIGKILL)
        code, log = self.wait(pid), self.log_of(pid)
        found_no_ledger = self._started_event not in log and "does not answer" in log
        assert code == -signal.SIGKILL or found_no_ledger, f"ended by itself with {code}: {log}"

    def start_surely(self) -> int:
        """Start a bot, again where it finds no ledger yet; its pid as soon as it says that it has started."""
        deadline_s = time.monotonic() + PATIENCE_S
        pid = self.start()
        while not self.has_started(pid):
            assert time.monotonic() < deadline_s, f"no bot starts: {self.log_of(pid)}"
            time.sleep(LOOK_S)
            if "does not answer" in self.log_of(pid):
                self.kill(pid)
                pid = self.start()
        return pid

    def has_started(self, pid: int) -> bool:
        return self._started_event in self.log_of(pid)

    def stop(self, pid: int) -> int:
        """Send SIGTERM and wait for the end; the exit code."""
        os.kill(pid, signal.SIGTERM)
        return self.wait(pid)

    def wait(self, pid: int) -> int:
        """Wait for the end of a bot; its exit code."""
        code = self._ask(f"wait {pid}")
        self.alive.remove(pid)
        return code

    def log_of(self, pid: int) -> str:
        return f"log of {pid}:\n{(self.logs / f'{self._numbers[pid]}.log').read_text()}"

    def grep(self, *events: str) -> Counter[str]:
        """How often events that begin with these words stand in the logs."""
        text = "".join(path.read_text() for path in self.logs.iterdir())
        return Counter({event: text.count(f'"event":"{event}') for event in events})

    def _ask(self, wish: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{wish}\n")
        if not select.select([self._process.stdout], [], [], PATIENCE_S)[0]:
            raise AssertionError(f"no answer to {wish!r} within {PATIENCE_S} s: {self._stacks()}")
        return int(self._process.stdout.readline())

    def _stacks(self) -> str:
        """What the bots still alive are doing."""
        for pid in self.alive:
            os.kill(pid, signal.SIGUSR1)
        time.sleep(1)
        return "\n".join(self.log_of(pid) for pid in self.alive)

    def close(self) -> None:
        for pid in self.alive:  # a child that has ended keeps its number until the nursery has heard of it
            os.kill(pid, signal.SIGKILL)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._process.stdout.close()


@contextmanager
def nursery_of(kind: str, root: Path) -> Iterator[Nursery]:
    nursery = Nursery(kind, root)
    try:
        yield nursery
    finally:
        nursery.close()
