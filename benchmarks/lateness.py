"""How late jobs begin on an idle machine, ten of them due each second, and what `pinstripe --help` costs.

The bot is a real one with ten job files, its ledger on disk and its log in a file. Lateness is what the job itself
sees: from its due instant to its first line. The cost of `--help` is its time less that of `python -c pass`.

Run: python benchmarks/lateness.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pinstripe_bot import Bot, Project
from pinstripe_bot.logs import configure_logs

JOBS = 10
SECONDS = 20
STARTS = 15
MOST_P99_MS = 20.0
MOST_HELP_MS = 150.0

JOB_FILE = """
import time
from pinstripe_bot import background_job

late_ms = []

@background_job("* * * * * *")
def tick(workspace):
    late_ms.append((time.time() - workspace.due_at.timestamp()) * 1000)
"""


def main() -> int:
    """Print both figures; 1 if a target is missed."""
    late_ms = sorted(_late_ms())
    p50_ms, p99_ms = late_ms[len(late_ms) // 2], late_ms[int(len(late_ms) * 0.99)]
    print(f"{len(late_ms)} runs of {JOBS} jobs due each second")
    print(f"  late         {p50_ms:7.1f} ms median  {p99_ms:7.1f} ms 99 %  {late_ms[-1]:7.1f} ms worst")
    bare_ms, help_ms = _startup_ms()
    print(f"starting, median of {STARTS}")
    print(f"  python -c pass   {bare_ms:7.1f} ms")
    print(f"  pinstripe --help {help_ms:7.1f} ms")
    targets = [
        (f"p99 of lateness {p99_ms:.1f} ms (target: {MOST_P99_MS:.0f})", p99_ms <= MOST_P99_MS),
        (f"none lost: {len(late_ms)} runs", len(late_ms) >= JOBS * (SECONDS - 1)),
        (f"--help costs {help_ms - bare_ms:.0f} ms (target: {MOST_HELP_MS:.0f})", help_ms - bare_ms <= MOST_HELP_MS),
    ]
    for text, is_met in targets:
        print(f"  {'met   ' if is_met else 'MISSED'}  {text}")
    return 0 if all(is_met for _, is_met in targets) else 1


def _late_ms() -> list[float]:
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "log.json"), "w") as log:
        configure_logs("json", stream=log)
        jobs = Path(folder, "lib/background_jobs")
        jobs.mkdir(parents=True)
        for number in range(JOBS):
            jobs.joinpath(f"tick_{number}.py").write_text(JOB_FILE)
        project = Project.load(folder)
        bot = Bot(project)
        bot.start()
        time.sleep(SECONDS)
        bot.stop()
        return [late for job in project.jobs.values() for late in job.author.__globals__["late_ms"]]


def _startup_ms() -> tuple[float, float]:
    """Medians of a bare interpreter and of the help, measured in turn."""
    pairs = [(_run_ms("-c", "pass"), _run_ms("-m", "pinstripe_bot", "--help")) for _ in range(STARTS)]
    bare, helped = zip(*pairs, strict=True)
    return statistics.median(bare), statistics.median(helped)


def _run_ms(*arguments: str) -> float:
    began_s = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began_s) * 1000


if __name__ == "__main__":
    sys.exit(main())
