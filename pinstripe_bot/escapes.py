"""Text as it may be shown: what a terminal would obey, or what makes a line read as what it is not, is written out."""

from __future__ import annotations

import re

# Also those that change the direction of writing: they make a line read as what it is not.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escape_controls(text: str, *, keeps: str = "\n\t") -> str:
    """The text without what a terminal would obey: each control character stands there as Python writes it."""
    return _CONTROLS.sub(lambda match: _escaped(match[0], keeps), text.replace("\r\n", "\n"))


def escape_line(text: str) -> str:
    """The same, on one line."""
    return escape_controls(text, keeps="")


def _escaped(character: str, keeps: str) -> str:
    return character if character in keeps else character.encode("unicode_escape").decode()
