"""The hook calls: a project's hooks are called one after another, on a thread of their own."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars

from pinstripe_bot.clock import Clock
from pinstripe_bot.failure import describe_error
from pinstripe_bot.hooks import HOOKS, ServerHook
from pinstripe_bot.occurrence import Decision, Occurrence, Run, RunError

WAITING_LIMIT = 10_000
"""Calls that may wait; a further one is dropped."""

TIME_BOUND_S = 10.0
"""How long a hook may take before the ones after it are called without waiting for it."""

ABANDONED_LIMIT = 4
"""Threads that may be left behind in slow hooks; with one more, the hooks wait."""

CLOSE_S = 5.0
"""What the hooks still to be called get at the end."""

LOOK_EVERY_S = 1.0

_Calls = SimpleQueue[tuple[str, Any] | None]
"""(hook, what it is told of), and None at the closing."""

_NO_FAILURE = frozenset({"succeeded", "skipped", "cancelled"})

log = structlog.get_logger("pinstripe")


class _Caller:
    """A thread that calls hooks, and what it is calling."""

    def __init__(self, work: Callable[[_Caller, _Calls], None], calls: _Calls) -> None:
        self.hook: str | None = None
        self.since_s = 0.0
        self.has_overrun = False  # and it has been said
        self.is_abandoned = False
        threading.Thread(target=work, args=[self, calls], name="pinstripe-hooks", daemon=True).start()


class Hooks:
    """Takes calls from any thread, at once and without waiting, and calls the hooks in that order.

    A hook that raises is logged. One that takes longer than TIME_BOUND_S is left behind, and the others go on in
    a fresh thread. Where the project has not the hook, a call is one look into a dictionary.
    """

    def __init__(
        self,
        functions: Mapping[str, Callable[..., object]],
        root: Path,
        clock: Clock,
        *,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._functions = functions
        self._root = root
        self._clock = clock
        self._look_every_s = look_every_s
        self._calls: _Calls = SimpleQueue()
        self._lock = threading.Lock()
        self._dropped = 0  # since the queue was full
        self._caller: _Caller | None = None
        self._abandoned: set[_Caller] = set()
        self._is_held = False  # as many are abandoned as may be
        self._emptied = threading.Event()  # all is called that was queued before the closing
        self._closed = threading.Event()

    def start(self) -> None:
        """Start the threads, where the project has hooks for them; harmless when called twice."""
        is_wanted = any(argument and hook in self._functions for hook, argument in HOOKS.items())
        with self._lock:
            if self._caller is not None or not is_wanted:
                return
            self._emptied.clear()
            self._closed = closed = threading.Event()
            self._caller = _Caller(self._work, self._calls)
        threading.Thread(target=self._watch, args=[closed], name="pinstripe-hooks-watch", daemon=True).start()

    def run_started(self, run: Run) -> None:
        """A run has begun: `before_run`, which neither delays nor forbids it."""
        self._put("before_run", run)

    def run_ended(self, run: Run, *, is_last_attempt: bool) -> None:
        """A run has ended: `after_run`; `on_failure` as well, where it failed and is not tried again."""
        self._put("after_run", run)
        if is_last_attempt and run.state not in _NO_FAILURE:
            self._put("on_failure", run)

    def passed(self, occurrences: Iterable[Occurrence]) -> None:
        """These due instants do not run: `on_skip` or `on_miss`."""
        for occurrence in occurrences:
            self._put("on_skip" if occurrence.decision is Decision.SKIPPED else "on_miss", occurrence)

    def call(self, hook: ServerHook) -> None:
        """Call a server hook here and now, however long it takes; one that raises is logged."""
        if hook in self._functions:
            contextvars.copy_context().run(self._call, hook)

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Call what is queued, for at most `timeout_s`, and end the threads. Harmless when called twice."""
        if self._caller is None:
            return
        self._calls.put(None)
        is_done = self._emptied.wait(timeout_s)
        self._closed.set()
        with self._lock:
            caller, self._caller = self._caller, None
            caller.is_abandoned = True
            calls, self._calls = self._calls, SimpleQueue()
        if not is_done:
            log.warning("hooks_cut_off", hook=caller.hook, waiting=max(calls.qsize() - 1, 0))

    def _put(self, hook: str, subject: Run | Occurrence) -> None:
        if hook not in self._functions:
            return
        if self._calls.qsize() < WAITING_LIMIT:
            self._calls.put((hook, subject))
            return
        with self._lock:
            self._dropped += 1
            is_first = self._dropped == 1
        if is_first:
            log.error("hook_calls_dropped", waiting=WAITING_LIMIT)

    def _work(self, caller: _Caller, calls: _Calls) -> None:
        """A caller's loop: until the closing, or until a fresh caller has taken its place."""
        while (call := calls.get()) is not None:
            hook, subject = call
            with self._lock:
                caller.hook, caller.since_s, caller.has_overrun = hook, self._clock.monotonic(), False
            contextvars.copy_context().run(self._call, hook, subject)
            with self._lock:
                caller.hook = None
                if caller.is_abandoned:
                    self._abandoned.discard(caller)
                    return
            del call, subject  # an idle thread keeps nothing of the run
            if self._dropped and calls.empty():
                self._tell_dropped()
        if self._dropped:
            self._tell_dropped()
        self._emptied.set()

    def _tell_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        log.warning("hook_calls_caught_up", dropped=dropped)

    def _call(self, hook: str, *subjects: Run | Occurrence) -> None:
        """Call one hook, in a context of its own: what it binds ends with it."""
        bind_contextvars(hook=hook, **{key: value for subject in subjects for key, value in _log_keys(subject).items()})
        try:
            self._functions[hook](*subjects)
        except BaseException as error:  # noqa: BLE001 - a wall: their code
            log.error("hook_failed", **_error_facts(error, self._root))

    def _watch(self, closed: threading.Event) -> None:
        while not closed.wait(self._look_every_s):
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - a wall: the outermost loop of this thread
                log.debug("hooks_unwatched", error=str(error))

    def _look(self) -> None:
        """Leave a caller behind that has been in one hook for too long, as long as there are few of them."""
        with self._lock:
            caller = self._slow_caller()
            new = caller.hook if caller is not None and not caller.has_overrun else None
            is_held = caller is not None and len(self._abandoned) >= ABANDONED_LIMIT
            if caller is not None:
                caller.has_overrun = True
            if caller is not None and not is_held:
                self._caller = _Caller(self._work, self._calls)
                caller.is_abandoned = True
                self._abandoned.add(caller)
        if new is not None:
            log.warning("hook_overran", hook=new, bound_s=TIME_BOUND_S)
        self._tell_held(is_held)

    def _slow_caller(self) -> _Caller | None:
        caller = self._caller
        if caller is None or caller.hook is None:
            return None
        return caller if self._clock.monotonic() - caller.since_s > TIME_BOUND_S else None

    def _tell_held(self, is_held: bool) -> None:
        """Say it once when the hooks have to wait, and once when they go on."""
        if is_held and not self._is_held:
            log.error("hooks_held", hooks=sorted(str(one.hook) for one in self._abandoned))
        if self._is_held and not is_held:
            log.info("hooks_freed")
        self._is_held = is_held


def _log_keys(subject: Run | Occurrence) -> dict[str, Any]:
    keys = {"job": subject.job, "schedule": subject.schedule, "due_at": subject.due_at.isoformat()}
    return {**keys, "run_id": subject.id, "attempt": subject.attempt} if isinstance(subject, Run) else keys


def _error_facts(error: BaseException, root: Path) -> dict[str, str]:
    try:
        told = describe_error(error, root)
    except BaseException as mute:  # noqa: BLE001 - a wall: their __str__
        told = RunError(type(error).__name__, f"its message cannot be told: {type(mute).__name__}", "", "")
    return {"error_type": told.type, "error": told.message, "place": told.place, "traceback": told.traceback}
