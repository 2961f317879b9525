"""Tracebacks, frame by frame."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console.tracebacks import Frame, Part, parts_of

SIMPLE = """
Traceback (most recent call last):
  File "lib/background_jobs/sweep.py", line 7, in run
    self.paper()
    ~~~~~~~~~~^^
  File "/usr/lib/python3.11/json/decoder.py", line 337, in decode
    obj, end = self.raw_decode(s)
ValueError: out of paper
"""


def told(error: BaseException) -> list[Part]:
    return parts_of("".join(traceback.format_exception(error)))


def raised(function: Callable[[], object]) -> Exception:
    try:
        function()
    except Exception as error:  # noqa: BLE001
        return error
    raise AssertionError("nothing was raised")


def test_an_error_has_its_frames_and_its_end() -> None:
    (part,) = parts_of(SIMPLE)

    assert (part.before, part.end) == ("", "ValueError: out of paper")
    assert part.frames == (
        Frame("lib/background_jobs/sweep.py:7", "run", "    self.paper()\n    ~~~~~~~~~~^^", is_own=True),
        Frame("/usr/lib/python3.11/json/decoder.py:337", "decode", "    obj, end = self.raw_decode(s)", is_own=False),
    )


@pytest.mark.parametrize(
    ("path", "is_own"),
    [
        ("lib/background_jobs/sweep.py", True),
        ("lib/ünï code.py", True),
        ("/elsewhere/lib/paper.py", False),
        (".venv/lib/python3.11/site-packages/paper.py", False),
        ("site-packages/paper.py", False),
        ("<string>", False),
        ("<frozen importlib._bootstrap>", False),
    ],
)
def test_a_frame_is_the_projects_own_or_a_librarys(path: str, is_own: bool) -> None:
    (part,) = parts_of(f'Traceback (most recent call last):\n  File "{path}", line 1, in run\nE: x')

    assert [frame.is_own for frame in part.frames] == [is_own]


def test_an_error_of_several_lines_stays_whole() -> None:
    (part,) = parts_of(SIMPLE.rstrip() + "\n    and ink\n\nadded note\n")

    assert part.end == "ValueError: out of paper\n    and ink\n\nadded note"


def _chain() -> None:
    try:
        {}["paper"]
    except KeyError as error:
        raise ValueError("out of paper") from error


def _context() -> None:
    try:
        {}["paper"]
    except KeyError:
        raise ValueError("out of paper")  # noqa: B904


@pytest.mark.parametrize(
    ("chain", "between"), [(_chain, "direct cause of the following"), (_context, "another exception occurred")]
)
def test_chained_errors_are_parts_with_what_joins_them_before_the_second(
    chain: Callable[[], None], between: str
) -> None:
    first, second = told(raised(chain))

    assert first.end == "KeyError: 'paper'"
    assert between in second.before
    assert second.end == "ValueError: out of paper"
    assert len(second.frames) == 2


def test_the_frames_of_a_recursion_are_those_of_one_error() -> None:
    def deep(left: int) -> None:
        deep(left - 1) if left else {}["paper"]

    (part,) = told(raised(lambda: deep(50)))

    assert part.end == "KeyError: 'paper'"
    assert any("repeated" in frame.code for frame in part.frames)


def test_a_recursion_without_an_end_is_one_error() -> None:
    def deep() -> None:
        deep()

    (part,) = told(raised(deep))

    assert part.end.startswith("RecursionError")


def test_a_syntax_error_has_the_place_that_it_names() -> None:
    (part,) = told(raised(lambda: compile("def (:\n", "lib/sweep.py", "exec")))

    assert part.frames[-1].place == "lib/sweep.py:1"
    assert part.frames[-1].name == ""
    assert part.end.startswith("SyntaxError")


def test_a_syntax_error_without_frames_is_read_too() -> None:
    text = dedent("""\
        File "lib/sweep.py", line 3
            def (:
                ^
        SyntaxError: invalid syntax""")

    (part,) = parts_of(text)

    assert (part.frames[0].place, part.end) == ("lib/sweep.py:3", "SyntaxError: invalid syntax")


def test_an_error_without_frames_is_an_end() -> None:
    assert parts_of("ValueError: out of paper") == [Part("ValueError: out of paper", (), "")]


def test_a_group_of_errors_loses_no_line() -> None:
    group = ExceptionGroup("several", [raised(_chain), OSError("ink")])

    text = "".join("\n".join([part.before, *(frame.code for frame in part.frames), part.end]) for part in told(group))

    assert "several" in text
    assert "OSError: ink" in text


@pytest.mark.parametrize(
    "text", ["", "\n", "nonsense", "  File", 'File "", line x', "Traceback (most recent call last):", "\x00"]
)
def test_nonsense_is_borne(text: str) -> None:
    assert "".join(f"{part.before}{part.end}" for part in parts_of(text)) in (text.strip("\n"), "")


@given(st.text('FTa": \n,in1', max_size=80))
def test_anything_is_borne(text: str) -> None:
    parts_of(f'Traceback (most recent call last):\n  File "a", line 1, in b\n{text}')


@given(st.lists(st.sampled_from([*SIMPLE.strip("\n").splitlines(), "    code", "plain", ""]), max_size=12))
def test_no_line_is_lost(lines: list[str]) -> None:
    parts = parts_of("\n".join(lines))

    text = "\n".join(
        "\n".join([part.before, *(f"{frame.place} {frame.code}" for frame in part.frames), part.end]) for part in parts
    )
    for line in lines:
        if line.strip() and "Traceback" not in line and "File" not in line:
            assert line in text


def test_a_long_stretch_of_others_frames_may_be_folded_but_never_the_last_frame() -> None:
    own, other = Frame("sweep.py:1", "run", "", True), Frame("/usr/lib/python3.11/json.py:2", "loads", "", False)

    found = Part("", (other, other, other, own, other, other, other, other), "").stretches

    assert [(is_folded, len(frames)) for is_folded, frames in found] == [(True, 3), (False, 1), (True, 3), (False, 1)]
