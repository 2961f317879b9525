"""How people write instants, and how they are shown: "02:30", "2h" from now or ago, "tomorrow 9:00"."""

from __future__ import annotations

from datetime import datetime, timedelta

from pinstripe_bot.asked import Asked, read_asked
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.durations import parse_duration
from pinstripe_bot.errors import InvalidParams, InvalidSchedule
from pinstripe_bot.zones import zone


def read_instant(written: str, timezone: str, *, now: datetime | None = None) -> datetime:
    """An instant as people write it (`asked.read_asked`), in UTC; `now` is the machine's where it is not given.

    Of a wall time that the clocks repeat, the first. Raises InvalidParams, also for one that they skip.
    """
    asked = read_asked(written, zone=zone(timezone), now=now or SystemClock().now())
    if not asked.at:
        raise InvalidParams(
            f"{written!r} does not exist in {timezone}: the clocks go forward past it. Write a time before or after"
        )
    return asked.at[0]


def show_instant(instant: datetime) -> str:
    """An instant in its own zone: "Mon 2026-03-30 02:30:00 CEST"."""
    return instant.strftime("%a %Y-%m-%d %H:%M:%S %Z")


def read_since(written: str, timezone: str, now: datetime) -> datetime:
    """From when on something is wanted: "2h" ago, or as `read_instant`. Raises InvalidParams for what is to come."""
    try:
        return now - parse_duration(written)
    except OverflowError as error:
        raise InvalidParams(f"since {written!r}: it is before the year 1: write an instant nearer to today") from error
    except InvalidSchedule:
        since = read_instant(written, timezone, now=now)
    if since > now:
        raise InvalidParams(f"since {written!r}: it is still to come: name an instant that is past, such as 2h")
    return since


def read_until(written: str, timezone: str, now: datetime) -> datetime:
    """The instant at which something ends, a whole second: "2h" from now, or the next such time of day or weekday.

    Raises InvalidParams for one that is past.
    """
    until_at = _since_now(written, now) or _to_come(written, timezone, now)
    if until_at <= now:
        raise InvalidParams(f"until {written!r}: it is past, so nothing would be paused: name an instant to come")
    return until_at


def _since_now(written: str, now: datetime) -> datetime | None:
    if written.strip().isdigit():
        return None  # of what? A year?
    try:
        duration = parse_duration(written)
        return _whole_second(now + duration) if duration else now
    except (InvalidSchedule, OverflowError):
        return None


def _to_come(written: str, timezone: str, now: datetime) -> datetime:
    """As `read_instant`; of a bare time or weekday, which means the last one there, the next one."""
    days = _days_between(written.lower().split())
    asked = _asked(written, timezone, now)
    if days and asked.at and asked.at[0] <= now:
        day = asked.at[0].astimezone(asked.zone.tzinfo).date() + timedelta(days=days)
        written = f"{day} {written.split()[-1]}"
    return _whole_second(read_instant(written, timezone, now=now))


def _asked(written: str, timezone: str, now: datetime) -> Asked:
    try:
        return read_asked(written, zone=zone(timezone), now=now)
    except InvalidParams as error:
        if written.strip()[:4].isdigit():  # of a date it says more
            raise
        forms = '"2h", "tomorrow 9:00", "monday 9:00" or 2026-12-01T09:00'
        raise InvalidParams(f"until {written!r}: it is not an instant to come: write it as {forms}") from error


def _days_between(words: list[str]) -> int:
    """After how many days a bare time of day, or one on a weekday, comes again; 0 for any other instant."""
    if len(words) == 1 and ":" in words[0] and "-" not in words[0]:
        return 1
    is_weekday = len(words) == 2 and words[0].endswith("day") and words[0] not in ("today", "yesterday")
    return 7 if is_weekday else 0


def _whole_second(instant: datetime) -> datetime:
    """The next one, so that a duration is not cut short."""
    return (instant + timedelta(microseconds=999_999)).replace(microsecond=0)
