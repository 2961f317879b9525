"""Workspaces outside of any run: for scripts, and for commands that read a project's tenants."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

from pinstripe_bot.bot import Bot
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.database import DatabasePool
from pinstripe_bot.errors import WorkspaceError
from pinstripe_bot.project import Project
from pinstripe_bot.services import ProcessServices
from pinstripe_bot.workspace import Workspace

Result = TypeVar("Result")


def run_in_new_workspace(project: Project, function: Callable[[Workspace], Result]) -> Result:
    """Call `function(workspace)` in a workspace that belongs to no run, and return what it returns."""
    bot = Bot(project)
    try:
        bot.open(kind="command")  # it plans nothing, and no bot need think that it might
        with bot.workspace() as workspace:
            return function(workspace)
    finally:
        bot.stop()


@contextlib.contextmanager
def reading_workspace(project: Project) -> Iterator[Workspace]:
    """A workspace to read the project's tenants in: it has no bot that could run a job, and no ledger is made."""
    clock, url = SystemClock(), project.config.database.url
    pool = None if url is None else DatabasePool(url, root=project.root, monotonic=clock.monotonic)
    with (
        contextlib.closing(ProcessServices(project.config, pool)) as shared,
        Workspace(project=project, shared=shared, clock=clock, bot=_Nobody()) as workspace,
    ):
        yield workspace


class _Nobody:
    """Who runs jobs where nothing is to run."""

    commits: Any = None

    def run_inside(self, workspace: Workspace, name: str, params: Any) -> NoReturn:
        raise WorkspaceError(f"tenants are being read: the job {name!r} cannot be run now")

    def enqueue_inside(self, workspace: Workspace, name: str, params: Any, **options: Any) -> NoReturn:
        self.run_inside(workspace, name, params)

    def may_commit(self, run: Any) -> bool:
        return True
