"""The standing of a project: what every page of the console says at its top, and the matters that need attention."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pinstripe_bot.console.matters import Matter, matters_of
from pinstripe_bot.console.visit import Visit, late_after
from pinstripe_bot.console.words import at_second, count_in_words
from pinstripe_bot.ledger_overview import Overview, read_overview
from pinstripe_bot.ledger_strips import Wanted, p50_of, read_strips
from pinstripe_bot.outlook import LATELY, queue_of
from pinstripe_bot.records import BotRecord


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands; `usual` says how long a run takes of each job that runs now."""

    overview: Overview | None
    matters: tuple[Matter, ...]
    usual: Mapping[str, timedelta]

    @property
    def has_bot(self) -> bool:
        return self.overview is not None and self.overview.has_bot

    @property
    def is_well(self) -> bool:
        return self.has_bot and not self.matters

    @property
    def bots(self) -> list[BotRecord]:
        """The living bots, without commands that run jobs by hand."""
        found = () if self.overview is None else self.overview.bots
        return [bot for bot in found if bot.is_alive and bot.kind == "bot"]

    @property
    def workers(self) -> list[BotRecord]:
        """The living workers of a cluster."""
        return [] if self.overview is None else self.overview.workers


def stand(visit: Visit) -> Standing:
    """Look at everything once."""
    if visit.history is None:
        return Standing(None, tuple(matters_of(visit.project, None, {}, visit.now, visit.zone)), {})
    store = visit.history.store
    project, now = visit.project, visit.now
    overview = read_overview(store, project.schedules, since=now - LATELY, now=now, queue_of=queue_of(project))
    usual = usual_of(visit, {one.run.job for one in overview.running})
    last = visit.history.last_runs()
    matters = matters_of(visit.project, overview, usual, visit.now, visit.zone, last=last)
    return Standing(overview, tuple(matters), usual)


def usual_of(visit: Visit, jobs: Collection[str]) -> dict[str, timedelta]:
    """{job: the median of how long its last runs took}, of those that have succeeded."""
    wanted = [
        Wanted(name, bool(visit.project.jobs[name].options["multi_tenant"]), late_after(visit.project.jobs[name]))
        for name in sorted(jobs)
        if name in visit.project.jobs
    ]
    if visit.history is None or not wanted:
        return {}
    with visit.history.store.reading() as connection:
        strips = read_strips(connection, wanted)
    medians = {job: p50_of(each) for job, each in strips.items()}
    return {job: median for job, median in medians.items() if median is not None}


def top_facts(visit: Visit, standing: Standing) -> dict[str, Any]:
    """What the frame of a page shows: the project, the count of matters, the bot's pulse, the clock."""
    heard = max((bot.heartbeat_at for bot in standing.bots), default=None)
    local = visit.now.astimezone(visit.zone.tzinfo)
    store = None if visit.history is None else visit.history.store
    return {
        "project": visit.project.name,
        "matter_count": len(standing.matters),
        "bot_count": len(standing.bots),
        "heard_ago_s": None if heard is None else max((visit.now - heard).total_seconds(), 0.0),
        "no_bot": _no_bot(visit, standing),
        "clock": f"{local:%H:%M:%S}",
        "clock_zone": local.tzname() or visit.zone.name,
        "now_ms": round(visit.now.timestamp() * 1000),
        "offset_s": int((local.utcoffset() or timedelta(0)).total_seconds()),
        "ledger": None if store is None else f"{near(visit, store.place)} ({store.covers})",
        "is_read_only": visit.is_read_only,
        "who": None if visit.person is None else visit.person.who,
    }


def near(visit: Visit, place: str) -> str:
    """A path as the project sees it: `.pinstripe/ledger.db`."""
    return place.removeprefix(f"{visit.project.root}/")


def _no_bot(visit: Visit, standing: Standing) -> str:
    """What stands under the header while no bot lives."""
    if standing.has_bot:
        return ""
    if standing.overview is None:
        return "There is no ledger yet, so nothing has run: `pinstripe start-bot` starts a bot."
    last = max((bot.last_seen_at for bot in standing.overview.bots if bot.kind == "bot"), default=None)
    since = "in the last 24 hours" if last is None else f"since {at_second(last, visit.now, visit.zone)}"
    return f"No bot has ticked {since}. Nothing runs until one starts."


def verdict(standing: Standing, *, jobs: int, day: tuple[int, int, int]) -> str:
    """The one sentence of the first page; `day` is how many runs there were, how many failed, how many were late."""
    matters = standing.matters
    if standing.is_well:
        runs, bad, late = day
        counted = f"{jobs:,} job{'' if jobs == 1 else 's'}, {runs:,} run{'' if runs == 1 else 's'} in 24 hours"
        ended = f"{bad:,} failed and succeeded since" if bad else "none failed"
        return f"All is well: {counted}, {ended}, {f'{late:,}' if late else 'none'} late, none missed."
    if not matters:
        return "No bot is running"
    if len(matters) == 1:
        one = matters[0]
        return f"{one.subject} need{'' if one.kind == 'missed' and one.job is None else 's'} attention"
    counted = count_in_words(len(matters), "thing")
    return f"{counted[:1].upper()}{counted[1:]} need attention"
