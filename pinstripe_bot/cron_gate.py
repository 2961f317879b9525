"""What may be written as a cron expression, and the sentence for what may not."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NoReturn

from pinstripe_bot.errors import InvalidSchedule

MAX_LENGTH: Final = 512
WORDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_BLANKS: Final = " \t\r\n\f\v"
_ITEM: Final = re.compile(r"(?:\*|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>\d+))?", re.ASCII)
_BY_CHANCE: Final = re.compile(r"[hr](\(.*\))?(/.*)?", re.ASCII)
_NEAREST_WEEKDAY: Final = re.compile(r"(\d+)w|w(\d+)", re.ASCII)
_UNTIL_LAST_DAY: Final = re.compile(r"(\d+)-l(/\d+|)", re.ASCII)
_NTH_WEEKDAY: Final = re.compile(r"(?P<days>[a-z]+-[a-z]+|\w+)#0*(?P<nth>[1-5])", re.ASCII)
_LAST_WEEKDAY: Final = re.compile(r"l(\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Field:
    """One of the six places of an expression, and the values it takes."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def value(self, text: str) -> int:
        """The number that `text` stands for."""
        if text in self.names:
            return self.names.index(text) + self.low
        if not (text.isdecimal() and self.low <= int(text) <= self.high):
            names = f" or one of {', '.join(self.names)}" if self.names else ""
            refuse(f"{text!r} is no {self.name}, write a number from {self.low} to {self.high}{names}")
        return int(text)


SECOND: Final = Field("second", 0, 59)
MINUTE: Final = Field("minute", 0, 59)
HOUR: Final = Field("hour", 0, 23)
MONTH_DAY: Final = Field("day of month", 1, 31)
MONTH: Final = Field("month", 1, 12, _MONTHS)
WEEKDAY: Final = Field("day of week", 0, 7, _WEEKDAYS)
FIELDS: Final = (SECOND, MINUTE, HOUR, MONTH_DAY, MONTH, WEEKDAY)


def refuse(reason: str) -> NoReturn:
    """Raise InvalidSchedule; the parser puts the expression in front of the reason."""
    raise InvalidSchedule(reason)


def check_text(expression: str) -> None:
    """Raise InvalidSchedule unless this is a text that may be looked at."""
    if not isinstance(expression, str):
        refuse(f"{expression!r} is not a schedule: write the cron expression as text, such as '*/5 * * * *'.")
    if len(expression) > MAX_LENGTH:
        start, length = expression[:40], len(expression)
        refuse(f"{start!r}... is not a schedule: it has {length} characters, write at most {MAX_LENGTH}.")
    if not expression.isascii():
        strange = next(each for each in expression if not each.isascii())
        refuse(f"{expression!r} is not a schedule: {strange!r} is no ASCII character, type it anew.")


def split(expression: str) -> list[str]:
    """The fields as written, in lower case: five, or six of which the first is the seconds."""
    text = expression.strip(_BLANKS).lower()
    if text.startswith("@"):
        text = _resolve(text)
    fields = re.findall(r"\S+", text, re.ASCII)
    if fields and "tz=" in fields[0]:
        refuse("a zone is not part of it, write timezone='Europe/Berlin', say, next to it")
    if not fields:
        refuse("it is empty, write five fields such as '*/5 * * * *'")
    if len(fields) == 7:
        refuse("it has seven fields and a year is not known here, write five, or six with the seconds first")
    if len(fields) not in (5, 6):
        refuse(
            f"the number of its fields is {len(fields)}, write five (minute, hour, day of month, month,"
            " day of week), or six with the seconds first"
        )
    return fields


def _resolve(word: str) -> str:
    if word in WORDS:
        return WORDS[word]
    if word == "@reboot":
        refuse("a start is not a time, write a time, or call the job from the code that starts")
    close = difflib.get_close_matches(word, WORDS, n=1)
    advice = f"did you mean {close[0]}?" if close else f"write one of {', '.join(WORDS)}, or five fields"
    refuse(f"the word {word!r} is not known, {advice}")


@lru_cache(maxsize=8192)
def plain(field: Field, text: str) -> str:
    """The field with numbers for names, without what croniter reads in its own way.

    `a-a` becomes `a` and a list with `*` becomes `*`; Sunday at the end of a range becomes 7.
    """
    items = [_plain_item(field, item) for item in text.split(",")]
    special = [item for item in items if {"#", "l", "w"} & set(item) and item != "l"]
    if special and len(special) < len(items):
        refuse(f"{text!r} mixes plain days with special ones, write two schedules")
    if len(special) > 1 and field is MONTH_DAY:
        refuse(f"{text!r} has W more than once, write a schedule for each")
    return "*" if "*" in items else ",".join(items)


def check_days(written: dict[Field, str], plain_fields: dict[Field, str]) -> None:
    """Refuse a special day together with the other day field: croniter takes both and then drops one."""
    for field, other, signs in ((WEEKDAY, MONTH_DAY, "#l"), (MONTH_DAY, WEEKDAY, "w")):
        is_special = set(signs) & set(plain_fields[field])
        is_other_free = plain_fields[other] == "*" and written[other].startswith("*")
        if is_special and not is_other_free:
            refuse(
                f"{written[field]!r} as {field.name} cannot be joined with {written[other]!r} as"
                f" {other.name}, write '*' there, or two schedules"
            )


def _plain_item(field: Field, item: str) -> str:
    if not item:
        refuse(f"the {field.name} has an empty item, remove the spare comma")
    if "?" in item:
        refuse(f"'?' is not known here, write '*' as {field.name}")
    if _BY_CHANCE.fullmatch(item):
        refuse(f"{item.upper()!r} chooses the {field.name} by chance, write a number, and spread= to move it")
    if field is MONTH_DAY and ("l" in item or "w" in item):
        return _plain_month_day(item)
    if field is WEEKDAY and ("#" in item or "l" in item):
        return _plain_weekday(item)
    return _plain_range(field, item)


def _plain_month_day(item: str) -> str:
    if item == "l":
        return item
    if match := _UNTIL_LAST_DAY.fullmatch(item):
        return _plain_range(MONTH_DAY, f"{match[1]}-31{match[2]}")
    if match := _NEAREST_WEEKDAY.fullmatch(item):
        return f"{MONTH_DAY.value(match[1] or match[2])}w"
    if item == "lw":
        refuse("'LW' is not known here, write '31W' for the last weekday of the month")
    refuse(f"{item.upper()!r} is no day of month, write L for the last one, 15W for the weekday nearest to one")


def _plain_weekday(item: str) -> str:
    if match := _LAST_WEEKDAY.fullmatch(item):
        return f"l{WEEKDAY.value(match[1])}"
    if match := _NTH_WEEKDAY.fullmatch(item):
        low, _, high = _plain_range(WEEKDAY, match["days"]).partition("-")
        return ",".join(f"{day}#{match['nth']}" for day in range(int(low), int(high or low) + 1))
    refuse(f"{item.upper()!r} is no day of week, write L5 for the last Friday, FRI#2 for the second one")


def _plain_range(field: Field, item: str) -> str:
    match = _ITEM.fullmatch(item)
    if not match:
        refuse(f"{item!r} is no {field.name}, write a number, a range such as 1-5, or a step such as */5")
    step = int(match["step"] or 1)
    if step == 0:
        refuse(f"the step of {item!r} is zero, write 1 or more")
    suffix = "" if step == 1 else f"/{step}"
    if match["low"] is None:
        return f"*{suffix}"
    low, high = _bounds(field, match)
    if high < low:
        refuse(f"the range {item!r} runs backwards, write {_forwards(field, low, high, step)!r}")
    return f"{low}" if low == high else f"{low}-{high}{suffix}"


def _bounds(field: Field, match: re.Match[str]) -> tuple[int, int]:
    low = field.value(match["low"])
    if match["high"] is None:
        return low, low if match["step"] is None else field.high
    if field is WEEKDAY and match["high"] == "sun" and low > 0:
        return low, 7
    return low, field.value(match["high"])


def _forwards(field: Field, low: int, high: int, step: int) -> str:
    """What a range that runs backwards may have meant: over the end of the field and on from its start."""
    top = 6 if field is WEEKDAY else field.high
    if step > 1:
        size = top + 1 - field.low
        values = (field.low + (value - field.low) % size for value in range(low, high + size + 1, step))
        return ",".join(str(value) for value in values)
    pieces = ((low, top), (field.low, high))
    return ",".join(f"{first}-{last}" if first < last else f"{first}" for first, last in pieces)
