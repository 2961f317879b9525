"""Import a project's own files, under private names, and say where one is broken."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pinstripe_bot.errors import BrokenFile
from pinstripe_bot.schedule import Place


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """An imported file: its place in the project, its module, and {class or function: line}."""

    place: Place
    module: ModuleType
    lines: dict[str, int]

    def place_of(self, name: str) -> Place:
        """Where the class or function `name` is written."""
        return Place(self.place.path, self.lines.get(name))


class Loader:
    """Imports files of one project.

    Two projects in one process may both have `lib/background_jobs/cleanup.py`: each file gets a module of its
    own, `_pinstripe_<hash of the root>.background_jobs.cleanup`, so that relative imports work as well. No
    byte code is read or written: a file edited twice within a second would otherwise be taken for the first.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._prefix = f"_pinstripe_{hashlib.blake2b(str(root).encode(), digest_size=6).hexdigest()}"
        for name in [name for name in sys.modules if name.split(".")[0] == self._prefix]:
            del sys.modules[name]
        if str(root) not in sys.path:
            sys.path.insert(0, str(root))

    def load(self, path: Path, folder: Path) -> LoadedFile:
        """Import `path`, a file below `folder`. Raises BrokenFile with the line that is to blame."""
        parts = (folder.name, *path.relative_to(folder).with_suffix("").parts)
        for depth in range(len(parts)):
            self._ensure_package(parts[:depth], folder.joinpath(*parts[1:depth]))
        name = ".".join((self._prefix, *parts))
        try:
            return self._execute(name, path)
        except SyntaxError as error:
            sys.modules.pop(name, None)
            raise BrokenFile(self.relative(error.filename or path), error.lineno, f"{error.msg}") from error
        except (Exception, SystemExit) as error:  # a wall: their file, any error
            sys.modules.pop(name, None)
            line = _last_line(error, path)
            raise BrokenFile(self.relative(path), line, f"{type(error).__name__}: {error}") from error

    def relative(self, path: Path | str) -> str:
        """The path as messages show it: below the root, or whole where it lies elsewhere."""
        try:
            return str(Path(path).relative_to(self._root))
        except ValueError:
            return str(path)

    def _ensure_package(self, parts: tuple[str, ...], folder: Path) -> None:
        name = ".".join((self._prefix, *parts))
        if name not in sys.modules:
            package = ModuleType(name)
            package.__path__ = [str(folder)] if parts else []
            sys.modules[name] = package

    def _execute(self, name: str, path: Path) -> LoadedFile:
        tree = ast.parse(path.read_bytes(), filename=str(path))
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None:
            raise ImportError(f"{path.name} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # before it runs: dataclasses and annotations look their module up
        exec(compile(tree, str(path), "exec", dont_inherit=True), vars(module))
        kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        lines = {node.name: node.lineno for node in tree.body if isinstance(node, kinds)}
        return LoadedFile(Place(self.relative(path)), module, lines)


def _last_line(error: BaseException, path: Path) -> int | None:
    """The innermost line of `path` that took part in the error."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None)
