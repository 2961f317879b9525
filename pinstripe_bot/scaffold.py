"""The scaffold: writes the files of a new job or a new project, and never over something that is there."""

from __future__ import annotations

import re
from pathlib import Path

from pinstripe_bot.errors import InvalidProject
from pinstripe_bot.job import dasherize

JOB = '''\
"""{title}."""

from pinstripe_bot import BackgroundJob


class {class_name}(BackgroundJob):
    @classmethod
    def meta(cls):
        cls.schedule("{schedule}")

    def run(self):
        self.logger.info("{event}", since=self.window[0].isoformat())
'''

SETTINGS = """\
# All settings: docs/configuration.md, or `pinstripe show-config`.
timezone = "UTC"
workers = 8

# [database]
# url = "sqlite:///app.db"
"""

GITIGNORE = """\
.pinstripe/
__pycache__/
.venv/
# A .gitignore for Python often ignores lib/, where the jobs are.
!lib/
"""


def write_job(folder: Path, name: str, schedule: str) -> Path:
    """Write a job file below `folder` and return its path.

    Raises InvalidProject for a name that leads out of the folder or is no name, and where the job exists.
    """
    path = _job_path(folder, name)
    taken = [other for other in folder.rglob("*.py") if _name_of(other, folder) == _name_of(path, folder)]
    if taken:
        raise InvalidProject(f"the job {name!r} exists already, in {taken[0]}: choose another name")
    words = path.stem.split("_")
    text = JOB.format(
        title=" ".join(words).capitalize(),
        class_name="".join(word.capitalize() for word in words),
        schedule=schedule,
        event=f"{path.stem}_ran",
    )
    _write_new(path, text)
    return path


def _job_path(folder: Path, name: str) -> Path:
    parts = [dasherize(part).replace("-", "_") for part in name.removesuffix(".py").split("/")]
    if not all(re.fullmatch(r"[a-z][a-z0-9_]*", part) for part in parts):
        raise InvalidProject(
            f"{name!r} is no name for a job: write words such as cleanup, or reports/monthly for a subfolder"
        )
    return folder.joinpath(*parts).with_suffix(".py")


def _name_of(path: Path, folder: Path) -> str:
    return dasherize(str(path.relative_to(folder).with_suffix("")))


def write_project(parent: Path, name: str) -> Path:
    """Write a project into the new folder `name` and return it. Raises InvalidProject if there is something."""
    root = parent / name
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InvalidProject(f"{root} exists and is not empty: choose another name")
    _write_new(root / "pinstripe.toml", SETTINGS)
    _write_new(root / ".gitignore", GITIGNORE)
    write_job(root / "lib" / "background_jobs", "heartbeat", "*/10 * * * * *")
    return root


def _write_new(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InvalidProject(f"{path} cannot be written ({error.strerror}): choose another place") from error
