"""Files in which processes note, a line at a time, when something happened to a schedule. Imported by the peers too."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Note:
    """Something happened to this schedule: it was handed over, or its run began."""

    schedule: int
    at_s: float  # since the epoch: one clock for all processes of the machine


class NotePad:
    """A file that any number of processes append to; a line is one write, so that none is mixed with another's."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR)

    def note(self, schedule: int) -> None:
        """Note that it happens now."""
        os.write(self._file, f"{schedule} {time.time()}\n".encode())

    def read(self) -> list[Note]:
        lines = (line.split() for line in self._path.read_text().splitlines())
        return [Note(int(schedule), float(at_s)) for schedule, at_s in lines]
