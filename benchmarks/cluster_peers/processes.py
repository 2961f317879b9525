"""The peers' processes: started with a log of their own, watched, and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster_peers.measured import EVERY_S
from cluster_peers.notes import NotePad

BENCHMARKS = Path(__file__).parents[1]
PATIENCE_S = 60
LOOK_S = 0.25
AFTERWARDS_S = 1.5  # for what runs a second time


class Process:
    """A process that has been started, and where it writes its log."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("w") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(BENCHMARKS), **environment},
                cwd=log.parent,
                start_new_session=True,  # a group of its own: its children end with it
            )

    def check(self) -> None:
        """Complain if it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._process.args} has ended: {self._log.read_text()[-2000:]}")

    def wait(self) -> None:
        """Wait until it has ended, and complain if it has failed."""
        if self._process.wait(PATIENCE_S) != 0:
            self.check()

    def stop(self) -> None:
        """Ask it to end, and end its group if it does not."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@contextmanager
def started(command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> Iterator[Process]:
    """The process of this command, until the end of the block."""
    process = Process(command, environment, log)
    try:
        yield process
    finally:
        process.stop()


def python_command(name: str) -> Path:
    """A command that a package has installed beside this interpreter."""
    return Path(sys.executable).with_name(name)


def wait_for_file(path: Path, process: Process) -> None:
    """Wait until the process has made this file."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not path.exists():
        process.check()
        assert time.monotonic() < deadline_s, f"{path} does not appear"
        time.sleep(LOOK_S / 10)


def sit_through(
    begun: NotePad, schedules: int, instants: int, processes: Sequence[Process], every_s: int = EVERY_S
) -> list[int]:
    """Wait for a first herd, that counts for nothing, and for so many more; return the due instants of those.

    The first one warms up: connections, prepared statements, children of a pool.
    """
    _wait_for_runs(begun, schedules, 0, time.time() + every_s + PATIENCE_S, processes)
    first_ts = int(time.time() + 2) // every_s * every_s + every_s
    due_ts = [first_ts + number * every_s for number in range(instants)]
    _wait_for_runs(begun, schedules, due_ts[-1], due_ts[-1] + every_s - AFTERWARDS_S, processes)
    time.sleep(AFTERWARDS_S)
    return due_ts


def _wait_for_runs(begun: NotePad, runs: int, since_ts: int, deadline_ts: float, processes: Sequence[Process]) -> None:
    """Wait until so many runs have begun since that instant, or until the deadline."""
    time.sleep(max(since_ts - time.time(), 0))
    while time.time() < deadline_ts and sum(one.at_s >= since_ts for one in begun.read()) < runs:
        for process in processes:
            process.check()
        time.sleep(LOOK_S)
