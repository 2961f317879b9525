"""The fields of the form "Run now": one for each parameter of a job, and what was written into them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import msgspec

from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.params import Secret
from pinstripe_bot.redaction import is_secret, redact

NAME: Final = "p-"
"""What stands before the names of parameters in a form, so that they are not taken for other fields."""

OTHERS: Final = "params"
"""The field for what a job takes besides, as a JSON object."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its kind of input, what it may hold in words, its default, and what may be chosen."""

    name: str
    kind: str  # "text", "number", "date", "datetime-local", "checkbox", "select", "password", "json"
    told: str
    value: str = ""
    is_required: bool = False
    choices: tuple[str, ...] = ()
    step: str = ""


def fields_of(job: JobDefinition) -> list[Field]:
    """A field for each declared parameter, and one for the others where the job takes them."""
    found = [_field(job, name, wanted) for name, wanted in job.params.types.items()]
    if job.params.takes_others or not job.params.types:
        others = {name: value for name, value in job.options["params"].items() if name not in job.params.types}
        own = {name: value for name, value in others.items() if not _hides_something(name, value)}
        shown = msgspec.json.encode(own, enc_hook=str).decode() if own else ""
        found.append(Field(OTHERS, "json", "a JSON object" if job.params.types else "a JSON object, or nothing", shown))
    return found


def _field(job: JobDefinition, name: str, wanted: Any) -> Field:
    default = job.options["params"].get(name)
    inner, may_be_none = _without_none(wanted)
    is_known = default is not None or name in job.params.required
    # What the function itself has for its default is not known here: a box would always say yes or no.
    choices = ("true", "false") if inner is bool and (may_be_none or not is_known) else _choices(inner)
    told = _told(inner, choices) + (" or none" if may_be_none else "")
    is_required = name in job.params.required and default is None and inner is not bool
    if name in job.params.secrets or is_secret(name) or _hides_something(name, default):
        return Field(name, "password", told, "", is_required)  # a default that is secret is not shown
    text = "" if default is None else _text(default)
    if choices:
        return Field(name, "select", told, text, is_required, ("", *choices) if not is_required else choices)
    if inner is bool:
        return Field(name, "checkbox", told, "true" if default else "")
    return Field(name, _kind(inner), told, text, is_required, step="any" if inner is float else "")


def _hides_something(name: str, value: Any) -> bool:
    """Whether a value is not shown as it is: it would stand in the page."""
    plain = msgspec.to_builtins(value, enc_hook=str)
    return bool(redact(name, plain) != plain)


def _without_none(wanted: Any) -> tuple[Any, bool]:
    if get_origin(wanted) not in (Union, UnionType):
        return wanted, False
    others = [each for each in get_args(wanted) if each is not NoneType]
    return (others[0] if len(others) == 1 else wanted), len(others) < len(get_args(wanted))


def _choices(wanted: Any) -> tuple[str, ...]:
    if get_origin(wanted) is Literal:
        return tuple(_text(each) for each in get_args(wanted))
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        return tuple(_text(each.value) for each in wanted)
    return ()


def _kind(wanted: Any) -> str:
    kinds = {
        int: "number",
        float: "number",
        date: "date",
        datetime: "text",
        str: "text",
        timedelta: "text",
        Any: "text",
    }
    return kinds.get(wanted, "json")


def _told(wanted: Any, choices: tuple[str, ...]) -> str:
    if choices:
        return f"one of {len(choices)}"
    if wanted is Any:
        return "anything"
    hints = {timedelta: "a duration, as 10m", datetime: "an instant with its offset", Secret: "secret"}
    return hints.get(wanted, wanted.__name__ if isinstance(wanted, type) else str(wanted).replace("typing.", ""))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode().strip('"')


def read_form(job: JobDefinition, form: Mapping[str, str]) -> dict[str, Any]:
    """What was written, as `JobDefinition.manual_params` takes it. Raises InvalidParams.

    A field that is empty, or as it was shown, is left out.
    """
    given: dict[str, Any] = {}
    for field in fields_of(job):
        written = form.get(NAME + field.name, "")
        if field.kind == "checkbox":
            given[field.name] = bool(written)
        elif written == field.value:
            continue  # the job has it already, and of its own type
        elif field.name == OTHERS and OTHERS not in job.params.types:
            given |= job.params.read_object(written)
        elif written:
            given[field.name] = written
    return given
