"""The options of a job: one table of names, defaults and checks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pinstripe_bot.durations import parse_duration
from pinstripe_bot.errors import InvalidJob, InvalidSchedule
from pinstripe_bot.policies import CatchUp, Overlap
from pinstripe_bot.zones import zone

EVERYWHERE = frozenset({"job", "schedule", "defaults"})
"""The places where most options may stand: on the job, on one schedule, in [job_defaults]."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its default, the places where it may stand, what it accepts, and how it is read."""

    default: Any
    accepts: str  # finishes the sentence "write ..."
    read: Callable[[Any], Any]  # raises LookupError, ValueError or TypeError for what it does not accept
    places: frozenset[str] = EVERYWHERE


def _read_flag(value: Any) -> bool:
    return {"true": True, "false": False}[str(value).lower()]  # text where the environment says it


def _read_spread(value: Any) -> timedelta:
    spread = parse_duration(value)
    if not timedelta(seconds=1) <= spread <= timedelta(days=1):
        raise ValueError
    return spread


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or value.strip() != value:
        raise ValueError
    return value


def _read_zone(value: Any) -> str:
    return zone(_read_text(value)).name


def _read_dst(value: Any) -> str:
    if value not in ("once", "wall"):
        raise ValueError
    return str(value)


def _read_params(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise TypeError
    return dict(value)


OPTIONS: Mapping[str, Option] = {
    "overlap": Option(Overlap.SKIP, '"skip" or "allow"', Overlap),
    "catch_up": Option(CatchUp.LATEST, '"latest" or "none"', CatchUp),
    "max_lateness": Option(None, 'a duration such as 90 or "10m"', parse_duration),
    "late_after": Option(timedelta(seconds=60), 'a duration such as 90 or "10m"', parse_duration),
    "atomic": Option(False, "True or False", _read_flag, EVERYWHERE - {"schedule"}),
    "params": Option({}, "a dict with names as keys", _read_params, EVERYWHERE - {"defaults"}),
    "timezone": Option("UTC", 'the name of a time zone such as "Europe/Berlin"', _read_zone),
    "dst": Option("once", '"once" or "wall"', _read_dst),
    "spread": Option(None, 'a duration from 1 second to 1 day such as "10m"', _read_spread),
    "name": Option(None, "a word for this schedule", _read_text, frozenset({"schedule"})),
    "enabled": Option(True, "True or False", _read_flag),
}

PLANNED = frozenset(
    {
        *("timeout", "kill_after", "isolation", "max_memory", "retries", "backoff", "on_interrupt", "queue"),
        *("catch_up_max", "catch_up_spacing", "retention", "multi_tenant", "tenants_filter", "tenant_concurrency"),
    }
)
"""Options of the design that this version does not implement: refused by name, so that nobody trusts one of them."""


def read_options(written: Mapping[str, Any], place: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Check what an author wrote at `place` ("job", "schedule" or "defaults"): ({name: value}, {name: problem})."""
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, value in written.items():
        try:
            values[name] = _read_option(name, value, place)
        except (InvalidJob, InvalidSchedule) as error:
            problems[name] = str(error)
    return values, problems


def _read_option(name: str, value: Any, place: str) -> Any:
    if name in PLANNED:
        raise InvalidJob(f"the option {name!r} is not implemented by this version: remove it")
    if name not in OPTIONS:
        raise InvalidJob(f"unknown option {name!r}: {did_you_mean(name, OPTIONS)}")
    option = OPTIONS[name]
    if place not in option.places:
        raise InvalidJob(f"the option {name!r} cannot stand here: write it on a {_home(option)}")
    if value is None and option.default is None:
        return None
    if hasattr(value, "__get__"):
        raise InvalidJob(f"{name} is a method or a property here, and an option is a plain value: rename it")
    try:
        return option.read(value)
    except InvalidSchedule as error:
        raise InvalidJob(f"{name} = {value!r}: {error}") from error
    except (LookupError, ValueError, TypeError) as error:
        raise InvalidJob(f"{name} = {value!r} is not accepted: write {option.accepts}") from error


def _home(option: Option) -> str:
    return "job" if "job" in option.places else "schedule"


def close_option(name: str) -> str | None:
    """The option that `name` is probably a misspelling of, or None."""
    known = [*OPTIONS, *PLANNED]
    plain = name.lower().replace("_", "")
    if plain in (option.replace("_", "") for option in known):
        return next(option for option in known if option.replace("_", "") == plain)
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.84)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Finish an error's sentence with the closest known names, or with all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    return "known are " + ", ".join(names) if names else "there is none yet"
