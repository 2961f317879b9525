"""How long runs took and how late they started, as dots over time with p50 and p95."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pinstripe_bot.console.durations import show_round_s, show_s
from pinstripe_bot.console.scales import (
    Linear,
    Logarithmic,
    TimeScale,
    duration_ticks,
    log_ticks,
    percentile,
    show_day,
    time_axis,
)
from pinstripe_bot.console.svg import (
    cross_d,
    disc_d,
    hourglass_d,
    line_d,
    number,
    path,
    picture,
    text,
    text_width,
)
from pinstripe_bot.zones import Zone

_WIDTH: Final = 896
_HEIGHT: Final = 176
_LEFT: Final = 44
_RIGHT: Final = 796
_TOP: Final = 8
_FOOT: Final = 154
_LABEL_HEIGHT: Final = 14
_TIME_TICKS: Final = 7
_FINE_UP_TO: Final = 2000  # with more dots than that whole pixels will do: those that coincide are drawn once
_GIANT: Final = 3  # times the 98th percentile: what is longer touches the top, or it would flatten all others
_SHORTEST_LATENESS_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Point:
    """A run that has ended: when it was due, and the seconds that the picture is about."""

    at: datetime
    seconds: float
    state: str
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Percentile:
    """What half of the runs, and 95 of 100, stayed under around an instant."""

    at: datetime
    p50_s: float
    p95_s: float


@dataclass(frozen=True, slots=True)
class _Plot:
    """The field between the axes."""

    x: TimeScale
    y: Linear | Logarithmic
    ticks: tuple[float, ...]
    zone: Zone


def duration_scatter(
    points: Sequence[Point],
    line: Sequence[Percentile],
    begins_at: datetime,
    ends_at: datetime,
    zone: Zone,
    *,
    label: str,
    limit_s: float | None = None,
) -> str:
    """How long each run took; `ends_at` is now, `limit_s` the job's time-out, drawn where it is in reach."""
    x = TimeScale(begins_at, ends_at, _LEFT, _RIGHT)
    ticks = duration_ticks(_reach(points, line, limit_s, x))
    plot = _Plot(x, Linear(0, ticks[-1], _FOOT, _TOP), ticks, zone)
    limit = "" if limit_s is None or not 0 < limit_s <= ticks[-1] else _limit(plot, limit_s, "time-out")
    body = _axes(plot) + limit + _dots(plot, points, has_late=False) + _lines(plot, line)
    return picture(_WIDTH, _HEIGHT, label, body)


def lateness_scatter(
    points: Sequence[Point],
    line: Sequence[Percentile],
    begins_at: datetime,
    ends_at: datetime,
    zone: Zone,
    *,
    label: str,
    late_after_s: float,
) -> str:
    """How long after its due instant each run started, on a logarithmic axis; `ends_at` is now."""
    x = TimeScale(begins_at, ends_at, _LEFT, _RIGHT)
    values = [value for value in _values(points, line, x) if value > 0]
    ticks = log_ticks(min(_SHORTEST_LATENESS_S, late_after_s), max([*values, late_after_s * 1.5]))
    plot = _Plot(x, Logarithmic(ticks[0], ticks[-1], _FOOT, _TOP), ticks, zone)
    limit = _limit(plot, late_after_s, "late after")
    body = _axes(plot) + limit + _dots(plot, points, has_late=True) + _lines(plot, line)
    return picture(_WIDTH, _HEIGHT, label, body)


def _values(points: Sequence[Point], line: Sequence[Percentile], x: TimeScale) -> list[float]:
    values = [point.seconds for point in points if x.holds(point.at)]
    values += [value for each in line if x.holds(each.at) for value in (each.p50_s, each.p95_s)]
    return [value for value in values if math.isfinite(value)]


def _reach(points: Sequence[Point], line: Sequence[Percentile], limit_s: float | None, x: TimeScale) -> float:
    """The longest duration that the axis has to show."""
    values = _values(points, line, x)
    longest, usual = max(values, default=0), percentile(values, 0.98)
    reach = longest if longest <= _GIANT * usual else usual * 1.15
    is_near = limit_s is not None and reach < limit_s <= 2 * reach
    return limit_s if limit_s is not None and is_near else reach


def _axes(plot: _Plot) -> str:
    return "".join(_value_axis(plot)) + "".join(_time_labels(plot))


def _value_axis(plot: _Plot) -> Iterator[str]:
    last_y = math.inf
    for seconds in plot.ticks:
        y = plot.y(seconds)
        yield path(line_d(_LEFT, y, _RIGHT, y), "grid")
        if last_y - y >= _LABEL_HEIGHT - 2:
            yield text(_LEFT - 8, y + 4, show_round_s(seconds), "e")
            last_y = y


def _time_labels(plot: _Plot) -> Iterator[str]:
    axis = time_axis(plot.x.begins_at, plot.x.ends_at, plot.zone, _TIME_TICKS)
    free_from = 0.0
    for tick in axis.ticks:
        words = show_day(tick.wall.date()) if axis.is_in_days else f"{tick.wall:%H:%M}"
        x, half = plot.x(tick.at), text_width(words, 11) / 2
        if free_from <= x - half and x + half <= _RIGHT - 24:
            yield text(x, _HEIGHT - 4, words, "m")
            free_from = x + half + 8
    yield text(_RIGHT, _HEIGHT - 4, "today" if axis.is_in_days else "now", "m")


def _limit(plot: _Plot, seconds: float, words: str) -> str:
    y = plot.y(seconds)
    name = text(_LEFT + 6, y - 4 if y > _TOP + 10 else y + 12, f"{words} {show_round_s(seconds)}")
    return path(line_d(_LEFT, y, _RIGHT, y), "s-lim") + name


def _dots(plot: _Plot, points: Sequence[Point], *, has_late: bool) -> str:
    """One path for each kind of run, and in it each place once."""
    kinds: dict[str, dict[tuple[float, float], None]] = {}
    digits = 1 if len(points) <= _FINE_UP_TO else 0
    for point in points:
        if plot.x.holds(point.at) and not math.isnan(point.seconds):
            kind = "late" if has_late and point.is_late and point.state == "succeeded" else point.state
            place = round(plot.x(point.at), digits), round(plot.y(point.seconds), digits)
            kinds.setdefault(kind, {})[place] = None
    plain = [_dot(kind, kinds[kind]) for kind in kinds if kind == "succeeded"]
    return "".join(plain + [_dot(kind, kinds[kind]) for kind in kinds if kind != "succeeded"])


def _dot(kind: str, places: dict[tuple[float, float], None]) -> str:
    if kind == "failed":
        return path("".join(cross_d(x, y) for x, y in places), "s-bad")
    if kind == "timed_out":
        return path("".join(hourglass_d(x, y) for x, y in places), "f-timed_out")
    if kind in ("succeeded", "interrupted", "late"):
        css = "d-succeeded" if kind == "succeeded" else "d-late"
        return path("".join(f"M{number(x)} {number(y)}h0" for x, y in places), f"dots {css}")
    return path("".join(disc_d(x, y, 1.8) for x, y in places), "f-cancelled")


def _lines(plot: _Plot, line: Sequence[Percentile]) -> str:
    """p50 and p95, to the right edge, where each has its name and its last value."""
    shown = sorted((each for each in line if plot.x.holds(each.at)), key=lambda each: each.at)
    if not shown:
        return ""
    xs = [plot.x(each.at) for each in shown]
    p50_d = _line_d(xs, [plot.y(each.p50_s) for each in shown])
    p95_d = _line_d(xs, [plot.y(each.p95_s) for each in shown])
    p50_s, p95_s = shown[-1].p50_s, shown[-1].p95_s
    p50_y, p95_y = _apart(plot.y(p50_s) + 4, plot.y(p95_s) + 4)
    names = text(_RIGHT + 8, p50_y, f"p50 {show_s(p50_s)}", "lab") + text(
        _RIGHT + 8, p95_y, f"p95 {show_s(p95_s)}", "lab"
    )
    return path(p50_d, "s-p50") + path(p95_d, "s-p95") + names


def _line_d(xs: Sequence[float], ys: Sequence[float]) -> str:
    steps = "L".join(f"{number(x)} {number(y)}" for x, y in zip(xs, ys, strict=True))
    return f"M{steps}H{_RIGHT}"


def _apart(lower: float, upper: float) -> tuple[float, float]:
    """Where two names stand that would overlap: as far from their lines as they must."""
    overlap = _LABEL_HEIGHT - (lower - upper)
    if overlap <= 0:
        return lower, upper
    # Neither leaves the field: the one at its edge stays, and the other gives way.
    upper = max(min(upper - overlap / 2, _FOOT + 4 - _LABEL_HEIGHT), _TOP + 4)
    return upper + _LABEL_HEIGHT, upper
