"""The options of a job: one table of names, defaults and checks."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pinstripe_bot.durations import format_duration, parse_duration
from pinstripe_bot.errors import InvalidJob, InvalidSchedule
from pinstripe_bot.policies import CatchUp, Isolation, OnInterrupt, Overlap
from pinstripe_bot.sizes import parse_size
from pinstripe_bot.zones import zone

TENANT_ZONE = "tenant"
"""What stands for a zone where each tenant's own is meant."""

EVERYWHERE = frozenset({"job", "schedule", "defaults"})
"""The places where most options may stand: on the job, on one schedule, in [job_defaults]."""

OF_THE_JOB = EVERYWHERE - {"schedule"}
"""The places of an option that belongs to the whole job."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its default, the places where it may stand, what it accepts, and how it is read."""

    default: Any
    accepts: str  # finishes the sentence "write ..."
    read: Callable[[Any], Any]  # raises LookupError, ValueError or TypeError for what it does not accept
    places: frozenset[str] = EVERYWHERE
    is_function: bool = False


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a failed run is tried again: the first time, and at most."""

    first: timedelta = timedelta(seconds=10)
    cap: timedelta = timedelta(hours=1)

    def __str__(self) -> str:
        """As an author writes it: ("10s", "1h")."""
        first, cap = (format_duration(wait).replace(" ", "") for wait in (self.first, self.cap))
        return f'("{first}", "{cap}")'


def _read_flag(value: Any) -> bool:
    return {"true": True, "false": False}[str(value).lower()]  # text where the environment says it


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
            value = int(value)  # text where the environment says it
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError
        return value

    return read


def _duration(least: timedelta, most: timedelta) -> Callable[[Any], timedelta]:
    def read(value: Any) -> timedelta:
        duration = parse_duration(value)
        if not least <= duration <= most:
            raise ValueError
        return duration

    return read


_SECOND, _HOUR, _DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
_YEAR = 365 * _DAY  # a limit, so that an instant and such a duration are an instant
_wait = _duration(timedelta(0), _YEAR)


def _read_backoff(value: Any) -> Backoff:
    if isinstance(value, Backoff):
        return value
    if isinstance(value, list | tuple):
        first, cap = map(_wait, value)
    else:
        first = _wait(value)
        cap = max(first, Backoff().cap)
    if first > cap:
        raise ValueError
    return Backoff(first, cap)


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or value.strip() != value:
        raise ValueError
    return value


def _read_queue(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", value):
        raise ValueError
    return value


def _read_zone(value: Any) -> str:
    name = _read_text(value)
    return name if name == TENANT_ZONE else zone(name).name


def _read_dst(value: Any) -> str:
    if value not in ("once", "wall"):
        raise ValueError
    return str(value)


def _read_params(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise TypeError
    return dict(value)


def _read_filter(value: Any) -> Callable[[Any], Any]:
    function = value.__func__ if isinstance(value, staticmethod) else value
    if isinstance(function, classmethod) or not callable(function):
        raise TypeError
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError
    inspect.signature(function).bind(None)  # raises TypeError where it does not take just the tenants
    return function


OPTIONS: Mapping[str, Option] = {
    "overlap": Option(Overlap.SKIP, '"skip", "queue" or "allow"', Overlap),
    "catch_up": Option(CatchUp.LATEST, '"latest", "all" or "none"', CatchUp),
    "catch_up_max": Option(24, "a whole number from 1 to 1000", _whole(1, 1000)),
    "catch_up_spacing": Option(timedelta(0), 'a duration up to 1 day such as "10s"', _duration(timedelta(0), _DAY)),
    "max_lateness": Option(None, 'a duration such as 90 or "10m"', parse_duration),
    "late_after": Option(timedelta(seconds=60), 'a duration such as 90 or "10m"', parse_duration),
    "timeout": Option(
        None, 'a duration above 0 and up to 1 year such as "10m"', _duration(timedelta.resolution, _YEAR), OF_THE_JOB
    ),
    "kill_after": Option(
        10 * _SECOND, 'a duration up to 1 day such as "10s"', _duration(timedelta(0), _DAY), OF_THE_JOB
    ),
    "isolation": Option(Isolation.THREAD, '"thread" or "process"', Isolation, OF_THE_JOB),
    "max_memory": Option(None, 'a size such as "256MB"', parse_size, OF_THE_JOB),
    "retries": Option(0, "a whole number from 0 to 1000", _whole(0, 1000), OF_THE_JOB),
    "backoff": Option(
        Backoff(),
        'the first wait such as "10s", or the first and the longest one, up to 1 year, such as ("10s", "1h")',
        _read_backoff,
        OF_THE_JOB,
    ),
    "on_interrupt": Option(OnInterrupt.FAIL, '"fail" or "retry"', OnInterrupt, OF_THE_JOB),
    "retention": Option(
        None, 'a duration from 1 hour to 10 years such as "90d"', _duration(_HOUR, 10 * _YEAR), OF_THE_JOB
    ),
    "queue": Option("default", 'a name of small letters, digits, - and _ such as "reports"', _read_queue, OF_THE_JOB),
    "atomic": Option(False, "True or False", _read_flag, OF_THE_JOB),
    "multi_tenant": Option(False, "True or False", _read_flag, OF_THE_JOB),
    "tenants_filter": Option(
        None,
        "a plain function `def tenants_filter(tenants)`, without self, which returns those to run for",
        _read_filter,
        frozenset({"job"}),
        is_function=True,
    ),
    "tenant_concurrency": Option(4, "a whole number from 1 to 1000", _whole(1, 1000), OF_THE_JOB),
    "params": Option({}, "a dict with names as keys", _read_params, EVERYWHERE - {"defaults"}),
    "timezone": Option("UTC", 'the name of a time zone such as "Europe/Berlin", or "tenant"', _read_zone),
    "dst": Option("once", '"once" or "wall"', _read_dst),
    "spread": Option(None, 'a duration from 1 second to 1 day such as "10m"', _duration(_SECOND, _DAY)),
    "name": Option(None, "a word for this schedule", _read_text, frozenset({"schedule"})),
    "enabled": Option(True, "True or False", _read_flag),
}


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
    if name not in OPTIONS:
        raise InvalidJob(f"unknown option {name!r}: {_correction(name)}")
    option = OPTIONS[name]
    if place not in option.places:
        raise InvalidJob(f"the option {name!r} cannot stand here: write it on a {_home(option)}")
    if value is None and option.default is None:
        return None
    if hasattr(value, "__get__") and not option.is_function:
        raise InvalidJob(f"{name} is a method or a property here, and an option is a plain value: rename it")
    try:
        return option.read(value)
    except (InvalidSchedule, InvalidJob) as error:
        raise InvalidJob(f"{name} = {value!r}: {error}") from error
    except (LookupError, ValueError, TypeError) as error:
        raise InvalidJob(f"{name} = {value!r} is not accepted: write {option.accepts}") from error


def _correction(name: str) -> str:
    option = close_option(name)
    return did_you_mean(name, OPTIONS if option is None else [option])


def _home(option: Option) -> str:
    return "job" if "job" in option.places else "schedule"


def close_option(name: str) -> str | None:
    """The option that `name` is probably a misspelling of, or None."""
    plain = name.lower().replace("_", "")
    if plain in (option.replace("_", "") for option in OPTIONS):
        return next(option for option in OPTIONS if option.replace("_", "") == plain)
    matches = difflib.get_close_matches(name, OPTIONS, n=1, cutoff=0.84)
    return matches[0] if matches else None


def looks_like(name: str) -> str | None:
    """Say which option `name` is probably a misspelling of, and what to do about it; None if it is none."""
    option = close_option(name)
    if option is None:
        return None
    return f"looks like the option {option!r}: write that, or rename it"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Finish an error's sentence with the closest known names, or with all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    return "known are " + ", ".join(names) if names else "there is none yet"
