"""The unscoped places: where the project's own code reaches the rows of all tenants."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pinstripe_bot.project import TENANTS_FILE, Project
from pinstripe_bot.schedule import Place

WORD = "unscoped"

_FOREIGN = {"__pycache__", "node_modules", "site-packages"}


@dataclass(frozen=True, slots=True)
class UnscopedPlace:
    """A line of the project that uses `database.unscoped`, what stands there, and whose file it is."""

    place: Place
    text: str
    owner: str  # "job opening" or "service mailer"; "" for any other file

    def __str__(self) -> str:
        owner = f" ({self.owner})" if self.owner else ""
        return f"{self.place}{owner}: {self.text}"


def unscoped_places(project: Project) -> list[UnscopedPlace]:
    """Every place in the Python files of a project with tenants, folder by folder.

    Where there are no tenants the word means nothing, and nothing is found. Virtual environments and hidden folders
    are no code of the project. A file that cannot be read or parsed has no place: what is wrong with it is told where
    it is loaded.
    """
    if not _has_tenants(project):
        return []
    owners = _owners(project)
    found = []
    for path in _python_files(project):
        shown = (path.relative_to(project.root) if path.is_relative_to(project.root) else path).as_posix()
        lines = unscoped_lines(_read(path))
        found += [UnscopedPlace(Place(shown, number), text, owners.get(shown, "")) for number, text in lines]
    return found


def _has_tenants(project: Project) -> bool:
    """Whether the project names tenants, also in a file that is broken."""
    return project.config.tenants.table is not None or (project.root / TENANTS_FILE).is_file()


def _owners(project: Project) -> dict[str, str]:
    """{path: the job or the service that it holds}."""
    jobs = {job.place.path: f"job {job.name}" for job in project.jobs.values()}
    return jobs | {service.place.path: f"service {service.name}" for service in project.services.values()}


def _python_files(project: Project) -> list[Path]:
    """Those below the root, and those of the jobs wherever they are; each once."""
    folders = (project.root, project.jobs_folder)
    return list(dict.fromkeys(path for folder in folders for path in _python_files_below(folder)))


def _python_files_below(root: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not _is_foreign(Path(folder, name)))
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


def _is_foreign(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in _FOREIGN or (folder / "pyvenv.cfg").exists()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def unscoped_lines(source: bytes) -> list[tuple[int, str]]:
    """(number, text) of each line that reaches for the word, as an attribute or as a text for getattr."""
    try:
        tree = ast.parse(source) if WORD.encode() in source else ast.Module([], [])
    except (SyntaxError, ValueError, RecursionError):
        return []
    lines = source.splitlines()  # of bytes: at the same ends of lines as Python
    return [(number, lines[number - 1].decode(errors="replace").strip()) for number in sorted(set(_uses(tree)))]


def _uses(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == WORD:
            yield node.end_lineno or node.lineno
        elif isinstance(node, ast.Constant) and node.value == WORD:
            yield node.lineno
