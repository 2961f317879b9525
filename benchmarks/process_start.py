"""What it costs to start a run in a process of its own: from the request to the first line of the job's code.

Beside it, measured in turn: a bare fork of the benchmark's own process with its exit awaited, which is the floor, and
the start of a new interpreter, which is what each run would cost without a warm fork server.

Run: python benchmarks/process_start.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.control import RunControl
from pinstripe_bot.isolation import ProcessIsolation
from pinstripe_bot.logs import configure_logs
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.project import Project

ROUNDS = 200
INTERPRETERS = 40
MOST_P50_MS = 20.0

JOB_FILE = """
import time
from pinstripe_bot import background_job

@background_job("0 0 1 1 *")
def tick(workspace):
    return time.perf_counter_ns()
"""


def main() -> int:
    """Print the figures and whether the target is met; 1 if it is missed."""
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "log.json"), "w") as log:
        configure_logs("json", stream=log)
        starts = Starts(Path(folder))
        first_ms, _ = starts.measure()
        rounds = [(*starts.measure(), _fork_ms(), _interpreter_ms(number)) for number in range(ROUNDS)]
        starts.isolation.close()
    begun, ended, forked, interpreted = (sorted(x for x in side if x is not None) for side in zip(*rounds, strict=True))
    print(f"{ROUNDS} runs, one after another; the first one waited {first_ms:.0f} ms for the fork server")
    for text, side in (
        ("until the job's first line", begun),
        ("until the run has ended", ended),
        ("a bare fork, and its end", forked),
        ("python -c pass", interpreted),
    ):
        print(f"  {text:28}{_p50(side):8.1f} ms p50{_p99(side):8.1f} ms p99")
    ratio = f"{_p50(begun) / _p50(forked):.1f} times the bare fork, {_p50(begun) / _p50(interpreted):.2f} times python"
    is_met = _p50(begun) <= MOST_P50_MS
    print(f"  {'met   ' if is_met else 'MISSED'}  p50 {_p50(begun):.1f} ms (target: {MOST_P50_MS:.0f}): {ratio}")
    return 0 if is_met else 1


class Starts:
    """A project with one job, and an isolation that performs it."""

    def __init__(self, folder: Path) -> None:
        jobs = folder / "lib/background_jobs"
        jobs.mkdir(parents=True)
        jobs.joinpath("tick.py").write_text(JOB_FILE)
        self._clock = SystemClock()
        self.isolation = ProcessIsolation(Project.load(folder), self._clock)
        self.isolation.start()

    def measure(self) -> tuple[float, float]:
        """Milliseconds from the request to the job's first line, and to the end of the run."""
        now = self._clock.now()
        run = Run(id=1, job="tick", schedule="manual", due_at=now, state=RunState.RUNNING, claimed_at=now, params={})
        nobody = cast(Any, None)  # the job calls no other one
        began_ns = time.perf_counter_ns()
        ended, _error = self.isolation.perform(
            run, RunControl(run), nobody, max_memory=None, kill_after=timedelta(seconds=5)
        )
        ended_ns = time.perf_counter_ns()
        assert ended.state is RunState.SUCCEEDED, ended
        return (ended.result - began_ns) / 1e6, (ended_ns - began_ns) / 1e6


def _fork_ms() -> float:
    began_ns = time.perf_counter_ns()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return (time.perf_counter_ns() - began_ns) / 1e6


def _interpreter_ms(number: int) -> float | None:
    if number >= INTERPRETERS:
        return None
    began_ns = time.perf_counter_ns()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return (time.perf_counter_ns() - began_ns) / 1e6


def _p50(values: list[float]) -> float:
    return statistics.median(values)


def _p99(values: list[float]) -> float:
    return values[min(int(len(values) * 0.99), len(values) - 1)]


if __name__ == "__main__":
    sys.exit(main())
