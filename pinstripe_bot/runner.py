"""The runner: performs one started run in a workspace of its own; the one wall for a job's errors."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import inspect
import threading
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog
from msgspec.structs import replace
from structlog.contextvars import bind_contextvars

from pinstripe_bot.atomic_commit import AtomicCommit
from pinstripe_bot.clock import Clock
from pinstripe_bot.control import RunControl
from pinstripe_bot.deadlines import Deadlines
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.errors import RunCancelled, WorkspaceError
from pinstripe_bot.failure import describe_error
from pinstripe_bot.ledger_rows import from_ts
from pinstripe_bot.occurrence import MANUAL, Reason, Run, RunError, RunState
from pinstripe_bot.output import OUTPUT_LIMIT, RunOutput, capture, current_output
from pinstripe_bot.policies import Isolation
from pinstripe_bot.project import Project
from pinstripe_bot.redaction import conceal
from pinstripe_bot.schedule import in_zones
from pinstripe_bot.services import ProcessServices
from pinstripe_bot.tenants import home_of
from pinstripe_bot.workspace import Caller, Workspace

ENDS: Mapping[Reason, RunState] = {
    Reason.SHUTDOWN: RunState.INTERRUPTED,
    Reason.TIMEOUT: RunState.TIMED_OUT,
    Reason.CANCELLED: RunState.CANCELLED,
}
"""How a run ends that was told to end, by why."""

RESULT_LIMIT = 64 * 1024
"""Bytes of JSON that the ledger keeps of what a job returns."""

log = structlog.get_logger("pinstripe")


KILLED_WITHIN = timedelta(seconds=5)
"""How much longer than its `kill_after` a run in a process may take: by then the kernel has ended it."""


class ProcessRuns(Protocol):
    """Who performs runs in processes of their own."""

    def perform(
        self, run: Run, control: RunControl, bot: Caller, *, max_memory: int | None, kill_after: timedelta
    ) -> tuple[Run, BaseException | None]:
        """Perform a started run and wait for its end; the ended run, and what stands for its error."""


class Runner:
    """Performs runs; safe to be called from many threads at once, each of which keeps an event loop for async jobs."""

    def __init__(
        self,
        project: Project,
        shared: ProcessServices,
        clock: Clock,
        on_start: Callable[[Run], None] | None = None,
        processes: ProcessRuns | None = None,
    ) -> None:
        self.controls: dict[int, RunControl] = {}  # of the runs whose code runs now, by run id
        self.deadlines = Deadlines(clock)
        self._on_start = on_start
        self._processes = processes  # None in a child: there a run is performed here
        self._project = project
        self._shared = shared
        self._clock = clock
        self._loops = threading.local()

    @property
    def root(self) -> Path:
        """The folder of the project whose jobs it performs."""
        return self._project.root

    def run(
        self, run: Run, bot: Caller, *, parent: RunControl | None = None
    ) -> tuple[Run, BaseException | None, RunControl]:
        """Perform a started run; the ended run, what the job raised, and its control. Everything it raises ends here.

        Whoever records the end asks `RunControl.end` first: it may have been recorded while the job did not listen.
        """
        control = RunControl(run, parent)
        # In a context of its own: what a job binds or sets ends with its run, and nothing needs to be unbound.
        ended, error = contextvars.copy_context().run(self._run, run, bot, control)
        return ended, error, control

    def _run(self, run: Run, bot: Caller, control: RunControl) -> tuple[Run, BaseException | None]:
        self.controls[run.id] = control
        control.thread = threading.get_ident()
        job = self._project.jobs[run.job]
        options, secrets = job.options, job.params.secret_texts(run.params)
        is_isolated = options["isolation"] is Isolation.PROCESS
        patience = options["kill_after"] + (KILLED_WITHIN if is_isolated else timedelta(0))
        output = control.output = RunOutput(secrets)
        try:
            self.deadlines.begin(control, options["timeout"], patience)
            bind_log_keys(run)
            with capture(output):
                log.debug("run_started")
                if self._on_start is not None:
                    self._on_start(run)
                perform = self._perform_in_process if is_isolated else self.perform
                ended, error = perform(run, control, bot)
            ended, error = self._finished(_without(ended, secrets), error, control, bot)
            return replace(ended, output=output.text()), error
        finally:
            self.deadlines.end(control)
            if self.controls.get(run.id) is control:
                del self.controls[run.id]

    def _finished(
        self, ended: Run, error: BaseException | None, control: RunControl, bot: Caller
    ) -> tuple[Run, BaseException | None]:
        """With the instant of its end. What its own commit has ended stays so, whatever came after that."""
        at = control.commits_at
        if at is not None and ended.state is not RunState.SUCCEEDED and (kept := bot.commits.kept(ended, at)):
            succeeded = {"state": RunState.SUCCEEDED, "reason": None, "error": None, "result": kept.result}
            ended, error = replace(ended, **succeeded), None
        is_committed = at is not None and ended.state is RunState.SUCCEEDED
        return replace(ended, finished_at=at if is_committed else self._clock.now()), error

    def _perform_in_process(self, run: Run, control: RunControl, bot: Caller) -> tuple[Run, BaseException | None]:
        assert self._processes is not None
        options = self._project.jobs[run.job].options
        limits = {"max_memory": options["max_memory"], "kill_after": options["kill_after"]}
        return self._processes.perform(run, control, bot, **limits)

    def perform(self, run: Run, control: RunControl, bot: Caller) -> tuple[Run, BaseException | None]:
        """Perform a run here and now; what it raises ends here."""
        try:
            result = self._work(run, control, bot)
        except BaseException as error:  # noqa: BLE001 - the wall: a job that raises or exits harms no other
            reason = control.reason
            if reason is not None and (_is_cancellation(error) or reason is not Reason.SHUTDOWN):
                # A library may turn a cancellation into an error of its own: what comes after it is its doing.
                told = None if _is_cancellation(error) else _described(error, self._project.root)
                return replace(run, state=ENDS[reason], reason=reason, error=told), error
            return replace(run, state=RunState.FAILED, error=_described(error, self._project.root)), error
        return replace(run, state=RunState.SUCCEEDED, result=result), None

    def _work(self, run: Run, control: RunControl, bot: Caller) -> Any:
        definition = self._project.jobs[run.job]
        _refuse_without_tenant(definition, run)
        is_atomic, commit = definition.options["atomic"], None
        if is_atomic and bot.commits.is_one_database:
            commit = AtomicCommit(run, control, bot, definition.params.secret_texts(run.params))
        workspace = Workspace(
            project=self._project,
            shared=self._shared,
            clock=self._clock,
            bot=bot,
            run=run,
            control=control,
            window=lambda: self._window(run, workspace),
            atomic=is_atomic,
            before_commit=None if commit is None else commit.prepare,
        )
        with workspace:
            params = copy.deepcopy(run.params) if run.params else {}  # the schedule's own must stay as they are
            workspace.params = params
            result = definition.perform(workspace, params)
            if inspect.isawaitable(result):
                result = self._await(control.listening(result), control)
            result = _as_json(result)
            if commit is not None:
                commit.result = result
            return result

    def _window(self, run: Run, workspace: Workspace) -> tuple[datetime, datetime]:
        """The previous due instant and this one; of a run by hand, the newest of any of the job's schedules."""
        schedules = self._project.jobs[run.job].schedules
        own = [schedule for schedule in schedules if run.schedule in (schedule.name, MANUAL)]
        due_ts = int(run.due_at.timestamp())
        earlier = [schedule.previous_before_ts(due_ts) for schedule in in_zones(own, lambda _: [self._home(workspace)])]
        newest_ts = max((ts for ts in earlier if ts is not None), default=due_ts)
        return (from_ts(newest_ts), run.due_at)

    def _home(self, workspace: Workspace) -> str:
        """The zone in which the tenant lives now; it may have moved since the previous instant."""
        otherwise = self._project.config.timezone
        return otherwise if workspace.tenant is None else home_of(workspace.tenant, otherwise)

    def _await(self, work: Any, control: RunControl) -> Any:
        """Run a coroutine to its end on this thread's event loop."""
        loop: asyncio.Runner | None = getattr(self._loops, "runner", None)
        if loop is None:
            loop = self._loops.runner = asyncio.Runner()
        try:
            # In this run's context: a Runner's own is that of the first run it had.
            return loop.run(work, context=contextvars.copy_context())
        finally:
            # A loop in which a run was cancelled or has left tasks would hand them to the next run.
            if control.is_cancelled or asyncio.all_tasks(loop.get_loop()):
                self.close_loop()

    def close_foreign_loop(self) -> None:
        """Close the event loop of a thread that is not a worker's, such as one of `asyncio.to_thread`."""
        if not getattr(self._loops, "is_kept", False):
            self.close_loop()

    def keep_loop(self) -> None:
        """Let this thread keep its event loop from run to run, until `close_loop`."""
        self._loops.is_kept = True

    def close_loop(self) -> None:
        """Close this thread's event loop, if it has one; a thread that ends calls it."""
        loop: asyncio.Runner | None = getattr(self._loops, "runner", None)
        if loop is not None:
            self._loops.runner = None
            loop.close()


def _refuse_without_tenant(definition: JobDefinition, run: Run) -> None:
    """A run that was written before its job had tenants would find the rows of all of them."""
    if definition.options["multi_tenant"] and not run.tenant:
        raise WorkspaceError(
            f"the job {run.job!r} runs once per tenant, and this run is for none: it was asked for before the job had"
            " tenants; run the job again"
        )


def is_inside_run() -> bool:
    """Whether a run's own code is asking, in its thread, its event loop or a thread of `asyncio.to_thread`."""
    return current_output.get() is not None


def bind_log_keys(run: Run) -> None:
    # Bound here, in the worker: a pool thread does not inherit its caller's context.
    bind_contextvars(
        job=run.job, schedule=run.schedule, run_id=run.id, due_at=run.due_at.isoformat(), attempt=run.attempt
    )
    if run.tenant:
        bind_contextvars(tenant=run.tenant)


def _is_cancellation(error: BaseException) -> bool:
    """Whether this is nothing but a run's answer to being told to end; a TaskGroup wraps it in a group."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_cancellation(inner) for inner in error.exceptions)
    return isinstance(error, RunCancelled | asyncio.CancelledError)


def _described(error: BaseException, root: Path) -> RunError:
    """What the ledger keeps of an error: text that every database takes, of an error that may be unable to speak."""
    try:
        told = describe_error(error, root)
    except BaseException as mute:  # noqa: BLE001 - a wall: their __str__
        told = RunError(type(error).__name__, f"its message cannot be told: {type(mute).__name__}", "", "")
    return RunError(*(_storable(text) for text in (told.type, told.message, told.place, told.traceback)))


def _without(run: Run, secrets: Collection[str]) -> Run:
    """An ended run whose error and result do not tell these."""
    if not secrets:
        return run
    told = run.error and RunError(*conceal([getattr(run.error, name) for name in RunError.__struct_fields__], secrets))
    return replace(run, error=told, result=conceal(run.result, secrets))


def _storable(text: str) -> str:
    """Without halves of characters, and the last 64 KiB only."""
    return text.encode("utf-8", "backslashreplace")[-OUTPUT_LIMIT:].decode("utf-8", "ignore")


def _as_json(result: Any) -> Any:
    """A job's result as plain JSON values, or a note of why it is not kept."""
    if result is None:
        return None
    try:
        encoded = msgspec.json.encode(result)
    except Exception as error:  # noqa: BLE001 - a wall: their value, whose own code may run here
        return {"not_kept": f"a {type(result).__name__} cannot be written as JSON: {type(error).__name__}"}
    if len(encoded) > RESULT_LIMIT:
        return {"not_kept": f"{len(encoded)} bytes of JSON; {RESULT_LIMIT} are kept"}
    return msgspec.json.decode(encoded)
