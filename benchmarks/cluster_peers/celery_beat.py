"""Celery beat, and a worker of concurrency eight in another process; Redis carries the messages."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster_peers.measured import EVERY_S, Measured, Missing, reckon
from cluster_peers.notes import NotePad
from cluster_peers.processes import python_command, sit_through, started, wait_for_file


def measure(schedules: int, instants: int) -> Measured:
    """So many entries of beat's schedule at so many due instants, as Celery ships, with a `crontab` of minutes."""
    return _measure("Celery beat", schedules, instants, "crontab", 60)


def measure_tuned(schedules: int, instants: int) -> Measured:
    """The same with a schedule of our own that is quicker than `crontab`, kept in memory, and with threads."""
    return _measure("C., tuned", schedules, instants, "every", EVERY_S)


def _measure(name: str, schedules: int, instants: int, schedule: str, every_s: int) -> Measured:
    with tempfile.TemporaryDirectory() as folder, redis(Path(folder)) as url:
        begun, handed_over = NotePad(Path(folder, "begun")), NotePad(Path(folder, "handed_over"))
        environment = {"URL": url, "BEGUN": f"{folder}/begun", "HANDED_OVER": f"{folder}/handed_over"}
        environment |= {"SCHEDULES": str(schedules), "SCHEDULE": schedule}
        cli: list[str | Path] = [python_command("celery"), "--app=cluster_peers.celery_app", "--quiet"]
        quiet, is_tuned = ["--loglevel=warning"], schedule == "every"
        tuned = ["--pool=threads", "--without-gossip", "--without-mingle", "--without-heartbeat"] * is_tuned
        work = [*cli, "worker", "--concurrency=8", *tuned, *quiet]
        beat = [*cli, "beat", f"--schedule={folder}/beat", *["--scheduler=celery.beat:Scheduler"] * is_tuned, *quiet]
        with (
            started(work, environment, Path(folder, "worker.log")) as worker,
            started(beat, environment, Path(folder, "beat.log")) as scheduler,
        ):
            due_ts = sit_through(begun, schedules, instants, [worker, scheduler], every_s)
        return reckon(name, schedules, due_ts, handed_over=handed_over.read(), begun=begun.read(), every_s=every_s)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """The URL of a Redis of our own that writes nothing to disk."""
    command = shutil.which("redis-server")
    if command is None:
        raise Missing("Celery beat needs Redis, and there is no redis-server: apt-get install redis-server")
    socket = folder / "redis.sock"
    settings = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    with started([command, *settings], {}, folder / "redis.log") as server:
        wait_for_file(socket, server)
        yield f"redis+socket://{socket}"
