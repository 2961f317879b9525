from __future__ import annotations

import pytest
from conftest import LoadProject, WriteProject

from pinstripe_bot.project import Project
from pinstripe_bot.unscoped import unscoped_lines, unscoped_places

USE = "def use(database): database.unscoped"

WITH_TENANTS = {"lib/tenants.py": "def tenants(workspace): return []"}

JOB = "from pinstripe_bot import background_job\n@background_job()\ndef work(workspace): workspace.database.unscoped"

SERVICE = "def create(workspace): return workspace.database.unscoped"


def found_in(project: Project) -> list[str]:
    """Where and whose each place is: "shop/reports.py:1", "lib/services/mailer.py:1 (service mailer)"."""
    return [str(one).partition(": ")[0] for one in unscoped_places(project)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("database.unscoped.orders.count()", [1]),
        ("everyone = (\n    self.database\n    .unscoped\n    .orders\n)", [3]),
        ("getattr(self.database, 'unscoped')\n\nself.database.unscoped.execute(a)", [1, 3]),
        ("both(a.unscoped, b.unscoped)", [1]),
        ("'''an unscoped text'''\n# database.unscoped\nunscoped = 1", []),
        ("def broken(:\n    database.unscoped", []),
        ("database.unscoped\0", []),
    ],
)
def test_each_use_is_found_at_its_line(text: str, lines: list[int]) -> None:
    written = text.splitlines()

    assert unscoped_lines(text.encode()) == [(line, written[line - 1].strip()) for line in lines]


def test_the_whole_project_is_read_and_nothing_else(load_project: LoadProject) -> None:
    others = {"env/pyvenv.cfg": "", "env/lib/package.py": USE, ".tox/x.py": USE, "lib/site-packages/package.py": USE}
    project = load_project({**WITH_TENANTS, **others, "shop/reports.py": USE, "lib/background_jobs/_base.py": USE})

    assert found_in(project) == ["lib/background_jobs/_base.py:1", "shop/reports.py:1"]


def test_a_place_is_told_with_the_job_or_the_service_that_it_belongs_to(load_project: LoadProject) -> None:
    files = {"lib/background_jobs/reports/big_one.py": JOB, "lib/services/mail_box.py": SERVICE, "lib/hooks.py": USE}
    project = load_project({**WITH_TENANTS, **files})

    assert found_in(project) == [
        "lib/hooks.py:1",
        "lib/background_jobs/reports/big_one.py:3 (job reports/big-one)",
        "lib/services/mail_box.py:1 (service mail_box)",
    ]


def test_jobs_are_read_wherever_they_are_and_once(write_project: WriteProject, load_project: LoadProject) -> None:
    outside = write_project({"sweep.py": JOB}, name="elsewhere")
    project = load_project({**WITH_TENANTS, "pinstripe.toml": 'jobs = "../elsewhere"'})
    hidden = load_project({**WITH_TENANTS, "pinstripe.toml": 'jobs = ".jobs"', ".jobs/sweep.py": JOB}, name="hidden")

    assert found_in(project) == [f"{outside}/sweep.py:3 (job sweep)"]
    assert found_in(hidden) == [".jobs/sweep.py:3 (job sweep)"]


@pytest.mark.parametrize(
    ("tenants", "is_told"),
    [
        ({}, False),
        (WITH_TENANTS, True),
        ({"lib/tenants.py": "def tenants(:"}, True),
        ({"pinstripe.toml": '[tenants]\ntable = "shops"'}, True),
        ({"pinstripe.toml": '[tenants]\ntenant_column = "shop_id"'}, False),
    ],
)
def test_it_is_told_where_the_project_names_tenants(
    load_project: LoadProject, tenants: dict[str, str], is_told: bool
) -> None:
    project = load_project({**tenants, "shop/reports.py": USE})

    assert found_in(project) == ["shop/reports.py:1"] * is_told


def test_what_cannot_be_read_is_passed_over(load_project: LoadProject) -> None:
    files = {"bytes.py": b"\xff\x00 unscoped", "broken.py": f"{USE}(:", "sound.py": USE}
    project = load_project({**WITH_TENANTS, **files})
    (project.root / "gone.py").symlink_to(project.root / "nowhere.py")

    assert found_in(project) == ["sound.py:1"]
