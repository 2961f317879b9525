"""generate-background-job and generate-project."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import WriteProject

from .conftest import Pinstripe


def test_a_job_is_written_and_its_next_due_instants_are_shown(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("generate-background-job", "PurgeOldSessions", "--schedule", "15 4 * * *", at=shop)

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "Wrote lib/background_jobs/purge_old_sessions.py. Next due:"
    assert len(lines) == 4
    assert all("04:15:00 CE" in line for line in lines[1:])
    assert pinstripe("check", at=shop).exit_code == 0
    assert pinstripe("run-background-job", "purge-old-sessions", at=shop).exit_code == 0


def test_a_job_may_lie_in_a_subfolder(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("generate-background-job", "reports/monthly", at=shop)

    assert result.exit_code == 0
    assert (shop / "lib/background_jobs/reports/monthly.py").is_file()
    assert "reports/monthly" in pinstripe("list-background-jobs", at=shop).stdout


@pytest.mark.parametrize("name", ["cleanup", "Cleanup", "cleanup.py"])
def test_a_job_that_exists_is_not_overwritten(shop: Path, pinstripe: Pinstripe, name: str) -> None:
    before = (shop / "lib/background_jobs/cleanup.py").read_text()

    result = pinstripe("generate-background-job", name, at=shop)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"pinstripe: the job {name!r} exists already, in ")
    assert (shop / "lib/background_jobs/cleanup.py").read_text() == before


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "reports/../../outside", "", "7up", "a b/c!"])
def test_a_name_that_leads_elsewhere_is_refused(shop: Path, pinstripe: Pinstripe, tmp_path: Path, name: str) -> None:
    before = {*tmp_path.rglob("*")}

    result = pinstripe("generate-background-job", name, at=shop)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"pinstripe: {name!r} is no name for a job: ")
    assert {*tmp_path.rglob("*")} == before


def test_a_schedule_that_is_none_writes_nothing(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("generate-background-job", "report", "--schedule", "every day", at=shop)

    assert result.exit_code == 2
    assert result.stderr.startswith("pinstripe: ")
    assert not (shop / "lib/background_jobs/report.py").exists()


def test_the_first_job_makes_the_folder(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    root = write_project({"pinstripe.toml": 'jobs = "jobs"'})

    result = pinstripe("generate-background-job", "first", at=root)

    assert result.exit_code == 0
    assert (root / "jobs/first.py").is_file()


def test_a_project_is_written_and_sound(pinstripe: Pinstripe, tmp_path: Path) -> None:
    result = pinstripe("generate-project", "my shop")

    assert result.exit_code == 0
    assert result.stdout == "Wrote the project my shop. Next:\n  cd 'my shop'\n  pinstripe start-server\n"
    assert "!lib/" in (tmp_path / "my shop/.gitignore").read_text()
    assert pinstripe("check", at=tmp_path / "my shop").exit_code == 0


def test_a_project_is_not_written_over_something(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("generate-project", shop.name)

    assert result.exit_code == 2
    assert result.stderr == f"pinstripe: {shop} exists and is not empty: choose another name\n"
