"""Pinstripe: a project's background jobs, on cron schedules.

The public names load on first use, so that importing the package, and `pinstripe --help`, cost next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pinstripe_bot.bot import Bot
    from pinstripe_bot.clock import Clock, SystemClock
    from pinstripe_bot.cron import CronExpression
    from pinstripe_bot.database import Database
    from pinstripe_bot.enqueueing import enqueue
    from pinstripe_bot.errors import (
        InvalidSchedule,
        LedgerUnavailable,
        PinstripeError,
        RunCancelled,
        RunFailed,
        UnknownJob,
    )
    from pinstripe_bot.job import BackgroundJob, background_job
    from pinstripe_bot.loop_handle import LoopHandle
    from pinstripe_bot.occurrence import Occurrence, Run, RunState, TenantRuns
    from pinstripe_bot.params import Secret
    from pinstripe_bot.project import Project
    from pinstripe_bot.scripting import run_in_new_workspace
    from pinstripe_bot.tenant import Tenant
    from pinstripe_bot.workspace import Workspace

__version__ = "0.1.0"

_ROOMS = {
    "BackgroundJob": "job",
    "Bot": "bot",
    "Clock": "clock",
    "CronExpression": "cron",
    "Database": "database",
    "InvalidSchedule": "errors",
    "LedgerUnavailable": "errors",
    "LoopHandle": "loop_handle",
    "Occurrence": "occurrence",
    "PinstripeError": "errors",
    "Project": "project",
    "Run": "occurrence",
    "RunCancelled": "errors",
    "RunFailed": "errors",
    "RunState": "occurrence",
    "Secret": "params",
    "SystemClock": "clock",
    "Tenant": "tenant",
    "TenantRuns": "occurrence",
    "UnknownJob": "errors",
    "Workspace": "workspace",
    "background_job": "job",
    "enqueue": "enqueueing",
    "run_in_new_workspace": "scripting",
}

__all__ = [
    "BackgroundJob",
    "Bot",
    "Clock",
    "CronExpression",
    "Database",
    "InvalidSchedule",
    "LedgerUnavailable",
    "LoopHandle",
    "Occurrence",
    "PinstripeError",
    "Project",
    "Run",
    "RunCancelled",
    "RunFailed",
    "RunState",
    "Secret",
    "SystemClock",
    "Tenant",
    "TenantRuns",
    "UnknownJob",
    "Workspace",
    "background_job",
    "enqueue",
    "run_in_new_workspace",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
