"""The page System: bots, workers, ledger, clock, versions, settings with their origin, and the audit."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pinstripe_bot import __version__
from pinstripe_bot.config import describe
from pinstripe_bot.console.addresses import to_job, to_run, with_query
from pinstripe_bot.console.bars import workers
from pinstripe_bot.console.standing import Standing, near
from pinstripe_bot.console.visit import Visit
from pinstripe_bot.console.words import ago, and_list, at_clock, on_day, state_word, took
from pinstripe_bot.durations import format_duration
from pinstripe_bot.ledger_audit import AuditEntry, read_audit
from pinstripe_bot.ledger_extent import Extent, read_extent
from pinstripe_bot.project import jobs_without_timeout
from pinstripe_bot.records import BotRecord, QueueRecord
from pinstripe_bot.shown import count_of, show_json, show_offset, show_size, show_work
from pinstripe_bot.spans import show_span
from pinstripe_bot.zones import EPOCH, Zone

ACTS: Final = 50

MOST_BOTS: Final = 20
"""How many are shown with those that have ended; all that live are."""

MOST_MET: Final = 4
"""What comes due more often in the two hours around a shift of the clock is not met by it."""

_ACTED: Final = {
    "run": "ran {job} by hand",
    "pause": "paused {job}",
    "resume": "resumed {job}",
    "skip": "skipped the next of {job}",
    "cancel": "cancelled run {run} of {job}",
    "retry": "tried run {run} of {job} again",
    "backfill": "filled in runs of {job}",
    "login": "logged in",
    "logout": "logged out",
}
"""{action: what somebody did}."""

_KINDS: Final = {"bot": "", "command": "runs a job by hand"}
"""{kind: what is said of it beside its process}; any other kind by its own name."""


def system_facts(visit: Visit, standing: Standing) -> dict[str, Any]:
    """What the template shows."""
    rows = describe(visit.project.settings)
    is_all = visit.asked("settings") == "all"
    places = visit.project.settings.places
    settings = [
        {"key": one.key, "value": one.value, "origin": places.get(one.key, one.origin).replace(", line ", ":")}
        for one in rows
        if is_all or one.origin != "default"
    ]
    before = visit.number("before", 0)
    acts, extent = _of_ledger(visit, before)
    return {
        "told": _told(standing),
        "has_workers": bool(standing.workers),
        "bots": [_bot(visit, one) for one in _bots(standing)],
        "workers": _workers(visit, standing),
        "settings": settings,
        "setting_count": len(rows),
        "is_all": is_all,
        "all_href": with_query("system", {}, settings="" if is_all else "all"),
        "acts": [_act(visit, one) for one in acts[:ACTS]],
        "more_acts": with_query("system", {}, before=acts[ACTS - 1].id) if len(acts) > ACTS else "",
        "ledger": _ledger(visit, extent),
        "clock_facts": _clock(visit),
        "versions": _versions(visit),
    }


def _told(standing: Standing) -> str:
    count = len(standing.bots)
    bots = "One bot" if count == 1 else f"{count} bots"
    workers = f" and {count_of(len(standing.workers), 'worker')}" if standing.workers else ""
    return f"{bots}{workers}, alive." if count else "No bot is alive."


def _bots(standing: Standing) -> Sequence[BotRecord]:
    found = () if standing.overview is None else standing.overview.bots
    alive = [one for one in found if one.is_alive]
    gone = [one for one in found if not one.is_alive]
    by_age = sorted(alive, key=lambda one: (one.started_at, one.id))  # a bot keeps its place, whoever was heard last
    return by_age + sorted(gone, key=lambda one: one.last_seen_at, reverse=True)[: max(MOST_BOTS - len(alive), 0)]


def _bot(visit: Visit, bot: BotRecord) -> dict[str, Any]:
    state = "running" if bot.is_alive else "interrupted" if bot.has_died else "succeeded"
    words = {"running": "alive", "succeeded": "stopped", "interrupted": "died"}
    return {
        "host": bot.host,
        "pid": bot.pid,
        "kind": _KINDS.get(bot.kind, bot.kind) + (f", serves {and_list(bot.queues)}" if bot.queues else ""),
        "glyph": state,
        "word": words[state],
        "tone": {"running": "t-run", "interrupted": "t-warn"}.get(state, "mid"),
        "heard": ago(bot.last_seen_at, visit.now),
        "heard_at": bot.last_seen_at,
        "up": show_span((visit.now if bot.is_alive else bot.last_seen_at) - bot.started_at),
        "version": bot.version,
        "work": show_work(bot),
        "clock": f"clock {show_offset(bot)}" if bot.is_off else "",
    }


def _workers(visit: Visit, standing: Standing) -> dict[str, Any]:
    stats = [bot.stats for bot in (*standing.bots, *standing.workers)]
    total, busy = sum(one.get("workers", 0) for one in stats), sum(one.get("busy", 0) for one in stats)
    waiting = () if standing.overview is None else standing.overview.waiting
    queues = () if standing.overview is None else standing.overview.queues
    without = jobs_without_timeout(visit.project)
    return {
        "picture": workers(busy, total, label=f"{busy} of {total} workers are busy") if total else "",
        "busy": f"{busy} of {total}" if total else "no bot is alive",
        "queue": "" if queues else count_of(len(waiting), "run") if waiting else "empty",
        "queues": [_queue(visit, one) for one in queues],
        "lingering": sum(one.get("lingering", 0) for one in stats),
        "without_timeout": [(name, to_job(name)) for name in without[:6]],
        "more_without": max(len(without) - 6, 0),
    }


def _queue(visit: Visit, queue: QueueRecord) -> dict[str, Any]:
    """A queue of a cluster: how deep it is, and who serves it."""
    oldest = f"the oldest since {took(queue.oldest_waits(visit.now))}"
    waiting = f"{count_of(queue.waiting, 'run')} waiting, {oldest}" if queue.waiting else "empty"
    return {"name": queue.name, "told": waiting, "workers": count_of(queue.workers, "worker"), "bad": not queue.workers}


def _of_ledger(visit: Visit, before: int) -> tuple[list[AuditEntry], Extent | None]:
    if visit.history is None:
        return [], None
    with visit.history.store.reading() as connection:
        return read_audit(connection, before=before or None, most=ACTS + 1), read_extent(connection)


def _act(visit: Visit, entry: AuditEntry) -> dict[str, Any]:
    job = entry.job or "every job"
    told = _ACTED.get(entry.action, state_word(entry.action) + " {job}").format(job=job, run=entry.run or "")
    tenant = entry.details.get("tenant")
    details = {
        name: value
        for name, value in entry.details.items()
        if value not in (None, "", {}, [], False) and name != "tenant"
    }
    return {
        "at": at_clock(entry.at, visit.now, visit.zone),
        "who": entry.who,
        "told": f"{told}{f' for {tenant}' if tenant else ''}",
        "href": to_run(entry.run) if entry.run else to_job(entry.job) if entry.job else "",
        "detail": " ".join(f"{name}={_detail(value)}" for name, value in details.items()),
        "origin": entry.origin,
    }


def _detail(value: Any) -> str:
    return value if isinstance(value, str) else show_json(value)


def _ledger(visit: Visit, extent: Extent | None) -> list[tuple[str, str]]:
    if visit.history is None or extent is None:
        return [("Where", "there is none yet: a bot makes it when it starts")]
    store = visit.history.store
    size = "" if store.size is None else show_size(store.size)
    oldest = "" if extent.oldest_at is None else f", the oldest of {on_day(extent.oldest_at, visit.now, visit.zone)}"
    return [
        ("Where", f"{near(visit, store.place)}, {store.covers}"),
        ("Size", ", ".join(filter(None, (size, f"about {extent.runs:,} runs{oldest}")))),
        ("Kept", format_duration(visit.project.config.retention)),
        ("Open", count_of(extent.open, "run")),
    ]


def _clock(visit: Visit) -> list[tuple[str, str, str]]:
    """(name, value, what is to be noted)."""
    local = visit.now.astimezone(visit.zone.tzinfo)
    shift = _next_shift(visit.zone, visit.now)
    origin = visit.project.settings.places.get("timezone", "default").replace(", line ", ":")
    return [
        ("Now", f"{local:%a} {local.day} {local:%b %H:%M:%S %Z}, {visit.now:%H:%M:%S} UTC", ""),
        ("Zone", visit.zone.name, origin),
        ("Next shift", "none to come" if shift is None else _shift_words(*shift), _met(visit, shift)),
    ]


def _next_shift(where: Zone, now: datetime) -> tuple[datetime, int, int] | None:
    """(when, the offset before, the offset after) of the next change of a zone's clocks."""
    index, segment = where.place(int(now.timestamp()))
    if segment.end_ts >= 2**62:
        return None
    return EPOCH + timedelta(seconds=segment.end_ts), segment.offset, where.segment(index + 1).offset


def _shift_words(at: datetime, before_s: int, after_s: int) -> str:
    wall, to = at + timedelta(seconds=before_s), at + timedelta(seconds=after_s)
    return f"{wall:%a} {wall.day} {wall:%b %Y} {wall:%H:%M} to {to:%H:%M}"


def _met(visit: Visit, shift: tuple[datetime, int, int] | None) -> str:
    """Which jobs are due in the hour that the shift repeats or leaves out."""
    if shift is None:
        return ""
    at, before_s, after_s = shift
    span, at_ts = abs(after_s - before_s), int(at.timestamp())
    near = (at_ts - span - 1, at_ts + span)
    # What is due in the hour that is left out comes right after it.
    then = near if after_s < before_s else (at_ts - 1, at_ts)
    own = [one for one in visit.planned() if one.zone == visit.zone]
    jobs = sorted({one.job for one in own if one.count_ts(*then) and one.count_ts(*near) <= MOST_MET})
    if not jobs:
        return ""
    are = "is" if len(jobs) == 1 else "are"
    return f"{and_list(jobs)} {are} due then"


def _versions(visit: Visit) -> list[tuple[str, str]]:
    return [
        ("pinstripe", __version__),
        ("Python", platform.python_version()),
        ("Machine", platform.node()),
        ("Project", f"{visit.project.name}, {visit.project.root}"),
    ]
