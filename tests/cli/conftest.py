"""Fixtures for commands: a project of three jobs, and a way to call `pinstripe` in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import WriteProject

from pinstripe_bot.cli import main

Pinstripe = Callable[..., Result]

SETTINGS = 'timezone = "Europe/Berlin"\n[server]\nhost = "127.0.0.1:0"\n'

CLEANUP = """
    from pinstripe_bot import BackgroundJob

    class Cleanup(BackgroundJob):
        "Tidies up."

        @classmethod
        def meta(cls):
            cls.schedule("*/5 * * * *")
            cls.schedule("30 2 * * *", name="night", params={"limit": 7})

        def run(self, *, limit: int = 1):
            print(f"limit={limit!r} due_at={self.due_at.isoformat()}")
            return limit
    """

FAILING = """
    from pinstripe_bot import background_job

    @background_job()
    def failing(workspace):
        raise ValueError("out of paper")
    """

BROKEN = "from pinstripe_bot import nothing_of_this_name\n"


@pytest.fixture(autouse=True)
def untouched_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith("PINSTRIPE_") and not name.startswith("PINSTRIPE_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def shop(write_project: WriteProject) -> Path:
    """A project with the jobs `cleanup` and `failing`, in Berlin's time."""
    jobs = {"cleanup": CLEANUP, "failing": FAILING}
    files = {f"lib/background_jobs/{name}.py": text for name, text in jobs.items()}
    return write_project({"pinstripe.toml": SETTINGS, **files})


@pytest.fixture
def pinstripe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pinstripe:
    """Call `pinstripe ARGUMENTS` in a folder, by default one without a project."""

    def call(*arguments: str, at: Path = tmp_path) -> Result:
        monkeypatch.chdir(at)
        return CliRunner().invoke(main, arguments)

    return call
