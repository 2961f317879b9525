"""The only door to croniter: parse a cron expression, and ask it for due instants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from croniter import CroniterError, croniter

from pinstripe_bot import search
from pinstripe_bot.calendar_days import DayRule
from pinstripe_bot.cron_gate import (
    FIELDS,
    HOUR,
    MINUTE,
    MONTH,
    MONTH_DAY,
    SECOND,
    WEEKDAY,
    Field,
    check_days,
    check_text,
    plain,
    refuse,
    split,
)
from pinstripe_bot.errors import InvalidSchedule
from pinstripe_bot.search import WallTimes
from pinstripe_bot.zones import EPOCH, Zone, zone

_CRONITER_ORDER: Final = (MINUTE, HOUR, MONTH_DAY, MONTH, WEEKDAY, SECOND)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CronExpression:
    """A parsed expression; equal to another one with the same `normalized` text.

    Instants: aware in, UTC out, whole seconds. `dst` says what happens where a zone shifts its clocks:
    "once" as in Debian's cron, "wall" whenever the clock shows the time.
    Where nothing comes due within fifty years, InvalidSchedule says so.
    """

    expression: str  # as written
    normalized: str  # lower case, single blanks, @words as fields
    has_seconds: bool
    is_fixed: bool  # neither minute nor hour begins with `*`: each of its times comes due once a day
    _times: WallTimes

    def __eq__(self, other: object) -> bool:
        return self.normalized == other.normalized if isinstance(other, CronExpression) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.normalized)

    def __repr__(self) -> str:
        return f"CronExpression({self.expression!r})"

    def __reduce__(self) -> tuple[Callable[[str], CronExpression], tuple[str]]:
        return parse, (self.expression,)

    def next_after(self, after: datetime, timezone: str, *, dst: str = "once") -> datetime:
        """The first due instant strictly after `after`."""
        return _instant(self.next_after_ts(_floor_ts(after), zone(timezone), dst))

    def previous_before(self, before: datetime, timezone: str, *, dst: str = "once") -> datetime:
        """The last due instant strictly before `before`."""
        return _instant(self.previous_before_ts(_ceiling_ts(before), zone(timezone), dst))

    def is_due(self, instant: datetime, timezone: str, *, dst: str = "once") -> bool:
        """Whether `instant` is a due instant, to the microsecond."""
        ts = _floor_ts(instant)
        return ts == _ceiling_ts(instant) and self.is_due_ts(ts, zone(timezone), dst)

    def between(self, after: datetime, until: datetime, timezone: str, *, dst: str = "once") -> Iterator[datetime]:
        """The due instants in (after, until], oldest first."""
        return self._walk(_floor_ts(after), _floor_ts(until), zone(timezone), once=self._once(dst))

    def next_after_ts(self, after_ts: int, zone: Zone, dst: str = "once") -> int:
        """The first due instant after `after_ts`, in whole UTC seconds."""
        found = search.next_ts(self._times, after_ts, zone, once=self._once(dst))
        if found is None:
            raise self._nothing("after", after_ts, zone, dst)
        return found

    def previous_before_ts(self, before_ts: int, zone: Zone, dst: str = "once") -> int:
        """The last due instant before `before_ts`, in whole UTC seconds."""
        found = search.previous_ts(self._times, before_ts, zone, once=self._once(dst))
        if found is None:
            raise self._nothing("before", before_ts, zone, dst)
        return found

    def is_due_ts(self, ts: int, zone: Zone, dst: str = "once") -> bool:
        """Whether `ts` is a due instant."""
        return search.next_ts(self._times, ts - 1, zone, once=self._once(dst)) == ts

    def count_ts(self, after_ts: int, until_ts: int, zone: Zone, dst: str = "once") -> int:
        """The number of due instants in (after_ts, until_ts], without visiting them."""
        return search.count_ts(self._times, after_ts, until_ts, zone, once=self._once(dst))

    def _walk(self, after_ts: int, until_ts: int, zone: Zone, *, once: bool) -> Iterator[datetime]:
        ts = search.next_ts(self._times, after_ts, zone, once=once)
        while ts is not None and ts <= until_ts:
            yield _instant(ts)
            ts = search.next_ts(self._times, ts, zone, once=once)

    def _once(self, dst: str) -> bool:
        if dst == "once":
            return self.is_fixed
        if dst == "wall":
            return False
        raise InvalidSchedule(f"{dst!r} is no rule for clock shifts: write dst='once' or dst='wall'.")

    def _nothing(self, side: str, ts: int, zone: Zone, dst: str) -> InvalidSchedule:
        return InvalidSchedule(
            f"{self.expression!r} with dst={dst!r} does not come due in {zone.name} in the fifty years {side}"
            f" {_instant(ts)}: write another time."
        )


def parse(expression: str) -> CronExpression:
    """The schedule that `expression` describes; equal texts give one shared object.

    Raises InvalidSchedule with what was wrong and what to write, also for one that never fires.
    """
    check_text(expression)
    try:
        return _parse(expression)
    except InvalidSchedule as error:
        end = "" if str(error).endswith("?") else "."
        raise InvalidSchedule(f"{expression!r} is not a schedule: {error}{end}") from error.__cause__


@lru_cache(maxsize=32768)
def _parse(expression: str) -> CronExpression:
    fields = split(expression)
    has_seconds = len(fields) == 6
    written = dict(zip(FIELDS, fields if has_seconds else ["0", *fields], strict=True))
    plain_fields = {field: plain(field, text) for field, text in written.items()}
    check_days(written, plain_fields)
    times = WallTimes(
        seconds=_parsed(SECOND, plain_fields[SECOND]).values,
        minutes=_minutes_of_day(plain_fields[MINUTE], plain_fields[HOUR]),
        days=_day_rule(
            *(plain_fields[field] for field in (MONTH_DAY, MONTH, WEEKDAY)),
            must_match_both=written[MONTH_DAY].startswith("*") or written[WEEKDAY].startswith("*"),
        ),
    )
    is_fixed = not (written[MINUTE].startswith("*") or written[HOUR].startswith("*"))
    return CronExpression(expression, " ".join(fields), has_seconds, is_fixed, times)


class _Parsed(NamedTuple):
    """What croniter says about one field."""

    values: tuple[int, ...]
    has_last_day: bool
    nearest_weekday_to: int | None
    nth_weekdays: frozenset[tuple[int, int]]


@lru_cache(maxsize=8192)
def _parsed(field: Field, text: str) -> _Parsed:
    # One field at a time: expressions are many, distinct fields few, and croniter takes 50 us for each.
    place = _CRONITER_ORDER.index(field)
    fields = [text if each is field else "*" for each in _CRONITER_ORDER]
    try:
        answer = croniter(" ".join(fields), start_time=0.0)
    except CroniterError as error:
        raise InvalidSchedule(f"croniter does not take {text!r} as {field.name}, write it more simply") from error
    values = answer.expanded[place]
    if field is WEEKDAY and answer.nth_weekday_of_month:
        nths = answer.nth_weekday_of_month
        pairs = ((day, -1 if nth == "l" else nth) for day in nths for nth in nths[day])
        return _Parsed((), False, None, frozenset(pairs))
    if field is MONTH_DAY and answer.nearest_weekday:
        return _Parsed((), False, min(answer.nearest_weekday), frozenset())
    if values == ["*"]:
        values = range(field.low, (6 if field is WEEKDAY else field.high) + 1)
    numbers = sorted(value for value in values if value != "l")
    return _Parsed(tuple(numbers), "l" in values, None, frozenset())


@lru_cache(maxsize=8192)
def _minutes_of_day(minute: str, hour: str) -> tuple[int, ...]:
    minutes = _parsed(MINUTE, minute).values
    return tuple(60 * hour + minute for hour in _parsed(HOUR, hour).values for minute in minutes)


@lru_cache(maxsize=8192)
def _day_rule(month_day: str, month: str, weekday: str, *, must_match_both: bool) -> DayRule:
    by_date, by_weekday = _parsed(MONTH_DAY, month_day), _parsed(WEEKDAY, weekday)
    rule = DayRule(
        months=frozenset(_parsed(MONTH, month).values),
        month_days=frozenset(by_date.values),
        has_last_day=by_date.has_last_day,
        nearest_weekday_to=by_date.nearest_weekday_to,
        weekdays=frozenset(by_weekday.values),
        nth_weekdays=by_weekday.nth_weekdays,
        must_match_both=must_match_both,
    )
    if not rule.can_match():
        refuse("such a day never comes, write a day that its months have, or L for the last one")
    return rule


def _instant(ts: int) -> datetime:
    try:
        return EPOCH + timedelta(seconds=ts)
    except OverflowError as error:
        raise InvalidSchedule(
            f"Second {ts} since 1970 lies outside the years 1 to 9999: ask nearer to today."
        ) from error


def _floor_ts(instant: datetime) -> int:
    if instant.utcoffset() is None:
        raise InvalidSchedule(f"{instant} has no time zone: write datetime(..., tzinfo=UTC), say.")
    return (instant - EPOCH) // timedelta(seconds=1)


def _ceiling_ts(instant: datetime) -> int:
    return _floor_ts(instant) + (instant.microsecond > 0)
