"""What is asked of the ledger in one process, and done by a bot in another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest
from bots import rows
from conftest import WriteProject
from processes import PATIENCE_S, bots_of

from pinstripe_bot import enqueue
from pinstripe_bot.project import Project

WAITING = """
    import time
    from pinstripe_bot import background_job

    @background_job()
    def waiting(workspace):
        workspace.logger.info("waiting_begun")
        while True:
            workspace.checkpoint()
            time.sleep(0.01)
    """

QUICK = """
    from pinstripe_bot import background_job

    @background_job()
    def quick(workspace, *, page: int = 1):
        return page
    """


@pytest.fixture
def root(write_project: WriteProject) -> Path:
    return write_project({"lib/background_jobs/waiting.py": WAITING, "lib/background_jobs/quick.py": QUICK})


def pinstripe(root: Path, *arguments: str) -> str:
    """What the command prints, as a process."""
    command = [sys.executable, "-m", "pinstripe_bot", *arguments, "--project", str(root)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout


def test_an_enqueued_run_of_another_process_starts_within_seconds(root: Path) -> None:
    with bots_of(root) as start:
        bot = start()
        bot.wait_for("bot_started")
        begun_s = monotonic()

        enqueue(Project.load(root, environ={}), "quick", params={"page": 7})

        assert bot.wait_for("run_succeeded")["job"] == "quick"
        assert monotonic() - begun_s < 5  # the bot looks every second


def test_a_cancel_of_another_process_ends_a_running_job(root: Path) -> None:
    with bots_of(root) as start:
        bot = start()
        enqueue(Project.load(root, environ={}), "waiting")
        bot.wait_for("waiting_begun")

        told = pinstripe(root, "cancel", "1")

        assert told == "run 1 of waiting is cancelled\n"
        assert bot.wait_for("run_cancelled")["job"] == "waiting"
        assert rows(root / ".pinstripe/ledger.db", "SELECT state, reason FROM runs") == [("cancelled", "cancelled")]


def test_a_pause_of_another_process_is_heard(root: Path) -> None:
    every_second = QUICK.replace("@background_job()", "@background_job('* * * * * *')")
    (root / "lib/background_jobs/quick.py").write_text(every_second.replace("\n    ", "\n"))
    with bots_of(root) as start:
        bot = start()
        bot.wait_for("run_succeeded")

        pinstripe(root, "pause", "quick")

        assert bot.wait_for("occurrence_skipped")["reason"] == "paused"
        assert pinstripe(root, "resume", "quick").startswith("quick is resumed and comes due from now on")
        bot.wait_for("run_succeeded", bot.heard["run_succeeded"] + 1)
