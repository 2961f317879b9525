"""The unscoped places: where the project's own code reaches the rows of all tenants."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pinstripe_bot.schedule import Place

WORD = "unscoped"

_FOREIGN = {"__pycache__", "node_modules", "site-packages"}


@dataclass(frozen=True, slots=True)
class UnscopedPlace:
    """A line of the project that uses `database.unscoped`, and what stands there."""

    place: Place
    text: str


def unscoped_places(root: Path) -> list[UnscopedPlace]:
    """Every place in the Python files below `root`, in the order of paths and lines.

    Virtual environments and hidden folders are no code of the project. A file that cannot be read or parsed has none:
    what is wrong with it is told where it is loaded.
    """
    return [
        UnscopedPlace(Place(path.relative_to(root).as_posix(), number), text)
        for path in _python_files(root)
        for number, text in _lines_of(path)
    ]


def _python_files(root: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not _is_foreign(Path(folder, name)))
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


def _is_foreign(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in _FOREIGN or (folder / "pyvenv.cfg").exists()


def _lines_of(path: Path) -> list[tuple[int, str]]:
    """(number, text) of each line that reaches for the word, as an attribute or as a text for getattr."""
    try:
        source = path.read_bytes()
        tree = ast.parse(source) if WORD.encode() in source else ast.Module([], [])
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []
    lines = source.splitlines()  # of bytes: at the same ends of lines as Python
    return [(number, lines[number - 1].decode(errors="replace").strip()) for number in sorted(set(_uses(tree)))]


def _uses(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == WORD:
            yield node.end_lineno or node.lineno
        elif isinstance(node, ast.Constant) and node.value == WORD:
            yield node.lineno
