"""Import a project's own files, under private names, and say where one is broken."""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from pinstripe_bot.errors import BrokenFile, PinstripeError
from pinstripe_bot.schedule import Place

PREFIX = "_pinstripe_"


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """An imported file of the project in `root`; `lines` says where its classes, functions and attributes are."""

    root: Path
    path: Path
    module: ModuleType
    lines: dict[str, int]

    def place_of(self, *names: str) -> Place:
        """Where the first of these names that it defines is written: "Cleanup", "Cleanup.overlap"; else line 1."""
        return self.place_at(self.path, next((self.lines[name] for name in names if name in self.lines), 1))

    def place_at(self, file: Path | str, line: int | None) -> Place:
        """A line of this or of another file."""
        return Place(_relative(file, self.root), line)

    def place_of_error(self, error: BaseException) -> Place:
        """The innermost line of this file that took part in `error`."""
        return self.place_at(self.path, _last_line(error, self.path))


class Loader:
    """Imports files of one project.

    Two projects in one process may both have `lib/background_jobs/cleanup.py`: each file gets a module of its
    own, `_pinstripe_<hash of the root>.background_jobs.cleanup`, so that relative imports work as well.
    What the project imports from its own root has its plain name, of which a process has one: the project
    that was loaded last.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._prefix = f"{PREFIX}{hashlib.blake2b(str(root).encode(), digest_size=6).hexdigest()}"
        _forget(name for name in list(sys.modules) if name.partition(".")[0] == self._prefix)
        _forget(_taken_by_others(root))
        sys.path[:] = [str(root), *(entry for entry in sys.path if entry != str(root))]
        sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "prefix", None) != self._prefix]
        sys.meta_path.insert(0, _PrivateFinder(self._prefix))
        importlib.invalidate_caches()  # a file written since the last import would not be seen
        project = ModuleType(self._prefix)
        project.__path__ = []
        vars(project)["root"] = root
        sys.modules[self._prefix] = project

    def load(self, path: Path, folder: Path, package: str) -> LoadedFile:
        """Import `path`, a file below `folder`, whose private name is `package`. Raises BrokenFile with the line."""
        name = f"{self._prefix}.{package}"
        self._import_package(name, folder)
        for part in path.relative_to(folder).parts[:-1]:
            folder = folder / part
            name = f"{name}.{_plain(part)}"
            self._import_package(name, folder)
        module = self._import(f"{name}.{_plain(path.stem)}", path)
        return LoadedFile(self._root, path, module, _lines(path))

    def relative(self, path: Path | str) -> str:
        """The path as messages show it: below the root, or whole where it lies elsewhere."""
        return _relative(path, self._root)

    def _import_package(self, name: str, folder: Path) -> None:
        """Make the folder a package, so that its files can import each other; it needs no `__init__.py`."""
        if name in sys.modules:
            return
        start = folder / "__init__.py"
        package = self._import(name, start) if start.is_file() else ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package

    def _import(self, name: str, path: Path) -> ModuleType:
        earlier = sys.modules.get(name)
        if earlier is not None and getattr(earlier, "__file__", None) == str(path):
            return earlier  # another file of the project has imported it
        is_package = path.name == "__init__.py"
        spec = spec_from_file_location(
            name,
            path,
            loader=_FreshLoader(name, str(path)),
            submodule_search_locations=[str(path.parent)] if is_package else None,
        )
        assert spec is not None  # it has a loader
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[name] = module  # before it runs: dataclasses and annotations look their module up
        try:
            spec.loader.exec_module(module)
        except KeyboardInterrupt:
            raise  # a person's, not the file's
        except BaseException as error:  # a wall: their file, any error
            sys.modules.pop(name, None)
            raise self._broken(path, error) from error
        if earlier is not None:  # `reports.py` beside a folder `reports`
            module.__path__ = earlier.__path__
        return module

    def _broken(self, path: Path, error: BaseException) -> BrokenFile:
        if isinstance(error, SyntaxError) and Path(error.filename or "").is_file():
            return BrokenFile(self.relative(error.filename or ""), error.lineno or 1, error.msg)
        line = _last_line(error, path)
        if isinstance(error, PinstripeError):
            return BrokenFile(self.relative(path), line, str(error))
        return BrokenFile(self.relative(path), line, f"{type(error).__name__}: {error}")


class _FreshLoader(SourceFileLoader):
    """Compiles the source at every import: byte code would take a file edited twice in a second for the first."""

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


class _PrivateFinder:
    """Finds what a file of the project imports relatively: `from ._base import Report`."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The file of this module, if it is one of this project's private ones."""
        if name.partition(".")[0] != self.prefix:
            return None
        found = (FileFinder(folder, (_FreshLoader, [".py"])).find_spec(name, target) for folder in path or ())
        return next((spec for spec in found if spec is not None), None)


def _taken_by_others(root: Path) -> list[str]:
    """The modules that another project of this process has imported, and that this one has under the same name."""
    projects = [module for name, module in sys.modules.items() if name.startswith(PREFIX) and "." not in name]
    others = {str(vars(project)["root"]) for project in projects} - {str(root)}
    own = {entry.name.removesuffix(".py") for entry in root.iterdir()} & sys.modules.keys()
    taken = {name for name in own if others.intersection(_folders_of(sys.modules[name]))}
    return [name for name in sys.modules if name.partition(".")[0] in taken]


def _folders_of(module: ModuleType) -> list[str]:
    """The entries of the import path from which this top-level module may have come."""
    places = getattr(module, "__path__", None) or [getattr(module, "__file__", None) or ""]
    return [str(Path(place).parent) for place in places]


def _forget(names: Iterable[str]) -> None:
    for name in names:
        del sys.modules[name]


def _plain(name: str) -> str:
    return name.replace(".", "_")  # a dot in a file's name would be one between packages


def _relative(path: Path | str, root: Path) -> str:
    return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else str(path)


def _lines(path: Path) -> dict[str, int]:
    """Where classes, functions and their attributes are written: {"Cleanup": 3, "Cleanup.overlap": 4}."""
    lines: dict[str, int] = {}
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            lines.setdefault(node.name, node.lineno)
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            for name in _names_bound_by(inner):
                lines.setdefault(f"{node.name}.{name}", inner.lineno)  # type: ignore[attr-defined]
    return lines


def _names_bound_by(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return [statement.name]
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _last_line(error: BaseException, path: Path) -> int:
    """The innermost line of `path` that took part in the error; 1 where none did."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None) or 1
