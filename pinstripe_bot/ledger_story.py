"""Stories from the ledger: what became of one due instant, and what was in its way. Only reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from pinstripe_bot.ledger_history import passed_of, record_of
from pinstripe_bot.ledger_roll import read_bots
from pinstripe_bot.ledger_rows import from_column, run_of, tenants_zone, to_column
from pinstripe_bot.ledger_schema import BACKFILL, audit, occurrences, runs, schedules, skips
from pinstripe_bot.ledger_skips import EVERY_JOB, Pause, read_pauses
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.ledger_tenant_story import TenantStories
from pinstripe_bot.occurrence import MANUAL, Decision, Reason, Run
from pinstripe_bot.policies import Overlap
from pinstripe_bot.records import Act, MarkRecord, PassedRecord, RunRecord
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.story import Gap, Standing, Story, standing_of

MOST_LOOKED_AT = 500
"""How many runs before an instant are looked at for the one that was in its way."""


class Stories:
    """Tells what became of due instants, all in one look at the ledger; of one `tenant`, if it is given."""

    def __init__(
        self, connection: Connection, store: LedgerStore, now: datetime, retention: timedelta, *, tenant: str = ""
    ) -> None:
        self._connection = connection
        self._now = now
        self._retention = retention
        self._bots = read_bots(connection, store, now)
        self._has_bot = any(bot.is_alive and bot.kind == "bot" for bot in self._bots.values())
        self._pauses = read_pauses(connection)
        self._tenant = tenant
        self._tenant_pauses = read_pauses(connection, tenant) if tenant else {}
        self._tenants = TenantStories(connection, self._bots, tenant)
        self._told: set[int] = set()  # the occurrences

    def tell(self, schedule: Schedule, due_at: datetime) -> Story:
        """The story of one due instant of a schedule of the project."""
        story = replace(self._tell(schedule.job, schedule.name, due_at, schedule), declared=schedule)
        return story if story.runs else replace(story, runs=self._backfilled(schedule, due_at))

    def of_run(self, run_id: int, declared: Collection[Schedule]) -> Story | None:
        """The story of the instant that a run was for; None where it is gone. `declared` are its job's schedules."""
        its = select(occurrences).join(runs, runs.c.occurrence_id == occurrences.c.id).where(runs.c.id == run_id)
        row = self._connection.execute(its).mappings().first()
        if row is None:
            return None
        schedule = next((one for one in declared if one.name == row["schedule"]), None)
        story = self._of_row(row["job"], row["schedule"], _instant(row["due_at"]), row, schedule)
        return replace(story, declared=schedule)

    def zones_of(self, schedule: Schedule) -> set[str]:
        """The zones of tenants in which a schedule is or has been planned."""
        its = (schedules.c.job == schedule.job) & (schedules.c.schedule == schedule.name) & (schedules.c.key != "")
        return set(self._connection.scalars(select(schedules.c.key).where(its)))

    def _backfilled(self, schedule: Schedule, due_at: datetime) -> tuple[RunRecord, ...]:
        """The runs that a backfill has given an instant."""
        is_its = (occurrences.c.job == schedule.job) & (occurrences.c.schedule == schedule.name)
        is_its &= (occurrences.c.key == BACKFILL) & (occurrences.c.due_at == to_column(due_at))
        query = select(runs).join(occurrences, runs.c.occurrence_id == occurrences.c.id).where(is_its)
        if self._tenant:
            query = query.where(runs.c.tenant == self._tenant)
        found = self._connection.execute(query.order_by(runs.c.id)).mappings().all()
        self._told.update(each["occurrence_id"] for each in found)
        return tuple(replace(record_of(each, self._bots), is_backfill=True) for each in found)

    def others(self, job: str, since: datetime, until: datetime, *, but: Collection[str] = ()) -> list[Story]:
        """The stories of what the ledger has in [since, until) beside what has been told.

        Runs by hand, and what was due by another form of a schedule, or by one that is no more. The schedules `but`
        these are due in tenants' zones: other zones' instants are other times.
        """
        query = select(occurrences).where(
            occurrences.c.job == job, occurrences.c.due_at >= to_column(since), occurrences.c.due_at < to_column(until)
        )
        found = self._connection.execute(query.order_by(occurrences.c.due_at, occurrences.c.id)).mappings().all()
        rows = [
            row
            for row in found
            if row["id"] not in self._told
            and not (row["schedule"] in but and tenants_zone(row["schedule"], row["key"]) is not None)
        ]
        stories = [self._of_row(job, row["schedule"], _instant(row["due_at"]), row) for row in rows]
        return [one for one in stories if not self._tenant or _concerns_tenant(one)]

    def _tell(self, job: str, name: str, due_at: datetime, schedule: Schedule | None) -> Story:
        key = "" if schedule is None else schedule.key
        row = self._covering(job, name, key, due_at)
        if row is not None:
            return self._of_row(job, name, due_at, row, schedule)
        mark = self._mark(job, name, key)
        standing = standing_of(
            due_at,
            mark,
            form=None if schedule is None else schedule.fingerprint,
            is_enabled=schedule is not None and schedule.enabled,
            now=self._now,
            retention=self._retention,
        )
        pauses = (self._pauses, self._tenant_pauses)
        pause = next((one for each in pauses if (one := self._lasting_pause(each, job, due_at))), None)
        return Story(
            job,
            name,
            due_at,
            standing,
            act=None if pause is None else _act_of(pause),
            gap=self._gap(due_at),
            mark=mark,
            skips=self._skips(job, name, key),
            has_bot=self._has_bot,
            retention=self._retention,
            zone=tenants_zone(name, key),
            tenant=self._tenant,
        )

    def _covering(self, job: str, schedule: str, key: str, due_at: datetime) -> Mapping[Any, Any] | None:
        """The row of the instant, or of the stretch that it lies in."""
        instant = to_column(due_at)
        is_before = _of_schedule(job, schedule, key) & (occurrences.c.due_at <= instant)
        query = select(occurrences).where(is_before).order_by(occurrences.c.due_at.desc()).limit(1)
        row = self._connection.execute(query).mappings().first()
        return row if row is not None and (row["until_at"] or row["due_at"]) >= instant else None

    def _of_row(
        self, job: str, name: str, due_at: datetime, row: Mapping[Any, Any], schedule: Schedule | None = None
    ) -> Story:
        self._told.add(row["id"])
        is_queue = schedule is not None and schedule.overlap is Overlap.QUEUE
        story = Story(
            job,
            name,
            due_at,
            Standing.DECIDED,
            has_bot=self._has_bot,
            is_queue=is_queue,
            retention=self._retention,
            zone=tenants_zone(name, row["key"]),
            tenant=self._tenant,
        )
        has_run = row["decision"] == Decision.RUN
        if row["listing"] is not None:
            story = story if has_run else self._passed(story, row, schedule)
            return self._with_act(self._tenants.complete(story, row["id"], schedule))
        found = self._runs(row)
        return replace(story, runs=found) if has_run or found else self._passed(story, row, schedule)

    def _runs(self, row: Mapping[Any, Any]) -> tuple[RunRecord, ...]:
        of_row = select(runs).where(runs.c.occurrence_id == row["id"]).order_by(runs.c.tenant)
        if self._tenant:
            of_row = of_row.where(runs.c.tenant == self._tenant)
        records = [record_of(each, self._bots) for each in self._connection.execute(of_row).mappings()]
        return tuple(replace(record, is_backfill=row["key"] == BACKFILL) for record in records)

    def _passed(self, story: Story, row: Mapping[Any, Any], schedule: Schedule | None) -> Story:
        passed = passed_of(row)
        other, act = self._other(row, passed, schedule), self._act(story.job, passed)
        return replace(story, passed=passed, other=other, act=act, gap=self._gap(story.due_at))

    def _with_act(self, story: Story) -> Story:
        """With the pause of the tenant that is asked for, where its run was skipped for that."""
        if not any(record.run.reason is Reason.PAUSED for record in story.runs):
            return story
        pause = self._lasting_pause(self._tenant_pauses, story.job, story.due_at)
        return replace(story, act=None if pause is None else _act_of(pause))

    def _other(self, row: Mapping[Any, Any], passed: PassedRecord, schedule: Schedule | None) -> Run | None:
        """The run that was in the way of an instant, or took its place."""
        match passed.occurrence.reason:
            case Reason.OVERLAP if schedule is not None and schedule.multi_tenant:
                return None  # no run was in its way, but a listing
            case Reason.OVERLAP:
                return self._in_the_way(row, None if schedule is None else schedule.params_key)
            case Reason.SAME_INSTANT:
                return self._at_the_same_instant(row)
            case Reason.COALESCED | Reason.BOT_DOWN | Reason.CLOCK_JUMP | Reason.TOO_LATE:
                return self._after(row)
            case _:
                return None

    def _in_the_way(self, row: Mapping[Any, Any], params_key: str | None) -> Run | None:
        """The newest run of the same work that was open when the instant was decided."""
        later = select(runs.c.id).where(runs.c.occurrence_id > row["id"]).order_by(runs.c.occurrence_id).limit(1)
        next_id = self._connection.scalar(later)
        query = select(runs).where(runs.c.job == row["job"]).order_by(runs.c.id.desc()).limit(MOST_LOOKED_AT)
        if next_id is not None:
            query = query.where(runs.c.id < next_id)
        for each in self._connection.execute(query).mappings():
            is_same_work = params_key is None or each["params_key"] == params_key
            was_open = each["finished_at"] is None or each["finished_at"] >= row["claimed_at"]
            if is_same_work and was_open:
                return run_of(each)
        return None

    def _at_the_same_instant(self, row: Mapping[Any, Any]) -> Run | None:
        names = select(schedules.c.schedule).where(schedules.c.job == row["job"])
        same = (occurrences.c.job == row["job"]) & (occurrences.c.key == "") & (occurrences.c.due_at == row["due_at"])
        query = select(runs).join(occurrences, runs.c.occurrence_id == occurrences.c.id)
        found = self._connection.execute(query.where(same, occurrences.c.schedule.in_(names))).mappings().first()
        return None if found is None else run_of(found)

    def _after(self, row: Mapping[Any, Any]) -> Run | None:
        """The run of the next instant of the schedule that ran."""
        last_at = row["until_at"] or row["due_at"]
        query = select(runs).join(occurrences, runs.c.occurrence_id == occurrences.c.id)
        is_after = _of_schedule(row["job"], row["schedule"], row["key"]) & (occurrences.c.due_at > last_at)
        found = self._connection.execute(query.where(is_after).order_by(occurrences.c.due_at).limit(1)).mappings()
        first = found.first()
        return None if first is None else run_of(first)

    def _act(self, job: str, passed: PassedRecord) -> Act | None:
        """The pause or the wish to skip that an instant was passed over for."""
        action = {Reason.PAUSED: "pause", Reason.SKIP_ASKED: "skip"}.get(passed.occurrence.reason or Reason.OVERLAP)
        if action is None:
            return None
        for pause in (self._pauses.get(job), self._pauses.get(EVERY_JOB)):
            if action == "pause" and pause is not None and pause.paused_at <= passed.last_due_at:
                return _act_of(pause)
        done = (audit.c.action == action) & audit.c.job.in_([job, EVERY_JOB])
        is_before = audit.c.at <= to_column(passed.decided_at)
        row = self._connection.execute(
            select(audit).where(done, is_before).order_by(audit.c.id.desc()).limit(1)
        ).first()
        if row is None:
            return None
        details = msgspec.json.decode(row.details) if row.details else {}
        return Act(action, row.who, _instant(row.at), str(details.get("why") or details.get("reason") or ""))

    def _lasting_pause(self, pauses: Mapping[str, Pause], job: str, due_at: datetime) -> Pause | None:
        found = [pauses[name] for name in (job, EVERY_JOB) if name in pauses]
        lasting = (one for one in found if one.until_at is None or one.until_at >= due_at)
        return next((one for one in lasting if one.paused_at <= due_at), None)

    def _gap(self, instant: datetime) -> Gap | None:
        """The time without any bot that an instant lies in; None where there was one."""
        bots = [bot for bot in self._bots.values() if bot.kind == "bot"]
        if any(bot.started_at <= instant and (bot.is_alive or instant <= bot.last_seen_at) for bot in bots):
            return None
        return Gap(
            max((bot.last_seen_at for bot in bots if bot.last_seen_at < instant), default=None),
            min((bot.started_at for bot in bots if bot.started_at > instant), default=None),
        )

    def _mark(self, job: str, schedule: str, key: str) -> MarkRecord | None:
        is_its = (schedules.c.job == job) & (schedules.c.schedule == schedule) & (schedules.c.key == key)
        row = self._connection.execute(select(schedules).where(is_its)).first()
        if row is None:
            return None
        removed_at = from_column(row.removed_at)
        return MarkRecord(row.fingerprint, _instant(row.effective_from), _instant(row.planned_to), removed_at)

    def _skips(self, job: str, schedule: str, key: str) -> int:
        is_its = (skips.c.job == job) & skips.c.schedule.in_([schedule, ""]) & (skips.c.key == key)
        return sum(self._connection.scalars(select(skips.c.remaining).where(is_its)))


def _of_schedule(job: str, schedule: str, key: str) -> Any:
    return (occurrences.c.job == job) & (occurrences.c.schedule == schedule) & (occurrences.c.key == key)


def _concerns_tenant(story: Story) -> bool:
    """Whether it is one of the tenant that is asked for; a run by hand is of whoever it was asked for."""
    return bool(story.runs or story.listing or (story.passed and story.schedule != MANUAL))


def _act_of(pause: Pause) -> Act:
    return Act("pause", pause.who, pause.paused_at, pause.why, pause.until_at, pause.tenant, pause.job)


def _instant(column: int) -> datetime:
    instant = from_column(column)
    assert instant is not None
    return instant
