"""The project: load the directory, and report every problem in it at once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

from pinstripe_bot.config import Config, LoadedConfig, load_config
from pinstripe_bot.definition import Author, Definer, JobDefinition, check_defaults
from pinstripe_bot.errors import BrokenFile, InvalidJob, InvalidProject, UnknownJob
from pinstripe_bot.job import DECLARED, BackgroundJob, dasherize
from pinstripe_bot.loader import LoadedFile, Loader
from pinstripe_bot.options import did_you_mean
from pinstripe_bot.schedule import Place, Schedule
from pinstripe_bot.services import ServiceDefinition, define_service
from pinstripe_bot.workspace import RESERVED

SERVICES = "lib/services"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong in the project, and where; `job` is the job that it keeps from running."""

    place: Place
    message: str
    job: str | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Project:
    """A loaded project: its sound jobs and services by name, and all that is wrong in the others."""

    root: Path
    settings: LoadedConfig
    jobs: Mapping[str, JobDefinition]
    services: Mapping[str, ServiceDefinition]
    problems: tuple[Problem, ...]

    @property
    def config(self) -> Config:
        """The settings' values."""
        return self.settings.config

    @property
    def name(self) -> str:
        """The name of the root folder."""
        return self.root.name

    @property
    def jobs_folder(self) -> Path:
        """Where the job files are."""
        return self.root / self.config.jobs

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

    @classmethod
    def load(
        cls,
        root: Path | str,
        *,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> Project:
        """Load the project in `root`; one broken file never hides the others.

        `overrides` are settings by dotted key, as flags give them. Raises InvalidConfig for wrong settings
        and InvalidProject where `root` is no folder; everything else is in `problems`.
        """
        folder = Path(root).resolve()
        if not folder.is_dir():
            raise InvalidProject(f"{str(root)!r} is no folder: give the project's root folder")
        settings = load_config(folder, environ=environ, overrides=overrides)
        loading = _Loading(folder, settings.config)
        jobs = loading.jobs()
        services = loading.services()
        return cls(folder, settings, jobs, services, tuple(loading.problems))


class _Loading:
    """One walk over the project's files."""

    def __init__(self, root: Path, config: Config) -> None:
        self.problems: list[Problem] = []
        self._config = config
        self._root = root
        self._loader = Loader(root)

    def jobs(self) -> dict[str, JobDefinition]:
        folder = self._root / self._config.jobs
        defaults = check_defaults(self._config.job_defaults)
        jobs = {}
        for name, path in self._files(folder, recursive=True):
            job = self._job(name, path, folder, defaults)
            if job is not None:
                jobs[name] = job
        return jobs

    def services(self) -> dict[str, ServiceDefinition]:
        folder = self._root / SERVICES
        services = {}
        for dashed, path in self._files(folder, recursive=False):
            name = dashed.replace("-", "_")
            try:
                if name in RESERVED:
                    raise InvalidJob(f"a workspace has a {name!r} of its own: give the file another name")
                services[name] = define_service(name, self._loader.load(path, folder))
            except BrokenFile as error:
                self.problems.append(Problem(Place(error.path, error.line), str(error)))
            except InvalidJob as error:
                self.problems.append(Problem(Place(self._loader.relative(path)), str(error)))
        return services

    def _files(self, folder: Path, *, recursive: bool) -> Iterator[tuple[str, Path]]:
        """(name, path) of each file that counts, in order; files that share a name are a problem, and left out."""
        found: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*.py") if recursive else folder.glob("*.py")):
            parts = path.relative_to(folder).parts
            if not any(part.startswith(("_", ".")) for part in parts):
                found.setdefault(dasherize("/".join(parts).removesuffix(".py")), []).append(path)
        for name, paths in found.items():
            if len(paths) == 1:
                yield name, paths[0]
            for path in paths[1:]:
                other = self._loader.relative(paths[0])
                message = f"{other} has the same name {name!r}: rename one of the two"
                self.problems.append(Problem(Place(self._loader.relative(path)), message, name))

    def _job(self, name: str, path: Path, folder: Path, defaults: Mapping[str, Any]) -> JobDefinition | None:
        try:
            loaded = self._loader.load(path, folder)
            author = _author(loaded)
        except BrokenFile as error:
            self.problems.append(Problem(Place(error.path, error.line), str(error), name))
            return None
        except InvalidJob as error:
            self.problems.append(Problem(Place(self._loader.relative(path)), str(error), name))
            return None
        definer = Definer(name, author, loaded.place_of(author.__name__), defaults, self._config.timezone)
        definition = definer.define()
        self.problems += [Problem(place, message, name) for place, message in definer.problems]
        return definition


def _author(loaded: LoadedFile) -> Author:
    """The one job of a file. Raises InvalidJob where there is none, or more than one."""
    members = {id(value): value for value in vars(loaded.module).values() if _is_job(value, loaded.module.__name__)}
    if not members:
        raise InvalidJob(
            "there is no job in this file: write a class that inherits from BackgroundJob,"
            " or a function under @background_job, or let its name begin with _"
        )
    if len(members) > 1:
        names = " and ".join(sorted(member.__name__ for member in members.values()))
        raise InvalidJob(f"there is more than one job in this file, {names}: move each to a file of its own")
    author: Author = next(iter(members.values()))
    return author


def _is_job(value: Any, module: str) -> bool:
    if isinstance(value, type):
        own = issubclass(value, BackgroundJob) and not value.__name__.startswith("_")
    else:
        own = isinstance(value, FunctionType) and DECLARED in vars(value)
    return own and value.__module__ == module


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


def _is_ignored_by_git(root: Path, folder: Path) -> bool:
    try:
        asked = subprocess.run(["git", "check-ignore", "-q", str(folder)], cwd=root, capture_output=True, check=False)
    except OSError:
        return False  # no git here: nobody deploys by it
    return asked.returncode == 0
