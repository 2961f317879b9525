"""What the tests of runs in processes share: a project of a few jobs, and an isolation that performs them."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bots import PATIENCE_S, write_jobs

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.control import RunControl
from pinstripe_bot.isolation import ProcessIsolation
from pinstripe_bot.job import dasherize
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.project import Project
from pinstripe_bot.workspace import Workspace


class Isolated:
    """A project whose jobs are performed in processes; stands for the bot where they call other jobs."""

    def __init__(self, root: Path, settings: Mapping[str, Any]) -> None:
        self.clock = SystemClock()
        self.project = Project.load(root, environ={"TZ": "UTC"}, overrides=settings)
        assert not self.project.problems, self.project.problems
        self.isolation = ProcessIsolation(self.project, self.clock)
        self.threads = ThreadPoolExecutor()
        self.is_alive = True
        self.called: list[tuple[str, Mapping[str, Any]]] = []

    def run_of(self, name: str, params: Mapping[str, Any] | None = None) -> Run:
        """A started run of this job."""
        now = self.clock.now()
        return Run(
            id=7,
            job=dasherize(name),
            schedule="manual",
            due_at=now.replace(microsecond=0),
            state=RunState.RUNNING,
            claimed_at=now,
            started_at=now,
            params=dict(params or {}),
        )

    def perform(self, name: str, params: Mapping[str, Any] | None = None, **options: Any) -> Run:
        """Perform a run of this job to its end."""
        return self.perform_run(self.run_of(name, params), RunControl(), **options)[0]

    def perform_run(
        self,
        run: Run,
        control: RunControl,
        *,
        max_memory: int | None = None,
        kill_after_s: float = PATIENCE_S,
    ) -> tuple[Run, BaseException | None]:
        kill_after = timedelta(seconds=kill_after_s)
        return self.isolation.perform(run, control, self, max_memory=max_memory, kill_after=kill_after)

    def begin(self, name: str, **options: Any) -> tuple[RunControl, Future[tuple[Run, BaseException | None]]]:
        """Perform a run in another thread; what can tell it to end, and its end."""
        control = RunControl()
        return control, self.threads.submit(self.perform_run, self.run_of(name), control, **options)

    @property
    def commits(self) -> Any:
        """As the bot does: its ledger is elsewhere."""
        return SimpleNamespace(is_one_database=False)

    def may_commit(self, run: Run) -> bool:
        """As the bot does: whether the ledger still has the run as this one's."""
        return self.is_alive

    def run_inside(self, workspace: Workspace, name: str, params: Mapping[str, Any]) -> Run:
        """As the bot does: perform a job for another one."""
        self.called.append((name, params))
        job = self.project.job(name)
        ended, error = self.perform_run(
            self.run_of(name, job.manual_params(params)), RunControl(None, workspace.control)
        )
        if error is not None:
            raise error
        return ended


@contextmanager
def isolated(root: Path, settings: Mapping[str, Any] | None = None, /, **files: str) -> Iterator[Isolated]:
    """Write these job files into the project in `root`; at the end nothing of it is left running or imported."""
    path, finders, modules = list(sys.path), list(sys.meta_path), set(sys.modules)
    write_jobs(root, **files)
    one = Isolated(root, settings or {})
    try:
        yield one
    finally:
        one.isolation.close()
        one.threads.shutdown()
        sys.path[:], sys.meta_path[:] = path, finders
        for module in [name for name in sys.modules.keys() - modules if name.startswith("_pinstripe_")]:
            del sys.modules[module]


def wait_for_end_of(pid: int) -> None:
    """Return when this process, anybody's, has ended; fail where it lives on."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], PATIENCE_S)[0], f"the process {pid} lives on"
    finally:
        os.close(descriptor)
