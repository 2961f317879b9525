"""Schedules in words, as people say them."""

from __future__ import annotations

import re

from pinstripe_bot.cron_words import in_words
from pinstripe_bot.schedule import Schedule


def schedule_words(schedule: Schedule) -> tuple[str, str]:
    """A schedule in words, and its expression."""
    words = in_words(schedule.cron.normalized) or schedule.cron.expression
    off = "" if schedule.enabled else ", disabled"
    where = ", in each tenant's zone" if schedule.in_tenant_zone else ""
    return f"{plainly(words)}{where}{off}", schedule.cron.expression


def plainly(words: str) -> str:
    """The library's words as people say them: "At 07:00, only on Monday" is "Monday at 07:00"."""
    plain = words.replace(" through ", " to ")
    if at := re.fullmatch(r"At (\d\d:\d\d(?::\d\d)?)(?:, (?:only on )?(.+))?", plain):
        days = at[2] or "every day"
        return f"{days} at {at[1]}" if not days.startswith(("on ", "in ")) else f"at {at[1]} {days}"
    plain = re.sub(r"^At (\d+) minutes past the hour$", r"\1 minutes past every hour", plain)
    return plain[:1].lower() + plain[1:]
