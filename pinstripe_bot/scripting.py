"""A workspace outside of any run, for scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pinstripe_bot.bot import Bot
from pinstripe_bot.project import Project
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
