"""What a bot costs while nothing is due, with 10 schedules and with 100,000: one tick, and its loop for some seconds.

The schedules are made in code, from one loaded job file, and registered in a real ledger. Every round of each
size runs in a new process; medians of the rounds.

Run: python benchmarks/idle_tick.py
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

from pinstripe_bot import Bot, Project
from pinstripe_bot.logs import configure_logs

FEW, MANY = 10, 100_000
TICKS = 20_000
LOOP_S = 5
ROUNDS = 3
MOST_TICK_US = 20.0
MOST_TIMES_SLOWER = 1.5  # a tick at MANY against one at FEW: "the same", on a noisy machine
MOST_MORE_CPU_MS = 1.0  # of each second of the loop, at MANY against FEW

JOB_FILE = """
from pinstripe_bot import background_job

@background_job("{expression}")
def sleeper(workspace):
    pass
"""


def main() -> int:
    """Print both sizes and whether the targets are met; 1 if one is missed."""
    rounds = [(_in_new_process(FEW), _in_new_process(MANY)) for _ in range(ROUNDS)]
    (few_us, few_ms), (many_us, many_ms) = (_medians(side) for side in zip(*rounds, strict=True))
    print(f"{'idle':12}{'a tick':>12}{'the loop':>24}")
    for count, tick_us, cpu_ms in ((FEW, few_us, few_ms), (MANY, many_us, many_ms)):
        print(f"  {count:>7,}{tick_us:12.2f} us{cpu_ms:15.2f} ms CPU / s")
    targets = [
        (f"a tick takes at most {MOST_TICK_US:.0f} us", max(few_us, many_us) <= MOST_TICK_US),
        (f"with {MANY:,} {many_us / few_us:.2f} times as long", many_us <= MOST_TIMES_SLOWER * few_us),
        (f"{many_ms - few_ms:+.2f} ms CPU a second more", many_ms - few_ms <= MOST_MORE_CPU_MS),
    ]
    for text, is_met in targets:
        print(f"  {'met   ' if is_met else 'MISSED'}  {text}")
    return 0 if all(is_met for _, is_met in targets) else 1


def measure(count: int) -> tuple[float, float]:
    """(median microseconds of a tick, milliseconds of CPU that the running loop takes in a second)."""
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "log.json"), "w") as log:
        configure_logs("json", stream=log)
        bot = Bot(_project(Path(folder), count))
        bot.plan()
        assert len(bot.timetable) == count
        tick_us = statistics.median(_tick_us(bot) for _ in range(TICKS))
        bot.start()
        time.sleep(1)  # what starting leaves behind is not idling
        began_s = time.process_time()
        time.sleep(LOOP_S)
        cpu_ms = (time.process_time() - began_s) * 1000 / LOOP_S
        bot.stop()
    return tick_us, cpu_ms


def _tick_us(bot: Bot) -> float:
    began_ns = time.perf_counter_ns()
    bot.tick()
    return (time.perf_counter_ns() - began_ns) / 1000


def _project(folder: Path, count: int) -> Project:
    """A project of one job with `count` schedules, none of which comes due for half a year."""
    due_at = datetime.now(UTC) + timedelta(days=180)
    jobs = folder / "lib/background_jobs"
    jobs.mkdir(parents=True)
    jobs.joinpath("sleeper.py").write_text(JOB_FILE.format(expression=f"0 0 {min(due_at.day, 28)} {due_at.month} *"))
    project = Project.load(folder)
    (definition,) = project.jobs.values()
    (schedule,) = definition.schedules
    schedules = tuple(dataclasses.replace(schedule, name=f"sleeper-{number}") for number in range(count))
    return dataclasses.replace(project, jobs={definition.name: dataclasses.replace(definition, schedules=schedules)})


def _medians(side: tuple[tuple[float, float], ...]) -> tuple[float, float]:
    tick_us, cpu_ms = zip(*side, strict=True)
    return statistics.median(tick_us), statistics.median(cpu_ms)


def _in_new_process(count: int) -> tuple[float, float]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(measure, count).result()


if __name__ == "__main__":
    sys.exit(main())
