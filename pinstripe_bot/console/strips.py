"""A run as a stripe, and a job's last runs as a strip of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pinstripe_bot.console.glyphs import state_words
from pinstripe_bot.console.svg import bar_d, box_d, line_d, number, path, picture, titled

WORST_FIRST: Final = (
    *("failed", "timed_out", "interrupted", "missed", "running", "queued"),
    *("cancelled", "skipped", "succeeded"),
)
_HOLLOW: Final = {
    "skipped": 0.0,
    "queued": 0.9,
    "missed": 0.6,
}  # what did not run, and how much of the height it takes
_LEAST: Final = {"failed": 10, "timed_out": 10, "interrupted": 13, "running": 6}  # pixels that its shape needs
_LATE_ROOM: Final = 5  # above the highest bar: a block and a gap
_HEADROOM: Final = 1.15
_USUAL: Final = 0.93  # of the runs are at most this long, and one giant does not flatten them


@dataclass(frozen=True, slots=True)
class Stripe:
    """A run, or the runs of one instant, as a strip shows it."""

    state: str
    duration_s: float | None = None
    is_late: bool = False
    count: int = 1
    told: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether it is one of the many that nobody needs to point at."""
        return self.state == "succeeded" and not self.is_late

    @property
    def title(self) -> str:
        """What it says to whoever points at it."""
        if self.told:
            return self.told
        words = state_words(self.state) + (", late" if self.is_late else "")
        return words if self.count == 1 else f"{self.count} runs: {words}"


class Cloth:
    """Stripes of one height, side by side, gathered into one path for each colour."""

    def __init__(self, top_s: float, foot: float, height: float) -> None:
        """`top_s` is how long a run is whose bar is `height` pixels high."""
        self._top_s, self._foot, self._height = top_s, foot, height
        self._pieces: dict[str, list[str]] = {}

    def add(self, stripe: Stripe, x: float, width: float) -> None:
        """Draw a stripe whose left edge is at `x`."""
        if stripe.state in _HOLLOW:
            self._add_hollow(stripe.state, x, width)
            return
        top = self._foot - self._bar_height(stripe)
        self._add_bar(stripe.state, x, top, width)
        if stripe.is_late:
            self._piece("f-late", box_d(x, max(top - _LATE_ROOM, self._foot - self._height - _LATE_ROOM), width, 3))

    def svg(self) -> str:
        return "".join(path("".join(pieces), css) for css, pieces in self._pieces.items())

    def _bar_height(self, stripe: Stripe) -> float:
        least = min(_LEAST.get(stripe.state, 1.5), self._height)
        duration_s = stripe.duration_s or 0
        if stripe.state == "running" and stripe.duration_s is None:
            return self._height
        part = duration_s / self._top_s if self._top_s > 0 and duration_s > 0 else 0
        return max(min(part, 1) * self._height, least)

    def _add_hollow(self, state: str, x: float, width: float) -> None:
        height = max(_HOLLOW[state] * self._height, 6)
        self._piece(f"f-{state}", box_d(x + 0.5, self._foot - height + 0.5, width - 1, height - 1))

    def _add_bar(self, state: str, x: float, top: float, width: float) -> None:
        foot, height = self._foot, self._foot - top
        css = f"f-{state}" if state in WORST_FIRST else "f-cancelled"
        if state == "running":
            self._piece(css, _round_head_d(x, foot, width, height))
            return
        self._piece(css, bar_d(x, foot, width, height))
        if state == "failed":
            self._piece("s-cut", line_d(x - 0.5, foot - 4.5, x + width + 0.5, foot - 4.5))
        elif state == "timed_out":
            self._piece(css, box_d(x - 1, top, width + 2, 2))
            self._piece("s-cut", line_d(x - 0.5, top + 3.5, x + width + 0.5, top + 3.5))
        elif state == "interrupted":
            self._piece("s-cut", line_d(x - 1, foot - 5.5, x + width + 1, foot - 8.5))

    def _piece(self, css: str, d: str) -> None:
        self._pieces.setdefault(css, []).append(d)


def _round_head_d(x: float, foot: float, width: float, height: float) -> str:
    radius = min(width / 2, height)
    size, straight = number(radius), number(height - radius)
    return f"M{number(x)} {number(foot)}v-{straight}a{size} {size} 0 0 1 {number(width)} 0v{straight}z"


def top_of(stripes: Iterable[Stripe]) -> float:
    """The duration that is drawn as high as there is room: higher bars touch the top as well."""
    known = sorted(stripe.duration_s for stripe in stripes if stripe.duration_s and 0 < stripe.duration_s < math.inf)
    # Rounded down: the longest of a few runs may be the giant.
    return known[int(_USUAL * (len(known) - 1))] * _HEADROOM if known else 0


def worst_of(stripes: Sequence[Stripe]) -> Stripe:
    """The one that speaks for several: the worst state, and of those the longest."""
    return max(stripes, key=lambda stripe: (-_rank(stripe.state), stripe.is_late, stripe.duration_s or 0))


def _rank(state: str) -> int:
    return WORST_FIRST.index(state) if state in WORST_FIRST else len(WORST_FIRST)


def strip(stripes: Sequence[Stripe], *, label: str, places: int = 60) -> str:
    """The last runs of a job, the newest at the right; a place that no run has had yet is a pin-stripe."""
    return _strip(stripes, label, places, css="strip", pitch=6, width=4, height=32)


def mini_strip(stripes: Sequence[Stripe], *, label: str, places: int = 30) -> str:
    """The same for a row of a table."""
    return _strip(stripes, label, places, css="mini", pitch=4, width=3, height=20)


def _strip(stripes: Sequence[Stripe], label: str, places: int, *, css: str, pitch: int, width: int, height: int) -> str:
    places = max(places, 1)
    shown = stripes[-places:]
    empty, top_s = places - len(shown), top_of(shown)
    margin = (pitch - width) / 2
    plain = Cloth(top_s, height, height - _LATE_ROOM)
    others = []
    for index, stripe in enumerate(shown, start=empty):
        cloth = plain if stripe.is_plain else Cloth(top_s, height, height - _LATE_ROOM)
        cloth.add(stripe, index * pitch + margin, width)
        if cloth is not plain:
            others.append(titled(stripe.title, cloth.svg()))
    # Sharp lines: a pin-stripe of one pixel lies between two whole coordinates.
    pin_xs = [index * pitch + pitch // 2 - 0.5 for index in range(empty)]
    pins = "".join(line_d(x, 4, x, height) for x in pin_xs)
    body = path(pins, "pin") + plain.svg() + "".join(others)
    return picture(places * pitch, height, label, body, css=css, fit="xMaxYMax slice")


def key_stripe(state: str) -> str:
    """A single stripe for the legend; `late` is a run that started late."""
    stripe = Stripe("succeeded", 1, is_late=True) if state == "late" else Stripe(state, 1)
    cloth = Cloth(1, 19, 14)
    cloth.add(stripe, 2, 4)
    return picture(8, 20, "", cloth.svg(), css="strip-k")
