"""A quarter of a year as a cloth: a day is a patch, and its stripes are the day's runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

from pinstripe_bot.console.scales import MONTHS, WEEKDAYS
from pinstripe_bot.console.strips import Cloth, Stripe, top_of, worst_of
from pinstripe_bot.console.svg import line_d, path, picture, text, text_width, titled

_WIDTH: Final = 896
_LEFT: Final = 36
_TOP: Final = 20
_ROW: Final = 31
_PATCH_HEIGHT: Final = 26
_BAR_HEIGHT: Final = 20  # what is left of a patch is for the block of a late run
_GAP: Final = 5
_MOST: Final = 12
_FEWEST: Final = 4  # a day with one run is no wall
_NAMED_DAYS: Final = (0, 2, 4, 6)
_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class DayPatch:
    """The runs of a day: one stripe for each tenant or part of the day, none where nothing was due; and its sum."""

    stripes: tuple[Stripe | None, ...]
    told: str


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where the patches lie: a column is a week that begins on a Monday."""

    first: date
    weeks: int

    @property
    def pitch(self) -> float:
        return (_WIDTH - _LEFT + _GAP) / self.weeks

    @property
    def width(self) -> float:
        return max(self.pitch - _GAP, 2)

    def days(self) -> Iterator[tuple[date, float, float]]:
        """Every day with its left edge and its foot, oldest first."""
        for index in range(self.weeks * _DAYS):
            week, weekday = divmod(index, _DAYS)
            yield self.first + timedelta(days=index), _LEFT + week * self.pitch, _TOP + _PATCH_HEIGHT + weekday * _ROW


def calendar(days: Mapping[date, DayPatch], last: date, *, weeks: int = 13, label: str) -> str:
    """The weeks up to the one of `last`, which is today: a base line says that a day is over.

    A day to come, and one before the first that is known, is pin-striped. At most 12 stripes a day: more are
    taken together, and the worst speaks for them. All bars have one scale.
    """
    weeks = max(weeks, 1)
    grid = _Grid(last - timedelta(days=last.weekday() + (weeks - 1) * _DAYS), weeks)
    shown = {day: DayPatch(_folded(days[day].stripes), days[day].told) for day, _, _ in grid.days() if day in days}
    top_s = top_of(stripe for patch in shown.values() for stripe in patch.stripes if stripe is not None)
    oldest = min(days, default=last + timedelta(days=1))
    pins, lines, patches = [], [], []
    for day, x, foot in grid.days():
        if not oldest <= day <= last:
            pins.append(_pins_d(x, foot, grid.width))
        elif day < last:
            lines.append(line_d(x, foot + 0.5, x + grid.width, foot + 0.5))
        if day in shown and day <= last:
            patches.append(_patch(shown[day], x, foot, grid.width, top_s))
    cloth = path("".join(pins), "pin") + path("".join(lines), "axis") + "".join(patches)
    return picture(_WIDTH, _TOP + _DAYS * _ROW, label, _weekday_names() + _month_names(grid) + cloth)


def _folded(stripes: Sequence[Stripe | None]) -> tuple[Stripe | None, ...]:
    """At most twelve, each of an equal part of the day or of the tenants."""
    count = len(stripes)
    if count <= _MOST:
        return tuple(stripes)
    parts = [stripes[index * count // _MOST : (index + 1) * count // _MOST] for index in range(_MOST)]
    known = [[stripe for stripe in part if stripe is not None] for part in parts]
    return tuple(worst_of(part) if part else None for part in known)


def _patch(patch: DayPatch, x: float, foot: float, width: float, top_s: float) -> str:
    cloth = Cloth(top_s, foot, _BAR_HEIGHT)
    pitch = (width - 1) / min(max(len(patch.stripes), _FEWEST), _MOST)
    for index, stripe in enumerate(patch.stripes):
        if stripe is not None:
            cloth.add(stripe, x + 0.5 + index * pitch, pitch * 0.71)
    return titled(patch.told, cloth.svg())


def _pins_d(x: float, foot: float, width: float) -> str:
    pitch = (width - 1) / _MOST
    xs = [x + 0.5 + index * pitch for index in range(_MOST)] if pitch >= 3 else [x + 0.5]
    return "".join(line_d(each, foot - _PATCH_HEIGHT, each, foot) for each in xs)


def _weekday_names() -> str:
    return "".join(text(0, _TOP + 17 + day * _ROW, WEEKDAYS[day][:3]) for day in _NAMED_DAYS)


def _month_names(grid: _Grid) -> str:
    """Above the first week that begins in a month, if there is room before the next name."""
    mondays = [(x, day.month) for day, x, _ in grid.days() if day.weekday() == 0]
    names = [mondays[0], *(after for before, after in pairwise(mondays) if before[1] != after[1])]
    ends = [x for x, _ in names[1:]] + [float(_WIDTH)]
    return "".join(
        text(x, 11, MONTHS[month - 1])
        for (x, month), end in zip(names, ends, strict=True)
        if x + text_width(MONTHS[month - 1], 11) <= end
    )
