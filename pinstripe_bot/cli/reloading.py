"""--reload: a child process that is started again whenever a file of the project changes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import click

from pinstripe_bot.cli.signals import StopSignals
from pinstripe_bot.errors import InvalidProject


def run_again_on_change(root: Path) -> None:
    """Run this command without --reload, and again after each change below `root`, until a stop signal."""
    try:
        import watchfiles
    except ModuleNotFoundError as error:
        raise InvalidProject("--reload needs watchfiles: pip install 'pinstripe-bot[reload]'") from error
    child = _Child()
    hand_on = ("handing the signal on", child.forward)
    with StopSignals(hand_on, hand_on, hand_on) as signals:
        child.signals = signals
        matters = partial(_matters, root)
        for changes in watchfiles.watch(root, stop_event=child, watch_filter=matters, raise_interrupt=False):
            names = ", ".join(sorted({Path(path).name for _, path in changes})[:3])
            click.echo(f"pinstripe: {names} changed: starting again", err=True)
            child.restart()
        sys.exit(child.wait())


class _Child:
    """The process that really serves, in a session of its own: a Ctrl-C reaches it once, through us."""

    def __init__(self) -> None:
        self.signals: StopSignals | None = None
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        arguments = [argument for argument in sys.argv[1:] if argument != "--reload"]
        return subprocess.Popen([sys.executable, "-m", "pinstripe_bot", *arguments], start_new_session=True)

    def restart(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self._process = self._start()
        if self.is_set():  # a signal that came in between has reached nobody
            self.forward()

    def wait(self) -> int:
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def forward(self) -> None:
        """Hand a stop signal on; in the signal handler, so by the bare system call."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, (self.signals and self.signals.number) or signal.SIGTERM)

    def is_set(self) -> bool:
        """Whether to stop watching: what watchfiles asks of an event."""
        return self.signals is not None and self.signals.number is not None


def _matters(root: Path, _change: object, path: str) -> bool:
    """Whether a change concerns code or settings."""
    parts = Path(path).relative_to(root).parts
    is_hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
    return not is_hidden and Path(path).suffix in {".py", ".toml"}
