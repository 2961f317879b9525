"""An explanation of one wall time, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pinstripe_bot.durations import format_duration
from pinstripe_bot.explanation import Explanation, ShiftRule
from pinstripe_bot.shifts import Shift
from pinstripe_bot.zones import EPOCH

_REASONS = {
    ShiftRule.ONCE: "each of its times comes due once",
    ShiftRule.WALL: 'with dst="wall" it follows what the clock shows',
    ShiftRule.REAL_TIME: "an expression whose minute or hour begins with `*` follows real time",
    ShiftRule.CORRECTION: "a jump of more than three hours is followed as it is",
}


def sentences(explanation: Explanation) -> tuple[str, ...]:
    """What an explanation says: the clocks, whether it is due, the nearest due instants where it is not.

    In the past tense, or in the present where it is still to come. Every time of day has its zone's abbreviation, and
    its day where that is not the day that was asked for.
    """
    if not explanation.exists:
        told = [_gap(explanation), _due_after_gap(explanation)]
    elif explanation.is_repeated:
        told = [_repetition(explanation), *_which_time(explanation), _due_in_passes(explanation)]
    else:
        told = [_due(explanation) if explanation.due_at else _not_due(explanation)]
    is_answered = bool(explanation.due_at) or any(explanation.passes)
    return (*told, *(_spread(explanation) if is_answered else _nearest(explanation)))


def _gap(it: Explanation) -> str:
    return f"{_asked_time(it)} does not exist{_in_zone(it)} on {_asked_day(it)}: {_change(it)}."


def _repetition(it: Explanation) -> str:
    return f"{_asked_time(it)} exists twice{_in_zone(it)} on {_asked_day(it)}: {_change(it, ' back')}."


def _which_time(it: Explanation) -> list[str]:
    """For an instant, which of two equal wall times it has."""
    if not it.asked.is_instant:
        return []
    which = "first" if it.asked.passes()[0] == it.asked.all_passes()[0] else "second"
    return [f"You asked for the {which} time, {_moments(it, it.asked.at)}."]


def _due_after_gap(it: Explanation) -> str:
    if it.due_at:
        own = "" if it.stands_in else ", together with its own time then"
        once = ", once" if len(it.due_at) == 1 else ""
        return f"{_subject(it)} {_came(it)} at {_moments(it, it.due_at)} instead{once}{own}."
    if not it.is_time_of_schedule or it.rule is None:
        return f"It {_was(it)} no time of the schedule {_name(it)} either."
    return f"{_subject(it)} {_past(it, 'did', 'does')} not come due in its place: {_REASONS[it.rule]}."


def _due_in_passes(it: Explanation) -> str:
    (first, second), (first_at, second_at) = it.passes, (_instant(each.start) for each in it.asked.all_passes())
    if first and second:
        reason = "" if it.rule in (None, ShiftRule.ONCE) else f": {_REASONS[it.rule]}"
        when = f"both times, at {_moments(it, first)} and at {_moments(it, second)}{reason}"
    elif first:
        when = f"the first time, at {_moments(it, first)}, and not again at {_moment(it, second_at)}"
    elif second:
        when = f"the second time, at {_moments(it, second)}, and not the first time, at {_moment(it, first_at)}"
    else:
        return f"Neither {_was(it)} a due instant of the schedule {_name(it)}."
    return f"{_subject(it)} {_came(it)} {when}."


def _due(it: Explanation) -> str:
    day = f" on {_asked_day(it)}" if _day(it, it.due_at[0]) == _asked_day(it) else ""  # else the moment has its own
    return f"{_subject(it)} {_came(it)} at {_moments(it, it.due_at)}{day}{_in_zone(it)}{_in_place(it)}."


def _in_place(it: Explanation) -> str:
    if not it.stands_in or it.shift is None:
        return ""
    before, after = _sides(it, it.shift)
    return f", in place of a time between {before} and {after}, which the clocks {_past(it, 'skipped', 'skip')}"


def _not_due(it: Explanation) -> str:
    not_due = f"{_was(it)} not a due instant of the schedule {_name(it)}"
    return f"{_asked_time(it)} on {_asked_day(it)}{_in_zone(it)} {not_due}."


def _nearest(it: Explanation) -> list[str]:
    start, moments = it.asked.all_passes(), [_moment(it, each) for each in it.nearest]
    first = _instant(start[0].start) if start else _instant(it.shift.at_ts if it.shift else 0)
    if len(moments) > 2:
        return [f"The nearest due instants are {', '.join(moments[:-1])} and {moments[-1]}."]
    if len(moments) == 2:
        return [f"The nearest due instants are {moments[0]} before it and {moments[1]} after it."]
    side = ("last", "before", "after") if it.nearest and it.nearest[0] < first else ("first", "after", "before")
    return [f"The {side[0]} due instant {side[1]} it is {each}; there is none {side[2]} it." for each in moments]


def _spread(it: Explanation) -> list[str]:
    spread = timedelta(seconds=it.schedule.offset_s)
    return [f"Its spread adds {format_duration(spread)} to every due instant."] if spread else []


def _change(it: Explanation, way: str = "") -> str:
    """The shift: "the clocks went from 02:00 CET to 03:00 CEST"."""
    assert it.shift is not None, "nothing else skips or repeats a time"
    before, after = _sides(it, it.shift)
    return f"the clocks {_past(it, 'went', 'go')}{way} from {before} to {after}"


def _sides(it: Explanation, shift: Shift) -> list[str]:
    """What the clocks would have shown at the shift, and what they show: ["02:00 CET", "03:00 CEST"]."""
    walls = {shift.at_ts - 1: shift.from_wall, shift.at_ts: shift.to_wall}
    shown = [(_instant(wall), _local(it, _instant(ts))) for ts, wall in walls.items()]
    return [f"{_clock(wall)} {local:%Z}{_on_other_day(it, _written_day(wall))}" for wall, local in shown]


def _subject(it: Explanation) -> str:
    return f"The schedule {_name(it)}{'' if it.schedule.enabled else ', which is disabled now,'}"


def _name(it: Explanation) -> str:
    name, cron = it.schedule.name, it.schedule.cron
    return f"`{cron.expression}`" if name == cron.normalized else f"{name} (`{cron.expression}`)"


def _asked_time(it: Explanation) -> str:
    wall = _instant(it.asked.first_wall)
    return f"{wall:%H:%M:%S}" if it.asked.has_seconds else f"{wall:%H:%M}"


def _asked_day(it: Explanation) -> str:
    return _written_day(_instant(it.asked.first_wall))


def _in_zone(it: Explanation) -> str:
    return "" if it.schedule.zone.name in ("UTC", "Etc/UTC") else f" in {it.schedule.zone.name}"


def _moments(it: Explanation, instants: Sequence[datetime]) -> str:
    """The first instant, also in UTC, and how many there are: "02:30:00 CET (01:30:00 UTC, the first of 3)"."""
    first = instants[0]
    count = [f"the first of {len(instants)} in that minute"] if len(instants) > 1 else []
    notes = [*([] if _local(it, first).tzname() == "UTC" else [_in_utc(it, first)]), *count]
    local = _moment(it, first)
    return f"{local} ({', '.join(notes)})" if notes else local


def _in_utc(it: Explanation, instant: datetime) -> str:
    utc = instant.astimezone(UTC)
    day = "" if utc.date() == _local(it, instant).date() else f"{_written_day(utc)} "
    return f"{day}{_clock(utc, has_seconds=_has_seconds(it))} UTC"


def _moment(it: Explanation, instant: datetime) -> str:
    """An instant on the zone's clock: "02:30 CET", or "02:30 CET on Sat 2026-03-28" on another day than asked for."""
    local = _local(it, instant)
    return f"{_clock(local, has_seconds=_has_seconds(it))} {local:%Z}{_on_other_day(it, _day(it, instant))}"


def _on_other_day(it: Explanation, day: str) -> str:
    return "" if day == _asked_day(it) else f" on {day}"


def _day(it: Explanation, instant: datetime) -> str:
    return _written_day(_local(it, instant))


def _written_day(shown: datetime) -> str:
    return f"{shown:%a} {shown.date()}"  # %Y does not fill up a year before 1000


def _clock(shown: datetime, *, has_seconds: bool = False) -> str:
    return f"{shown:%H:%M:%S}" if has_seconds or shown.second else f"{shown:%H:%M}"


def _has_seconds(it: Explanation) -> bool:
    return it.asked.has_seconds or it.schedule.cron.has_seconds


def _local(it: Explanation, instant: datetime) -> datetime:
    return instant.astimezone(it.schedule.zone.tzinfo)


def _came(it: Explanation) -> str:
    return _past(it, "came due", "comes due") if it.schedule.enabled else _past(it, "had its time", "has its time")


def _was(it: Explanation) -> str:
    return _past(it, "was", "is")


def _past(it: Explanation, past: str, present: str) -> str:
    """The word for what has been, or for what is still to come."""
    shown = it.asked.passes()
    begin_ts = shown[0].start if shown else it.shift.at_ts if it.shift else 0
    return past if _instant(begin_ts) <= it.asked.asked_at else present


def _instant(ts: int) -> datetime:
    return EPOCH + timedelta(seconds=ts)
