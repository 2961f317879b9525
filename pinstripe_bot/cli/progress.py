"""The progress of a run by hand, at the foot of the terminal; log lines pass above it."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TextIO, cast

from rich.console import Console
from rich.progress import Progress
from rich.text import Text


class ProgressBar:
    """A bar that appears with the first progress; where there is no terminal it never does."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, force_terminal=sys.stderr.isatty(), highlight=False, soft_wrap=True)
        # Not redirected: what a job prints belongs to its run.
        self._progress = Progress(console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False)
        self._bar = self._progress.add_task("", visible=False)

    @property
    def log_stream(self) -> TextIO | None:
        """Where to write log lines so that they do not run into the bar; None where there is no terminal."""
        return cast(TextIO, _Above(self._console)) if self._console.is_terminal else None

    def show(self, done: int, total: int | None) -> None:
        """Draw the bar as far as this."""
        if self._console.is_terminal:
            self._progress.start()  # harmless when called again
            self._progress.update(self._bar, completed=done, total=total, visible=True)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._progress.stop()


class _Above:
    """A terminal on which each text that is written stands above what is live at its foot."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> None:
        self._console.print(Text.from_ansi(text.removesuffix("\n")))

    def flush(self) -> None:
        """Nothing waits: the console has written."""

    def isatty(self) -> bool:
        return True
