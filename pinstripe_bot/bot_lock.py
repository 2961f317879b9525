"""A lock file held for life: tells a dead bot from a live one on this machine, at once."""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path


class BotLock:
    """`bots/<id>.lock` in the project's private folder; the kernel lets go of it however its process ends."""

    def __init__(self, folder: Path) -> None:
        self.bot = uuid.uuid4().hex
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder.resolve() / f"{self.bot}.lock"
        self._descriptor: int | None = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A process that a job has forked may outlive us, and would hold our lock with its copy of the descriptor.
        os.register_at_fork(after_in_child=self._close)

    def release(self) -> None:
        """Let go and remove the file; harmless when called twice."""
        if self._descriptor is not None:
            self.path.unlink(missing_ok=True)
            self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_held(path: Path) -> bool | None:
    """Whether a process holds this lock; None where there is no such file, which says nothing.

    Another container of this machine has files of its own.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def boot_id() -> str:
    """What changes when this machine starts again; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
