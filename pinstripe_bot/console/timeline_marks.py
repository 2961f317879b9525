"""The marks of one job on a timeline: what ran, what did not, and what is due."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Final

from pinstripe_bot.console.glyphs import state_words
from pinstripe_bot.console.scales import TimeScale
from pinstripe_bot.console.strips import WORST_FIRST
from pinstripe_bot.console.svg import box_d, diamond_d, disc_d, line_d, path, picture, rect, titled
from pinstripe_bot.zones import EPOCH

_NARROWEST: Final = 2.5  # pixels of a run that took no time
_HOLLOW_FROM: Final = 5  # pixels; what is expected to be shorter is a tick
_MOST_ELEMENTS: Final = 60  # of one lane; more of them are taken together
_JOINED_WITHIN: Final = (0.0, 2.0, 5.0, 12.0, 30.0, 80.0)
_CROWD: Final = 3  # runs that touch
_CROWDED: Final = 6  # pixels from tick to tick: closer ones are paler, or they would be a wall
_PAUSE: Final = 3  # times the usual distance of two runs: a band that is interrupted for longer says so


@dataclass(frozen=True, slots=True)
class Mark:
    """A run, an instant without one (`missed`, `skipped`), or one to come (`due`).

    `due_at` only where it started late. `ends_at` of what is due or runs is when it is expected to end.
    `count` instants in a row may share a mark; `told` is what it says to whoever points at it.
    """

    kind: str
    begins_at: datetime
    ends_at: datetime | None
    due_at: datetime | None = None
    count: int = 1
    told: str = ""

    @property
    def until(self) -> datetime:
        """Its end, and never before its beginning."""
        return self.begins_at if self.ends_at is None else max(self.begins_at, self.ends_at)

    @property
    def is_late(self) -> bool:
        return self.due_at is not None and self.due_at < self.begins_at

    @property
    def title(self) -> str:
        if self.told:
            return self.told
        words = state_words(self.kind) + (", late" if self.is_late else "")
        return words if self.count == 1 else f"{self.count} {words}"


@dataclass(frozen=True, slots=True)
class Track:
    """The line of a lane on which its marks stand: how instants become pixels, where now is, and how high a bar is."""

    x: TimeScale
    now: datetime
    middle: float
    bar_height: float

    @property
    def top(self) -> float:
        return self.middle - self.bar_height / 2

    def span(self, mark: Mark) -> tuple[float, float]:
        """From where to where a mark reaches, at least as wide as can be seen."""
        end = self.now if mark.kind == "running" else mark.until
        if mark.kind not in ("due", "running"):
            end = min(end, self.now)  # nothing of the past lasts into the future
        left = self.x(mark.begins_at)
        right = self.x(end) if end > mark.begins_at else left
        return left, max(right, left + _NARROWEST)


def draw_marks(
    marks: Sequence[Mark], track: Track, *, is_dense: bool, downs: Sequence[tuple[datetime, datetime]]
) -> str:
    """All marks of a lane, the loud ones on top; of a dense one a pale band, and only what is no plain run."""
    shown = sorted((mark for mark in marks if _is_in_sight(mark, track)), key=lambda mark: mark.begins_at)
    plain = [mark for mark in shown if mark.kind == "succeeded" and not mark.is_late]
    dues = [mark for mark in shown if mark.kind == "due"]
    others = [mark for mark in shown if mark.kind != "due" and (mark.kind != "succeeded" or mark.is_late)]
    # A ring lies on the bar of the run that held the instant up, so it is painted after it.
    others.sort(key=lambda mark: mark.kind in ("skipped", "missed"))
    runs = _band(plain, track, downs) if is_dense else _bars(plain, track)
    return runs + _expected(dues, track, is_dense=is_dense) + "".join(_others(others, track))


def key_mark(kind: str) -> str:
    """A single mark for the legend; `late` is a run that started late."""
    second = timedelta(seconds=1)  # a pixel
    track = Track(TimeScale(EPOCH, EPOCH + 14 * second, 0, 14), EPOCH + 13 * second, middle=8, bar_height=8)
    is_narrow = kind in ("skipped", "missed")
    first, last = (7, 7) if is_narrow else (4, 7) if kind in ("failed", "interrupted") else (1, 12)
    mark = Mark(kind, EPOCH + first * second, EPOCH + last * second)
    if kind == "late":
        mark = Mark("succeeded", EPOCH + 9 * second, EPOCH + 13 * second, due_at=EPOCH + second)
    if kind == "due":
        tick, bar = (
            replace(mark, ends_at=None),
            replace(mark, begins_at=EPOCH + 6 * second, ends_at=EPOCH + 14 * second),
        )
        return picture(14, 16, "", _expected([tick, bar], track, is_dense=False), css="mark-k")
    return picture(14, 16, "", (_whisker(mark, track) if mark.is_late else "") + _shape(mark, track), css="mark-k")


def _is_in_sight(mark: Mark, track: Track) -> bool:
    return track.x.holds(mark.begins_at, track.now if mark.kind == "running" else mark.until)


def _bars(marks: Sequence[Mark], track: Track) -> str:
    """Plain runs in one path; where many touch they are a pale band, or they would look like a single long one."""
    joined = _joined([track.span(mark) for mark in marks], within=1)
    bars = [box_d(left, track.top, right - left, track.bar_height) for left, right, count in joined if count < _CROWD]
    crowds = [(left, right) for left, right, count in joined if count >= _CROWD]
    return _pale(crowds, track) + path("".join(bars), "f-succeeded")


def _joined(spans: Sequence[tuple[float, float]], within: float) -> list[tuple[float, float, int]]:
    """The spans, those nearer to each other than `within` as one, and of how many each is made."""
    joined: list[tuple[float, float, int]] = []
    for left, right in spans:
        if joined and left - joined[-1][1] < within:
            first, last, count = joined[-1]
            joined[-1] = (first, max(last, right), count + 1)
        else:
            joined.append((left, right, 1))
    return joined


def _band(plain: Sequence[Mark], track: Track, downs: Sequence[tuple[datetime, datetime]]) -> str:
    """Where a dense job ran: by its plain runs, or all the past but the downtimes where it is given none."""
    if not plain:
        return _pale(_between(downs, track), track)
    spans = [track.span(mark) for mark in plain]
    gaps = [after[0] - before[1] for before, after in pairwise(spans)]
    within = max(_PAUSE * median(gaps), _NARROWEST) if gaps else 0
    return _pale([(left, right) for left, right, _ in _joined(spans, within)], track)


def _pale(spans: Sequence[tuple[float, float]], track: Track) -> str:
    height = track.bar_height - 2
    d = "".join(box_d(left, track.middle - height / 2, right - left, height) for left, right in spans if right > left)
    return path(d, "f-succeeded f-soft")


def _between(downs: Sequence[tuple[datetime, datetime]], track: Track) -> list[tuple[float, float]]:
    spans, left, end = [], track.x.left, track.x(track.now)
    for begins_at, ends_at in sorted(downs):
        spans.append((left, min(track.x(begins_at), end)))
        left = max(left, track.x(ends_at))
    return [*spans, (left, end)]


def _expected(dues: Sequence[Mark], track: Track, *, is_dense: bool) -> str:
    """What is due: a hollow bar as long as it usually takes, or a tick where that is too short to be seen."""
    ticks, boxes = [], []
    height = track.bar_height if is_dense else track.bar_height + 2
    last_x = -1.0
    for mark in dues:
        left, right = track.span(mark)
        if right - left >= _HOLLOW_FROM and not is_dense:
            boxes.append(box_d(left + 0.5, track.top + 0.5, right - left - 1, track.bar_height - 1))
        elif left - last_x >= (3 if is_dense else 2):
            ticks.append(line_d(left, track.middle - height / 2, left, track.middle + height / 2))
            last_x = left
    is_soft = is_dense or (len(ticks) > 2 and (last_x - track.x(dues[0].begins_at)) / (len(ticks) - 1) < _CROWDED)
    return path("".join(ticks), "tick f-soft" if is_soft else "tick") + path("".join(boxes), "f-due")


def _others(marks: Sequence[Mark], track: Track) -> Iterator[str]:
    for within in _JOINED_WITHIN:
        joined = _together(marks, track, within)
        if len(joined) <= _MOST_ELEMENTS:
            break
    for mark in joined:
        whisker = _whisker(mark, track) if mark.is_late else ""
        yield titled(mark.title, whisker + _shape(mark, track))


def _together(marks: Sequence[Mark], track: Track, within: float) -> list[Mark]:
    """Marks of one kind that would hide each other, as one with their count."""
    found: list[Mark] = []
    last: dict[str, int] = {}
    for mark in marks:
        index = last.get(mark.kind)
        if index is not None and track.x(mark.begins_at) - track.span(found[index])[1] < within:
            found[index] = _one_of(found[index], mark)
        else:
            last[mark.kind] = len(found)
            found.append(mark)
    return found


def _one_of(first: Mark, last: Mark) -> Mark:
    count = first.count + last.count
    ends_at = max(first.until, last.until)
    told = f"{count} {state_words(first.kind)}" + (f"; the last: {last.told}" if last.told else "")
    return Mark(first.kind, first.begins_at, ends_at, first.due_at, count, told)


def _whisker(mark: Mark, track: Track) -> str:
    """From due to started."""
    due_x, start_x = track.x(mark.due_at or mark.begins_at), track.x(mark.begins_at)
    if start_x - due_x < 1:
        return ""
    ends = line_d(due_x, track.middle - 5, due_x, track.middle + 5), line_d(due_x, track.middle, start_x, track.middle)
    return path("".join(ends), "s-late")


def _shape(mark: Mark, track: Track) -> str:
    left, right = track.span(mark)
    if mark.kind == "skipped":
        rings = [left] if mark.count == 1 or right - left < 8 else [left, right]
        return path("".join(disc_d(x, track.middle, 3) for x in rings), "f-skipped")
    if mark.kind == "missed":
        if right - left < _HOLLOW_FROM:
            return path(diamond_d(left, track.middle), "f-missed")
        return rect(left + 0.5, track.top + 0.5, right - left - 1, track.bar_height - 1, "f-missed", radius=1)
    if mark.kind == "running":
        return _running(mark, track)
    css = f"f-{mark.kind}" if mark.kind in WORST_FIRST else "f-cancelled"
    if mark.kind == "timed_out":
        wall = box_d(right - 1, track.middle - track.bar_height / 2 - 3, 2, track.bar_height + 6)
        return path(box_d(left, track.top, right - left, track.bar_height) + wall, css)
    if mark.kind in ("failed", "interrupted"):
        cut = _cut(mark, track) if right - left > 8 else ""
        return rect(left, track.top - 1, max(right - left, 4), track.bar_height + 2, css, radius=1) + cut
    return rect(left, track.top, right - left, track.bar_height, css, radius=1)


def _cut(mark: Mark, track: Track) -> str:
    """What tells a long bar that failed, or broke, from one that ran: near its end, as near the foot of a stripe."""
    x = track.span(mark)[1] - 4.5
    slant = 1.5 if mark.kind == "interrupted" else 0
    return path(line_d(x - slant, track.top + track.bar_height + 1, x + slant, track.top - 1), "s-cut")


def _running(mark: Mark, track: Track) -> str:
    """To now, and dashed to where it is expected to end."""
    left, right = track.span(mark)
    bar = rect(left, track.top, right - left, track.bar_height, "f-running", radius=2)
    expected_x = track.x(mark.until)
    if mark.until <= track.now + timedelta(seconds=1) or expected_x - right < 1:
        return bar
    return bar + rect(right, track.top + 0.5, expected_x - right, track.bar_height - 1, "f-exp")
