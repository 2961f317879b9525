"""What an author writes: `BackgroundJob` and `@background_job`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pinstripe_bot.errors import InvalidJob

Function = TypeVar("Function", bound=Callable[..., Any])

DECLARED = "__pinstripe_declared__"
"""Where `@background_job` leaves what it was given, on the function itself, which stays an ordinary function."""


class BackgroundJob:
    """The class form of a job: options as class attributes, schedules in `meta`, the work in `run`.

        class Cleanup(BackgroundJob):
            @classmethod
            def meta(cls):
                cls.schedule("*/5 * * * *")

            def run(self):
                self.database.sessions.where(last_accessed_at_lt=self.due_at - timedelta(days=1)).delete()

    A run gets an instance of its own. Every attribute that the class does not define comes from the run's
    workspace: `self.database`, `self.logger`, `self.params` and the project's services.
    """

    workspace: Any

    @classmethod
    def meta(cls) -> None:
        """Declare the schedules: call `cls.schedule(...)` any number of times, or not at all."""

    @classmethod
    def schedule(cls, expression: str, **options: Any) -> None:
        """Run on `expression`, five cron fields or six with seconds first; options: docs/writing-jobs.md."""
        raise InvalidJob("schedule() was called outside of meta(): call it there, as `cls.schedule(...)`")

    def __getattr__(self, name: str) -> Any:
        if name == "workspace":
            raise AttributeError(f"this {type(self).__name__} is not inside a run: it has no workspace")
        return getattr(self.workspace, name)


@dataclass(frozen=True, slots=True)
class DeclaredSchedule:
    """One call of `schedule` or `@background_job`, as written: expression, options, line."""

    expression: Any
    options: dict[str, Any]
    line: int


def background_job(expression: Any = None, **options: Any) -> Any:
    """The function form of a job: `@background_job("*/5 * * * *")` over `def cleanup(workspace)`, plain or async.

    Decorators stack, one schedule each. Without an expression it makes a job that is only run by hand.
    The function stays what it was and can be called in a test.
    """
    if callable(expression):  # @background_job without parentheses
        return _declare(expression, DeclaredSchedule(None, {}, expression.__code__.co_firstlineno))
    declared = DeclaredSchedule(expression, options, sys._getframe(1).f_lineno)
    return lambda function: _declare(function, declared)


def _declare(function: Function, declared: DeclaredSchedule) -> Function:
    earlier = vars(function).get(DECLARED, ())
    setattr(function, DECLARED, (declared, *earlier))  # decorators apply from the bottom up: the top one is first
    return function


def collect_schedules(job: type[BackgroundJob]) -> list[DeclaredSchedule]:
    """Call `meta` and return the schedules that it declares, in order.

    `schedule` is replaced on a subclass made for this one call, so that nothing is ever left on the class.
    """
    declared: list[DeclaredSchedule] = []

    def schedule(expression: Any = None, **options: Any) -> None:
        declared.append(DeclaredSchedule(expression, options, sys._getframe(1).f_lineno))

    meta = job.__dict__.get("meta", job.meta)
    if not isinstance(meta, classmethod) and "meta" in job.__dict__:
        raise InvalidJob("meta() is not a class method: write @classmethod above it")
    collector: Any = type(job.__name__, (job,), {"schedule": staticmethod(schedule), "__module__": job.__module__})
    collector.meta()
    return declared


def dasherize(name: str) -> str:
    """The one form of a name in any case: `PurgeOldSessions`, `purge_old_sessions` -> `purge-old-sessions`.

    A path keeps its slashes: `reports/Monthly` -> `reports/monthly`.
    """
    words = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3-\2\4", name)
    return re.sub(r"[\s_.-]+", "-", words).lower().strip("-")
