"""The progress of a run by hand."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

import pytest

from pinstripe_bot.cli.progress import ProgressBar


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def ordinary_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def test_the_bar_appears_with_the_first_progress() -> None:
    with redirect_stderr(Terminal()) as terminal, ProgressBar() as bar:
        before = terminal.getvalue()
        bar.show(1, 2)

    assert before == ""
    assert "50%" in terminal.getvalue()


def test_log_lines_pass_above_the_bar() -> None:
    with redirect_stderr(Terminal()) as terminal, ProgressBar() as bar:
        bar.show(1, 2)
        assert bar.log_stream is not None
        bar.log_stream.write("a line of the log\n")

    erased_first = terminal.getvalue().partition("a line of the log")[0]
    assert erased_first.endswith("\x1b[2K")


@pytest.mark.parametrize("forced", ["", "1"])
def test_without_a_terminal_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch, forced: str) -> None:
    monkeypatch.setenv("FORCE_COLOR", forced)

    with redirect_stderr(io.StringIO()) as stream, ProgressBar() as bar:
        bar.show(1, 2)

    assert bar.log_stream is None
    assert stream.getvalue() == ""
