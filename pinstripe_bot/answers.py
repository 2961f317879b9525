"""The answers of `explain`: what can be said of a job at one wall time, schedule by schedule and zone by zone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Final

from pinstripe_bot.asked import Asked, read_asked
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.explanation import Explanation, explain_instant
from pinstripe_bot.explanation_words import sentences
from pinstripe_bot.ledger_history import History
from pinstripe_bot.ledger_rows import from_ts
from pinstripe_bot.ledger_story import Stories
from pinstripe_bot.project import Project
from pinstripe_bot.residence import Residence
from pinstripe_bot.schedule import Schedule, in_zones
from pinstripe_bot.shown import IN_TENANT_ZONES, NO_ZONE_YET, count_of, show_at
from pinstripe_bot.story import Standing, Story
from pinstripe_bot.zones import Zone, zone

_LAST_TS: Final = int(datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp())
"""The last second that a datetime can show."""

MOST_STORIES = 60
"""How many due instants are told of: those of a minute."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What can be said of one schedule at one wall time, in one zone; without a schedule, what the ledger has besides.

    Of a schedule in tenants' zones that is not asked in one of them there is no explanation: all is `told`.
    """

    job: str
    schedule: Schedule | None
    zone: Zone
    explanation: Explanation | None
    stories: Sequence[Story] = ()
    told: Sequence[str] = ()  # before what the explanation says

    @property
    def heading(self) -> str:
        """What stands above it."""
        if self.schedule is None:
            return f"{self.job}, besides"
        where = f" in {self.schedule.key}" if self.schedule.key else ""
        if self.schedule.in_tenant_zone and not where:
            where = f", {IN_TENANT_ZONES}"
        return f"{self.job}, schedule {self.schedule.name}{where}"

    @property
    def sentences(self) -> list[str]:
        """What is to be said before the stories."""
        return [*self.told, *(() if self.explanation is None else sentences(self.explanation))]


def refuse_tenant(project: Project, job: str, tenant: str) -> None:
    """Raise InvalidParams where a tenant is asked for, and the job has none."""
    if tenant and job in project.jobs and not project.jobs[job].options["multi_tenant"]:
        raise InvalidParams(f"the job {job!r} has no tenants: leave --tenant out")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of some schedules of a job at one wall time, for all or for one tenant."""

    project: Project
    job: str
    schedules: Sequence[Schedule]
    at: str
    now: datetime
    tenant: str = ""
    is_of_one: bool = False  # only of this schedule, and of nothing besides

    def answers(self, history: History | None) -> Iterator[Answer]:
        """Schedule by schedule, and at the end what the ledger has besides; without a ledger, what the clocks say."""
        if history is None:
            for one in self.schedules:
                yield self._in_no_zone(one) if one.in_tenant_zone else self._answer(self._explained(one))
            return
        home = history.residence(self.tenant) if self.tenant else None
        in_use = history.zones()
        with history.store.reading() as connection:
            stories = Stories(connection, history.store, self.now, self._retention, tenant=self.tenant)
            spans = set()
            for one in self.schedules:
                explained = self._explained_in_zones(one, home, in_use | stories.zones_of(one))
                spans |= {_span(each.asked) for each in explained}
                yield from self._of_schedule(one, explained, stories, home, in_use)
            yield from self._besides(stories, spans)

    def _explained_in_zones(self, schedule: Schedule, home: Residence | None, zones: set[str]) -> list[Explanation]:
        """In each zone that it is due in; for a tenant where that lives and has lived."""
        of_tenant = set() if home is None else set(home.zones)
        planned = in_zones([schedule], lambda _: of_tenant if self.tenant else zones)
        return [self._explained(each) for each in planned]

    def _explained(self, schedule: Schedule) -> Explanation:
        return explain_instant(schedule, read_asked(self.at, zone=schedule.zone, now=self.now))

    def _of_schedule(
        self,
        schedule: Schedule,
        explained: Sequence[Explanation],
        stories: Stories,
        home: Residence | None,
        in_use: set[str],
    ) -> Iterator[Answer]:
        """The answer; of a schedule in tenants' zones, that of each zone of which there is something to say."""
        found = [self._answer(each, stories) for each in explained]
        if not schedule.in_tenant_zone:
            yield from found
        elif self.tenant:
            told = self._lives(home)
            its = [replace(one, told=told) for one in _of_tenant(found, home)]
            yield from its or [self._in_no_zone(schedule, told)]
        elif not found:
            yield self._in_no_zone(schedule)
        else:
            used = [each for each in explained if each.schedule.key in in_use]
            telling = [one for one in found if _is_telling(one, in_use)]
            yield from telling or [self._in_no_zone(schedule, self._not_due(used or explained))]

    def _answer(self, explained: Explanation, stories: Stories | None = None) -> Answer:
        schedule, due_at = explained.schedule, explained.due_at[:MOST_STORIES]
        found = [] if stories is None else [stories.tell(schedule, each) for each in due_at]
        return Answer(schedule.job, schedule, schedule.zone, explained, found)

    def _in_no_zone(self, schedule: Schedule, told: Sequence[str] = (f"{NO_ZONE_YET}.",)) -> Answer:
        return Answer(self.job, schedule, self._own_zone, None, told=told)

    def _not_due(self, explained: Sequence[Explanation]) -> list[str]:
        """What is said once for all zones, where it was due in none of them."""
        zones, asked = count_of(len(explained), "zone"), explained[0].asked
        if not asked.is_instant:
            alike = [] if len(explained) == 1 else [f"It is the same in all {zones} where tenants live."]
            return [*sentences(explained[0]), *alike]
        at = asked.at[0]
        near = [(instant, it.schedule.zone) for it in explained for instant in it.nearest]
        before = max((one for one in near if one[0] < at), key=itemgetter(0), default=None)
        after = min((one for one in near if one[0] > at), key=itemgetter(0), default=None)
        sides = ((before, "The last one before it is"), (after, "The first one after it is"))
        return [
            f"{show_at(at, self._own_zone)} is a due instant in none of the {zones} where tenants live.",
            *(f"{words} {show_at(*one)} in {one[1].name}." for one, words in sides if one is not None),
        ]

    def _lives(self, home: Residence | None) -> list[str]:
        """Where the tenant lives, and where it has lived in the last days."""
        if home is None:
            return [f"Where the tenant {self.tenant} lives is not known: the bots have not seen it yet."]
        if not home.formers:
            return [f"The tenant {self.tenant} lives in {home.zone}."]
        left = home.formers[-1]
        until = show_at(from_ts(left.left_ts), zone(home.zone))
        return [f"The tenant {self.tenant} lives in {home.zone}; until {until} it lived in {left.zone}."]

    def _besides(self, stories: Stories, spans: set[tuple[datetime, datetime]]) -> Iterator[Answer]:
        """What the ledger has at that time and what has not been told."""
        if self.is_of_one:
            return
        own = self._own_zone
        spans = spans or {_span(read_asked(self.at, zone=own, now=self.now))}
        but = [one.name for one in self.schedules if one.in_tenant_zone]
        found = [story for span in sorted(spans) for story in stories.others(self.job, *span, but=but)]
        if found:
            yield Answer(self.job, None, own, None, found[:MOST_STORIES])

    @property
    def _own_zone(self) -> Zone:
        return zone(self.project.config.timezone)

    @property
    def _retention(self) -> timedelta:
        job = self.project.jobs.get(self.job)
        own: timedelta | None = None if job is None else job.options["retention"]
        return self.project.config.retention if own is None else own


def _is_telling(answer: Answer, in_use: set[str]) -> bool:
    """Whether something was due in a zone, or its clocks did something; where no tenant lives, what is decided."""
    it = answer.explanation
    assert it is not None
    if it.schedule.key not in in_use:
        return any(story.standing is Standing.DECIDED for story in answer.stories)
    return bool(it.due_at or any(it.passes) or (not it.exists and it.is_time_of_schedule))


def _of_tenant(found: Sequence[Answer], home: Residence | None) -> list[Answer]:
    """Those of the zones where the tenant was at home when something was due, or has a run; else that of its own."""
    if home is None:
        return []
    own = [one for one in found if any(story.runs or _was_home(home, story) for story in one.stories)]
    return own or [one for one in found if one.zone.name == home.zone]


def _was_home(home: Residence, story: Story) -> bool:
    return story.zone is not None and home.at(int(story.due_at.timestamp())) == story.zone.name


def _span(asked: Asked) -> tuple[datetime, datetime]:
    """From the first instant that may be meant to the one after the last."""
    shown = asked.passes()
    if shown:
        return from_ts(shown[0].start), from_ts(min(shown[-1].stop, _LAST_TS))
    shift = asked.shift
    at_ts = 0 if shift is None else shift.at_ts
    return from_ts(at_ts), from_ts(at_ts + asked.until_wall - asked.first_wall)
