"""The value of a parameter that is annotated as `Secret`: it reaches its job, and is shown and kept nowhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from pinstripe_bot.cli import main

from .whole import CODE, WholeConsole

READS = [
    *("/api/now", "/api/jobs", "/api/jobs/keyed", "/api/jobs/typed", "/api/runs", "/api/timeline", "/api/system"),
    *("/api/audit", "/api/explain?job=keyed&at=02:00", "/metrics", "/readyz"),
]


def test_the_job_itself_gets_it(whole: WholeConsole) -> None:
    params = whole.rows("SELECT params FROM runs WHERE job = 'keyed'")

    assert params
    assert all(json.loads(written)["api_code"] == CODE for (written,) in params)


def test_no_answer_tells_it(whole: WholeConsole) -> None:
    asked = {path: path.partition("?") for path in READS}

    assert [path for path, (bare, _, query) in asked.items() if CODE in whole.ask(bare, query=query).text] == []


def test_no_answer_about_a_run_tells_it(whole: WholeConsole) -> None:
    numbers = [number for (number,) in whole.rows("SELECT id FROM runs")]
    paths = [f"/api/runs/{number}{part}" for number in numbers for part in ("", "/output")]

    assert [path for path in paths if CODE in whole.ask(path).text] == []
    assert "got raise redacted" in whole.ask(f"/api/runs/{whole.run_of('typed')}/output").text


def test_the_ledger_has_it_only_where_the_run_finds_it(whole: WholeConsole) -> None:
    told = [row for row in whole.rows("SELECT * FROM runs") if any(CODE in str(value) for value in row)]
    elsewhere = [line for line in whole.dump() if CODE in line and not line.startswith('INSERT INTO "runs"')]
    kept = "coalesce(output, '') || coalesce(error, '') || coalesce(result, '')"

    assert told
    assert elsewhere == []
    assert whole.rows(f"SELECT id FROM runs WHERE {kept} LIKE ?", f"%{CODE}%") == []


def test_no_log_line_tells_it(whole: WholeConsole) -> None:
    ours = [event for event in whole.logged if event["event"] != "asked"]  # that is the job's own: see test_logs.py

    assert [event for event in ours if CODE in str(event)] == []
    assert "run_failed" in [event["event"] for event in whole.logged]


@pytest.mark.parametrize("asked", [{"days": 1, "api_code": 987654321}, {"days": 1, "api_code": [987654321]}])
def test_a_refusal_does_not_repeat_it(whole: WholeConsole, asked: dict[str, Any]) -> None:
    answer = whole.send_json("/jobs/typed/run", {"params": asked})

    assert answer.status == 400
    assert "api_code" in answer.error
    assert "987654321" not in answer.text


def test_the_form_does_not_show_a_default(whole: WholeConsole) -> None:
    told = whole.ask("/jobs/keyed").text

    assert 'name="p-api_code" type="password" value=""' in told
    assert CODE not in told


COMMANDS = (
    *(["runs"], ["runs", "--json"], ["status"], ["status", "--json"]),
    *(["list-background-jobs"], ["list-background-jobs", "--json"]),
)
ABOUT_A_RUN = (["show"], ["show", "--json"], ["logs"], ["logs", "--json"])


def test_no_command_tells_it(whole: WholeConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(whole.project.root)

    told = {" ".join(command): CliRunner().invoke(main, command).output for command in COMMANDS}

    assert [command for command, output in told.items() if "keyed" not in output] == []
    assert [command for command, output in told.items() if CODE in output] == []


@pytest.mark.parametrize("job", ["keyed", "typed"])
def test_no_command_about_a_run_tells_it(whole: WholeConsole, monkeypatch: pytest.MonkeyPatch, job: str) -> None:
    monkeypatch.chdir(whole.project.root)
    number = str(whole.run_of(job))

    told = {" ".join(command): CliRunner().invoke(main, [*command, number]).output for command in ABOUT_A_RUN}

    assert [
        command for command, output in told.items() if command.startswith("show") and "redacted" not in output
    ] == []
    assert [command for command, output in told.items() if CODE in output] == []
