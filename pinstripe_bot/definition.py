"""A job as the bot knows it: from what an author wrote to a checked `JobDefinition`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import FunctionType
from typing import Any

from pinstripe_bot import cron
from pinstripe_bot.errors import InvalidJob, PinstripeError
from pinstripe_bot.job import DECLARED, BackgroundJob, DeclaredSchedule, collect_schedules
from pinstripe_bot.occurrence import MANUAL
from pinstripe_bot.options import OPTIONS, PLANNED, close_option, read_options
from pinstripe_bot.params import Params, encode_params, params_key
from pinstripe_bot.policies import CatchUpPolicy
from pinstripe_bot.schedule import Place, Schedule, spread_offset_s
from pinstripe_bot.zones import zone

Author = type[BackgroundJob] | FunctionType


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """One job of a project, ready to run; `options` holds a value for each name of OPTIONS."""

    name: str
    author: Author
    params: Params
    options: Mapping[str, Any]
    schedules: tuple[Schedule, ...]
    place: Place
    summary: str

    def perform(self, workspace: Any, params: Mapping[str, Any]) -> Any:
        """Run the author's code in `workspace` with cast parameters; an async job returns its coroutine."""
        if isinstance(self.author, FunctionType):
            return self.params.call(self.author, workspace, params)
        job = self.author.__new__(self.author)
        job.workspace = workspace  # before __init__, which may want a service
        job.__init__()  # type: ignore[misc]
        return self.params.call(self.author.run, job, params)  # type: ignore[attr-defined]

    def manual_params(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The cast parameters of a run by hand: the job's own, overridden key by key."""
        return self.params.cast({**self.options["params"], **given})


@dataclass(slots=True)
class Definer:
    """Makes one JobDefinition and collects everything that is wrong with it in `problems`."""

    name: str
    author: Author
    place: Place
    defaults: Mapping[str, Any]  # options of [job_defaults], already read
    timezone: str
    problems: list[tuple[Place, str]] = field(default_factory=list)

    def define(self) -> JobDefinition | None:
        """The definition, or None if there is any problem."""
        run = self._run_function()
        params = self._attempt(lambda: Params.of(run, owner=self._owner)) if run else None
        params = params or Params.of_any()  # so that the schedules are checked as well
        declared = self._attempt(self._declared) or []
        options = self._job_options()
        self._attempt(lambda: params.cast_some(options["params"]))
        schedules = [self._schedule(one, options, params) for one in declared]
        self._refuse_twins([schedule for schedule in schedules if schedule is not None])
        if self.problems:
            return None
        return JobDefinition(
            name=self.name,
            author=self.author,
            params=params,
            options=options,
            schedules=tuple(schedule for schedule in schedules if schedule is not None),
            place=self.place,
            summary=_first_line(self.author.__doc__),
        )

    @property
    def _owner(self) -> str:
        return "workspace" if isinstance(self.author, FunctionType) else "self"

    def _attempt(self, step: Callable[[], Any], place: Place | None = None) -> Any:
        """The result of one step, or None and a problem."""
        try:
            return step()
        except PinstripeError as error:
            self.problems.append((place or self.place, str(error)))
            return None

    def _run_function(self) -> Callable[..., Any] | None:
        run = self.author if isinstance(self.author, FunctionType) else getattr(self.author, "run", None)
        if not inspect.isfunction(run):
            wanted = f"{self.author.__name__} has no run method: write `def run(self)`"
            self.problems.append((self.place, wanted))
            return None
        if inspect.isgeneratorfunction(run) or inspect.isasyncgenfunction(run):
            self.problems.append(
                (self.place, f"{run.__name__}() contains `yield`, so that calling it runs nothing: remove it")
            )
            return None
        return run

    def _declared(self) -> list[DeclaredSchedule]:
        """The schedules as written; of a function, without the options that belong to the whole job."""
        if not isinstance(self.author, FunctionType):
            return collect_schedules(self.author)
        stack: tuple[DeclaredSchedule, ...] = vars(self.author)[DECLARED]
        return [
            replace(one, options={name: value for name, value in one.options.items() if not _is_job_only(name)})
            for one in stack
            if one.expression is not None
        ]

    def _job_options(self) -> dict[str, Any]:
        """The job's own options over the defaults of the settings over ours."""
        is_function = isinstance(self.author, FunctionType)
        written = self._function_options() if is_function else self._class_attributes()
        values, wrong = read_options(written, "job")
        self.problems += [(self.place, message) for message in wrong]
        ours = {name: option.default for name, option in OPTIONS.items()}
        return {**ours, "timezone": self.timezone, **self.defaults, **values}

    def _function_options(self) -> dict[str, Any]:
        """Options that belong to the whole job, wherever in the stack of decorators they stand."""
        written: dict[str, Any] = {}
        for one in vars(self.author)[DECLARED]:
            for name, value in one.options.items():
                if one.expression is not None and not _is_job_only(name):
                    continue
                if written.setdefault(name, value) != value:
                    message = f"{name} = {value!r} contradicts {name} = {written[name]!r}: write it once"
                    self.problems.append((Place(self.place.path, one.line), message))
        return written

    def _class_attributes(self) -> dict[str, Any]:
        """Class attributes that are options, and a problem for each that is nearly one."""
        author: Any = self.author
        written: dict[str, Any] = {}
        bases = [base for base in reversed(inspect.getmro(author)) if base not in (object, BackgroundJob)]
        for name, value in ((name, value) for base in bases for name, value in vars(base).items()):
            if name.startswith("_") or name in ("meta", "run", "schedule"):
                continue
            if name in OPTIONS or name in PLANNED:
                written[name] = value
            elif not callable(value) and not hasattr(value, "__get__") and close_option(name):
                option = close_option(name)
                message = f"the attribute {name!r} looks like the option {option!r}: write that, or rename it"
                self.problems.append((self.place, message))
        return written

    def _schedule(self, declared: DeclaredSchedule, job: Mapping[str, Any], params: Params) -> Schedule | None:
        """One checked schedule; every problem of it is reported at its own line."""
        place = Place(self.place.path, declared.line)
        values, wrong = read_options(declared.options, "schedule")
        self.problems += [(place, message) for message in wrong]
        expression = self._attempt(lambda: cron.parse(declared.expression), place)
        given = {**job["params"], **values.get("params", {})}
        cast = self._attempt(lambda: params.cast(given), place)
        encoded = self._attempt(lambda: encode_params(cast), place) if cast is not None else None
        if wrong or expression is None or encoded is None:
            return None
        merged = {**job, **values}
        name = merged["name"] or expression.normalized
        if name == MANUAL:
            self.problems.append((place, f"the name {MANUAL!r} is that of runs by hand: choose another one"))
        max_lateness = merged["max_lateness"]
        return Schedule(
            job=self.name,
            name=name,
            cron=expression,
            zone=zone(merged["timezone"]),
            dst=merged["dst"],
            offset_s=spread_offset_s(self.name, name, merged["spread"]),
            policy=CatchUpPolicy(
                catch_up=merged["catch_up"],
                late_after_s=merged["late_after"].total_seconds(),
                max_lateness_s=None if max_lateness is None else max_lateness.total_seconds(),
            ),
            overlap=merged["overlap"],
            params=cast,
            params_json=encoded,
            params_key=params_key(encoded),
            enabled=merged["enabled"] and job["enabled"],
            place=place,
        )

    def _refuse_twins(self, schedules: list[Schedule]) -> None:
        seen: dict[str, Schedule] = {}
        for schedule in schedules:
            twin = seen.setdefault(schedule.name, schedule)
            if twin is not schedule:
                message = f"line {twin.place.line} declares {schedule.name!r} already: give one of the two a name="
                self.problems.append((schedule.place, message))


def _is_job_only(name: str) -> bool:
    return name in OPTIONS and "schedule" not in OPTIONS[name].places


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]


def check_defaults(written: Mapping[str, Any]) -> dict[str, Any]:
    """Read [job_defaults]; raises InvalidJob with everything that is wrong in it."""
    values, problems = read_options(written, "defaults")
    if problems:
        raise InvalidJob("; ".join(f"[job_defaults] {problem}" for problem in problems))
    return values
