"""list-background-jobs, check and show-config."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import WriteProject

from .conftest import BROKEN, Pinstripe
from .looking import FOR_TENANTS, asked, bot_of, find_zones

# list-background-jobs


def test_the_list_shows_each_schedule_in_words_and_both_zones(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("list-background-jobs", at=shop)

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split("  ")[0] == "name"
    cleanup = next(line for line in lines if line.startswith("cleanup") and "*/5 * * * *" in line)
    assert cleanup.endswith(" UTC")
    below = lines[lines.index(cleanup) + 1]
    assert "Every 5 minutes" in below
    assert below.endswith((" CET", " CEST"))
    assert any("30 2 * * * (night)" in line for line in lines)
    assert any(line.split() == ["failing", "by", "hand"] for line in lines)


def test_in_tenants_zones_a_schedule_is_next_due_in_the_first_of_them(
    write_project: WriteProject, pinstripe: Pinstripe
) -> None:
    shop = write_project(FOR_TENANTS)
    (unknown,) = asked(pinstripe, "list-background-jobs", at=shop)
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, _):
        find_zones(bot)

    page = pinstripe("list-background-jobs", at=shop).stdout
    (row,) = asked(pinstripe, "list-background-jobs", at=shop)
    in_each = asked(pinstripe, "next", "invoice", "--count", "1", at=shop)

    first = min(in_each, key=lambda one: datetime.fromisoformat(one["due"][0]["utc"]))
    assert (unknown["timezone"], unknown["next_due_at"], unknown["next_due_timezone"]) == ("tenant", None, None)
    assert row["timezone"] == "tenant"
    assert (row["next_due_at"], row["next_due_timezone"]) == (first["due"][0]["utc"], first["timezone"])
    assert "At 09:00, in each tenant's zone" in page
    assert f"first in {first['timezone']}" in page


def test_a_table_has_no_blanks_at_the_end_of_a_line(shop: Path, pinstripe: Pinstripe) -> None:
    lines = pinstripe("list-background-jobs", at=shop).stdout.splitlines()

    assert [line for line in lines if line != line.rstrip() or not line] == []


def test_listing_makes_no_ledger(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("list-background-jobs", at=shop)

    assert not (shop / ".pinstripe").exists()


def test_the_list_shows_how_a_job_last_ended(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("run-background-job", "failing", at=shop)

    result = pinstripe("list-background-jobs", at=shop)

    failing = next(line for line in result.stdout.splitlines() if line.startswith("failing"))
    assert failing.split()[:4] == ["failing", "by", "hand", "failed"]
    assert failing.endswith(" ms")


def test_a_disabled_job_has_no_next_due_instant(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    job = """
        from pinstripe_bot import background_job

        @background_job("@daily", enabled=False)
        def off(workspace): ...
        """
    root = write_project({"lib/background_jobs/off.py": job})

    table = pinstripe("list-background-jobs", at=root)
    rows = json.loads(pinstripe("list-background-jobs", "--json", at=root).stdout)

    assert "disabled" in table.stdout
    assert [(row["enabled"], row["next_due_at"]) for row in rows] == [(False, None)]


def test_the_list_as_json(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("run-background-job", "cleanup", at=shop)

    rows = json.loads(pinstripe("list-background-jobs", "--json", at=shop).stdout)

    assert [(row["name"], row["schedule"], row["expression"], row["timezone"]) for row in rows] == [
        ("cleanup", "*/5 * * * *", "*/5 * * * *", "Europe/Berlin"),
        ("cleanup", "night", "30 2 * * *", "Europe/Berlin"),
        ("failing", None, None, None),
    ]
    assert rows[0]["summary"] == "Tidies up."
    assert rows[0]["place"] == "lib/background_jobs/cleanup.py:4"
    assert rows[0]["next_due_at"].endswith("Z")
    assert rows[0]["last_run"]["state"] == "succeeded"
    assert rows[2]["last_run"] is None


def test_broken_jobs_are_told_beside_the_list(shop: Path, pinstripe: Pinstripe) -> None:
    (shop / "lib/background_jobs/broken.py").write_text(BROKEN)

    result = pinstripe("list-background-jobs", "--json", at=shop)

    assert result.exit_code == 0
    assert {row["name"] for row in json.loads(result.stdout)} == {"cleanup", "failing"}
    assert result.stderr.startswith("broken: lib/background_jobs/broken.py:1: ImportError: ")


def test_a_project_without_jobs_is_told_how_to_begin(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    root = write_project({"pinstripe.toml": ""})

    result = pinstripe("list-background-jobs", at=root)

    assert result.exit_code == 0
    assert result.stdout == (
        f"No job found in {root}/lib/background_jobs: `pinstripe generate-background-job NAME` writes one.\n"
    )


# check


def test_a_sound_project_has_no_problem(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("check", at=shop)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"2 sound jobs with 2 schedules, no problem in {shop}"


def test_jobs_without_a_time_out_are_named_and_no_problem(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    head = "from pinstripe_bot import background_job\n"
    jobs = {
        "endless": f"{head}@background_job()\ndef endless(workspace): ...\n",
        "limited": f"{head}@background_job(timeout='1m')\ndef limited(workspace): ...\n",
    }
    root = write_project({f"lib/background_jobs/{name}.py": text for name, text in jobs.items()})

    some = pinstripe("check", at=root)
    (root / "lib/background_jobs/endless.py").unlink()
    none = pinstripe("check", at=root)

    assert (some.exit_code, none.exit_code) == (0, 0)
    assert some.stdout.splitlines()[0] == "without a time-out, so that one that hangs holds a worker: endless"
    assert "time-out" not in none.stdout


FINDINGS = {
    "syntax.py": ("def run(:\n", "invalid syntax"),
    "imports.py": (BROKEN, "ImportError: cannot import name 'nothing_of_this_name'"),
    "cron.py": (
        "from pinstripe_bot import background_job\n@background_job('61 * * * *')\ndef cron(workspace): ...\n",
        "61 * * * *",
    ),
    "option.py": (
        "from pinstripe_bot import background_job\n@background_job('@daily', overlp='skip')\ndef one(workspace): ...\n",
        "unknown option 'overlp': did you mean 'overlap'?",
    ),
    "no_job.py": ("answer = 42\n", "there is no job in this file"),
    "two_jobs.py": (
        "from pinstripe_bot import background_job\n"
        "@background_job()\ndef one(workspace): ...\n@background_job()\ndef two(workspace): ...\n",
        "there is more than one job in this file, one and two",
    ),
    "params.py": (
        "from pinstripe_bot import background_job\n"
        "@background_job('@daily', params={'limti': 1})\ndef one(workspace, *, limit: int = 0): ...\n",
        "limti",
    ),
}
"""{file: (its text, what check says of it)}"""


def test_every_problem_is_listed_at_once_with_its_file(shop: Path, pinstripe: Pinstripe) -> None:
    for name, (text, _) in FINDINGS.items():
        (shop / "lib/background_jobs" / name).write_text(text)
    (shop / "lib/services").mkdir()
    (shop / "lib/services/mailer.py").write_text("def create(): ...\n")

    result = pinstripe("check", at=shop)

    assert result.exit_code == 1
    *problems, without_timeout, verdict = result.stdout.splitlines()
    assert without_timeout.endswith(": cleanup, failing")
    assert verdict == f"2 sound jobs with 2 schedules, {len(FINDINGS) + 1} problems in {shop}"
    assert len(problems) == len(FINDINGS) + 1
    for name, (_, told) in FINDINGS.items():
        (line,) = [line for line in problems if line.startswith(f"lib/background_jobs/{name}:")]
        assert told in line
    assert any(line.startswith("lib/services/mailer.py:1: create() takes one argument") for line in problems)


def test_two_files_of_one_name_are_a_problem(shop: Path, pinstripe: Pinstripe) -> None:
    (shop / "lib/background_jobs/Cleanup.py").write_text((shop / "lib/background_jobs/cleanup.py").read_text())

    result = pinstripe("check", at=shop)

    assert result.exit_code == 1
    assert "lib/background_jobs/Cleanup.py has the same name 'cleanup'" in result.stdout


def test_a_project_without_jobs_is_a_problem(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    root = write_project({"pinstripe.toml": 'jobs = "jobs"'})

    result = pinstripe("check", at=root)

    assert result.exit_code == 1
    assert f"jobs: no job found in {root}/jobs" in result.stdout
    assert "0 sound jobs with 0 schedules, 1 problem in" in result.stdout


def test_a_job_folder_that_git_ignores_is_a_problem(shop: Path, pinstripe: Pinstripe) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=shop, check=True)
    (shop / ".gitignore").write_text("lib/\n")
    ignored = pinstripe("check", at=shop)
    (shop / ".gitignore").write_text("lib/\n!lib/\n")
    mended = pinstripe("check", at=shop)

    assert ignored.exit_code == 1
    assert "lib/background_jobs: git ignores this folder: write `!lib/` into .gitignore" in ignored.stdout
    assert mended.exit_code == 0


def test_wrong_settings_are_a_finding(shop: Path, pinstripe: Pinstripe) -> None:
    (shop / "pinstripe.toml").write_text("workers = 'many'\n")

    result = pinstripe("check", at=shop)

    assert result.exit_code == 1
    assert result.stdout.startswith('pinstripe.toml, line 1: workers = "many" is not accepted')


# show-config


def test_settings_are_shown_with_their_origin(
    shop: Path, pinstripe: Pinstripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINSTRIPE_WORKERS", "3")

    result = pinstripe("show-config", at=shop)

    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["workers", "3", "PINSTRIPE_WORKERS"] in rows
    assert ["timezone", "Europe/Berlin", "pinstripe.toml"] in rows
    assert ["logs.level", "info", "default"] in rows


def test_secrets_are_redacted(shop: Path, pinstripe: Pinstripe) -> None:
    (shop / "pinstripe.toml").write_text(
        '[database]\nurl = "postgresql://shop:hunter2@db/shop"\n[app]\napi_key = "hunter2"\n'
    )

    table = pinstripe("show-config", at=shop)
    rows = json.loads(pinstripe("show-config", "--json", at=shop).stdout)

    assert "hunter2" not in table.stdout
    assert {"key": "database.url", "value": "postgresql://shop:***@db/shop", "origin": "pinstripe.toml"} in rows
    assert {"key": "app.api_key", "value": "redacted", "origin": "pinstripe.toml"} in rows
