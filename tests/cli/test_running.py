"""run-background-job."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bots import rows
from click.testing import Result
from conftest import WriteProject

from pinstripe_bot.bot import Bot
from pinstripe_bot.cli.running import ended_sentence, exit_code_of
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.project import Project

from .conftest import BROKEN, Pinstripe

LEDGER = ".pinstripe/ledger.db"


def events(result: Result, name: str) -> list[dict[str, Any]]:
    """The log's events of this name."""
    logged = [json.loads(line) for line in result.stderr.splitlines()]
    return [event for event in logged if event["event"] == name]


@pytest.mark.parametrize("arguments", [["cleanup"], ["--name", "cleanup"], ["Cleanup"]])
def test_a_job_runs_once_and_is_recorded(shop: Path, pinstripe: Pinstripe, arguments: list[str]) -> None:
    result = pinstripe("run-background-job", *arguments, at=shop)

    assert result.exit_code == 0
    assert result.stdout.startswith("cleanup succeeded in ")
    assert result.stdout.endswith(" ms\n")
    assert len(events(result, "run_succeeded")) == 1
    assert rows(shop / LEDGER, "SELECT job, schedule, state, result FROM runs") == [
        ("cleanup", "manual", "succeeded", "1")
    ]


def test_the_answer_is_on_stdout_and_the_log_on_stderr(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("run-background-job", "cleanup", at=shop)

    assert result.stdout.count("\n") == 1
    assert [event["line"].split()[0] for event in events(result, "run_printed")] == ["limit=1"]


def test_a_job_that_fails_shows_its_traceback_and_exits_with_1(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("run-background-job", "failing", at=shop)

    assert result.exit_code == 1
    assert ": ValueError: out of paper (lib/background_jobs/failing.py:6 in failing)\n" in result.stdout
    (event,) = events(result, "run_failed")
    assert event["traceback"].endswith("ValueError: out of paper")
    assert "pinstripe_bot/runner.py" not in event["traceback"]


def test_params_are_cast_by_the_jobs_annotations(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("run-background-job", "cleanup", "--param", "limit=5", at=shop)

    assert result.exit_code == 0
    assert rows(shop / LEDGER, "SELECT params, result FROM runs") == [('{"limit":5}', "5")]


@pytest.mark.parametrize(
    ("param", "told"),
    [
        ("limit", "--param 'limit' is not KEY=VALUE: write it as `--param limit=5`"),
        ("=5", "--param '=5' is not KEY=VALUE"),
        ("limit=many", "limit"),
        ("limt=5", "did you mean 'limit'?"),
    ],
)
def test_params_that_do_not_fit_are_one_sentence(shop: Path, pinstripe: Pinstripe, param: str, told: str) -> None:
    result = pinstripe("run-background-job", "cleanup", "--param", param, at=shop)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("pinstripe: ")
    assert told in result.stderr
    assert not (shop / ".pinstripe").exists()


@pytest.mark.parametrize(
    ("written", "due_at"),
    [
        ("2026-07-01T12:00", "2026-07-01T10:00:00+00:00"),
        ("2026-01-01 12:00:30", "2026-01-01T11:00:30+00:00"),
        ("2026-01-01T12:00Z", "2026-01-01T12:00:00+00:00"),
        ("2026-01-01T12:00+05:30", "2026-01-01T06:30:00+00:00"),
    ],
)
def test_at_sets_the_due_instant_in_the_projects_zone(
    shop: Path, pinstripe: Pinstripe, written: str, due_at: str
) -> None:
    result = pinstripe("run-background-job", "cleanup", "--at", written, at=shop)

    assert result.exit_code == 0
    assert [event["line"] for event in events(result, "run_printed")] == [f"limit=1 due_at={due_at}"]


def test_an_instant_that_is_none_is_one_sentence(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("run-background-job", "cleanup", "--at", "noon", at=shop)

    assert result.exit_code == 2
    assert result.stderr.startswith("pinstripe: 'noon' is not an instant: ")


@pytest.fixture
def queued(shop: Path) -> Iterator[Bot]:
    """Another bot, in whose hands a run of `cleanup` is queued."""
    bot = Bot(Project.load(shop))
    bot.open()
    job = bot.project.job("cleanup")
    now = bot.clock.now()
    bot.ledger.claim_second([job.schedules[0]], int(now.timestamp()) // 300 * 300, now)
    yield bot
    bot.stop()


@pytest.mark.usefixtures("queued")
def test_an_overlap_exits_with_6_and_force_runs_it_all_the_same(shop: Path, pinstripe: Pinstripe) -> None:
    overlap = pinstripe("run-background-job", "cleanup", at=shop)
    forced = pinstripe("run-background-job", "cleanup", "--force", at=shop)
    other_params = pinstripe("run-background-job", "cleanup", "--param", "limit=2", at=shop)

    assert overlap.exit_code == 6
    assert overlap.stdout.startswith("cleanup skipped: the same job with the same parameters is queued or running")
    assert forced.exit_code == 0
    assert other_params.exit_code == 0


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("clenup", "there is no job 'clenup' in lib/background_jobs: did you mean 'cleanup'?"),
        ("nope", "there is no job 'nope' in lib/background_jobs: known are cleanup, failing"),
        ("broken", "the job 'broken' cannot be loaded: lib/background_jobs/broken.py:1: ImportError: "),
    ],
)
def test_an_unknown_job_exits_with_5(shop: Path, pinstripe: Pinstripe, name: str, told: str) -> None:
    (shop / "lib/background_jobs/broken.py").write_text(BROKEN)

    result = pinstripe("run-background-job", name, at=shop)

    assert result.exit_code == 5
    assert result.stderr.startswith(f"pinstripe: {told}")
    assert not (shop / ".pinstripe").exists()


@pytest.mark.parametrize("arguments", [[], ["cleanup", "--name", "cleanup"]])
def test_one_job_has_to_be_named(shop: Path, pinstripe: Pinstripe, arguments: list[str]) -> None:
    result = pinstripe("run-background-job", *arguments, at=shop)

    assert result.exit_code == 2
    assert "name one job" in result.stderr


def test_a_foreign_ledger_exits_with_4_and_is_not_touched(shop: Path, pinstripe: Pinstripe) -> None:
    ledger = shop / LEDGER
    ledger.parent.mkdir()
    connection = sqlite3.connect(ledger)
    connection.execute("CREATE TABLE letters (id INTEGER)")
    connection.close()
    before = ledger.read_bytes()

    result = pinstripe("run-background-job", "cleanup", at=shop)

    assert result.exit_code == 4
    assert result.stderr.startswith("pinstripe: ")
    assert ledger.read_bytes() == before


def test_the_log_may_be_for_people(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("run-background-job", "cleanup", "--log-format", "console", at=shop)

    assert result.exit_code == 0
    assert " run_succeeded " in result.stderr
    assert "\033[" not in result.stderr


@pytest.mark.parametrize("option", [["--log-format", "xml"], ["--log-level", "loud"]])
def test_a_wrong_choice_names_the_right_ones(shop: Path, pinstripe: Pinstripe, option: list[str]) -> None:
    result = pinstripe("run-background-job", "cleanup", *option, at=shop)

    assert result.exit_code == 2
    assert "is not one of" in result.stderr


def test_the_error_of_a_job_moves_no_cursor(shop: Path, pinstripe: Pinstripe) -> None:
    file = shop / "lib/background_jobs/failing.py"
    file.write_text(file.read_text().replace("out of paper", "out of \\x1b[2Jpaper"))

    result = pinstripe("run-background-job", "failing", at=shop)

    assert ": ValueError: out of \\x1b[2Jpaper (lib/" in result.stdout


TOO_SLOW = """
    import time
    from pinstripe_bot import background_job

    @background_job(timeout="50ms")
    def too_slow(workspace):
        while True:
            workspace.checkpoint()
            time.sleep(0.01)
    """


def test_a_job_that_times_out_exits_with_1(shop: Path, pinstripe: Pinstripe, write_project: WriteProject) -> None:
    write_project({"lib/background_jobs/too_slow.py": TOO_SLOW})

    result = pinstripe("run-background-job", "too-slow", at=shop)

    assert result.exit_code == 1
    assert re.match(r"too-slow timed out after \d+ ms", result.stdout)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (RunState.SUCCEEDED, "report succeeded in 30.0 s"),
        (RunState.TIMED_OUT, "report timed out after 30.0 s"),
        (RunState.CANCELLED, "report was cancelled after 30.0 s"),
        (RunState.INTERRUPTED, "report was interrupted after 30.0 s"),
    ],
)
def test_an_end_is_told_in_the_words_of_the_other_commands(state: RunState, sentence: str) -> None:
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    facts: dict[str, Any] = {"due_at": at, "claimed_at": at, "started_at": at, "params": {}}
    run = Run(id=1, job="report", schedule="manual", state=state, finished_at=at + timedelta(seconds=30), **facts)

    assert ended_sentence(run) == sentence


@pytest.mark.parametrize(
    ("state", "number", "exit_code"),
    [
        (RunState.SUCCEEDED, signal.SIGTERM, 0),
        (RunState.SKIPPED, None, 6),
        (RunState.TIMED_OUT, signal.SIGINT, 1),
        (RunState.CANCELLED, None, 1),
        (RunState.INTERRUPTED, signal.SIGINT, 130),
        (RunState.INTERRUPTED, signal.SIGTERM, 143),
        (RunState.INTERRUPTED, None, 1),
        (RunState.QUEUED, None, 1),
    ],
)
def test_the_exit_code_is_that_of_a_signal_only_after_one(state: RunState, number: int | None, exit_code: int) -> None:
    assert exit_code_of(state, number) == exit_code
