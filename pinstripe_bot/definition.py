"""A job as the bot knows it: from what an author wrote to a checked `JobDefinition`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import FunctionType
from typing import Any, Protocol

from pinstripe_bot import cron
from pinstripe_bot.errors import InvalidConfig, InvalidParams, PinstripeError
from pinstripe_bot.job import BackgroundJob, DeclaredSchedule, collect_schedules, declared_on, flaws
from pinstripe_bot.occurrence import MANUAL
from pinstripe_bot.options import OPTIONS, TENANT_ZONE, looks_like, read_options
from pinstripe_bot.params import Params, encode_params
from pinstripe_bot.policies import Isolation, RetryPolicy
from pinstripe_bot.schedule import Place, Schedule, schedule_of

_NAMES_OF_TENANTS = frozenset({"tenant", "tenants", "tenant_id"})

Author = type[BackgroundJob] | FunctionType


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """One job of a project, ready to run; `options` holds a value for each name of OPTIONS.

    `places` says where those stand that its author wrote; the others are of the settings, or ours.
    """

    name: str
    author: Author
    params: Params
    options: Mapping[str, Any]
    schedules: tuple[Schedule, ...]
    place: Place
    summary: str
    places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def retry(self) -> RetryPolicy:
        """How often a failed run is tried again, and after which wait."""
        backoff = self.options["backoff"]
        return RetryPolicy(self.options["retries"], backoff.first.total_seconds(), backoff.cap.total_seconds())

    @property
    def concurrency(self) -> int | None:
        """How many of its runs may run at the same time, in a bot or in a whole cluster; None: no limit of its own."""
        return self.options["tenant_concurrency"] if self.options["multi_tenant"] else None

    def perform(self, workspace: Any, params: Mapping[str, Any]) -> Any:
        """Run the author's code in `workspace` with cast parameters; an async job returns its coroutine."""
        if isinstance(self.author, FunctionType):
            return self.params.call(self.author, workspace, params)
        job = self.author.__new__(self.author)
        # Before __init__, which may want a service; past __setattr__, which a frozen dataclass refuses; and
        # `params` as well, because the option of this name on the class would hide the cast values.
        vars(job).update(workspace=workspace, params=params)
        job.__init__()  # type: ignore[misc]
        return self.params.call(self.author.run, job, params)  # type: ignore[attr-defined]

    def manual_params(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The cast parameters of a run by hand: the job's own, overridden key by key."""
        for name in _NAMES_OF_TENANTS & given.keys() - self.params.types.keys() if self.options["multi_tenant"] else ():
            raise InvalidParams(
                f"the parameter {name!r} of the job {self.name!r} would choose no tenant: name one with --tenant, with"
                " bot.run_for_tenants or with enqueue(..., tenant=...); a job that calls it passes on its own"
            )
        return self.params.cast({**self.options["params"], **given})


class AuthorFile(Protocol):
    """The file of a job, which knows where in it something is written."""

    def place_of(self, *names: str) -> Place:
        """Where the first of these names that it defines is written: "Cleanup", "Cleanup.overlap"."""

    def place_at(self, file: str, line: int | None) -> Place:
        """A line of this or of another file."""

    def place_of_error(self, error: BaseException) -> Place:
        """The innermost line of this file that took part in `error`."""


@dataclass(slots=True)
class Definer:
    """Makes one JobDefinition and collects everything that is wrong with it in `problems`."""

    name: str
    author: Author
    file: AuthorFile
    place: Place
    defaults: Mapping[str, Any]  # options of [job_defaults], already read
    timezone: str
    problems: list[tuple[Place, str]] = field(default_factory=list)
    _written: Mapping[str, Any] = field(default_factory=dict)  # the options that the author wrote

    def define(self) -> JobDefinition | None:
        """The definition, or None if there is any problem."""
        run = self._run_function()
        params = self._attempt(lambda: Params.of(run, owner=self._owner)) if run else None
        params = params or Params.of_any()  # so that the schedules are checked as well
        declared = self._declared()
        options = self._job_options()
        own_params = self._attempt(lambda: params.cast_some(options["params"]), self._place_of("params"))
        schedules = [self._schedule(one, options, params, own_params) for one in declared]
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
            places={name: self._place_of(name) for name in self._written},
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

    def _place_of(self, attribute: str, owner: type | None = None) -> Place:
        """Where the attribute of the job, or of its base class `owner`, is written."""
        return self.file.place_of(f"{(owner or self.author).__name__}.{attribute}", self.author.__name__)

    def _run_function(self) -> Callable[..., Any] | None:
        """What a run calls, or None and a problem."""
        run = self.author if isinstance(self.author, FunctionType) else getattr(self.author, "run", None)
        wrong = [] if isinstance(self.author, FunctionType) else list(flaws(self.author))
        if run is None:
            wrong.append(f"{self.author.__name__} has no run method: write `def run(self)`")
        elif not inspect.isfunction(run):
            wrong.append(f"{self.author.__name__}.run is no plain method: write `def run(self)`")
        elif inspect.isgeneratorfunction(run) or inspect.isasyncgenfunction(run):
            wrong.append(f"{run.__name__}() contains `yield`, so that calling it runs nothing: remove it")
        self.problems += [(self.place, message) for message in wrong]
        return None if wrong else run

    def _declared(self) -> list[DeclaredSchedule]:
        """The schedules as written; of a function, without the options that belong to the whole job."""
        if not isinstance(self.author, FunctionType):
            return self._declared_by_meta(self.author)
        return [
            replace(one, options={name: value for name, value in one.options.items() if not _is_job_only(name)})
            for one in declared_on(self.author)
            if one.expression is not None
        ]

    def _declared_by_meta(self, author: type[BackgroundJob]) -> list[DeclaredSchedule]:
        try:
            return collect_schedules(author)
        except PinstripeError as error:
            self.problems.append((self._place_of("meta"), str(error)))
        except KeyboardInterrupt:
            raise  # a person's, not theirs
        except BaseException as error:  # noqa: BLE001 - a wall: their meta(), any error
            self.problems.append((self.file.place_of_error(error), f"meta() raised {type(error).__name__}: {error}"))
        return []

    def _job_options(self) -> dict[str, Any]:
        """The job's own options over the defaults of the settings over ours."""
        is_function = isinstance(self.author, FunctionType)
        written = self._function_options() if is_function else self._class_attributes()
        self._written = written
        values, wrong = read_options(written, "job")
        self.problems += [(self._place_of(name), message) for name, message in wrong.items()]
        ours = {name: option.default for name, option in OPTIONS.items()}
        options = {**ours, "timezone": self.timezone, **self.defaults, **values}
        is_in_thread = options["isolation"] is Isolation.THREAD and "isolation" not in wrong
        if is_in_thread and options["max_memory"] is not None:
            message = 'max_memory limits only a job with isolation="process": write that too, or max_memory = None'
            self.problems.append((self._place_of("max_memory"), message))
        self._check_tenants(options, written)
        return options

    def _check_tenants(self, options: Mapping[str, Any], written: Mapping[str, Any]) -> None:
        """A problem for what means something only for a job that runs once per tenant."""
        if options["multi_tenant"]:
            return
        for name in ("tenants_filter", "tenant_concurrency"):
            if written.get(name) is not None:
                message = f"{name} has no meaning for a job without tenants: write multi_tenant = True too"
                self.problems.append((self._place_of(name), message))

    def _function_options(self) -> dict[str, Any]:
        """Options that belong to the whole job, wherever in the stack of decorators they stand."""
        written: dict[str, Any] = {}
        for one in declared_on(self.author):
            for name, value in one.options.items():
                if one.expression is not None and not _is_job_only(name):
                    continue
                if written.setdefault(name, value) != value:
                    message = f"{name} = {value!r} contradicts {name} = {written[name]!r}: write it once"
                    self.problems.append((self.file.place_at(one.file, one.line), message))
        overlaps = [one.options["overlap"] for one in declared_on(self.author) if "overlap" in one.options]
        if overlaps and all(one == overlaps[0] for one in overlaps):  # it counts for runs by hand as well
            written.setdefault("overlap", overlaps[0])
        return written

    def _class_attributes(self) -> dict[str, Any]:
        """Class attributes that are options, and a problem for each that is nearly one."""
        author: Any = self.author
        written: dict[str, Any] = {}
        bases = [base for base in reversed(inspect.getmro(author)) if base not in (object, BackgroundJob)]
        for owner, name, value in ((base, *item) for base in bases for item in vars(base).items()):
            if name.startswith("_") or name.isupper() or name in ("meta", "run", "schedule"):
                continue  # in capitals: a constant of the author's own
            if name in OPTIONS:
                written[name] = value
            elif not callable(value) and not hasattr(value, "__get__") and (hint := looks_like(name)):
                self.problems.append((self._place_of(name, owner), f"the attribute {name!r} {hint}"))
        return written

    def _schedule(
        self, declared: DeclaredSchedule, job: Mapping[str, Any], params: Params, own_params: dict[str, Any] | None
    ) -> Schedule | None:
        """One checked schedule; every problem of it is reported at its own line."""
        place = self.file.place_at(declared.file, declared.line)
        values, wrong = read_options(declared.options, "schedule")
        self.problems += [(place, message) for message in wrong.values()]
        expression = self._attempt(lambda: cron.parse(declared.expression), place)
        cast = self._attempt(lambda: params.cast_some(values.get("params", {})), place)
        if wrong or expression is None or cast is None or own_params is None:
            return None
        if values.get("name") == MANUAL:
            self.problems.append((place, f"the name {MANUAL!r} is that of runs by hand: choose another one"))
        if not job["multi_tenant"] and values.get("timezone", job["timezone"]) == TENANT_ZONE:
            message = 'timezone="tenant" has no meaning for a job without tenants: write multi_tenant = True too'
            self.problems.append((place, message))
        options = {**job, **values, "enabled": job["enabled"] and values.get("enabled", True)}
        cast = {**own_params, **cast}
        encoded = self._encoded(cast, params, place)
        return schedule_of(self.name, expression, options, params=cast, params_json=encoded, place=place)

    def _encoded(self, cast: dict[str, Any], params: Params, place: Place) -> str:
        """The parameters of a schedule as the ledger keeps them, and a problem if one is missing or cannot be kept."""
        self._attempt(lambda: params.require(cast), place)
        return self._attempt(lambda: encode_params(cast), place) or ""

    def _refuse_twins(self, schedules: list[Schedule]) -> None:
        seen: dict[str, Schedule] = {}
        for schedule in schedules:
            twin = seen.setdefault(schedule.name, schedule)
            if twin is not schedule:
                message = f"{twin.place} declares {schedule.name!r} already: give one of the two a name="
                self.problems.append((schedule.place, message))


def _is_job_only(name: str) -> bool:
    return name in OPTIONS and "schedule" not in OPTIONS[name].places


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]


def check_defaults(written: Mapping[str, Any]) -> dict[str, Any]:
    """Read [job_defaults]; raises InvalidConfig with everything that is wrong in it."""
    values, problems = read_options(written, "defaults")
    if problems:
        raise InvalidConfig("; ".join(f"[job_defaults] {problem}" for problem in problems.values()))
    return values
