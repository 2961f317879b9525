"""The group: its table of commands, its help, and what it makes of errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from pinstripe_bot import __version__
from pinstripe_bot.cli import COMMANDS, main

from .conftest import Pinstripe

HEAVY = ["sqlalchemy", "starlette", "uvicorn", "rich", "croniter", "cron_descriptor", "structlog", "msgspec"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_agrees_with_the_command(name: str) -> None:
    command = main.get_command(click.Context(main), name)

    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(limit=100) == COMMANDS[name][1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_common_options(pinstripe: Pinstripe, name: str) -> None:
    result = pinstripe(name, "--help")

    assert result.exit_code == 0
    assert COMMANDS[name][1] in result.stdout
    assert "--project DIR" in result.stdout
    assert "--debug" in result.stdout


def test_help_lists_every_command_on_one_line(pinstripe: Pinstripe) -> None:
    result = pinstripe("--help")

    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.split("Commands:\n")[1].splitlines()] == list(COMMANDS)
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pinstripe_bot.cli import main\n"
        "try: main(['--help'])\n"
        f"except SystemExit: print([name for name in {HEAVY} if name in sys.modules])"
    )

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.splitlines()[-1] == "[]"


def test_version(pinstripe: Pinstripe) -> None:
    assert pinstripe("--version").stdout == f"pinstripe {__version__}\n"


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("chek", "did you mean 'check'?"),
        ("list", "did you mean 'list-background-jobs'?"),
        ("start", "did you mean 'start-server' or 'start-bot' or 'start-worker'?"),
        ("zzz", "known are backfill, cancel, check,"),
    ],
)
def test_an_unknown_command_names_the_close_ones(pinstripe: Pinstripe, written: str, hint: str) -> None:
    result = pinstripe(written)

    assert result.exit_code == 2
    assert f"there is no command '{written}': {hint}" in result.stderr
    assert result.stdout == ""


def test_an_unknown_option_names_the_close_ones(pinstripe: Pinstripe) -> None:
    result = pinstripe("next", "* * * * *", "--cuont", "2")

    assert result.exit_code == 2
    assert "--count" in result.stderr


def test_without_a_project_there_is_one_sentence(pinstripe: Pinstripe, tmp_path: Path) -> None:
    result = pinstripe("list-background-jobs")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        f"pinstripe: no project in {tmp_path} or above it: make one with `pinstripe generate-project NAME`,"
        " or name its folder with --project DIR\n"
    )


@pytest.mark.parametrize("arguments", [["--debug", "next", "nope"], ["next", "nope", "--debug"]])
def test_debug_shows_the_traceback_of_our_own_errors(shop: Path, pinstripe: Pinstripe, arguments: list[str]) -> None:
    result = pinstripe(*arguments, at=shop)

    assert result.exit_code == 5
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert result.stderr.splitlines()[-1].startswith("pinstripe: there is no job 'nope'")


def test_the_project_may_be_named_before_and_behind_the_command(shop: Path, pinstripe: Pinstripe) -> None:
    before = pinstripe("--project", str(shop), "check")
    behind = pinstripe("check", "--project", shop.name)

    assert before.exit_code == behind.exit_code == 0
    assert before.stdout == behind.stdout


def test_the_project_may_be_named_by_a_variable_and_a_flag_wins(
    shop: Path, pinstripe: Pinstripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINSTRIPE_PROJECT", str(shop))
    by_variable = pinstripe("check")
    by_flag = pinstripe("check", "--project", "nowhere")

    assert by_variable.exit_code == 0
    assert by_flag.exit_code == 2
    assert by_flag.stderr == "pinstripe: --project says 'nowhere', which is no folder: name the project's folder\n"


def test_a_wrong_setting_is_reported_with_its_place(shop: Path, pinstripe: Pinstripe) -> None:
    (shop / "pinstripe.toml").write_text("workers = 0\ntimezon = 'UTC'\n")

    result = pinstripe("list-background-jobs", at=shop)

    assert result.exit_code == 2
    assert result.stderr.startswith("pinstripe: 2 settings cannot be used:\n")
    assert "pinstripe.toml, line 1: workers = 0 is not accepted" in result.stderr
    assert "did you mean 'timezone'?" in result.stderr
