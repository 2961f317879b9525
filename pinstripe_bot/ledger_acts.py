"""The acts: what people ask of the ledger. Each is one transaction, and leaves a row in the audit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, delete, insert, select, text, update

from pinstripe_bot import ledger_runs
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.errors import InvalidSchedule, PinstripeError, UnknownRun
from pinstripe_bot.ledger_audit import Person, write_audit
from pinstripe_bot.ledger_backfill import Gap, Span, fill, missing
from pinstripe_bot.ledger_backfill_tenants import TenantGap, TenantGaps, fill_for_tenants
from pinstripe_bot.ledger_foresight import Instants, foresee
from pinstripe_bot.ledger_marks import in_stored_zones, read_stored
from pinstripe_bot.ledger_queue import Wish
from pinstripe_bot.ledger_resume import pass_paused, read_planned
from pinstripe_bot.ledger_rows import from_ts, run_of, to_column
from pinstripe_bot.ledger_schema import OPEN, runs, skips
from pinstripe_bot.ledger_skips import EVERY_JOB, Pause, end_pause, read_pauses, write_pause
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.occurrence import Reason, Run, RunState
from pinstripe_bot.options import did_you_mean
from pinstripe_bot.policies import Overlap
from pinstripe_bot.project import Project
from pinstripe_bot.schedule import Schedule


class ActRefused(PinstripeError):
    """An act that cannot be done now; the message says why, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """What a wish to cancel met: the run as it is now, and whether it had ended before."""

    run: Run
    had_ended: bool


@dataclass(frozen=True, slots=True)
class Resume:
    """What a resume ended: the pause, None where there was none, and how many instants it recorded as paused.

    `still` is a pause that keeps the same jobs from coming due: that of every job.
    """

    pause: Pause | None
    passed: int = 0
    still: Pause | None = None


class Acts:
    """Acts of one person on the ledger of a project, whose job files are loaded here.

    Every method raises LedgerUnavailable if the database does not answer; then nothing was changed.
    """

    def __init__(self, store: LedgerStore, project: Project, person: Person) -> None:
        self._store = store
        self._project = project
        self._person = person

    def enqueue(self, wish: Wish, now: datetime) -> Run:
        """Queue a run by hand, as it is wished for; of a job with tenants, asked for all of them, it has number 0.

        Where the same work is open, by the job's `overlap` it may come back as skipped.
        """
        with self._store.writing() as connection:
            run = wish.write(connection, bot=self._person.origin)
            params = msgspec.json.decode(wish.params_json)  # as the ledger has them: a Path is text
            facts: dict[str, Any] = {"params": self._project.job(run.job).params.shown(params)} if params else {}
            facts |= {"tenant": run.tenant} if run.tenant else {}
            write_audit(connection, self._person, now, "run", job=run.job, run=run.id or None, **facts)
            return run

    def retry(self, run_id: int, now: datetime, *, force: bool = False) -> Run:
        """Queue an ended run for another attempt; this one is kept with its error and output.

        `force` retries a succeeded one as well, and one whose work is open in another run. Raises ActRefused,
        UnknownRun, and UnknownJob where the project has its job no more.
        """
        with self._store.writing() as connection:
            run = _read(connection, run_id)
            self._refuse_retry(connection, run, force=force)
            ledger_runs.retry(connection, [replace(run, retry_at=now)])
            write_audit(connection, self._person, now, "retry", job=run.job, run=run.id, was=run.state, force=force)
            return _read(connection, run_id)

    def _refuse_retry(self, connection: Connection, run: Run, *, force: bool) -> None:
        told = f"run {run.id} of {run.job}"
        if run.state.is_open:
            raise ActRefused(f"{told} is {run.state}: retry it when it has ended; `pinstripe cancel {run.id}` ends it")
        if run.state is RunState.SKIPPED:
            raise ActRefused(f"{told} was skipped, so there is no attempt to retry: {run_again(run)} runs it now")
        if run.state is RunState.SUCCEEDED and not force:
            raise ActRefused(f"{told} has succeeded: --force runs it once more")
        overlap = _overlap_of(self._project.job(run.job), run.schedule)
        other = None if force or overlap is Overlap.ALLOW else _same_work(connection, run)
        if other is not None:
            raise ActRefused(f"{told} would overlap with run {other}, the same work: wait for its end, or use --force")

    def cancel(self, run_id: int, now: datetime) -> Cancel:
        """End a queued run at once; ask the bot of a running one to end it, which it sees within a second."""
        with self._store.writing() as connection:
            run = _read(connection, run_id)
            if not run.state.is_open:
                return Cancel(run, had_ended=True)
            wish = {"cancel_requested_at": to_column(now), "cancelled_by": self._person.who}
            ended = {"state": RunState.CANCELLED, "reason": Reason.CANCELLED, "finished_at": to_column(now)}
            values = wish | ended if run.state is RunState.QUEUED else wish
            connection.execute(update(runs).where(runs.c.id == run.id).values(values))
            write_audit(connection, self._person, now, "cancel", job=run.job, run=run.id, was=run.state)
            return Cancel(_read(connection, run_id), had_ended=False)

    def pause(
        self, job: str, now: datetime, *, until_at: datetime | None = None, why: str = "", tenant: str = ""
    ) -> Pause:
        """Let a job, or every job (''), not come due; one that is paused already gets this end and reason.

        Of one `tenant`, so that it comes due for the others only.
        """
        with self._store.writing() as connection:
            write_pause(connection, Pause(job, now, until_at, self._person.who, why, tenant))
            facts: dict[str, Any] = {"tenant": tenant} if tenant else {}
            write_audit(connection, self._person, now, "pause", job=job, until_at=until_at, why=why, **facts)
            return read_pauses(connection, tenant)[job]

    def resume_tenant(self, job: str, tenant: str, now: datetime) -> Resume:
        """End the pause of one tenant in a job, or in every job (''): it takes part from the next instant on."""
        with self._store.writing() as connection:
            pause = read_pauses(connection, tenant).get(job)
            if pause is None or not pause.lasts(now):
                return Resume(None)
            end_pause(connection, job, now, tenant=tenant)
            write_audit(connection, self._person, now, "resume", job=job, tenant=tenant)
            return Resume(pause)

    def is_paused(self, job: str, now: datetime) -> bool:
        """Whether this job has a pause of its own, also one that the project has no more."""
        with self._store.reading() as connection:
            pause = read_pauses(connection).get(job)
            return pause is not None and pause.lasts(now)

    def resume(self, job: str, now: datetime) -> Resume:
        """End the pause of a job, or that of every job (''): its schedules start from now, and nothing past runs.

        Only schedules whose stored form is the one of this project are decided: another one's bot plans the others.
        """
        now_ts = int(now.timestamp())
        with self._store.writing() as connection:
            lasting = {name: one for name, one in read_pauses(connection).items() if one.lasts(now)}
            pause, still = lasting.get(job), lasting.get(EVERY_JOB) if job != EVERY_JOB else None
            if pause is None:
                return Resume(None, still=still)
            declared = [one for one in self._project.schedules if one.enabled and job in (EVERY_JOB, one.job)]
            planned = read_planned(connection, declared)
            passed = pass_paused(connection, planned, pause, by=self._person.origin, now_ts=now_ts)
            end_pause(connection, job, now)
            write_audit(connection, self._person, now, "resume", job=job, passed=passed)
            return Resume(pause, passed, still)

    def skip(self, job: str, count: int, now: datetime, *, schedule: str = "", why: str = "") -> Instants:
        """Let the next `count` due instants of a job, or of one schedule of it, not run; 0 takes the wish back.

        In the zones of tenants, so many of each zone. What was asked before for the same is replaced. The instants of
        this job that will be skipped come back, also those of other wishes; a job that is paused without an end has
        none. Raises ActRefused where no zone of tenants is known yet, so that nothing comes due.
        """
        definition = self._project.job(job)
        declared, named = schedules_of(definition), schedules_of(definition, schedule)
        with self._store.writing() as connection:
            coming = in_stored_zones(declared, read_stored(connection))
            names = {one.name for one in named}
            meant = [one for one in coming if one.name in names]
            if count and not meant:
                raise ActRefused(f"no zone of a tenant is known yet, so nothing of {job} comes due: start a bot first")
            self._write_skips(connection, job, schedule, {one.key for one in meant}, count, now, why)
            write_audit(connection, self._person, now, "skip", job=job, schedule=schedule, count=count, why=why)
            rows = connection.execute(select(skips).where(skips.c.job == job)).all()
            known = {*((one.name, one.key) for one in coming), *(("", one.key) for one in coming)}
            wishes = {(job, row.schedule, row.key): row.remaining for row in rows if (row.schedule, row.key) in known}
            return foresee(connection, coming, read_planned(connection, coming), wishes, now)

    def _write_skips(
        self, connection: Connection, job: str, schedule: str, keys: set[str], count: int, now: datetime, why: str
    ) -> None:
        """Replace a wish: a row for each zone, or the one of a schedule in a zone of its own."""
        connection.execute(delete(skips).where(skips.c.job == job, skips.c.schedule == schedule))
        asked = {"job": job, "schedule": schedule, "remaining": count, "who": self._person.who, "why": why}
        rows = [asked | {"key": key, "asked_at": to_column(now)} for key in sorted(keys)]
        if count:
            connection.execute(insert(skips), rows)

    def backfill(self, span: Span, gaps: Sequence[Gap], now: datetime, *, spacing: timedelta = timedelta(0)) -> int:
        """Queue a run for each of these gaps of the span, oldest first; how many there were.

        One that was filled meanwhile is left out: the same call, made again, adds only what is missing.
        """
        part = dataclasses.replace(span, start_ts=gaps[0].due_ts, end_ts=gaps[-1].due_ts)
        with self._store.writing() as connection:
            wanted = {(gap.schedule, gap.due_ts) for gap in gaps}
            open_gaps = missing(connection, part, self._project.job(span.job).schedules)
            still = [gap for gap in open_gaps if (gap.schedule, gap.due_ts) in wanted]
            if not still:
                return 0
            spacing_us = spacing // timedelta(microseconds=1)
            by = self._person.origin
            count = fill(connection, still, bot=by, now_at=to_column(now), spacing_us=spacing_us)
            start_at, end_at = from_ts(part.start_ts), from_ts(part.end_ts)
            write_audit(
                connection, self._person, now, "backfill", job=span.job, start_at=start_at, end_at=end_at, runs=count
            )
            return count

    def backfill_for_tenants(
        self, wanted: TenantGaps, gaps: Sequence[TenantGap], now: datetime, *, spacing: timedelta = timedelta(0)
    ) -> int:
        """Queue a run for each of these gaps; how many there were. One that was filled meanwhile is left out."""
        with self._store.writing() as connection:
            still = wanted.missing(connection, gaps)
            if not still:
                return 0
            spacing_us, by, job = spacing // timedelta(microseconds=1), self._person.origin, wanted.span.job
            count = fill_for_tenants(connection, still, bot=by, now_at=to_column(now), spacing_us=spacing_us)
            start_at, end_at = from_ts(still[0].due_ts), from_ts(still[-1].due_ts)
            write_audit(
                connection, self._person, now, "backfill", job=job, start_at=start_at, end_at=end_at, runs=count
            )
            return count


def schedules_of(job: JobDefinition, name: str = "") -> list[Schedule]:
    """The schedules of a job that come due, or the one of this name. Raises InvalidSchedule if there is none."""
    declared = [one for one in job.schedules if one.enabled]
    if not declared:
        raise InvalidSchedule(f"the job {job.name!r} has no schedule that comes due: it runs by hand only")
    named = [one for one in declared if name in ("", one.name)]
    if not named:
        hint = did_you_mean(name, [one.name for one in declared])
        raise InvalidSchedule(f"the job {job.name!r} has no schedule {name!r}: {hint}")
    return named


def run_again(run: Run) -> str:
    """What to type so that a job runs for the due instant of this run, in quotes."""
    return f"`pinstripe run-background-job {run.job} --at {run.due_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}`"


def _overlap_of(job: JobDefinition, schedule: str) -> Overlap:
    overlap: Overlap = job.options["overlap"]
    return next((one.overlap for one in job.schedules if one.name == schedule), overlap)


def _read(connection: Connection, run_id: int) -> Run:
    """A run, as it stays until the end of the transaction: a bot may be starting or ending it just now."""
    row = connection.execute(select(runs).where(runs.c.id == run_id).with_for_update()).mappings().first()
    if row is None:
        raise UnknownRun(f"there is no run {run_id} in the ledger: `pinstripe runs` lists the newest")
    return run_of(row)


def _same_work(connection: Connection, run: Run) -> int | None:
    """Another open run of the same job, parameters and tenant."""
    key = select(runs.c.params_key).where(runs.c.id == run.id).scalar_subquery()
    same = (runs.c.job == run.job, runs.c.params_key == key, runs.c.tenant == run.tenant, runs.c.id != run.id)
    found: int | None = connection.scalar(select(runs.c.id).where(text(OPEN), *same).order_by(runs.c.id).limit(1))
    return found
