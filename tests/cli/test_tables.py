"""Tables, JSON and words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pinstripe_bot.cli.tables import in_words, print_json, print_table


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
    ],
)
def test_an_expression_in_words(expression: str, words: str) -> None:
    assert in_words(expression) == words
