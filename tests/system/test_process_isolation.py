"""A run in a process of its own dies with its bot, and harms nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bots import PATIENCE_S, Ears, job, write_jobs
from isolated import Isolated, isolated, wait_for_end_of

from pinstripe_bot.control import RunControl
from pinstripe_bot.occurrence import Reason, Run

Ending = Future[tuple[Run, BaseException | None]]

HEAD = "import ctypes, os, signal, subprocess\n"

BEGIN = """
program = subprocess.Popen(["sleep", "60"])
workspace.logger.info("begun_" + workspace.job_name.replace("-", "_"), pids=[os.getpid(), program.pid])
"""
"""Says which processes the run has: its own, and one that it has started."""

JOBS = {
    "sleeps": job(BEGIN + "signal.pause()", head=HEAD),
    "awaits": job(BEGIN + "await asyncio.sleep(60)", head=HEAD),
    "burns": job("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + BEGIN + "while True: pass", head=HEAD),
    "holds_the_lock": job(BEGIN + "ctypes.PyDLL(None).sleep(60)", head=HEAD),
}
BOT = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:0] = sys.argv[2].split(":")
from isolated import Isolated
from pinstripe_bot.logs import configure_logs

configure_logs("json", "debug")
one = Isolated(Path(sys.argv[1]), {})
with ThreadPoolExecutor() as threads:
    list(threads.map(one.perform, one.project.jobs))
"""


class Bot:
    """Performs all jobs of a project at once, in a process of its own."""

    def __init__(self, root: Path) -> None:
        tests = ":".join(path for path in sys.path if path.endswith("tests"))
        command = [sys.executable, "-c", textwrap.dedent(BOT), str(root), tests]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)

    def wait_for_pids(self, runs: int) -> list[int]:
        """The processes of so many runs, and of their fork server, as soon as the runs have begun."""
        assert self.process.stderr is not None
        pids: list[int] = []
        while runs:
            event: dict[str, Any] = msgspec.json.decode(self.process.stderr.readline())
            if event["event"].startswith("begun"):
                pids += event["pids"]
                runs -= 1
            elif event["event"] == "fork_server_started":
                pids.append(event["pid"])
        return pids

    def end(self) -> None:
        assert self.process.stderr is not None
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self.process.stderr.close()


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Bot]:
    write_jobs(tmp_path, **JOBS)
    bot = Bot(tmp_path)
    yield bot
    bot.end()


def test_no_process_survives_a_bot_that_is_killed(bot: Bot) -> None:
    pids = bot.wait_for_pids(runs=len(JOBS))

    bot.process.kill()

    assert len(pids) == 1 + 2 * len(JOBS)
    for pid in pids:
        wait_for_end_of(pid)


def test_a_terminal_that_interrupts_the_bot_leaves_its_runs_to_it(bot: Bot) -> None:
    server, *pids = bot.wait_for_pids(runs=len(JOBS))

    groups = {os.getpgid(pid) for pid in (server, *pids)}

    assert os.getpgid(bot.process.pid) not in groups
    assert len(groups) == 1 + len(JOBS)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Isolated]:
    with isolated(tmp_path, **JOBS, fine=job("return 1")) as shop:
        yield shop


def begin(shop: Isolated, ears: Ears, name: str, **options: Any) -> tuple[RunControl, Ending, list[int]]:
    """Perform a run in another thread; what can tell it to end, its end, and its processes."""
    control, end = shop.begin(name, **options)
    return control, end, ears.wait_for(f"begun_{name}")["pids"]


def test_when_the_fork_server_is_killed_its_runs_fail_and_the_next_one_works(shop: Isolated) -> None:
    with Ears() as ears:
        runs = [begin(shop, ears, name) for name in ("sleeps", "burns", "holds_the_lock")]
        server = shop.isolation._server
        assert server is not None

        os.kill(server.pid, signal.SIGKILL)

        ended = [end.result(PATIENCE_S)[0] for _control, end, _pids in runs]
        after = shop.perform("fine")
    assert {(run.state, run.error and run.error.type) for run in ended} == {("failed", "ProcessDied")}
    assert after.state == "succeeded"
    for _control, _end, pids in runs:
        for pid in pids:
            wait_for_end_of(pid)


def test_a_run_that_is_killed_takes_its_programs_with_it_and_nobody_else(shop: Isolated) -> None:
    with Ears() as ears:
        other, its_end, its_pids = begin(shop, ears, "sleeps")
        deaf, end, pids = begin(shop, ears, "burns", kill_after_s=0.1)

        deaf.cancel(Reason.TIMEOUT)

        run, _error = end.result(PATIENCE_S)
        for pid in pids:
            wait_for_end_of(pid)
        for pid in its_pids:
            os.kill(pid, 0)  # raises where there is no such process
        other.has_ended = True
        its_end.result(PATIENCE_S)
    assert run.state == "timed_out"


def test_closing_the_isolation_kills_what_runs(shop: Isolated) -> None:
    with Ears() as ears:
        _control, end, pids = begin(shop, ears, "burns")

        shop.isolation.close()

        run, _error = end.result(PATIENCE_S)
    assert run.state == "failed"
    for pid in pids:
        wait_for_end_of(pid)
