"""The progress of a run by hand."""

from __future__ import annotations

import io
import sys

import pytest

from pinstripe_bot.cli.progress import ProgressBar


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    return stream


def test_the_bar_appears_with_the_first_progress(terminal: Terminal) -> None:
    with ProgressBar() as bar:
        before = terminal.getvalue()
        bar.show(1, 2)

    assert before == ""
    assert "50%" in terminal.getvalue()


def test_log_lines_pass_above_the_bar(terminal: Terminal) -> None:
    with ProgressBar() as bar:
        bar.show(1, 2)
        assert bar.log_stream is not None
        bar.log_stream.write("a line of the log\n")

    erased_first = terminal.getvalue().partition("a line of the log")[0]
    assert erased_first.endswith("\x1b[2K")


def test_without_a_terminal_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)

    with ProgressBar() as bar:
        bar.show(1, 2)

    assert bar.log_stream is None
    assert stream.getvalue() == ""
