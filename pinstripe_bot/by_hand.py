"""Runs by hand: the same road through ledger and runner, with the schedule `manual`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from pinstripe_bot.clock import Clock
from pinstripe_bot.database import Database
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.dispatcher import Dispatcher
from pinstripe_bot.enqueueing import Delay, wish_of
from pinstripe_bot.errors import InvalidParams, RunFailed
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_listings import Listing
from pinstripe_bot.ledger_queue import join
from pinstripe_bot.lister import Lister
from pinstripe_bot.occurrence import MANUAL, Run, RunState, TenantRuns
from pinstripe_bot.params import encode_params, params_key
from pinstripe_bot.policies import Overlap
from pinstripe_bot.project import Project
from pinstripe_bot.runner import Runner
from pinstripe_bot.tenant import Tenant, TenantId
from pinstripe_bot.tenant_homes import TenantHomes, told_where_it_fails
from pinstripe_bot.tenants import GROUP, chosen, groups_of
from pinstripe_bot.workspace import Workspace


class ByHand:
    """Claims and performs runs that no schedule asked for."""

    def __init__(
        self,
        project: Project,
        ledger: Ledger,
        runner: Runner,
        dispatcher: Dispatcher,
        clock: Clock,
        lister: Lister,
        homes: TenantHomes,
        *,
        is_one_database: bool,
    ) -> None:
        self.wake: Callable[[], None] = lambda: None  # tells whoever takes waiting runs
        self._project = project
        self._ledger = ledger
        self._runner = runner
        self._dispatcher = dispatcher
        self._clock = clock
        self._lister = lister
        self._homes = homes
        self._is_one_database = is_one_database

    def run_due(self, instant_ts: int) -> list[Run]:
        """Run the jobs whose schedules are due at exactly this second, on worker threads, and wait."""
        self._dispatcher.check_may_wait()
        planned = self._homes.in_zones([one for one in self._project.schedules if one.enabled])
        due = [one for one in planned if one.is_due_ts(instant_ts)]
        ended = self._dispatcher.perform(self._ledger.claim_second(due, instant_ts, self._clock.now()))
        for listing in self._lister.list_now():
            is_asked_for = listing.due_ts == instant_ts and listing.schedule != MANUAL
            while is_asked_for and (runs := self._take_runs(listing)):
                ended += self._dispatcher.perform(runs)
        return ended

    def _take_runs(self, listing: Listing) -> list[Run]:
        return self._ledger.fan_out.take_runs(listing.occurrence, self._clock.now(), most=GROUP)

    def run(self, name: str, params: Mapping[str, Any], *, at: datetime | None, force: bool) -> Run:
        """Run on a worker thread and wait; an overlap gives the run as skipped, unless forced."""
        self._dispatcher.check_may_wait()
        job = self._project.job(name)
        if job.options["multi_tenant"]:
            raise InvalidParams(f"the job {job.name!r} runs once per tenant: use bot.run_for_tenants({job.name!r})")
        return self._performed([self._run(job, params, at)], force=force)[0]

    def run_for_tenants(
        self,
        name: str,
        params: Mapping[str, Any],
        *,
        keys: Sequence[TenantId] | None,
        at: datetime | None,
        force: bool,
    ) -> TenantRuns:
        """Run for these tenants, or for all that the job chooses, on worker threads; wait for all of them.

        Raises UnknownTenant, before anything runs, where there is none of these keys.
        """
        self._dispatcher.check_may_wait()
        job = self._project.job(name)
        asked = self._run(job, params, at)
        runs = TenantRuns(job.name, {})
        with contextlib.closing(self._tenants(job, keys)) as tenants:
            for group in groups_of(tenants, 8 * job.options["tenant_concurrency"]):
                for ended in self._performed([_for(asked, tenant) for tenant in group], force=force):
                    runs = runs.plus(ended)
                if self._dispatcher.is_closing:
                    return runs.cut_short() if next(tenants, None) is not None else runs
        return runs

    def _performed(self, asked: Sequence[Run], *, force: bool) -> list[Run]:
        """Claim these runs of one job and perform them; those that cannot be, as they were claimed."""
        claimed = self._claim(asked, force=force)
        queued = [run for run in claimed if run.state is not RunState.SKIPPED]
        ended = {run.id: run for run in self._dispatcher.perform(queued)}
        return [ended.get(run.id, run) for run in claimed]

    def _tenants(self, job: JobDefinition, keys: Sequence[TenantId] | None) -> Generator[Tenant]:
        """The tenants with these keys, or all that the job's filter chooses."""
        with self._homes.workspace() as workspace, told_where_it_fails(self._project):
            yield from chosen(self._project.tenants, workspace, job, keys)

    def run_inside(self, workspace: Workspace, name: str, params: Mapping[str, Any]) -> Run | TenantRuns:
        """Run on this thread, which performs a run already. Raises RunFailed from the job's own error.

        For the tenant of that run; where it has none, a job with tenants runs for all of them, one after another.
        """
        job = self._project.job(name)
        asked = self._run(job, params, None)
        tenant = "" if workspace.run is None else workspace.run.tenant
        if tenant or not job.options["multi_tenant"]:
            return self._run_inside(workspace, _named(asked, workspace))
        runs = TenantRuns(job.name, {})
        with contextlib.closing(self._tenants(job, None)) as tenants:
            for each in tenants:
                try:
                    runs = runs.plus(self._run_inside(workspace, _for(asked, each)))
                except RunFailed as failure:
                    runs = runs.plus(failure.run)
        if not runs.is_success:
            bad = runs.count - sum(runs.states.get(one, 0) for one in (RunState.SUCCEEDED, RunState.SKIPPED))
            first = runs.unsuccessful[0]
            told = f"the job {job.name!r} did not succeed for {bad} of {runs.count} tenants"
            raise RunFailed(f"{told}, first for {first.tenant!r}{_why(first)}", first)
        return runs

    def _run_inside(self, workspace: Workspace, asked: Run) -> Run:
        workspace.checkpoint()
        now = self._clock.now()
        # Claimed and started in one transaction: a queued run that nobody starts would block the job's next ones.
        asked = replace(asked, state=RunState.RUNNING, claimed_at=now, started_at=now)
        claimed = self._claim([asked], force=False)[0]
        if claimed.state is RunState.SKIPPED:
            return claimed
        try:
            ended, error, control = self._runner.run(claimed, workspace.bot, parent=workspace.control)
        finally:
            self._runner.close_foreign_loop()
        if control.end():
            self._dispatcher.record_now(ended)
        else:
            self._dispatcher.came_back(control)
        workspace.checkpoint()
        if ended.state is not RunState.SUCCEEDED:
            has_secrets = bool(self._project.jobs[ended.job].params.secret_texts(ended.params))
            cause = None if has_secrets else error  # the caller's traceback would tell them
            raise RunFailed(f"the job {ended.job!r} {ended.state}{_why(ended)}", ended) from cause
        return ended

    def enqueue(
        self,
        workspace: Workspace,
        name: str,
        params: Mapping[str, Any],
        *,
        delay: Delay,
        joining: Database | None = None,
    ) -> Run:
        """Put a run into the ledger: in the transaction of `joining` where both are one database, else at once.

        It is for the tenant of the run in whose `workspace` it is asked for. `wake` is called after the commit.
        """
        run = workspace.run
        tenant = ("", "") if run is None else (run.tenant, run.tenant_name)
        wish = wish_of(self._project, name, params, delay, self._clock.now(), tenant=tenant)
        if joining is not None and self._is_one_database:
            return join(joining, wish, bot=self._ledger.bot, then=self.wake)
        with self._ledger.store.writing() as connection:
            queued = wish.write(connection, bot=self._ledger.bot)
        self.wake()
        return queued

    def _run(self, job: JobDefinition, params: Mapping[str, Any], at: datetime | None) -> Run:
        """The run as it is asked for; nothing is claimed yet."""
        now = self._clock.now()
        return Run(
            id=0,
            job=job.name,
            schedule=MANUAL,
            due_at=(at or now).astimezone(UTC).replace(microsecond=0),
            state=RunState.QUEUED,
            claimed_at=now,
            params=job.manual_params(params),
        )

    def _claim(self, asked: Sequence[Run], *, force: bool) -> list[Run]:
        encoded = encode_params(asked[0].params)
        ignore = force or self._project.jobs[asked[0].job].options["overlap"] is Overlap.ALLOW
        return self._ledger.claim_manual(asked, encoded, params_key(encoded), ignore_overlap=ignore)


def _for(asked: Run, tenant: Tenant) -> Run:
    return replace(asked, tenant=tenant.key, tenant_name=tenant.name)


def _named(asked: Run, workspace: Workspace) -> Run:
    """The run, for the tenant of the run that asks for it."""
    run = workspace.run
    return asked if run is None else replace(asked, tenant=run.tenant, tenant_name=run.tenant_name)


def _why(ended: Run) -> str:
    return f": {ended.error.type}: {ended.error.message}" if ended.error else ""
