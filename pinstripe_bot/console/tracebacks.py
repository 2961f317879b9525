"""A traceback as frames: whose each is, where, and what stands there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import Final

_FRAME: Final = re.compile(r'\s*File "(?P<path>[^"]+)", line (?P<line>\d+)(?:, in (?P<name>.+))?$')
_LIBRARY: Final = re.compile(r"(^|/)(site-packages|dist-packages|lib/python3[^/]*|<frozen )")

_REPEATED: Final = "  [Previous line repeated "
"""What Python writes below a frame, instead of hundreds of the same."""

_JOINTS: Final = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)


LONG: Final = 3
"""From how many frames on a stretch of others' frames is folded."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One call: its file and line, its function, the lines of code; `is_own` where it is the project's."""

    place: str
    name: str
    code: str
    is_own: bool


@dataclass(frozen=True, slots=True)
class Part:
    """The frames of one error, what stands before them, and the error itself."""

    before: str
    frames: tuple[Frame, ...]
    end: str

    @property
    def stretches(self) -> list[tuple[bool, list[Frame]]]:
        """The frames in their order, (whether they may be folded, some of them): long stretches of others' frames may.

        The last frame never is: the error came from there.
        """
        found: list[tuple[bool, list[Frame]]] = []
        for is_own, several in groupby(self.frames[:-1], key=lambda one: one.is_own):
            frames = list(several)
            found.append((not is_own and len(frames) >= LONG, frames))
        return [*found, (False, list(self.frames[-1:]))]


def parts_of(traceback: str) -> list[Part]:
    """The errors of a traceback in their order, each with its frames; one part where there is nothing to tell apart."""
    parts: list[Part] = []
    frames: list[Frame] = []
    before: list[str] = []
    end: list[str] = []
    for line in traceback.rstrip().splitlines():
        match = _FRAME.match(line)
        if match:
            if end:
                joint = _take_joint(end)
                parts.append(Part("\n".join(before), tuple(frames), "\n".join(end)))
                frames, before, end = [], joint, []
            path = match["path"]
            is_own = not path.startswith(("/", "<")) and not _LIBRARY.search(path)
            frames.append(Frame(f"{path}:{match['line']}", match["name"] or "", "", is_own))
        elif frames and not end and line.startswith(("    ", _REPEATED)):
            last = frames[-1]
            frames[-1] = Frame(last.place, last.name, f"{last.code}\n{line}".lstrip("\n"), last.is_own)
        elif line.startswith("Traceback (most recent call last)"):
            continue
        elif frames:
            end.append(line)
        else:
            before.append(line)
    if frames or end or before:
        parts.append(Part("\n".join(before), tuple(frames), "\n".join(end).rstrip()))
    return parts


def _take_joint(end: list[str]) -> list[str]:
    """What joins an error to the next one, taken away from below the first."""
    while end and not end[-1].strip():
        end.pop()
    joint = [end.pop()] if end and end[-1] in _JOINTS else []
    while end and not end[-1].strip():
        end.pop()
    return joint
