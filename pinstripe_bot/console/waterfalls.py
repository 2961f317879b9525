"""The way of one run from due to finished, step below step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pinstripe_bot.console.durations import show_round_s, show_s
from pinstripe_bot.console.glyphs import state_words
from pinstripe_bot.console.scales import TimeScale, duration_ticks, show_day
from pinstripe_bot.console.strips import WORST_FIRST
from pinstripe_bot.console.svg import box_d, disc_d, fitted, line_d, number, path, picture, rect, text, text_width
from pinstripe_bot.zones import Zone

_WIDTH: Final = 896
_LEFT: Final = 232
_RIGHT: Final = 796  # behind it there is room for the length of the longest bar
_TOP: Final = 22
_ROW: Final = 26
_BAR_HEIGHT: Final = 10
_CLOCK_RIGHT: Final = 216
_MOST_FIRST: Final = 12  # of the steps of a run that was tried very often: these, and as many at the end
_MOST_LAST: Final = 24
_TICKS: Final = 8
_INSTANTS: Final = ("due", "asked", "finished")


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a run's way; the first word of `name` says of which kind.

    due and finished are instants; claimed, waited and started are time spent waiting; an attempt has the state in
    which it ended; a backoff is the time until the next. `note` stands in place of the clock. No end: it lasts.
    """

    name: str
    begins_at: datetime
    ends_at: datetime | None
    state: str
    note: str = ""

    @property
    def kind(self) -> str:
        return self.name.partition(" ")[0]

    def end(self, now: datetime) -> datetime:
        """When it ended, or now; never before it began, whatever the machine's clock did."""
        if self.kind in _INSTANTS:
            return self.begins_at
        return max(self.begins_at, now if self.ends_at is None else self.ends_at)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What all rows share."""

    x: TimeScale
    zone: Zone
    now: datetime


def waterfall(steps: Sequence[Step], zone: Zone, *, label: str, now: datetime) -> str:
    """A row for each step: its name, its clock, its bar, and its length at the bar's end."""
    if not steps:
        return picture(_WIDTH, _TOP + _ROW, label, text(_LEFT, _TOP + 17, "Nothing is known yet."))
    begins_at = min(step.begins_at for step in steps)
    ends_at = max(step.end(now) for step in steps)
    ground = _Ground(TimeScale(begins_at, ends_at, _LEFT, _RIGHT), zone, now)
    rows = _rows(steps)
    height = _TOP + len(rows) * _ROW
    body = _axis(ground, height)
    for index, row in enumerate(rows):
        top = _TOP + index * _ROW
        rule = path(line_d(0, top, _WIDTH, top), "grid") if index else ""
        body += rule + (text(0, top + 17, row) if isinstance(row, str) else _row(row, top, ground))
    return picture(_WIDTH, height, label, body)


def _rows(steps: Sequence[Step]) -> list[Step | str]:
    left_out = len(steps) - _MOST_FIRST - _MOST_LAST
    if left_out <= 1:
        return [*steps]
    return [*steps[:_MOST_FIRST], f"{left_out} steps are not shown", *steps[-_MOST_LAST:]]


def _axis(ground: _Ground, height: float) -> str:
    x = ground.x
    length_s = (x.ends_at - x.begins_at).total_seconds()
    parts = []
    for seconds in duration_ticks(length_s, _TICKS):
        if length_s > 0 and seconds <= length_s:
            tick_x = _LEFT + (_RIGHT - _LEFT) * seconds / length_s
            parts.append(path(line_d(tick_x, 18, tick_x, height), "grid"))
            parts.append(text(tick_x, 11, _tick_words(seconds, length_s), "m"))
    return "".join(parts)


def _tick_words(seconds: float, length_s: float) -> str:
    """Minutes and seconds as on a stopwatch; what is much shorter or longer, with its units."""
    if 10 <= length_s < 3600:
        return "+{}:{:02}".format(*divmod(round(seconds), 60))
    return f"+{show_round_s(seconds)}"


def _row(step: Step, top: float, ground: _Ground) -> str:
    aside = fitted(step.note or _aside(step, ground), _CLOCK_RIGHT - 88, 11)
    name = fitted(step.name, _CLOCK_RIGHT - 8 - text_width(aside, 11))
    return (
        text(0, top + 17, name, "lab") + text(_CLOCK_RIGHT, top + 17, aside, "e") + "".join(_shape(step, top, ground))
    )


def _aside(step: Step, ground: _Ground) -> str:
    """The clock when the step was done; of an attempt its state, whose clock is in the table beside it."""
    if step.kind == "attempt":
        return state_words(step.state)
    instants = (step.end(ground.now), ground.x.begins_at)
    local, first = (each.astimezone(ground.zone.tzinfo) for each in instants)
    day = "" if local.date() == first.date() else f"{show_day(local.date())} "
    return f"{day}{local:%H:%M:%S}.{local.microsecond // 1000:03}"


def _shape(step: Step, top: float, ground: _Ground) -> Iterator[str]:
    x, end_x = ground.x(step.begins_at), ground.x(step.end(ground.now))
    middle = top + 13.5
    css = f"f-{step.state}" if step.state in WORST_FIRST else "f-wait"
    if step.kind in ("due", "asked"):
        yield path(disc_d(x, middle, 4), "f-due")
        return
    if step.kind == "finished":
        yield path(box_d(x - 4, middle - 4, 8, 8), css)
        return
    if step.kind == "backoff":
        yield path(line_d(x, middle, max(end_x, x + 3), middle), "s-lim")
    else:
        css = css if step.kind == "attempt" else "f-wait"
        end_x = max(end_x, x + 3)
        yield _bar(x, end_x, middle - 5, css, is_running=step.ends_at is None and step.kind == "attempt")
        if css == "f-timed_out":
            yield path(box_d(end_x - 1, middle - 8, 2, 16), css)
    length_s = (step.end(ground.now) - step.begins_at).total_seconds()
    yield text(max(end_x, x + 3) + 8, top + 17, show_s(length_s))


def _bar(x: float, end_x: float, top: float, css: str, *, is_running: bool) -> str:
    """A bar; of what still runs, with a round head that moves on."""
    if not is_running:
        return rect(x, top, end_x - x, _BAR_HEIGHT, css, radius=min(2, (end_x - x) / 2))
    radius = min(_BAR_HEIGHT / 2, end_x - x)
    straight, head = number(end_x - x - radius), number(radius)
    half = number(_BAR_HEIGHT / 2)
    curve = f"a{head} {half} 0 0 1 0 {number(_BAR_HEIGHT)}"
    return path(f"M{number(x)} {number(top)}h{straight}{curve}h-{straight}z", css)
