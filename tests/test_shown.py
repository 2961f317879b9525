"""How runs, their parameters and errors are shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from stored import DAWN, ODD

from pinstripe_bot.occurrence import Run, RunError, RunState
from pinstripe_bot.project import Project
from pinstripe_bot.redaction import REDACTED
from pinstripe_bot.shown import (
    broken_line,
    count_of,
    error_line,
    params_of,
    show_at,
    show_params,
    show_size,
    show_tenant,
    show_wall,
)
from pinstripe_bot.zones import zone

JOB = """
from pinstripe_bot import Secret, background_job

@background_job
def sweep(workspace, *, code: Secret = Secret(""), days: int = 1, **others): ...
"""


@pytest.fixture
def project(load_project: Callable[..., Project]) -> Project:
    return load_project({"lib/background_jobs/sweep.py": JOB, "lib/background_jobs/broken.py": "def ("})


def a_run(job: str = "sweep", **facts: Any) -> Run:
    return Run(
        **{
            "id": 1,
            "job": job,
            "schedule": "s",
            "due_at": DAWN,
            "state": RunState.FAILED,
            "claimed_at": DAWN,
            "params": {},
        }
        | facts
    )


def test_parameters_are_shown_without_what_their_job_says_is_secret(project: Project) -> None:
    run = a_run(params={"code": "hush", "days": 3, "token": "x"})

    assert params_of(project, run) == {"code": REDACTED, "days": 3, "token": REDACTED}


@pytest.mark.parametrize("job", ["gone", "broken", ODD])
def test_of_a_job_that_is_no_more_what_has_a_secret_name_is_hidden(project: Project, job: str) -> None:
    run = a_run(job, params={"code": "x", "token": "x", "smtp": {"password": "x"}})

    assert params_of(project, run) == {"code": "x", "token": REDACTED, "smtp": {"password": REDACTED}}


def test_a_run_without_parameters_shows_none(project: Project) -> None:
    assert params_of(project, a_run()) == {}
    assert show_params({}) == ""


def test_parameters_stand_on_one_line(project: Project) -> None:
    assert show_params({"days": 3, "kind": "all", "to": ["ü"], "at": None}) == 'days=3 kind=all to=["ü"] at=null'
    assert show_params({"text": "a\nb\x1b[31m"}) == "text=a\\nb\\x1b[31m"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (None, ""),
        (RunError("OSError", "out of paper\nsecond line", "", ""), "OSError: out of paper"),
        (RunError("OSError", "", "", ""), "OSError"),
        (RunError("OSError", " \n ", "", ""), "OSError"),
        (RunError("", "", "", ""), ""),
        (RunError("E", "postgresql://me:pw@db password=x", "", ""), "E: postgresql://me:***@db password=***"),
        (RunError("E", "\x1b[31m\u202eabc", "", ""), "E: \\x1b[31m\\u202eabc"),
    ],
)
def test_an_error_is_shown_on_one_line_without_secrets(error: RunError | None, line: str) -> None:
    assert error_line(error) == line


def test_a_tenant_is_shown_with_its_name() -> None:
    assert show_tenant(a_run(tenant="7", tenant_name="A\nB")) == "7 (A\\nB)"
    assert show_tenant(a_run()) == ""


def test_a_file_that_does_not_load_is_told_on_one_line(project: Project) -> None:
    assert broken_line(project, "broken").startswith("lib/background_jobs/broken.py:1")
    assert broken_line(project, "sweep") == broken_line(project, ODD) == ""


def test_an_instant_is_shown_on_the_clock_of_a_zone() -> None:
    berlin, first = zone("Europe/Berlin"), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)

    assert show_at(None, berlin) == ""
    assert show_at(DAWN, berlin) == "2026-01-01 01:00:00 CET"
    assert show_wall(DAWN, berlin) == "2026-01-01 01:00:00"
    assert show_wall(first, berlin) == "2026-10-25 02:30:00 CEST"


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        *[(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KB"), (10 * 1024, "10 KB"), (1_500_000, "1.4 MB")],
        (2**60, "1073741824 GB"),
    ],
)
def test_a_size_is_shown_in_its_unit(size: int, shown: str) -> None:
    assert show_size(size) == shown


def test_a_number_of_things_is_counted() -> None:
    assert [count_of(number, "run") for number in (0, 1, 2, 10**9)] == [
        "0 runs",
        "1 run",
        "2 runs",
        "1,000,000,000 runs",
    ]
