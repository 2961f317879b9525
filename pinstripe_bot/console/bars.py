"""Small pictures of bars: counts, workers, latencies, progress, and the runs of one instant."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from pinstripe_bot.console.scales import percentile
from pinstripe_bot.console.strips import WORST_FIRST, Cloth, Stripe, worst_of
from pinstripe_bot.console.svg import bar_d, box_d, diamond_d, line_d, path, picture, rect, text, titled

_NARROW: Final = 384
_FACTS: Final = 352  # the width inside the right column
_PIN_PITCH: Final = 6
_TROUBLES: Final = (*WORST_FIRST[:4], "late")  # worst first; what else is told, a quarter does not show
_MOST_WORKERS: Final = 64
_MOST_LETTERS: Final = 24
_MOST_RUNS: Final = 88


def quarters(
    counts: Sequence[int], troubles: Sequence[tuple[int, str]], hours: Sequence[tuple[int, str]], *, label: str
) -> str:
    """Runs per quarter of an hour, the newest at the right; below the base line its worst trouble, and the hours.

    `troubles` are (index of the quarter, state or `late`), `hours` (index of the quarter, what the clock showed).
    """
    values = [max(count, 0) for count in counts]
    most = max(values, default=0)
    pitch = _NARROW / max(len(values), 1)
    tops = [bar_d(index * pitch, 86, pitch * 0.75, 86 * value / most) for index, value in enumerate(values) if value]
    worst: dict[int, str] = {}
    for index, kind in troubles:
        if kind in _TROUBLES and 0 <= index < len(values):
            worst[index] = min(worst.get(index, kind), kind, key=_TROUBLES.index)
    marks = "".join(_trouble(kind, index * pitch, pitch * 0.75) for index, kind in sorted(worst.items()))
    body = path("".join(tops), "f-load") + marks + path(line_d(0, 86.5, _NARROW, 86.5), "axis")
    body += text(_NARROW, 113, "now", "e b")
    for index, words in hours:
        x = index * pitch
        if 14 <= x <= _NARROW - 44:
            body += path(line_d(x, 86, x, 100), "axis") + text(x, 113, words, "m")
    return picture(_NARROW, 116, label, body)


def _trouble(kind: str, x: float, width: float) -> str:
    if kind == "missed":
        return path(diamond_d(x + width / 2, 93, 3), "f-missed")
    if kind == "late":
        return path(box_d(x, 89, max(width, 3), 3), "f-late")
    wide = max(width, 3)
    cap = box_d(x - 1, 89, wide + 2, 2) if kind == "timed_out" else ""
    return path(box_d(x, 89, wide, 9) + cap, f"f-{kind}")


def workers(busy: int, total: int, *, label: str) -> str:
    """A cell for each worker: full where it is busy, pin-striped where it is idle."""
    total, busy = max(total, 0), min(max(busy, 0), max(total, 0))
    if total > _MOST_WORKERS:
        full = rect(0, 0, _FACTS * busy / total, 28, "f-running", radius=2)
        return picture(_FACTS, 28, label, _idle(0, _FACTS) + full)
    gap = 4 if total <= 16 else 2
    width = (_FACTS - gap * (total - 1)) / max(total, 1)
    cells = [index * (width + gap) for index in range(total)]
    full = "".join(rect(x, 0, width, 28, "f-running", radius=min(2, width / 2)) for x in cells[:busy])
    return picture(_FACTS, 28, label, full + "".join(_idle(x, width) for x in cells[busy:]))


def _idle(left: float, width: float) -> str:
    count = max(math.ceil((width - 3) / _PIN_PITCH), 0)
    pins = "".join(
        line_d(left + 3 + index * _PIN_PITCH, 0, left + 3 + index * _PIN_PITCH, 28) for index in range(count)
    )
    return path(pins, "pin") + rect(left + 0.5, 0.5, width - 1, 27, "hollow", radius=min(2, width / 2))


def latencies(ms: Sequence[float], *, label: str) -> str:
    """How fast the ledger answered, the newest at the right; a measure and no state, so it is grey."""
    shown = [value if math.isfinite(value) and value > 0 else 0 for value in ms[-(_FACTS // 6) :]]
    top = percentile(shown, 0.93) * 1.15
    left = _FACTS - len(shown) * 6
    heights = [max(min(value / top, 1) * 32, 1.5) if top > 0 else 1.5 for value in shown]
    d = "".join(bar_d(left + 1 + index * 6, 32, 4, height) for index, height in enumerate(heights))
    return picture(_FACTS, 32, label, path(d, "f-load"))


def meter(done: int | None, total: int | None, *, expected: float | None = None) -> str:
    """How far a run has come: by what it reports, else by the share of its usual time that has passed.

    Striped where neither is known or the usual time is over: nothing says when it ends. Words stand beside it.
    """
    part = _share(done, total, expected)
    if part is None:
        stripes = "".join(box_d(x, 0, 3, 6) for x in range(0, _FACTS, _PIN_PITCH))
        body = path(stripes, "f-running f-soft")
    else:
        full = rect(0, 0, _FACTS * part, 6, "f-running", radius=3) if part > 0 else ""
        body = rect(0, 0, _FACTS, 6, "f-track", radius=3) + full
    return picture(_FACTS, 6, "", body, css="meter", fit="none")


def _share(done: int | None, total: int | None, expected: float | None) -> float | None:
    if total is not None and total > 0:
        return min(max((done or 0) / total, 0), 1)
    if expected is None or not 0 <= expected <= 1:
        return None
    return expected


def same_instant(stripes: Sequence[Stripe], mine: int, *, label: str) -> str:
    """The runs of one instant, one for each tenant: `told` begins with its name, and `mine` is the one to look at."""
    shown, mine = _around(stripes, mine)
    pitch = _FACTS / max(len(shown), 12)
    width = pitch * 0.75
    longest = max((stripe.duration_s or 0 for stripe in shown if math.isfinite(stripe.duration_s or 0)), default=0)
    return picture(_FACTS, 60, label, "".join(_runs(shown, mine, pitch, width, longest)))


def _runs(shown: Sequence[Stripe], mine: int, pitch: float, width: float, longest: float) -> Iterator[str]:
    for index, stripe in enumerate(shown):
        x = index * pitch + (pitch - width) / 2
        cloth = Cloth(longest, 44, 38)
        cloth.add(stripe, x, width)
        yield titled(stripe.title, cloth.svg())
        if len(shown) <= _MOST_LETTERS:
            yield text(x + width / 2, 57, stripe.told[:1].upper(), "m b" if index == mine else "m")
    if len(shown) > _MOST_LETTERS and 0 <= mine < len(shown):
        middle = (mine + 0.5) * pitch
        yield path(line_d(middle, 45, middle, 48), "axis")
        yield text(min(max(middle, 24), _FACTS - 24), 57, "this run", "m b")


def _around(stripes: Sequence[Stripe], mine: int) -> tuple[list[Stripe], int]:
    """All, or equal groups of them of which the worst speaks for the others; mine is a group of its own."""
    count = len(stripes)
    if count <= _MOST_RUNS:
        return list(stripes), mine
    bounds = {index * count // (_MOST_RUNS - 2) for index in range(_MOST_RUNS - 1)}
    if 0 <= mine < count:
        bounds |= {mine, mine + 1}
    edges = sorted(bounds)
    groups = [stripes[start:end] for start, end in pairwise(edges)]
    return [_of_group(group) for group in groups], edges.index(mine) if mine in edges else -1


def _of_group(group: Sequence[Stripe]) -> Stripe:
    worst = worst_of(group)
    return worst if len(group) == 1 else replace(worst, told=f"{len(group)} runs, the worst: {worst.title}")
