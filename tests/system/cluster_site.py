"""A cluster's project, and the bots and workers that were started of it, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
from daemons import Daemon
from processes import PATIENCE_S

EVERY = """
from pinstripe_bot import background_job

@background_job("* * * * * *"{options})
def {name}(workspace):
    print(workspace.occurrence_key)
"""


class Site:
    """A project, and the processes that were started of it."""

    def __init__(self, root: Path, url: str, lease: str = "2s") -> None:
        self.root, self.url = root, url
        self.daemons: list[Daemon] = []
        (root / "lib/background_jobs").mkdir(parents=True)
        settings = f'dispatcher = "cluster"\nshutdown_timeout = "10s"\n[ledger]\nurl = "{url}"\nlease = "{lease}"\n'
        (root / "pinstripe.toml").write_text(settings)
        command = [sys.executable, "-m", "pinstripe_bot", "init-cluster"]
        subprocess.run(command, cwd=root, check=True, timeout=PATIENCE_S, capture_output=True, text=True)

    def write(self, name: str, text: str) -> None:
        (self.root / f"lib/background_jobs/{name}.py").write_text(text)

    def every(self, name: str, options: str = "") -> None:
        """A job that is due every second."""
        self.write(name, EVERY.format(name=name, options=options and f", {options}"))

    def bot(self) -> Daemon:
        return self._start("start-bot")

    def worker(self, *arguments: str) -> Daemon:
        worker = self._start("start-worker", *arguments)
        worker.wait_for("worker_connected")
        return worker

    def _start(self, *arguments: str) -> Daemon:
        self.daemons.append(Daemon(self.root, *arguments))
        return self.daemons[-1]

    def close(self) -> None:
        """End whatever still runs."""
        for daemon in self.daemons:
            daemon.end()

    def asked(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, options="-c search_path=pinstripe,pinstripe_cluster") as server:
            return server.execute(query.encode()).fetchall()
