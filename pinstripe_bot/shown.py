"""How runs, errors, bots and instants are shown to people, by the commands and by the console."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from pinstripe_bot.escapes import escape_line
from pinstripe_bot.occurrence import Run, RunError
from pinstripe_bot.project import Project
from pinstripe_bot.records import BotRecord
from pinstripe_bot.redaction import redact, redact_text
from pinstripe_bot.spans import show_duration
from pinstripe_bot.zones import Zone

IN_TENANT_ZONES = "in each tenant's zone"
"""Where a schedule with timezone="tenant" is due."""

NO_ZONE_YET = "No tenant's zone is known yet: a bot asks the tenants where they live when it starts"


def show_at(instant: datetime | None, zone: Zone) -> str:
    """An instant on a zone's clock, as short as it is exact: "2026-03-30 02:30:00 CEST"."""
    return "" if instant is None else instant.astimezone(zone.tzinfo).strftime("%Y-%m-%d %H:%M:%S %Z")


def show_wall(instant: datetime, zone: Zone) -> str:
    """What a zone's clock shows, for a column that names the zone; with CEST or CET where it shows it twice."""
    local = instant.astimezone(zone.tzinfo)
    is_repeated = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
    return local.strftime("%Y-%m-%d %H:%M:%S %Z" if is_repeated else "%Y-%m-%d %H:%M:%S")


SET_CLOCK = "its jobs come due by its own clock; let NTP set that of its machine"
"""What a person is told where the clock of a bot is off."""


def show_bot(bot: BotRecord | None) -> str:
    """Where a run is performed: "web-1, pid 4711"."""
    return "" if bot is None else f"{bot.host}, pid {bot.pid}"


def show_work(bot: BotRecord) -> str:
    """How many of its worker threads perform a run: "3 of 8"; empty where it has none, or is gone."""
    workers = bot.stats.get("workers", 0) if bot.is_alive else 0
    return f"{bot.stats.get('busy', 0)} of {workers}" if workers else ""


def show_offset(bot: BotRecord) -> str:
    """How the clock of a bot stands: "3.2 s ahead of the database's"."""
    offset = bot.clock_offset
    return f"{show_duration(abs(offset))} {'ahead of' if offset > timedelta(0) else 'behind'} the database's"


@lru_cache(maxsize=256)  # of many runs that went wrong most went wrong alike
def error_line(error: RunError | None) -> str:
    """The last line of a traceback, without secrets: "ConnectionError: the bank did not answer"."""
    if error is None:
        return ""
    lines = error.message.strip().splitlines()
    return escape_line(redact_text(": ".join(text for text in (error.type, lines[0] if lines else "") if text)))


def show_tenant(run: Run) -> str:
    """For whom a run is: "7 (Acme)"."""
    return escape_line(run.whose)


def for_tenant(tenant: str | None) -> str:
    """What follows "paused": " for the tenant 7"; empty where there is none."""
    return f" for the tenant {escape_line(tenant)}" if tenant else ""


def params_of(project: Project, run: Run) -> dict[str, Any]:
    """The parameters of a run as they may be shown: by their names, and by what its job says is secret."""
    job = project.jobs.get(run.job)
    return redact("", run.params) if job is None else job.params.shown(run.params)


def show_params(params: Mapping[str, Any]) -> str:
    """Parameters that may be shown, as they are given to `run-background-job`: "days=3 kind=all"."""
    texts = {key: value if isinstance(value, str) else show_json(value) for key, value in params.items()}
    return escape_line(" ".join(f"{key}={text}" for key, text in texts.items()))


def show_json(value: Any) -> str:
    """A value as JSON on one line, in the characters that it has."""
    return json.dumps(value, ensure_ascii=False)


def broken_line(project: Project, job: str) -> str:
    """Why a job cannot be loaded, with its place, on one line; empty where its file is sound or gone."""
    found = next((str(problem) for problem in project.problems if problem.job == job), "")
    return escape_line(found.splitlines()[0]) if found else ""


def show_size(size: int) -> str:
    """A number of bytes: "912 B", "64 KB", "1.4 GB"."""
    shown = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if shown < 1024 or unit == "GB":
            break
        shown /= 1024
    return f"{shown:.0f} {unit}" if shown >= 10 or unit == "B" else f"{shown:.1f} {unit}"


def count_of(number: int, noun: str) -> str:
    """A number of things: "1 run", "3,000 runs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
