"""SVG as text: numbers, escaped words, shapes, and the picture around them."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from functools import lru_cache
from typing import Final

# What XML does not allow, and what turns the direction of all that follows it.
_UNFIT: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_LONGEST_TEXT: Final = 500
_EM: Final = 0.56  # a letter of the usual fonts is about as wide, in parts of its size
_NARROW: Final = frozenset("fijlrtI1.,:;'|!()[]- ")
_WIDE: Final = frozenset("mwMW@%")


@lru_cache(maxsize=16384)  # a page draws the same few coordinates thousands of times
def number(value: float) -> str:
    """A coordinate with at most one decimal; what is no finite number is 0."""
    if not math.isfinite(value):
        return "0"
    text = f"{value:.1f}"
    if text.endswith(".0"):
        text = text[:-2]
    return "0" if text == "-0" else text


def escape(text: str) -> str:
    """Words that are safe in an element and in an attribute, and that no character turns around."""
    return html.escape(_UNFIT.sub("\N{REPLACEMENT CHARACTER}", text[:_LONGEST_TEXT]))


def text_width(text: str, size: float = 12) -> float:
    """About how many pixels wide a text is: nothing here can measure a font."""
    return size * sum(_width_em(character) for character in text)


def _width_em(character: str) -> float:
    if character in _NARROW:
        return 0.34
    if character in _WIDE:
        return 0.88
    if "a" <= character <= "z" or "0" <= character <= "9":
        return _EM
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 1 if unicodedata.east_asian_width(character) in "WF" else 0.68


def fitted(text: str, width: float, size: float = 12) -> str:
    """The text, or as much of its beginning as fits into `width` pixels, with an ellipsis."""
    text = text[:_LONGEST_TEXT]
    if text_width(text, size) <= width:
        return text
    while text and text_width(text, size) + size > width:
        text = text[:-1]
    return f"{text}…"


def box_d(x: float, y: float, width: float, height: float) -> str:
    """The outline of a box, as a piece of a path."""
    wide, high = number(max(width, 0)), number(max(height, 0))
    return f"M{number(x)} {number(y)}h{wide}v{high}h-{wide}z"


def bar_d(x: float, foot: float, width: float, height: float) -> str:
    """A bar that stands on `foot`, as a piece of a path."""
    wide, high = number(max(width, 0)), number(max(height, 0))
    return f"M{number(x)} {number(foot)}v-{high}h{wide}v{high}z"


def line_d(x: float, y: float, x_end: float, y_end: float) -> str:
    """A straight line, as a piece of a path."""
    left, top, right, foot = number(x), number(y), number(x_end), number(y_end)
    if left == right:
        return f"M{left} {top}V{foot}"
    return f"M{left} {top}H{right}" if top == foot else f"M{left} {top}L{right} {foot}"


def cross_d(x: float, y: float, half: float = 2.5) -> str:
    """A cross around a point, to be stroked."""
    step, side = number(half * 2), number(half * -2)
    return f"M{number(x - half)} {number(y - half)}l{step} {step}m0 {side}l{side} {step}"


def hourglass_d(x: float, y: float, half: float = 3) -> str:
    """An hourglass around a point, to be filled."""
    wide, high = number(half * 2), number(half * 2 + 1)
    return f"M{number(x - half)} {number(y - half - 0.5)}h{wide}l-{wide} {high}h{wide}z"


def diamond_d(x: float, y: float, half: float = 4) -> str:
    """A diamond around a point."""
    step = number(half)
    return f"M{number(x)} {number(y - half)}l{step} {step} -{step} {step} -{step} -{step}z"


def disc_d(x: float, y: float, radius: float) -> str:
    """A disc around a point, to be filled or stroked."""
    size = number(radius)
    return f"M{number(x)} {number(y - radius)}a{size} {size} 0 1 0 .1 0z"


def path(d: str, css: str) -> str:
    """A path of pieces; nothing where there is none."""
    return f'<path class="{css}" d="{d}"/>' if d else ""


def rect(x: float, y: float, width: float, height: float, css: str, *, radius: float = 0) -> str:
    """A box as an element of its own, for the one that has round corners."""
    sides = f'width="{number(max(width, 0))}" height="{number(max(height, 0))}"'
    rounded = f' rx="{number(radius)}"' if radius else ""
    return f'<rect x="{number(x)}" y="{number(y)}" {sides} class="{css}"{rounded}/>'


def text(x: float, y: float, words: str, css: str = "") -> str:
    """A line of words, escaped; nothing where there are none."""
    named = f' class="{css}"' if css else ""
    return f'<text x="{number(x)}" y="{number(y)}"{named}>{escape(words)}</text>' if words else ""


def titled(told: str, body: str) -> str:
    """Shapes that say `told` to whoever points at them."""
    return f"<g><title>{escape(told)}</title>{body}</g>" if told else body


def picture(
    width: float, height: float, label: str, body: str, *, css: str = "c", fit: str = "", has_links: bool = False
) -> str:
    """The whole picture; `label` says what is to be seen, without a label it is hidden from those who listen.

    Nobody who listens looks for links in an image: one that has some is a group.
    """
    named = f'role="{"group" if has_links else "img"}" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    fitting = f' preserveAspectRatio="{fit}"' if fit else ""
    return f'<svg class="{css}" viewBox="0 0 {number(width)} {number(height)}" {named}{fitting}>{body}</svg>'
