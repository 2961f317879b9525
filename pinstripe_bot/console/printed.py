"""What a run has printed, as lines of HTML: terminal colours become classes, everything else is text."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from markupsafe import Markup
from rich.ansi import AnsiDecoder
from rich.style import Style
from rich.text import Text

from pinstripe_bot.escapes import escape_line

_BRIGHT: Final = 8
_KNOWN: Final = 16  # colours with a name; others are of a palette that no theme knows
_NO_STYLE: Final = re.compile("\x1b\\[[0-9;]{200,}m?")
"""What the decoder would fail at: Python reads no number of thousands of digits."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number, and its HTML; whether it holds what is searched for."""

    number: int
    html: Markup
    is_found: bool


def printed_lines(output: str, search: str = "") -> list[Line]:
    """The lines of an output; what is searched for, in any case, is marked."""
    found = []
    lines = output.replace("\r\n", "\n").rstrip("\n")  # of a line, the decoder keeps what stands after the last return
    for number, text in enumerate(AnsiDecoder().decode(_NO_STYLE.sub("", lines)), start=1):
        places = list(_places(text.plain, search))
        found.append(Line(number, Markup("").join(_pieces(text, places)), bool(places)))
    return found


def _places(plain: str, search: str) -> Iterator[tuple[int, int]]:
    wanted, at = search.lower(), 0
    lower = "".join(small if len(small := one.lower()) == 1 else one for one in plain)  # of some letters it is two
    while wanted and (at := lower.find(wanted, at)) >= 0:
        yield at, at + len(wanted)
        at += len(wanted)


def _pieces(text: Text, marked: Sequence[tuple[int, int]]) -> Iterator[Markup]:
    """The text cut where a style or a mark begins or ends."""
    plain = text.plain
    cuts = {0, len(plain), *(at for span in text.spans for at in (span.start, span.end))}
    cuts |= {at for place in marked for at in place}
    edges = sorted(at for at in cuts if 0 <= at <= len(plain))
    styles = deque((span.start, span.end, span.style) for span in text.spans)  # the decoder's do not overlap
    marks = deque(marked)
    for start, end in pairwise(edges):
        _pass(styles, start)
        _pass(marks, start)
        classes = " ".join(_classes(styles[0][2])) if styles and styles[0][0] <= start else ""
        piece = Markup.escape(escape_line(plain[start:end]))
        if classes:
            piece = Markup('<span class="{}">{}</span>').format(classes, piece)
        yield Markup("<mark>{}</mark>").format(piece) if marks and marks[0][0] <= start else piece


def _pass(places: deque[Any], at: int) -> None:
    """Drop those that end before."""
    while places and places[0][1] <= at:
        places.popleft()


def _classes(style: Style | str) -> Iterator[str]:
    if isinstance(style, str):
        return
    if style.bold:
        yield "a1"
    if style.dim:
        yield "a2"
    if style.color is not None and style.color.number is not None and style.color.number < _KNOWN:
        yield f"a3{style.color.number % _BRIGHT}"
    if style.bgcolor is not None and style.bgcolor.number is not None and style.bgcolor.number < _KNOWN:
        yield f"a4{style.bgcolor.number % _BRIGHT}"
