"""Procrastinate's own periodic tasks, deferred and run by one worker of concurrency eight."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cluster_peers.measured import Measured, reckon
from cluster_peers.notes import NotePad
from cluster_peers.postgres import handed_over, postgres
from cluster_peers.processes import python_command, sit_through, started


def measure(schedules: int, instants: int) -> Measured:
    """So many periodic tasks at so many due instants, as Procrastinate ships."""
    return _measure("Procrastinate", schedules, instants, {})


def measure_tuned(schedules: int, instants: int) -> Measured:
    """The same with more connections, and with what keeps a herd from delaying the next one."""
    return _measure("P., tuned", schedules, instants, {"TUNED": "1"})


def _measure(name: str, schedules: int, instants: int, tuned: dict[str, str]) -> Measured:
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        begun = NotePad(Path(folder, "begun"))
        environment = {"URL": url, "BEGUN": f"{folder}/begun", "SCHEDULES": str(schedules)} | tuned
        cli: list[str | Path] = [
            python_command("procrastinate"),
            "--app=cluster_peers.procrastinate_app.app",
            "--log-level=warning",
        ]
        with started([*cli, "schema", "--apply"], environment, Path(folder, "schema.log")) as schema:
            schema.wait()
        with started([*cli, "worker", "--concurrency=8"], environment, Path(folder, "worker.log")) as worker:
            due_ts = sit_through(begun, schedules, instants, [worker])
        return reckon(name, schedules, due_ts, handed_over=handed_over(url), begun=begun.read())
