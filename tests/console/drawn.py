"""Pictures read back: what a test sees in an SVG."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree

HOSTILE = "\"><script>alert('x')</script>&\x00\x1b\u202eDROP\u200b שלום \ud800"


def parsed(svg: str) -> ElementTree.Element:
    """The root of a picture that is well-formed and fit to be sent."""
    svg.encode("utf-8")
    assert "style=" not in svg
    assert " fill=" not in svg
    assert "<script" not in svg
    return ElementTree.fromstring(svg)


def named(svg: str, css: str) -> list[ElementTree.Element]:
    """All elements that have this class among theirs, in the order in which they are painted."""
    return [each for each in parsed(svg).iter() if css in each.get("class", "").split()]


def words(svg: str) -> list[str]:
    return [each.text or "" for each in parsed(svg).iter("text")]


def titles(svg: str) -> list[str]:
    return [each.text or "" for each in parsed(svg).iter("title")]


def bars(svg: str, css: str) -> list[tuple[float, ...]]:
    """The bars of all paths with this class: (x, foot, height)."""
    d = "".join(each.get("d", "") for each in named(svg, css))
    return [tuple(map(float, bar)) for bar in re.findall(r"M([\d.-]+) ([\d.-]+)v-([\d.]+)h", d)]


def starts(svg: str, css: str) -> list[tuple[float, float]]:
    """Where the pieces of all paths with this class begin."""
    d = "".join(each.get("d", "") for each in named(svg, css))
    return [(float(x), float(y)) for x, y in re.findall(r"M([\d.-]+) ([\d.-]+)", d)]


def at(day: int, hour: int = 0, minute: int = 0, second: float = 0, *, month: int = 10) -> datetime:
    """An instant of 2026."""
    whole, part = divmod(second, 1)
    return datetime(2026, month, day, hour, minute, int(whole), round(part * 1e6), tzinfo=UTC)
