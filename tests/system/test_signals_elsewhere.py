"""A stop signal that the kernel gives to another thread than the main one, as to a process that stood still."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bots import job, write_jobs
from click.testing import CliRunner
from daemons import Daemon

from pinstripe_bot.cli import main

StartDaemon = Callable[..., Daemon]


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[StartDaemon]:
    write_jobs(tmp_path, sweep=job())
    started: list[Daemon] = []

    def start(settings: str, *arguments: str) -> Daemon:
        tmp_path.joinpath("pinstripe.toml").write_text(settings)
        if "cluster" in settings:
            CliRunner().invoke(main, ["init-cluster", "--project", str(tmp_path)], catch_exceptions=False)
        started.append(Daemon(tmp_path, *arguments, "--log-format", "json"))
        return started[-1]

    yield start
    for daemon in started:
        daemon.end()


def signal_another_thread(daemon: Daemon) -> None:
    """SIGTERM for a thread that is not the main one."""
    pid = daemon.process.pid
    threads = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    assert ctypes.CDLL(None).tgkill(pid, max(threads), int(signal.SIGTERM)) == 0
    assert max(threads) != pid


def test_a_worker_ends(start_daemon: StartDaemon, fresh_postgres_url: str) -> None:
    worker = start_daemon(f'dispatcher = "cluster"\nledger.url = "{fresh_postgres_url}"', "start-worker")
    worker.wait_for("worker_connected")

    signal_another_thread(worker)

    assert worker.exit_code() == 0


def test_a_server_without_a_bot_ends(start_daemon: StartDaemon) -> None:
    server = start_daemon("", "start-server", "--without-bot", "--host", "127.0.0.1:0")
    server.wait_for("server_started")

    signal_another_thread(server)

    assert server.exit_code() == 0
