"""What ran and what is due, one lane a job, around now."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pinstripe_bot.console.scales import MONTHS, WEEKDAYS, TimeAxis, TimeScale, TimeTick, time_axis
from pinstripe_bot.console.svg import box_d, escape, fitted, line_d, path, picture, rect, text, text_width, titled
from pinstripe_bot.console.timeline_marks import Mark, Track, draw_marks, key_mark
from pinstripe_bot.zones import Zone

__all__ = ["Lane", "Mark", "key_mark", "timeline"]

_ROOM_OF_A_TICK: Final = 62  # pixels
_BUSY_HEIGHT: Final = 52
_BUSY_BAR: Final = 32
_GUTTER: Final = 16  # between the names and the picture
_WIDEST_LABEL: Final = 248


@dataclass(frozen=True, slots=True)
class Lane:
    """A job: its name, which leads to `href`, and a note at its right, such as what it usually takes.

    `every` says how often a dense one is due, in words such as "every 2 minutes": then only what is no plain run
    is drawn in its past, on a pale band; no words for the others.
    """

    name: str
    href: str
    note: str
    marks: tuple[Mark, ...]
    every: str = ""


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The window in time, and the measures of the picture."""

    x: TimeScale
    now: datetime
    axis: TimeAxis
    label_width: float
    lanes_top: float
    lanes_foot: float
    lane_height: float

    @property
    def is_of_hours(self) -> bool:
        """Whether whole hours are its finest ticks: then a second line above says the day."""
        return self.axis.step_minutes >= 60

    @property
    def grid_top(self) -> float:
        return 36 if self.is_of_hours else 24

    @property
    def has_now(self) -> bool:
        return self.x.holds(self.now)

    @property
    def now_words(self) -> str:
        zone_now = self.now.astimezone(self.axis.zone.tzinfo)
        return f"now {zone_now:%H:%M}" if self.is_of_hours else "now"

    def is_free(self, left: float, words: str, size: float = 11) -> bool:
        """Whether words fit beside those of now, and before the right edge."""
        right = left + text_width(words, size) + 3
        half = text_width(self.now_words, 11) / 2 + 3
        now_x = self.x(self.now)
        return right <= self.x.right + 12 and not (self.has_now and left < now_x + half and right > now_x - half)


def timeline(
    lanes: Sequence[Lane],
    begins_at: datetime,
    ends_at: datetime,
    now: datetime,
    zone: Zone,
    *,
    label: str,
    downs: Sequence[tuple[datetime, datetime, str]] = (),
    busy: Sequence[float] = (),
    busy_name: str = "workers busy",
    width: int = 1408,
    label_width: int = 208,
) -> str:
    """The lanes from top to bottom, in the order given, over one axis of time with now on it.

    `downs` are the stretches without a bot, with their length in words; `busy` the number of busy workers in equal
    parts of the window. What lies outside of the window is cut off.
    """
    wanted = max((_label_width(lane) for lane in lanes), default=0)
    label_width = max(label_width, min(int(wanted) + 1, _WIDEST_LABEL))
    x = TimeScale(begins_at, ends_at, label_width, max(width, label_width + 100))
    axis = time_axis(begins_at, ends_at, zone, int((x.right - x.left) / _ROOM_OF_A_TICK))
    lane_height = 26 if axis.step_minutes >= 60 else 24
    lanes_top = (36 if axis.step_minutes >= 60 else 24) + (_BUSY_HEIGHT if busy else 0)
    foot = lanes_top + max(len(lanes), 1) * lane_height
    sheet = _Sheet(x, now, axis, label_width, lanes_top, foot, lane_height)
    seen = [down for down in downs if x.holds(down[0], down[1])]
    body = _grid(sheet) + _downs(sheet, seen) + (_busy(sheet, busy, busy_name) if busy else "")
    for index, lane in enumerate(lanes):
        body += _lane(sheet, lane, lanes_top + index * lane_height, [down[:2] for down in seen])
    if not lanes:
        body += text(label_width, lanes_top + 17, "Nothing ran and nothing is due in this window.")
    has_links = any(lane.href for lane in lanes)
    return picture(x.right, foot + (16 if seen else 0), label, body + _now(sheet), has_links=has_links)


def _grid(sheet: _Sheet) -> str:
    lines: dict[str, list[str]] = {"grid": [], "axis": []}
    words = list(_headings(sheet)) if sheet.is_of_hours else []
    for tick in sheet.axis.ticks:
        x = sheet.x(tick.at)
        is_strong = sheet.is_of_hours and tick.wall.hour == 0 and not sheet.axis.is_in_days
        lines["axis" if is_strong else "grid"].append(line_d(x, sheet.grid_top, x, sheet.lanes_foot))
        words.append(_tick_words(sheet, tick, x))
    return "".join(path("".join(pieces), css) for css, pieces in lines.items()) + "".join(words)


def _tick_words(sheet: _Sheet, tick: TimeTick, x: float) -> str:
    if sheet.axis.is_in_days:  # beside the line, in the day that begins there
        words = f"{WEEKDAYS[tick.wall.weekday()][:3]} {tick.wall.day}"
        return text(x + 4, 30, words) if x + text_width(words, 11) < sheet.x.right else ""
    if sheet.is_of_hours:
        is_free = not sheet.has_now or abs(x - sheet.x(sheet.now)) > 12
        return text(x, 30, f"{tick.wall:%H}", "m") if is_free else ""
    words = f"{tick.wall:%H:%M}" if sheet.axis.step_minutes != 5 or tick.wall.minute % 10 == 0 else ""
    return text(x, 14, words, "m") if sheet.is_free(x - text_width(words, 11) / 2, words) else ""


def _headings(sheet: _Sheet) -> Iterator[str]:
    """The days above the hours, or the months above the days: at the left edge, and where each begins."""
    first = sheet.x.begins_at.astimezone(sheet.axis.zone.tzinfo)
    starts = [(sheet.x.left, first)]
    for tick in sheet.axis.ticks:
        if _heading(tick.wall, sheet.axis) != _heading(starts[-1][1], sheet.axis):
            starts.append((sheet.x(tick.at) + 4, tick.wall))
    ends = [x for x, _ in starts[1:]] + [sheet.x.right + 12]
    for (x, wall), end in zip(starts, ends, strict=True):
        words = _heading(wall, sheet.axis)
        if x + text_width(words, 11) * 1.1 <= end and sheet.is_free(x, words, 12):
            yield text(x, 12, words, "b")


def _heading(wall: datetime, axis: TimeAxis) -> str:
    month = MONTHS[wall.month - 1]
    return f"{month} {wall.year}" if axis.is_in_days else f"{WEEKDAYS[wall.weekday()]} {wall.day} {month}"


def _downs(sheet: _Sheet, downs: Sequence[tuple[datetime, datetime, str]]) -> str:
    """Grey columns in which there was no bot, and below them for how long."""
    parts, free_from = [], 0.0
    for begins_at, ends_at, words in sorted(downs):
        left, right = sheet.x(begins_at), sheet.x(max(begins_at, ends_at))
        column = rect(left, sheet.grid_top + 4, max(right - left, 1), sheet.lanes_foot - sheet.grid_top - 4, "f-track")
        parts.append(titled(words, column))
        half = text_width(words, 11) / 2
        middle = min(max((left + right) / 2, sheet.x.left + half), sheet.x.right - half)
        if middle - half >= free_from:
            parts.append(text(middle, sheet.lanes_foot + 12, words, "m"))
            free_from = middle + half + 8
    return "".join(parts)


def _busy(sheet: _Sheet, busy: Sequence[float], name: str) -> str:
    """How many workers were busy, and will be: a count, so it is grey; the future is paler."""
    values = [value if math.isfinite(value) and value > 0 else 0 for value in busy]
    most = max(values)
    foot = sheet.lanes_top - 6
    pitch = (sheet.x.right - sheet.x.left) / len(values)
    past: list[str] = []
    future: list[str] = []
    for index, value in enumerate(values):
        left = sheet.x.left + index * pitch
        piece = box_d(left, foot - _BUSY_BAR * value / most, pitch * 0.75, _BUSY_BAR * value / most) if value else ""
        (past if left + pitch / 2 <= sheet.x(sheet.now) else future).append(piece)
    names = text(0, foot - 4, name, "lab")
    names += text(sheet.label_width - _GUTTER + 4, foot - 4, f"at most {round(most, 1):g}", "e")
    return names + path("".join(past), "f-load") + path("".join(future), "f-load f-soft")


def _lane(sheet: _Sheet, lane: Lane, top: float, downs: Sequence[tuple[datetime, datetime]]) -> str:
    middle = top + (13 if sheet.is_of_hours else 12)
    track = Track(sheet.x, sheet.now, middle, 8 if sheet.is_of_hours else 10)
    rule = path(line_d(0, top, sheet.x.right, top), "grid") if top > sheet.grid_top else ""
    marks = draw_marks(lane.marks, track, is_dense=bool(lane.every), downs=downs)
    return rule + _name(sheet, lane, middle + 4) + marks + (_every(sheet, lane, middle) if lane.every else "")


def _label_width(lane: Lane) -> float:
    return text_width(lane.name) + text_width(lane.note, 11) + (12 if lane.note else 0) + _GUTTER


def _name(sheet: _Sheet, lane: Lane, y: float) -> str:
    room = sheet.label_width - _GUTTER
    note = fitted(lane.note, room / 2, 11)
    name = fitted(lane.name, room - text_width(note, 11) - (12 if note else 0))
    link = f'<a href="{escape(lane.href)}">{text(0, y, name, "lab")}</a>' if lane.href else text(0, y, name, "lab")
    if name != lane.name:
        link = titled(lane.name, link)
    return link + text(room, y, note, "e")


def _every(sheet: _Sheet, lane: Lane, middle: float) -> str:
    """How often a dense job is due, amid its ticks to come, where there is room."""
    last_at = max((mark.begins_at for mark in lane.marks if mark.kind == "due"), default=sheet.x.ends_at)
    left, right = sheet.x(sheet.now), sheet.x(last_at)
    half = text_width(lane.every, 11) / 2 + 8
    if right - left < 4 * half:
        return ""
    x = (left + right) / 2
    return path(box_d(x - half, middle - 9, 2 * half, 18), "f-card") + text(x, middle + 4, lane.every, "m")


def _now(sheet: _Sheet) -> str:
    if not sheet.has_now:
        return ""
    x = sheet.x(sheet.now)
    half = text_width(sheet.now_words, 11) / 2
    top = 18 if sheet.is_of_hours else 20
    words_x = min(max(x, half), sheet.x.right - half)
    return path(line_d(x, top, x, sheet.lanes_foot), "s-now") + text(
        words_x, 12 if top == 18 else 14, sheet.now_words, "m b"
    )
