"""Tables, JSON and words."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest
from rich.text import Text

from pinstripe_bot.cli.pages import Page
from pinstripe_bot.cli.tables import print_json, print_table
from pinstripe_bot.cron_words import in_words


def test_a_table_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "note"], [("cleanup", "fine"), ("[red]", "a [bold] word")], wraps="note")

    assert capsys.readouterr().out.splitlines() == [
        "name     note",
        "─" * 22,
        "cleanup  fine",
        "[red]    a [bold] word",
    ]


def test_a_column_without_anything_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "note"], [("cleanup", ""), ("report", "")], wraps="note")

    assert "note" not in capsys.readouterr().out


def test_instants_in_json_are_utc(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"due_at": datetime(2026, 1, 1, tzinfo=UTC)})

    assert capsys.readouterr().out == '{\n  "due_at": "2026-01-01T00:00:00Z"\n}\n'


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("*/5 * * * *", "Every 5 minutes"),
        ("*/10 * * * * *", "Every 10 seconds"),
        ("0 7 * * *", "At 07:00"),
        ("30 18 * * 5", "At 18:30, only on Friday"),
        ("*/45 * * * *", "At 0 and 45 minutes past the hour"),
        ("*/45 * * * * *", "At 0 and 45 seconds past the minute"),
        ("0 */10 * * *", "At 00:00, 10:00 and 20:00"),
        ("0 0 1 */5 *", "At 00:00, on day 1 of the month, only in January, June, and November"),
    ],
)
def test_an_expression_in_words(expression: str, words: str) -> None:
    assert in_words(expression) == words


@pytest.mark.parametrize("spoken", [("de_DE", "UTF-8"), (None, None)])
@pytest.mark.filterwarnings("error")
def test_the_words_are_english_whatever_the_machine_speaks(
    monkeypatch: pytest.MonkeyPatch, spoken: tuple[str | None, str | None]
) -> None:
    monkeypatch.setattr("locale.getlocale", lambda: spoken)

    assert in_words("*/5 * * * *") == "Every 5 minutes"


@pytest.mark.parametrize(
    ("width", "head"),
    [(60, "run schedule due took"), (40, "run due took"), (30, "run due"), (9, "run due")],
)
def test_in_a_narrow_terminal_columns_are_left_out_and_nothing_is_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, head: str
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    row = ["1", "30 2 * * mon-fri", "2026-11-24 02:30:00", "12 ms"]

    Page().table(["run", "schedule", "due", "took"], [row], drops=["schedule", "took"])

    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert lines[0].split() == head.split()
    assert "2026-11-24 02:30:00" in lines[2]


def test_a_grid_cuts_nothing_either(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "20")

    Page().grid([["2026-11-24 02:30:00 CET", "in 3 m 07 s", "sweep"]])

    assert capsys.readouterr().out.split() == ["2026-11-24", "02:30:00", "CET", "in", "3", "m", "07", "s", "sweep"]


def test_what_a_terminal_would_obey_is_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    Page().say("one\r\ntwo\x1b[31m\u202ered\x07")
    Page().grid([["a\x9bb", Text("c\x1bd", "bold")]])
    print_table(["name"], [("e\x00f",)], wraps="name")

    assert capsys.readouterr().out.splitlines() == [
        "one",
        "two\\x1b[31m\\u202ered\\x07",
        "  a\\x9bb  c\\x1bd",
        "name",
        "──────",
        "e\\x00f",
    ]
