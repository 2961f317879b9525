"""The isolation of a run in a process of its own: asked by the runner, answered with the ended run."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from pinstripe_bot.child_messages import Begin, Call, as_sent, as_sent_runs
from pinstripe_bot.clock import Clock
from pinstripe_bot.control import RunControl
from pinstripe_bot.errors import PinstripeError, RunCancelled, RunFailed, WorkspaceError
from pinstripe_bot.fork_server_process import ChildEnds, ForkServerProcess
from pinstripe_bot.occurrence import Reason, Run, RunError, RunState
from pinstripe_bot.output import RunOutput, capture, current_output
from pinstripe_bot.project import Project
from pinstripe_bot.runner import ENDS
from pinstripe_bot.services import ProcessServices
from pinstripe_bot.sizes import format_size
from pinstripe_bot.supervision import Supervision
from pinstripe_bot.workspace import Caller, Workspace

STARTS = 2
"""How often a run that has not begun is offered to a fork server; the second one is new."""

_UNTOLD = RunError("ProcessGarbled", "the job's process told that its run had failed, and not how", "", "")

log = structlog.get_logger("pinstripe")


class ProcessIsolation:
    """Performs runs in children of a warm fork server, which is started again where it has died. Safe in threads."""

    def __init__(self, project: Project, clock: Clock) -> None:
        self._project = project
        self._clock = clock
        self._turn = threading.Lock()
        self._server: ForkServerProcess | None = None
        self._is_closed = False

    def start(self) -> None:
        """Start the fork server and return at once; the first run waits until it has loaded the project."""
        with self._turn:
            self._running_server()

    def close(self) -> None:
        """Kill what still runs, and end the fork server."""
        with self._turn:
            self._is_closed = True
            server, self._server = self._server, None
        if server is not None:
            server.close()

    def perform(
        self,
        run: Run,
        control: RunControl,
        bot: Caller,
        *,
        max_memory: int | None,
        kill_after: timedelta,
    ) -> tuple[Run, BaseException | None]:
        """Perform a started run in a child and wait for its end; the ended run, and what stands for its error.

        Whatever the child does, this returns. A run that ends because it was cancelled has RunCancelled as error.
        `kill_after`: how long it may tidy up, once cancelled, and once its end is told.
        """
        begin = Begin(as_sent(run), max_memory, bot.commits.is_one_database)

        def perform_call(call: Call) -> Any:
            return self._perform_call(call, run, control, bot)

        with _captured() as output:
            child = self._supervise(begin, control, kill_after, perform_call)
        ended, error = _told(child, run, control, max_memory)
        return replace(ended, finished_at=self._clock.now(), output=output.text()), error

    def _supervise(
        self, begin: Begin, control: RunControl, kill_after: timedelta, perform_call: Callable[[Call], Any]
    ) -> Supervision | str:
        """A child that is gone, or why there was none."""
        for _ in range(STARTS):
            try:
                server, ends = self._ask_for_child()
            except (PinstripeError, OSError) as error:
                return str(error)
            try:
                child = Supervision(ends, begin, control, self._clock, kill_after, perform_call)
            except OSError as error:
                ends.close()
                return str(error)
            child.wait()
            if child.refusal is not None:
                return child.refusal
            if child.exit_code is None:
                self._bury(server)
            if child.pid is not None:
                return child
        return "the fork server ended before it had made a process: the log says how"

    def _ask_for_child(self) -> tuple[ForkServerProcess, ChildEnds]:
        while True:
            with self._turn:
                server = self._running_server()
            try:
                return server, server.fork()
            except OSError:
                if server.is_running:
                    raise
                self._bury(server)

    def _running_server(self) -> ForkServerProcess:
        if self._is_closed:
            raise WorkspaceError("the bot has stopped: no process is started any more")
        if self._server is None:
            self._server = ForkServerProcess(self._project)
            log.debug("fork_server_started", pid=self._server.pid)
        return self._server

    def _bury(self, server: ForkServerProcess) -> None:
        """Let the next run start another server; say once how this one ended."""
        with self._turn:
            if self._server is not server:
                return
            self._server = None
        log.error("fork_server_died", pid=server.pid, ended=_exit_text(server.close()))

    def _perform_call(self, call: Call, run: Run, control: RunControl, bot: Caller) -> Any:
        """What a child asks the bot to do for it; plain JSON values."""
        if call.what == "may_commit":
            return not control.has_ended and bot.may_commit(run)
        if call.what == "begin_commit":
            return msgspec.to_builtins(bot.commits.begin(run, control))
        if call.what not in ("run", "enqueue"):
            raise WorkspaceError(f"a process asked the bot for {call.what!r}, which it does not do")
        shared = ProcessServices(self._project.config, None)
        workspace = Workspace(
            project=self._project, shared=shared, clock=self._clock, bot=bot, run=run, control=control
        )
        if call.what == "enqueue":
            return as_sent(bot.enqueue_inside(workspace, call.name, **call.params, joining=None))
        ran = bot.run_inside(workspace, call.name, call.params)
        return as_sent(ran) if isinstance(ran, Run) else [as_sent_runs(ran)]


@contextlib.contextmanager
def _captured() -> Iterator[RunOutput]:
    """The output of the run that this thread performs; one of its own where the runner captures none."""
    output = current_output.get()
    if output is not None:
        yield output
        return
    with capture(RunOutput()):
        own = current_output.get()
        assert own is not None
        yield own


def _told(
    child: Supervision | str, run: Run, control: RunControl, max_memory: int | None
) -> tuple[Run, BaseException | None]:
    """The run as its child has left it, and an error for whoever called it."""
    if isinstance(child, str):
        return _failed(run, RunError("ProcessNotStarted", child, "", ""))
    ended = child.hearing.ended
    if ended is not None and ended.state == "succeeded":
        return replace(run, state=RunState.SUCCEEDED, result=ended.result), None
    if ended is not None and ended.state == "failed":
        return _failed(run, _with_limit(ended.error or _UNTOLD, max_memory))
    if control.is_cancelled or control.has_ended:
        reason = control.reason or Reason.SHUTDOWN
        cut_off = replace(run, state=ENDS[reason], reason=reason, error=ended and ended.error)
        return cut_off, RunCancelled("this run was told to end, and its process has ended")
    return _failed(run, _with_limit(_death(child), max_memory))


def _failed(run: Run, error: RunError) -> tuple[Run, BaseException]:
    ended = replace(run, state=RunState.FAILED, error=error)
    return ended, RunFailed(f"{error.type}: {error.message}", ended)


def _death(child: Supervision) -> RunError:
    """How a child ended that has not said how its run ended."""
    if child.hearing.garbled is not None:
        return RunError("ProcessGarbled", f"the job's process sent what is no message: {child.hearing.garbled}", "", "")
    if child.exit_code is None:
        return RunError("ProcessDied", "the job's process ended with the fork server, which died: see the log", "", "")
    text = f"the job's process {_exit_text(child.exit_code)} before the job had ended"
    return RunError("ProcessDied", text, "", "")


def _exit_text(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal
        name = f"signal {-code}"
    described = (signal.strsignal(-code) or "").lower()
    return f"was ended by {name} ({described})" if described else f"was ended by {name}"


def _with_limit(error: RunError, max_memory: int | None) -> RunError:
    """Name the limit where it may be the cause: a library in C that gets no memory ends as one with a wrong pointer."""
    is_likely = error.type == "MemoryError" or (error.type == "ProcessDied" and "was ended by" in error.message)
    if max_memory is None or not is_likely:
        return error
    limit = f"max_memory is {format_size(max_memory)}"
    return replace(error, message=f"{error.message}; {limit}" if error.message else f"not enough memory: {limit}")
