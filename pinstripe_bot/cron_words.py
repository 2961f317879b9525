"""A cron expression in English."""

from __future__ import annotations

from functools import lru_cache

import cron_descriptor


@lru_cache(maxsize=8192)  # half a millisecond each, and the console shows them all
def in_words(expression: str) -> str:
    """A cron expression in English; empty where the library finds no words."""
    options = cron_descriptor.Options(use_24hour_time_format=True, locale_code="en_US")  # whatever the machine speaks
    try:
        return str(cron_descriptor.ExpressionDescriptor(_evenly(expression.upper()), options).get_description())
    except cron_descriptor.FormatError:
        return ""


def _evenly(expression: str) -> str:
    """The expression with every step that does not go evenly into its range written as a list.

    The library calls `*/45` "every 45 minutes", but it is due at 0 and 45 past each hour.
    """
    fields = expression.split()
    wholes = [range(60), range(60), range(24), None, range(1, 13), None][-len(fields) :]
    return " ".join(map(_listed_if_uneven, fields, wholes))


def _listed_if_uneven(field: str, whole: range | None) -> str:
    step = field.removeprefix("*/")
    if whole is None or step == field or not step.isdecimal() or not len(whole) % int(step):
        return field
    return ",".join(map(str, whole[:: int(step)]))
