"""The workspace: the isolated surroundings of one run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Protocol

import structlog

from pinstripe_bot.clock import Clock
from pinstripe_bot.config import own_copy
from pinstripe_bot.control import Commits, RunControl, read_progress
from pinstripe_bot.database import Database
from pinstripe_bot.database_tenant import TenantDatabase
from pinstripe_bot.errors import RunCancelled, UnknownService, WorkspaceError, WouldWait
from pinstripe_bot.job import BackgroundJob
from pinstripe_bot.occurrence import Run, TenantRuns
from pinstripe_bot.services import ProcessServices, ProjectSurroundings, ServiceDefinition
from pinstripe_bot.tenant import Tenant
from pinstripe_bot.tenants import TenantLookup


class Caller(Protocol):
    """Who runs a job on behalf of another one."""

    @property
    def commits(self) -> Commits: ...

    def run_inside(self, workspace: Workspace, name: str, params: Mapping[str, Any]) -> Run | TenantRuns:
        """Run the job now, on this thread, in a workspace of its own. Raises RunFailed from the job's error."""

    def enqueue_inside(
        self,
        workspace: Workspace,
        name: str,
        params: Mapping[str, Any],
        *,
        delay: float | str | timedelta | None,
        joining: Database | None,
    ) -> Run:
        """Put a run of the job into the ledger, as a part of the transaction of `joining` where that can be."""

    def may_commit(self, run: Run) -> bool:
        """Whether a run is still its bot's, so that what it has done may be committed."""


class Workspace:
    """What a job sees: `self.database`, `self.logger`, `self.params` and every file of `lib/services`.

    A service is built on first use, once per run, and closed at the end in reverse order; a failing close or
    COMMIT fails the run. Without a `run` (see `run_in_new_workspace`) there are no parameters and no instant.
    """

    def __init__(
        self,
        *,
        project: ProjectSurroundings,
        shared: ProcessServices,
        clock: Clock,
        bot: Caller,
        run: Run | None = None,
        control: RunControl | None = None,
        window: Callable[[], tuple[datetime, datetime]] | None = None,
        atomic: bool = False,
        before_commit: Callable[[Database], None] | None = None,
    ) -> None:
        self.project = project
        self.config = own_copy(project.config)  # `config.app` holds the project's own settings
        self.clock = clock
        self.bot = bot
        self.run = run
        self.params: dict[str, Any] = {}
        self.logger: Any = structlog.get_logger("pinstripe.job")  # the run's keys are bound already
        self.control = control or RunControl()
        self._shared = shared
        self._window = window
        self._atomic = atomic
        self._before_commit = before_commit
        self._whole: Database | None = None  # the database of all tenants, once it is open
        self._services: dict[str, Any] = {}
        self._tenant = TenantLookup(project.tenants, run.tenant if run else "", self._without_run)
        self._building: list[str] = []
        self._stack = contextlib.ExitStack()
        self._is_open = True
        if before_commit is not None:
            self._stack.push(self._commit_last)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stack.__exit__(kind, error, trace)
        finally:
            self._is_open = False  # not before: what closes may still want another service

    # Facts of the run

    @property
    def tenant(self) -> Tenant | None:
        """The tenant that the run is for, or None. One that is gone has nothing but its id."""
        if self.run is None or not self.run.tenant:
            return None
        return self._tenant.found or Tenant(self.run.tenant, self.run.tenant_name)

    def _without_run(self) -> Workspace:
        """A new workspace that belongs to no run and no tenant, in which tenants are looked up."""
        return Workspace(project=self.project, shared=self._shared, clock=self.clock, bot=self.bot)

    @property
    def due_at(self) -> datetime:
        """The due instant of this run; aware, UTC."""
        return self._of_run().due_at

    @property
    def window(self) -> tuple[datetime, datetime]:
        """The previous due instant and this one: what a report should cover."""
        if self._window is None:
            return (self.due_at, self.due_at)
        return self._window()

    @property
    def schedule_name(self) -> str:
        """The name of the schedule that came due, or "manual"."""
        return self._of_run().schedule

    @property
    def job_name(self) -> str:
        """The job's name, dasherized."""
        return self._of_run().job

    @property
    def run_id(self) -> int:
        """The run's number in the ledger."""
        return self._of_run().id

    @property
    def occurrence_key(self) -> str:
        """What this run is for, as text: the same for each of its attempts, and no other run's."""
        return self._of_run().occurrence_key

    @property
    def attempt(self) -> int:
        """Which try of the run this is, from 1."""
        return self._of_run().attempt

    def _of_run(self) -> Run:
        if self.run is None:
            raise WorkspaceError("this workspace belongs to no run: it has no due instant, schedule or run id")
        return self.run

    # Talking with the outside

    @property
    def cancelled(self) -> bool:
        """Whether this run was told to end; a long loop asks now and then, and tidies up."""
        return self.control.is_cancelled

    def checkpoint(self) -> None:
        """Raise RunCancelled if this run was told to end; otherwise do nothing."""
        self.control.check()

    def progress(self, done: int, total: int | None = None) -> None:
        """Say how far the run is; shown in the terminal and kept in the ledger. What is no number is not heard."""
        self.control.progress = read_progress(done, total) or self.control.progress

    def run_background_job(self, name: str, /, **params: Any) -> Run | TenantRuns:
        """Run another job now, on this thread, in a workspace of its own, and return its finished Run.

        It runs for the tenant of this run; where that has none, a job with tenants runs for each of them: TenantRuns.

        Raises RunFailed, from the job's own error, if it did not succeed; an overlap returns it as skipped.
        """
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            raise WouldWait(
                "run_background_job() would block the event loop:"
                f" write `await self.run_background_job_async({name!r})`"
            )
        self._refuse_in_transaction(name)
        return self.bot.run_inside(self, name, params)

    async def run_background_job_async(self, name: str, /, **params: Any) -> Run | TenantRuns:
        """As `run_background_job`, for an async job: the event loop goes on meanwhile."""
        self._refuse_in_transaction(name)  # here: a transaction belongs to this coroutine, not to the other thread
        return await asyncio.to_thread(self.bot.run_inside, self, name, params)

    def enqueue_background_job(self, name: str, /, delay: float | str | timedelta | None = None, **params: Any) -> Run:
        """Put a run of a job into the ledger and return it; a bot starts it, after `delay` ("10m", or seconds).

        Inside a transaction of a PostgreSQL database that holds the ledger too, it commits or rolls back with that;
        anywhere else it is written at once. Where the same work is open, the job's `overlap` may skip it.
        """
        self._refuse_after_end()
        return self.bot.enqueue_inside(self, name, params, delay=delay, joining=self._database_in_transaction())

    def _database_in_transaction(self) -> Database | None:
        """The project's database, if what the caller writes there waits for a commit."""
        if "database" not in self._services and not (self._atomic and self.config.database.url):
            return None
        return self.database.unscoped if self.database.in_transaction else None

    def _refuse_in_transaction(self, name: str) -> None:
        database = self._services.get("database")
        if database is not None and database.in_transaction and self._shared.database_pool().is_sqlite:
            raise WouldWait(
                f"run_background_job({name!r}) was called inside a transaction: on SQLite the called job would wait"
                " for this one: call it after the transaction"
            )

    # Services

    @property
    def database(self) -> Database | TenantDatabase:
        """The project's database, for this run; in one of a tenant it has that tenant's rows alone."""
        database: Database | TenantDatabase = self._service("database", self._open_database)
        return database

    def _open_database(self) -> Database | TenantDatabase:
        whole = self._open_whole_database()
        if self.run is None or not self.run.tenant:
            return whole
        found, tenants = self._tenant.found, self.project.tenants
        return TenantDatabase(
            whole,
            tenant_id=None if found is None else found.id,
            tenant_column=self.config.tenants.tenant_column,
            tenants_table=None if tenants is None else tenants.own_table(),
        )

    def _open_whole_database(self) -> Database:
        label = f"{self.run.job} #{self.run.id}" if self.run else "a workspace without a run"
        database = self._shared.database_pool().open(
            label, atomic=self._atomic, guard=self._refuse_after_end, commit_guard=self._look_before_commit
        )
        self._whole = database
        return database if self._before_commit else self._stack.enter_context(database)

    def _commit_last(self, *failure: Any) -> None:
        """Not in its turn: a service that fails to close after the commit would contradict the outcome in it."""
        if self._whole is not None:
            self._whole.__exit__(*failure)

    def _refuse_after_end(self) -> None:
        if self.control.has_ended:
            raise RunCancelled("the end of this run is already recorded: it may not change the database any more")

    def _look_before_commit(self) -> None:
        """As above, for what the ledger alone knows: this bot was taken for dead while it stood still.

        Where the outcome is in the commit, writing it tells.
        """
        if self._before_commit is not None and self._whole is not None:
            self._before_commit(self._whole)
        elif self.run is not None and not self.bot.may_commit(self.run):
            raise RunCancelled("another bot has taken this one for dead and ended this run: nothing of it is committed")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in RESERVED:
            return object.__getattribute__(self, name)  # one of ours raised AttributeError: let it say why
        definition = self.project.service(name)
        if definition.is_per_process:
            return self._shared.get(definition)
        return self._service(definition.name, lambda: self._build(definition))

    def _build(self, definition: ServiceDefinition) -> Any:
        if definition.name in self._building:
            circle = " -> ".join([*self._building, definition.name])
            raise UnknownService(f"the service {definition.name!r} needs itself ({circle}): break the circle")
        self._building.append(definition.name)
        try:
            return definition.build(self, self._stack)
        finally:
            self._building.pop()

    def _service(self, name: str, build: Callable[[], Any]) -> Any:
        if name not in self._services:
            if not self._is_open:
                raise WorkspaceError(f"the run of this workspace has ended: {name!r} cannot be used any more")
            self._services[name] = build()
        return self._services[name]


_ATTRIBUTES = ("project", "config", "clock", "bot", "run", "params", "logger", "control")
RESERVED = frozenset(
    name for name in (*vars(Workspace), *vars(BackgroundJob), *_ATTRIBUTES) if not name.startswith("_")
) | {"workspace"}
"""Names that a service cannot have."""
