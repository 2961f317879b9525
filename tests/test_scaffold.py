"""The files of a new job or project, and what is never written."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinstripe_bot.errors import InvalidProject
from pinstripe_bot.project import Project
from pinstripe_bot.scaffold import write_job, write_project

pytestmark = pytest.mark.usefixtures("write_project")  # forgets what was imported


def load(root: Path) -> Project:
    return Project.load(root, environ={"TZ": "UTC"})


@pytest.mark.parametrize(
    ("name", "path", "class_name"),
    [
        ("cleanup", "cleanup.py", "Cleanup"),
        ("purge-old_sessions", "purge_old_sessions.py", "PurgeOldSessions"),
        ("PurgeOldSessions", "purge_old_sessions.py", "PurgeOldSessions"),
        ("cleanup.py", "cleanup.py", "Cleanup"),
        ("reports/Monthly", "reports/monthly.py", "Monthly"),
        ("class", "class.py", "Class"),
    ],
)
def test_a_name_in_any_case_gives_a_sound_job(tmp_path: Path, name: str, path: str, class_name: str) -> None:
    folder = tmp_path / "lib/background_jobs"

    written = write_job(folder, name, "*/5 * * * *")

    assert written == folder / path
    assert f"class {class_name}(BackgroundJob):" in written.read_text()
    assert 'cls.schedule("*/5 * * * *")' in written.read_text()
    assert load(tmp_path).problems == ()


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "/etc/cron", "a//b", "a/../b", "7up", "über", "a\nb!", "a/"])
def test_what_is_no_name_is_refused_and_nothing_written(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "lib/background_jobs"

    with pytest.raises(InvalidProject, match="is no name for a job: write words such as cleanup"):
        write_job(folder, name, "@daily")

    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["PurgeOld", "purge-old", "purge_old", "purge_old.py"])
def test_a_job_that_exists_in_any_case_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "purgeOld.py").write_text("theirs")

    with pytest.raises(InvalidProject, match=r"exists already, in .*purgeOld\.py: choose another name"):
        write_job(tmp_path, name, "@daily")

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("purgeOld.py", "theirs")]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "lib").write_text("a file, not a folder")

    with pytest.raises(InvalidProject, match="cannot be written"):
        write_job(tmp_path / "lib/background_jobs", "cleanup", "@daily")


def test_a_project_is_whole_and_its_jobs_are_not_ignored(tmp_path: Path) -> None:
    root = write_project(tmp_path, "shop")

    project = load(root)
    assert project.problems == ()
    assert list(project.jobs) == ["heartbeat"]
    assert project.config.timezone == "UTC"
    assert (root / ".gitignore").read_text().splitlines()[-1] == "!lib/"


def test_a_project_may_begin_in_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()

    assert write_project(tmp_path, "shop") == tmp_path / "shop"


def test_a_project_never_goes_over_files(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/notes.txt").write_text("theirs")

    with pytest.raises(InvalidProject, match="exists and is not empty: choose another name"):
        write_project(tmp_path, "shop")

    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["notes.txt"]


def test_a_project_below_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InvalidProject, match="cannot be written"):
        write_project(tmp_path, "file/shop")
