"""Procrastinate's own periodic tasks, deferred and run by one worker of concurrency eight."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cluster_peers.measured import Measured, reckon
from cluster_peers.notes import NotePad
from cluster_peers.postgres import handed_over, postgres
from cluster_peers.processes import python_command, sit_through, started


def measure(schedules: int, instants: int) -> Measured:
    """So many periodic tasks at so many due instants."""
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        begun = NotePad(Path(folder, "begun"))
        environment = {"URL": url, "BEGUN": f"{folder}/begun", "SCHEDULES": str(schedules)}
        cli: list[str | Path] = [
            python_command("procrastinate"),
            "--app=cluster_peers.procrastinate_app.app",
            "--log-level=warning",
        ]
        with started([*cli, "schema", "--apply"], environment, Path(folder, "schema.log")) as schema:
            schema.wait()
        with started([*cli, "worker", "--concurrency=8"], environment, Path(folder, "worker.log")) as worker:
            due_ts = sit_through(begun, schedules, instants, [worker])
        return reckon("Procrastinate", schedules, due_ts, handed_over=handed_over(url), begun=begun.read())
