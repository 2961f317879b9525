"""`pinstripe run-background-job` as a process: in a terminal, and at a signal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bots import rows
from conftest import WriteProject

PATIENCE_S = 20.0

COUNTING = """
    import time
    from pinstripe_bot import background_job

    @background_job()
    def counting(workspace, *, seconds: float = 0):
        print("counting")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            workspace.checkpoint()
            time.sleep(0.01)
        workspace.progress(1, 2)
    """


@pytest.fixture
def root(write_project: WriteProject) -> Path:
    return write_project({"lib/background_jobs/counting.py": COUNTING})


@contextmanager
def in_terminal(root: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """(the process, what its terminal shows)."""
    shows, terminal = pty.openpty()
    command = [sys.executable, "-m", "pinstripe_bot", "run-background-job", *arguments]
    process = subprocess.Popen(command, cwd=root, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    try:
        yield process, shows
    finally:
        process.kill()
        process.wait()
        os.close(shows)


def read_until(shows: int, text: str) -> str:
    """What the terminal shows, up to and with `text`; all of it where `text` never comes."""
    seen = ""
    while text not in seen:
        try:
            seen += os.read(shows, 4096).decode(errors="replace")
        except OSError:  # its last process has gone
            return seen
    return seen


def test_in_a_terminal_what_a_job_prints_belongs_to_its_run(root: Path) -> None:
    with in_terminal(root, "counting") as (process, shows):
        seen = read_until(shows, "counting succeeded in")
        code = process.wait(PATIENCE_S)

    assert code == 0
    assert "run_printed" in seen
    ((output,),) = rows(root / ".pinstripe/ledger.db", "SELECT output FROM runs")
    assert "counting" in output


def test_a_signal_cancels_the_run(root: Path) -> None:
    with in_terminal(root, "counting", "--param", "seconds=60") as (process, shows):
        read_until(shows, "run_printed")
        process.send_signal(signal.SIGINT)
        seen = read_until(shows, "counting was interrupted after")
        code = process.wait(PATIENCE_S)

    assert code == 130
    assert "run_interrupted" in seen
    assert rows(root / ".pinstripe/ledger.db", "SELECT state FROM runs") == [("interrupted",)]


def test_a_person_cancels_the_run_from_another_process(root: Path) -> None:
    with in_terminal(root, "counting", "--param", "seconds=60") as (process, shows):
        read_until(shows, "run_printed")
        asked = [sys.executable, "-m", "pinstripe_bot", "cancel", "1", "--no-wait"]
        subprocess.run(asked, cwd=root, check=True, timeout=PATIENCE_S, capture_output=True)
        read_until(shows, "counting was cancelled after")
        code = process.wait(PATIENCE_S)

    assert code == 1
    assert rows(root / ".pinstripe/ledger.db", "SELECT state, reason FROM runs") == [("cancelled", "cancelled")]
