"""What an author writes: `BackgroundJob` and `@background_job`."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType, FunctionType
from typing import Any, TypeVar

from pinstripe_bot.errors import InvalidJob

Function = TypeVar("Function", bound=FunctionType)

DECLARED = "__pinstripe_declared__"
"""Where `@background_job` leaves what it was given, on the function itself, which stays an ordinary function."""


@dataclass(frozen=True, slots=True)
class DeclaredSchedule:
    """One call of `schedule` or `@background_job`, as written: expression, options, and where."""

    expression: Any
    options: dict[str, Any]
    file: str
    line: int

    @classmethod
    def written_in(cls, frame: FrameType, expression: Any, options: dict[str, Any]) -> DeclaredSchedule:
        """What the code that runs in `frame` declares."""
        return cls(expression, options, frame.f_code.co_filename, frame.f_lineno)


_collected: ContextVar[list[DeclaredSchedule]] = ContextVar("collected")
"""Where `schedule` writes during one call of `meta`: never to the class, whose subclasses would inherit it."""


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
        collected = _collected.get(None)
        if collected is None:
            raise InvalidJob("schedule() was called outside of meta(): call it there, as `cls.schedule(...)`")
        collected.append(DeclaredSchedule.written_in(sys._getframe(1), expression, options))

    def __getattr__(self, name: str) -> Any:
        if name == "workspace":
            raise AttributeError(f"this {type(self).__name__} is not inside a run: it has no workspace")
        if any(name in vars(base) for base in type(self).__mro__):
            return object.__getattribute__(self, name)  # a property that raised AttributeError: let it say why
        return getattr(self.workspace, name)


def background_job(expression: Any = None, **options: Any) -> Any:
    """The function form of a job: `@background_job("*/5 * * * *")` over `def cleanup(workspace)`, plain or async.

    Decorators stack, one schedule each. Without an expression it makes a job that is only run by hand.
    The function stays what it was and can be called in a test.
    """
    frame = sys._getframe(1)
    if callable(expression):  # @background_job without parentheses
        return _declare(expression, DeclaredSchedule.written_in(frame, None, {}))
    declared = DeclaredSchedule.written_in(frame, expression, options)
    return lambda function: _declare(function, declared)


def _declare(function: Function, declared: DeclaredSchedule) -> Function:
    if not isinstance(function, FunctionType):
        raise InvalidJob(
            f"@background_job stands over {function!r}: write it over a function, `def cleanup(workspace)`;"
            " a class inherits from BackgroundJob instead"
        )
    setattr(function, DECLARED, (declared, *declared_on(function)))  # applied from the bottom up: the top one is first
    return function


def declared_on(function: Any) -> tuple[DeclaredSchedule, ...]:
    """What the `@background_job`s over `function` declare, from the top down; empty where there is none."""
    declared: tuple[DeclaredSchedule, ...] = vars(function).get(DECLARED, ())
    return declared


def collect_schedules(job: type[BackgroundJob]) -> list[DeclaredSchedule]:
    """Call `meta` and return the schedules that it declares, in order. Raises whatever `meta` raises."""
    if not isinstance(inspect.getattr_static(job, "meta"), classmethod):
        raise InvalidJob("meta() is not a class method: write @classmethod above it")
    if inspect.iscoroutinefunction(job.meta) or inspect.isgeneratorfunction(job.meta):
        raise InvalidJob("meta() is async or contains `yield`, so that calling it declares nothing: write a plain one")
    collected: list[DeclaredSchedule] = []
    token = _collected.set(collected)
    try:
        job.meta()
    finally:
        _collected.reset(token)
    return collected


def flaws(job: type[BackgroundJob]) -> Iterator[str]:
    """Why a run could not make an instance of this class, or its schedules be heard."""
    name = job.__name__
    if inspect.isabstract(job):
        missing = sorted(getattr(job, "__abstractmethods__", ()))
        yield f"{name} is abstract: define {' and '.join(missing)}"
    if inspect.getattr_static(job, "schedule") is not vars(BackgroundJob)["schedule"]:
        yield f"{name} has a `schedule` of its own: declare schedules in meta(), with `cls.schedule(...)`"
    try:
        inspect.signature(job.__init__).bind(None)
    except TypeError:
        yield f"{name}.__init__() asks for arguments, and a run gives it none: give each a default"


def dasherize(name: str) -> str:
    """The one form of a name in any case: `PurgeOldSessions`, `purge_old_sessions` -> `purge-old-sessions`.

    A path keeps its slashes: `reports/Monthly` -> `reports/monthly`.
    """
    words = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3-\2\4", name)
    return re.sub(r"[\s_.-]+", "-", words).lower().strip("-")
