"""A process that has loaded the package and forks bots: one of them starts in a tenth of the time.

`nursery.py KIND ROOT LOGS` obeys lines on stdin, each answered by one on stdout: `start` forks a bot of the project in
ROOT and gives its pid, `wait PID` gives its exit code. At the end of stdin every bot still there is killed.
Bots are numbered from 1, since a pid may come again; a bot finds its number in its environment, as BOT.
A bot of the kind "command" is `start-bot`, word for word, and a "worker" is `start-worker`. One of the kind "noting"
is a bot as well, but is only said to have started once it listens to signals, and notes the moment at which it has
heeded the first one.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pinstripe_bot.bot import Bot
from pinstripe_bot.cli import main as pinstripe
from pinstripe_bot.cli import serving
from pinstripe_bot.logs import configure_logs
from pinstripe_bot.project import Project

SIGNALS = "signals.txt"
"""In ROOT: a line `number monotonic` for each bot that has heeded a signal."""


def append(path: Path, line: str) -> None:
    """Add a line in one write: nothing of it, or all of it, is there after a kill."""
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


class NotingBot(Bot):
    """Says when it listens to signals, and notes when it has heeded one."""

    on_listening: Callable[[], None]

    def run(self, **callbacks: Callable[[], None] | None) -> int:
        self.on_listening()
        return super().run(**callbacks)

    def request_stop(self) -> None:
        super().request_stop()
        append(self.project.root / SIGNALS, f"{os.environ['BOT']} {time.monotonic()}")


def run_command(root: Path, on_listening: Callable[[], None]) -> None:
    on_listening()
    pinstripe(["start-bot", "--project", str(root), "--log-format", "json"], prog_name="pinstripe")


def run_worker(root: Path, on_listening: Callable[[], None]) -> None:
    on_listening()
    pinstripe(["start-worker", "--project", str(root), "--log-format", "json"], prog_name="pinstripe")


def run_noting(root: Path, on_listening: Callable[[], None]) -> None:
    project = Project.load(root, overrides={"logs.format": "json"})
    configure_logs("json", "info", colors=False)
    bot = NotingBot(project)
    bot.on_listening = on_listening
    serving._run(bot, None)


KINDS = {"command": run_command, "worker": run_worker, "noting": run_noting}


def start(kind: str, root: Path, logs: Path, number: int) -> int:
    """Fork a bot; its pid, as soon as it says that it has started, or has ended without a word."""
    hears, says = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(hears)
        become_bot(kind, root, logs / f"{number}.log", lambda: os.close(says))
    os.close(says)
    os.read(hears, 1)
    os.close(hears)
    return pid


def become_bot(kind: str, root: Path, log_path: Path, on_listening: Callable[[], None]) -> None:
    """Be a bot until its end; nothing of the nursery is left in it but what was imported."""
    os.environ["BOT"] = log_path.stem
    log = os.open(log_path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.dup2(log, 2)
    faulthandler.register(signal.SIGUSR1, file=sys.stderr)  # what every thread is doing, for a bot that hangs
    code = 70
    try:
        KINDS[kind](root, on_listening)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stderr.flush()
        os._exit(code)


def obey(kind: str, root: Path, logs: Path) -> None:
    bots: set[int] = set()
    started = 0
    for line in sys.stdin:
        word, *numbers = line.split()
        if word == "start":
            started += 1
            answer = start(kind, root, logs, started)
            bots.add(answer)
        else:
            (pid,) = map(int, numbers)
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            bots.remove(pid)
        print(answer, flush=True)
    for pid in bots:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    obey(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
