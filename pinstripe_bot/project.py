"""The project: load the directory, and report every problem in it at once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FunctionType
from typing import Any

from pinstripe_bot.config import Config, LoadedConfig, load_config
from pinstripe_bot.definition import Author, Definer, JobDefinition, check_defaults
from pinstripe_bot.errors import BrokenFile, InvalidProject, UnknownJob, UnknownService
from pinstripe_bot.hooks import HookDefinitions, define_hooks
from pinstripe_bot.job import BackgroundJob, dasherize, declared_on
from pinstripe_bot.loader import LoadedFile, Loader
from pinstripe_bot.options import did_you_mean
from pinstripe_bot.schedule import Place, Schedule
from pinstripe_bot.services import ServiceDefinition, define_service
from pinstripe_bot.tenants import Tenants, TenantsTable, define_tenants
from pinstripe_bot.workspace import RESERVED

SERVICES = "lib/services"
HOOKS_FILE = "lib/hooks.py"
TENANTS_FILE = "lib/tenants.py"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong in the project, and where; it keeps `job` from running, or `service` from being built."""

    place: Place
    message: str
    job: str | None = None
    service: str | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Project:
    """A loaded project: its sound jobs and services by name, and all that is wrong in the others."""

    root: Path
    settings: LoadedConfig
    jobs: Mapping[str, JobDefinition]
    services: Mapping[str, ServiceDefinition]
    hooks: HookDefinitions
    tenants: Tenants | None  # None: the project names none, or they cannot be loaded
    problems: tuple[Problem, ...]

    @property
    def config(self) -> Config:
        """The settings' values."""
        return self.settings.config

    @property
    def name(self) -> str:
        """What `name` says, or the name of the root folder."""
        return self.config.name or self.root.name

    @property
    def jobs_folder(self) -> Path:
        """Where the job files are."""
        return Path(os.path.normpath(self.root / self.config.jobs))

    @property
    def schedules(self) -> list[Schedule]:
        """All schedules of all sound jobs, in the order of declaration."""
        return [schedule for job in self.jobs.values() for schedule in job.schedules]

    @property
    def broken_jobs(self) -> set[str]:
        """The jobs that are written down but cannot run."""
        return {problem.job for problem in self.problems if problem.job is not None}

    def job(self, name: str) -> JobDefinition:
        """The job of this name, in any case. Raises UnknownJob with the close names."""
        known = dasherize(name)
        if known in self.jobs:
            return self.jobs[known]
        broken = next((problem for problem in self.problems if problem.job == known), None)
        if broken is not None:
            raise UnknownJob(f"the job {known!r} cannot be loaded: {broken}")
        raise UnknownJob(f"there is no job {known!r} in {self.config.jobs}: {did_you_mean(known, self.jobs)}")

    def service(self, name: str) -> ServiceDefinition:
        """The service of this name, in any case. Raises UnknownService with the close names."""
        known = _snake(name)
        if known in self.services:
            return self.services[known]
        broken = next((problem for problem in self.problems if problem.service == known), None)
        if broken is not None:
            raise UnknownService(f"the service {known!r} cannot be loaded: {broken}")
        raise UnknownService(f"there is no service {name!r}: {did_you_mean(name, {*self.services, *RESERVED})}")

    @classmethod
    def load(
        cls,
        root: Path | str,
        *,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        settings: LoadedConfig | None = None,
    ) -> Project:
        """Load the project in `root`; one broken file never hides the others.

        `overrides` are settings by dotted key, as flags give them; with `settings` none are read. Raises
        InvalidConfig for wrong settings and InvalidProject where `root` is no folder; all else is in `problems`.
        """
        folder = Path(root).resolve()
        if not folder.is_dir():
            raise InvalidProject(f"{str(root)!r} is no folder: give the project's root folder")
        settings = settings or load_config(folder, environ=environ, overrides=overrides)
        project = cls(folder, settings, {}, {}, HookDefinitions({}), None, ())
        loading = _Loading(folder, settings.config)
        jobs = loading.jobs(project.jobs_folder)
        services = loading.services(folder / SERVICES)
        hooks = loading.hooks(folder / HOOKS_FILE)
        tenants = loading.tenants(folder / TENANTS_FILE)
        jobs = loading.with_tenants(jobs, tenants)
        sound = {"jobs": jobs, "services": services, "hooks": hooks, "tenants": tenants}
        return replace(project, **sound, problems=tuple(loading.problems))  # type: ignore[arg-type]


class _Loading:
    """One walk over the project's files."""

    def __init__(self, root: Path, config: Config) -> None:
        self.problems: list[Problem] = []
        self._config = config
        self._loader = Loader(root)

    def jobs(self, folder: Path) -> dict[str, JobDefinition]:
        defaults = check_defaults(self._config.job_defaults)
        found = self._named(sorted(folder.rglob("*.py")), folder)
        jobs = {}
        for name, paths in found.items():
            try:
                definer = self._definer(name, self._only(name, paths), folder, defaults)
            except BrokenFile as error:
                self.problems.append(Problem(Place(error.path, error.line), str(error), job=name))
                continue
            definition = definer.define()
            self.problems += [Problem(place, message, job=name) for place, message in definer.problems]
            if definition is not None:
                jobs[name] = definition
        return jobs

    def services(self, folder: Path) -> dict[str, ServiceDefinition]:
        services = {}
        for dashed, paths in self._named(sorted(folder.glob("*.py")), folder).items():
            name = _snake(dashed)
            try:
                path = self._only(name, paths)
                if name in RESERVED:
                    message = f"a workspace has a {name!r} of its own: give the file another name"
                    raise BrokenFile(self._loader.relative(path), 1, message)
                services[name] = define_service(name, self._loader.load(path, folder, "services"))
            except BrokenFile as error:
                self.problems.append(Problem(Place(error.path, error.line), str(error), service=name))
        return services

    def hooks(self, path: Path) -> HookDefinitions:
        if not path.is_file():
            return HookDefinitions({})
        try:
            hooks = define_hooks(self._loader.load(path, path.parent, "lib"))
        except BrokenFile as error:
            self.problems.append(Problem(Place(error.path, error.line), str(error)))
            return HookDefinitions({})
        self.problems += [Problem(place, message) for place, message in hooks.problems]
        return hooks

    def tenants(self, path: Path) -> Tenants | None:
        table = TenantsTable(self._config.tenants) if self._config.tenants.table else None
        try:
            if table is not None and self._config.database.url is None:
                raise BrokenFile("[tenants]", None, "tenants.table names a table of no database: set database.url")
            if not path.is_file():
                return table
            found = define_tenants(self._loader.load(path, path.parent, "lib"))
            if table is not None:
                raise BrokenFile(
                    found.place.path, found.place.line, "tenants.table names them too: remove one of the two"
                )
        except BrokenFile as error:
            self.problems.append(Problem(Place(error.path, error.line), str(error)))
            return None
        return found

    def with_tenants(self, jobs: dict[str, JobDefinition], tenants: Tenants | None) -> dict[str, JobDefinition]:
        """The jobs that can run: one with tenants needs to know where they are."""
        if tenants is not None:
            return jobs
        for job in jobs.values():
            if job.options["multi_tenant"]:
                message = (
                    "multi_tenant = True, and the project names no tenants that can be read:"
                    f' set [tenants] table = "...", or write {TENANTS_FILE}'
                )
                self.problems.append(Problem(job.place, message, job=job.name))
        return {name: job for name, job in jobs.items() if not job.options["multi_tenant"]}

    def _named(self, paths: Iterable[Path], folder: Path) -> dict[str, list[Path]]:
        """{name: its files} of those that count."""
        found: dict[str, list[Path]] = {}
        for path in paths:
            parts = path.relative_to(folder).parts
            if not any(part.startswith(("_", ".")) for part in parts) and not path.is_dir():
                found.setdefault(dasherize("/".join(parts).removesuffix(".py")), []).append(path)
        return found

    def _only(self, name: str, paths: list[Path]) -> Path:
        """The one file of this name. Raises BrokenFile where there are several."""
        if len(paths) > 1:
            shown = [self._loader.relative(path) for path in paths]
            message = f"{' and '.join(shown[:-1])} has the same name {name!r}: rename one of the two"
            raise BrokenFile(shown[-1], 1, message)
        return paths[0]

    def _definer(self, name: str, path: Path, folder: Path, defaults: Mapping[str, Any]) -> Definer:
        loaded = self._loader.load(path, folder, "background_jobs")
        attribute, author = _author(loaded)
        place = loaded.place_of(author.__name__, attribute)
        return Definer(name, author, loaded, place, defaults, self._config.timezone)


def _snake(name: str) -> str:
    return dasherize(name).replace("-", "_")


def _author(loaded: LoadedFile) -> tuple[str, Author]:
    """The one job of a file, and its name there. Raises BrokenFile where there is none, or more than one."""
    members = {id(value): (name, value) for name, value in vars(loaded.module).items() if _is_job(value, loaded)}
    if not members:
        raise BrokenFile(
            loaded.place_of().path,
            1,
            "there is no job in this file: write a class that inherits from BackgroundJob, or a function with"
            " @background_job above its other decorators, or let the file's name begin with _",
        )
    names = sorted(members.values(), key=lambda member: loaded.place_of(member[0]).line or 1)
    if len(names) > 1:
        place = loaded.place_of(names[1][0])
        raise BrokenFile(
            place.path,
            place.line,
            f"there is more than one job in this file, {' and '.join(name for name, _ in names)}:"
            " move each to a file of its own; the name of a base class begins with _",
        )
    return names[0]


def _is_job(value: Any, loaded: LoadedFile) -> bool:
    """Whether this is a job that the file itself declares: what it imports, and base classes, do not count."""
    if isinstance(value, type):
        is_own = value.__module__ == loaded.module.__name__
        return is_own and issubclass(value, BackgroundJob) and not value.__name__.startswith("_")
    if not isinstance(value, FunctionType):
        return False
    declared = declared_on(value)
    is_own = value.__module__ == loaded.module.__name__ or str(loaded.path) in (one.file for one in declared)
    return is_own and bool(declared)


def find_problems(project: Project) -> list[Problem]:
    """All that is wrong in a project, also what lies around its files: no job at all, a job folder that git ignores."""
    folder = project.jobs_folder
    place = Place(project.config.jobs)
    problems = list(project.problems)
    if not project.jobs and not problems:
        problems.append(
            Problem(place, f"no job found in {folder}: `pinstripe generate-background-job NAME` writes one")
        )
    if _is_ignored_by_git(project.root, folder):
        problems.append(
            Problem(place, "git ignores this folder: write `!lib/` into .gitignore, or jobs are not deployed")
        )
    return problems


def jobs_without_timeout(project: Project) -> list[str]:
    """The jobs that may run for ever; no problem, but worth knowing."""
    return [name for name, job in project.jobs.items() if job.options["timeout"] is None]


def _is_ignored_by_git(root: Path, folder: Path) -> bool:
    try:
        asked = subprocess.run(["git", "check-ignore", "-q", str(folder)], cwd=root, capture_output=True, check=False)
    except OSError:
        return False  # no git here: nobody deploys by it
    return asked.returncode == 0
