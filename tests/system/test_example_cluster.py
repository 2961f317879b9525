"""The example cluster: its one command starts bots, workers and PostgreSQL, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from daemons import Lines
from fleet import is_alive
from processes import PATIENCE_S

from pinstripe_bot.project import Project

ROOT = Path(__file__).parent.parent.parent
CLUSTER = ROOT / "docs/examples/cluster"

SERVICES = {"postgres", "server", "bot", "worker", "reports"}


class Trial:
    """The command in a process of its own; each line that it shows has come from one of its processes."""

    def __init__(self, root: Path) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PINSTRIPE_")}
        self.process = subprocess.Popen(
            [sys.executable, str(root / "try_it.py")],
            env={**environ, "PINSTRIPE_LOGS__FORMAT": "json", "PINSTRIPE_HOST": "127.0.0.1:0"},
            stdout=subprocess.PIPE,
            text=True,
        )
        self._told = Lines(self.process.stdout)
        self.wait_until = self._told.wait_until

    @property
    def lines(self) -> list[tuple[str, str]]:
        """(of which process, what it says) of each."""
        parted = (line.partition("|") for line in list(self._told.all))
        return [(name.strip(), text.strip()) for name, _, text in parted]

    def logged(self, event: str) -> list[tuple[str, dict[str, Any]]]:
        """(of which process, the event) of each event of this name."""
        events = [(name, json.loads(text)) for name, text in self.lines if text.startswith("{")]
        return [(name, one) for name, one in events if one["event"] == event]

    def succeeded(self) -> set[tuple[str, str]]:
        """(in which process, of which job) runs have succeeded."""
        return {(name, one["job"]) for name, one in self.logged("run_succeeded")}

    def pids(self) -> dict[str, list[int]]:
        """Of each process by its name, the newest one last."""
        found: dict[str, list[int]] = {}
        for name, text in self.lines:
            told = re.fullmatch(r"(\w+) is process (\d+)", text)
            if name == "cluster" and told:
                found.setdefault(told[1], []).append(int(told[2]))
        return found

    def stop(self) -> int:
        """Send SIGTERM and wait for the end; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        self._told.wait_for_end()
        return code

    def close(self) -> None:
        """End it and all that it has started, however it stands."""
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.process.kill()
            for pid in (pids[-1] for pids in self.pids().values()):
                if is_alive(pid):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(PATIENCE_S)
        self._told.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A fresh copy of the example, which takes stock more often, and sooner."""
    unwanted = shutil.ignore_patterns(".pinstripe", "__pycache__")
    copy = Path(shutil.copytree(CLUSTER, tmp_path / "cluster", ignore=unwanted))
    stocktaking = copy / "lib/background_jobs/stocktaking.py"
    text = stocktaking.read_text()
    stocktaking.write_text(text.replace('"*/20 * * * * *"', '"*/5 * * * * *"').replace("SHELVES = 16", "SHELVES = 6"))
    return copy


@pytest.fixture
def trial(root: Path) -> Iterator[Trial]:
    trial = Trial(root)
    yield trial
    trial.close()


def test_its_runs_succeed_on_both_workers_and_none_of_its_processes_outlives_it(trial: Trial) -> None:
    # `worker` has room for two of the three reports at most, and the orders are its alone.
    expected = {("reports", "sales-report"), ("worker", "orders")}
    trial.wait_until(lambda: trial.succeeded() >= expected, "a run of each worker")

    code = trial.stop()

    assert code == 0, trial.lines
    assert ("reports", "orders") not in trial.succeeded()
    assert trial.pids().keys() == {"init", *SERVICES}
    assert [pid for pids in trial.pids().values() for pid in pids if is_alive(pid)] == []
    folders = re.findall(r"host=(/[^']+)'", "\n".join(text for _, text in trial.lines))
    assert [folder for folder in folders if Path(folder).exists()] == []
    assert folders


def test_a_worker_that_is_killed_comes_again_and_its_count_of_the_stock_begins_anew(trial: Trial) -> None:
    trial.wait_until(lambda: bool(trial.logged("worker_started")), "a worker")
    trial.wait_until(lambda: bool(trial.logged("counting")), "the stocktaking")
    ((_, begun),) = trial.logged("counting")

    os.kill(begun["worker_pid"], signal.SIGKILL)
    trial.wait_until(lambda: len(trial.logged("counting")) > 1, "another attempt")

    _, again = trial.logged("counting")[1]
    assert (again["run_id"], again["attempt"]) == (begun["run_id"], 2)
    assert ("cluster", "worker was killed by SIGKILL; it starts again in 3 s") in trial.lines
    assert len(trial.pids()["worker"]) == 2


def test_every_job_of_the_example_is_sound_and_says_what_it_does(root: Path, write_project: object) -> None:
    project = Project.load(root, environ={})

    assert project.problems == ()
    assert list(project.jobs) == ["forecast", "orders", "rates", "sales-report", "stocktaking"]
    assert [job.name for job in project.jobs.values() if not job.summary] == []


def test_make_cluster_is_that_command() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\ncluster:")[2].splitlines()[1]

    assert recipe == "\t@exec $(BIN)/python docs/examples/cluster/try_it.py"


def test_the_compose_file_starts_the_same_commands() -> None:
    services = yaml.safe_load((CLUSTER / "compose.yaml").read_text())["services"]
    ours = {name: service["command"] for name, service in services.items() if "command" in service}
    tried = (CLUSTER / "try_it.py").read_text()

    assert services.keys() == {"postgres", "init", "bot-1", "bot-2", "worker", "reports"}
    assert all(command[0] == "pinstripe" and f'"{command[1]}"' in tried for command in ours.values())
    assert "/readyz" in services["bot-1"]["healthcheck"]["test"][-1]
    assert [name for name in ours if "init" not in services[name]["depends_on"]] == ["init"]


def test_the_image_is_made_of_files_that_are_there() -> None:
    copied = re.findall(r"^COPY (?:--\S+ )*(.+) \S+$", (CLUSTER / "Dockerfile").read_text(), flags=re.MULTILINE)

    sources = [source for line in copied for source in line.split()]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert len(sources) == 6
