"""What people do in the console: run, pause, resume, skip, cancel, retry. Each is one act at the desk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pinstripe_bot.clock import Clock
from pinstripe_bot.desk import has_ledger, open_desk
from pinstripe_bot.enqueueing import wake_bots, wish_of
from pinstripe_bot.errors import InvalidParams, PinstripeError, UnknownRun
from pinstripe_bot.instants import read_until
from pinstripe_bot.ledger_acts import Resume
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.ledger_skips import EVERY_JOB, Pause
from pinstripe_bot.occurrence import Run
from pinstripe_bot.project import Project
from pinstripe_bot.scripting import reading_workspace
from pinstripe_bot.tenant import key_of


@dataclass(frozen=True, slots=True)
class Acting:
    """The acts of one person on the ledger of a project, now."""

    project: Project
    person: Person
    clock: Clock

    def run(self, name: str, params: Mapping[str, Any], *, tenant: str = "") -> Run:
        """Queue a run by hand; for all tenants, where the job has some and none is named, it has number 0."""
        job = self.project.job(name)
        if tenant and not job.options["multi_tenant"]:
            raise InvalidParams(f"the job {job.name!r} has no tenants: leave the tenant out")
        whose = self._tenant(tenant)
        wish = wish_of(self.project, job.name, params, None, self.clock.now(), tenant=whose)
        with open_desk(self.project, self.person) as desk:
            run = desk.acts.enqueue(wish, self.clock.now())
        wake_bots()
        return run

    def pause(self, name: str, *, until: str = "", reason: str = "", tenant: str = "") -> Pause:
        """Let a job, or with "" every job, not come due; for one tenant, if it is named."""
        job = EVERY_JOB if not name else self.project.job(name).name
        now = self.clock.now()
        until_at = read_until(until, self.project.config.timezone, now) if until.strip() else None
        key = self._tenant(tenant)[0]
        with open_desk(self.project, self.person) as desk:
            return desk.acts.pause(job, now, until_at=until_at, why=_told(reason), tenant=key)

    def resume(self, name: str, *, tenant: str = "") -> Resume:
        """End a pause."""
        job = EVERY_JOB if not name else name if name in self.project.broken_jobs else self.project.job(name).name
        if not has_ledger(self.project):
            return Resume(None)
        with open_desk(self.project, self.person) as desk:
            if tenant:
                return desk.acts.resume_tenant(job, key_of(tenant), self.clock.now())
            return desk.acts.resume(job, self.clock.now())

    def skip(self, name: str, *, count: str = "1", schedule: str = "", reason: str = "") -> int:
        """Let the next `count` due instants not run; 0 takes the wish back. How many will be skipped."""
        if not (count.isascii() and count.isdigit()) or len(count) > 4 or int(count) > 1000:
            raise InvalidParams(f"count = {count[:20]!r} is no number of instants: write one from 0 to 1000")
        job = self.project.job(name)
        if not int(count) and not has_ledger(self.project):
            return 0
        with open_desk(self.project, self.person) as desk:
            desk.acts.skip(job.name, int(count), self.clock.now(), schedule=schedule, why=_told(reason))
        return int(count)

    def cancel(self, run_id: int) -> Run:
        """End a queued run, or ask a running one to end."""
        self._check_is_there(run_id)
        with open_desk(self.project, self.person) as desk:
            run = desk.acts.cancel(run_id, self.clock.now()).run
        wake_bots()
        return run

    def retry(self, run_id: int, *, force: bool = False) -> Run:
        """Queue an ended run for another attempt."""
        self._check_is_there(run_id)
        with open_desk(self.project, self.person) as desk:
            run = desk.acts.retry(run_id, self.clock.now(), force=force)
        wake_bots()
        return run

    def _check_is_there(self, run_id: int) -> None:
        """Raise UnknownRun where there is no ledger: none is made to find that out."""
        if not has_ledger(self.project):
            raise UnknownRun(f"there is no run {run_id}, and no ledger yet: `pinstripe start-server` starts the bot")

    def _tenant(self, written: str) -> tuple[str, str]:
        """(key, name) of a tenant of the project. Raises InvalidTenant, and InvalidParams where there is none."""
        if not written.strip():
            return "", ""
        key = key_of(written.strip())
        if self.project.tenants is None:
            raise InvalidParams("the project has no tenants: leave the tenant out")
        try:
            with reading_workspace(self.project) as workspace:
                found = self.project.tenants.find(workspace, key)
        except PinstripeError:
            raise
        except Exception as error:
            raise InvalidParams(f"the tenant {key!r} cannot be looked up: {type(error).__name__}: {error}") from error
        if found is None:
            raise InvalidParams(f"there is no tenant {key!r}: choose one that there is")
        return found.key, found.name


def _told(reason: str) -> str:
    """A reason as it is written down: not too long, and without zero characters, which PostgreSQL refuses."""
    return reason.replace("\0", "").strip()[:200]
