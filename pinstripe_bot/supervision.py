"""The supervision of one child: the thread that waits for a run in a process of its own hears and tells it all."""

from __future__ import annotations

import contextlib
import contextvars
import os
import selectors
import signal
import threading
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog

from pinstripe_bot.child_messages import (
    Answer,
    Begin,
    Call,
    Cancel,
    Exited,
    Failure,
    Forked,
    FromForkServer,
    LineReader,
    Message,
    Over,
    Refused,
    Signal,
    as_sent,
    line_of,
)
from pinstripe_bot.clock import Clock
from pinstripe_bot.control import RunControl
from pinstripe_bot.errors import RunFailed
from pinstripe_bot.fork_server_process import ChildEnds
from pinstripe_bot.hearing import Hearing

LOOK_S = 0.25
"""How often the control is looked at: a run whose caller was cancelled, or whose end is recorded, rings no bell."""

LAST_WORDS_S = 1.0
"""How long a child without a fork server gets to be gone."""

log = structlog.get_logger("pinstripe")


MOST_READS = 16
"""How often the pipe of a run that has ended is read: more than it holds, and whoever outlives it may go on writing."""


class Supervision:
    """From the request for a child to its end, for one thread; `wait` does it all.

    Nothing that the child says is trusted: what is no message ends it.
    """

    def __init__(
        self,
        ends: ChildEnds,
        begin: Begin,
        control: RunControl,
        clock: Clock,
        kill_after: timedelta,
        perform_call: Callable[[Call], Any],
    ) -> None:
        self.pid: int | None = None  # of the child, once there is one
        self.refusal: str | None = None  # why there is none
        self.exit_code: int | None = None  # None: the fork server ended before it could tell
        self.hearing = Hearing(control, self._answer_soon)
        self._begin, self._control, self._clock, self._ends = begin, control, clock, ends
        self._kill_after_s = kill_after.total_seconds()
        self._perform_call = perform_call
        self._deadline_s: float | None = None  # monotonic; then it is killed
        self._is_told_to_end = self._has_told_its_end = self._is_killed = self._is_gone = self._is_silent = False
        self._unsent = bytearray()
        self._from_server: LineReader[FromForkServer] = LineReader(FromForkServer)
        self._answers: deque[Answer] = deque()
        self._selector = selectors.DefaultSelector()
        self._bell, self._bell_rope = os.pipe()
        self._bell_turn = threading.Lock()

    def wait(self) -> None:
        """Return when the child is gone and all that it said is heard."""
        try:
            self._listen()
            self._control.on_told = self.ring
            while not self._is_gone:
                for key, events in self._selector.select(self._patience_s()):
                    key.data(events)
                self._heed_control()
            self._hear_the_rest()
        finally:
            self._close()

    def _listen(self) -> None:
        self._ends.connection.setblocking(False)
        self._ends.watch.setblocking(False)
        for descriptor in (self._ends.output, self._bell, self._bell_rope):
            os.set_blocking(descriptor, False)
        self._selector.register(self._ends.output, selectors.EVENT_READ, self._hear_output)
        self._selector.register(self._ends.connection, selectors.EVENT_READ, self._talk)
        self._selector.register(self._ends.watch, selectors.EVENT_READ, self._hear_server)
        self._selector.register(self._bell, selectors.EVENT_READ, self._hear_bell)

    def _patience_s(self) -> float:
        if self._deadline_s is None:
            return LOOK_S
        return min(LOOK_S, max(self._deadline_s - self._clock.monotonic(), 0.0))

    # What is told to the child

    def _heed_control(self) -> None:
        """Tell it to end where somebody wants that, and kill it when it has had its time."""
        if self.pid is None or self._is_killed:
            self._check_for_last_words()
            return
        if self._control.has_ended:
            self._send(Over())
            self._kill()
        elif self.hearing.garbled is not None:
            self._kill()
        elif (reason := self._control.reason) is not None and not self._is_told_to_end:
            self._is_told_to_end = True
            self._send(Cancel(reason))
            self._signal(signal.SIGTERM)  # to what it has started; the child itself goes by the message
            self._give(self._kill_after_s)
        elif self.hearing.ended is not None and not self._has_told_its_end:
            self._has_told_its_end = True
            self._give(self._kill_after_s)  # to close what it has open
        elif self._deadline_s is not None and self._clock.monotonic() >= self._deadline_s:
            log.warning("process_killed", pid=self.pid, kill_after_s=self._kill_after_s)
            self._kill()

    def _give(self, seconds: float) -> None:
        deadline_s = self._clock.monotonic() + seconds
        self._deadline_s = deadline_s if self._deadline_s is None else min(self._deadline_s, deadline_s)

    def _kill(self) -> None:
        self._is_killed = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        """Through the fork server, which alone knows that the group is still that of our child."""
        with contextlib.suppress(OSError):  # it is gone, and its children end with it
            self._ends.watch.send(line_of(Signal(number)))

    def _send(self, message: Message) -> None:
        """Send as much as there is room for, and the rest when there is more: a child may have stopped reading."""
        self._unsent += line_of(message)
        if not self._is_silent:
            self._flush()

    def _flush(self) -> None:
        try:
            sent = self._ends.connection.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(self._unsent)  # it is gone, as the watch will say
        del self._unsent[:sent]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._selector.modify(self._ends.connection, wanted, self._talk)

    # What is heard

    def _hear_server(self, _events: int) -> None:
        try:
            received = self._ends.watch.recv(65536)
        except OSError:
            received = b""
        if not received:
            self._lose_server()
        for message in self._from_server.take(received):
            if isinstance(message, Forked):
                self.pid = message.pid
                self._send(self._begin)
            elif isinstance(message, Refused):
                self.refusal = message.message
                self._is_gone = True
            else:
                assert isinstance(message, Exited)
                self.exit_code = message.code
                self._is_gone = True

    def _lose_server(self) -> None:
        """The fork server is dead: its child ends itself, and is helped where it cannot."""
        self._selector.unregister(self._ends.watch)
        if self.pid is None:
            self._is_gone = True
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._is_killed = True
        self._deadline_s = self._clock.monotonic() + LAST_WORDS_S
        self._check_for_last_words()

    def _check_for_last_words(self) -> None:
        """Without a fork server the end of the connection tells that the child is gone."""
        is_orphan = self._ends.watch not in self._selector.get_map()
        if is_orphan and (self._is_silent or self._clock.monotonic() >= (self._deadline_s or 0.0)):
            self._is_gone = True

    def _talk(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ and not self._hear_child():
            self._is_silent = True
            self._selector.unregister(self._ends.connection)

    def _hear_child(self) -> bool:
        """Take what the child has said by now; false at the end of the connection."""
        try:
            received = self._ends.connection.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.hearing.take(received)
        return bool(received)

    def _answer_soon(self, call: Call) -> None:
        # Not on this thread: meanwhile the caller goes on printing, may be cancelled, and may crash.
        work = contextvars.copy_context().run
        threading.Thread(target=work, args=(self._answer, call), name="pinstripe-call", daemon=True).start()

    def _answer(self, call: Call) -> None:
        """In a thread of its own: perform a call, and leave the answer for the supervising thread."""
        try:
            answer = Answer(call.id, self._perform_call(call))
        except BaseException as error:  # noqa: BLE001 - handed to the caller, in its process
            run = as_sent(error.run) if isinstance(error, RunFailed) else None
            answer = Answer(call.id, failure=Failure(type(error).__name__, str(error), run))
        self._answers.append(answer)
        self.ring()

    def ring(self) -> None:
        """Wake the supervising thread; from any thread, also after the end."""
        with self._bell_turn:
            if self._bell_rope >= 0:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._bell_rope, b"!")

    def _hear_bell(self, _events: int) -> None:
        os.read(self._bell, 4096)
        while self._answers:
            self._send(self._answers.popleft())

    def _hear_output(self, _events: int) -> bool:
        """Take what was written to the raw descriptors by now; false where there is no more."""
        try:
            received = os.read(self._ends.output, 65536)
        except BlockingIOError:
            return False
        if received:
            self.hearing.take_output(received)
        elif self._ends.output in self._selector.get_map():
            self._selector.unregister(self._ends.output)
        return bool(received)

    def _hear_the_rest(self) -> None:
        """What the child had said before it was gone; what outlives it outside its group is not waited for."""
        while not self._is_silent and self._has_more():
            self._is_silent = not self._hear_child()
        for _ in range(MOST_READS):
            if not self._hear_output(0):
                return

    def _has_more(self) -> bool:
        with selectors.PollSelector() as selector:  # it needs no descriptor: there may be none left
            selector.register(self._ends.connection, selectors.EVENT_READ)
            return bool(selector.select(0))

    def _close(self) -> None:
        self._selector.close()
        self._ends.close()
        with self._bell_turn:
            os.close(self._bell)
            os.close(self._bell_rope)
            self._bell_rope = -1
