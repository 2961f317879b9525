"""The line to the bot: how a run in a process of its own speaks with it, and hears what it is told."""

from __future__ import annotations

import io
import itertools
import os
import selectors
import socket
import threading
from codecs import getincrementaldecoder
from collections.abc import Callable, Mapping
from datetime import timedelta
from queue import SimpleQueue
from typing import Any, Literal, TextIO

import msgspec

from pinstripe_bot import errors
from pinstripe_bot.child_messages import (
    Answer,
    Call,
    Failure,
    FromBot,
    LineReader,
    Logged,
    Message,
    Printed,
    Progress,
    line_of,
)
from pinstripe_bot.control import CommitTerms, RunControl
from pinstripe_bot.errors import PinstripeError, RunFailed, WorkspaceError
from pinstripe_bot.occurrence import Run, TenantRuns
from pinstripe_bot.params import encode_params
from pinstripe_bot.workspace import Workspace

LOOK_S = 0.25
"""How often a child looks at what its job has said of its progress."""

PIECE = 4096
"""Bytes of output in one message."""


class ChildLine:
    """The child's end of its connection. Any thread may send and ask; one thread receives.

    A process that the job forks has a copy of it, which sends nothing: its output goes to file descriptor 1.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._pid = os.getpid()
        self._turn = threading.Lock()
        self._sender = 0
        self._reader: LineReader[FromBot] = LineReader(FromBot)
        self._numbers = itertools.count(1)
        self._asked: dict[int, SimpleQueue[Answer]] = {}

    def send(self, message: Message) -> bool:
        """Send one message; false in a forked copy, and in a signal handler that has interrupted a message."""
        if os.getpid() != self._pid or self._sender == threading.get_ident():
            return False
        with self._turn:
            self._sender = threading.get_ident()
            try:
                self.connection.sendall(line_of(message))
            finally:
                self._sender = 0
        return True

    def receive(self) -> list[FromBot]:
        """Wait for what the bot says. Raises EOFError once it is gone."""
        received = self.connection.recv(65536)
        if not received:
            raise EOFError
        return self._reader.take(received)

    def ask(self, question: Callable[[int], Message]) -> Any:
        """Send `question(number)` and wait for the answer's value. Raises what answering it raised."""
        number = next(self._numbers)
        answers = self._asked[number] = SimpleQueue()
        try:
            if not self.send(question(number)):
                raise WorkspaceError("a process that a job has forked cannot ask the bot: ask in the job itself")
            answer = answers.get()
        finally:
            del self._asked[number]
        if answer.failure is not None:
            raise error_of(answer.failure)
        return answer.value

    def answer(self, answer: Answer) -> None:
        """Hand an answer to the thread that waits for it."""
        waiting = self._asked.get(answer.id)
        if waiting is not None:
            waiting.put(answer)


def error_of(failure: Failure) -> BaseException:
    """The error that the bot tells of, as far as a message can carry it."""
    kind = getattr(errors, failure.type, None)
    if kind is RunFailed:
        return RunFailed(failure.message, failure.run)
    try:
        return kind(failure.message)  # type: ignore[misc, no-any-return]
    except TypeError:
        return PinstripeError(f"{failure.type}: {failure.message}")


class ChildControl(RunControl):
    """The control of a run whose bot is in another process."""

    def __init__(self, run: Run, line: ChildLine) -> None:
        super().__init__(run)
        self._line = line
        self._told: tuple[Any, Any] | None = None

    def tell_progress(self) -> None:
        """Send what the job has said of its progress, if it is news."""
        said = self.progress
        if said is None or said == self._told:
            return
        self._told = said
        self._line.send(Progress(*said))


class BotInParent:
    """What a job in a process of its own reaches of the bot."""

    def __init__(self, line: ChildLine, *, is_one_database: bool = False) -> None:
        self.commits = CommitsOfParent(self, is_one_database=is_one_database)
        self._line = line

    def run_inside(self, workspace: Workspace, name: str, params: Mapping[str, Any]) -> Run | TenantRuns:
        """Have another job run by the bot. Raises RunFailed with what it told of the job's error."""
        ran = self.ask("run", name, params)  # a list of one thing: that of several tenants
        return msgspec.convert(ran[0], TenantRuns) if isinstance(ran, list) else msgspec.convert(ran, Run)

    def enqueue_inside(
        self, workspace: Workspace, name: str, params: Mapping[str, Any], *, delay: Any, joining: Any
    ) -> Run:
        """Have the bot put a run into the ledger: at once, since `joining` is a transaction of this process."""
        given = delay.total_seconds() if isinstance(delay, timedelta) else delay
        return msgspec.convert(self.ask("enqueue", name, {"delay": given, "params": dict(params)}), Run)

    def may_commit(self, run: Run) -> bool:
        """Whether the bot still has this run."""
        return bool(self.ask("may_commit", run.job, {}))

    def ask(self, what: str, name: str, params: Mapping[str, Any]) -> Any:
        """Have `what` done by the bot on behalf of this run, and return the answer, plain JSON values."""
        plain = msgspec.json.decode(encode_params(params))
        return self._line.ask(lambda number: Call(number, what, name, plain))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"self.bot.{name} cannot be used here: the bot is in another process;"
            ' a job that needs it has isolation="thread"'
        )


class CommitsOfParent:
    """What an atomic run in a process of its own asks before its commit; what became of that the bot finds out."""

    def __init__(self, bot: BotInParent, *, is_one_database: bool) -> None:
        self.is_one_database = is_one_database
        self._bot = bot

    def begin(self, run: Run, control: RunControl) -> CommitTerms | None:
        """Have the bot say with what the run ends; None where it may not commit."""
        terms = self._bot.ask("begin_commit", run.job, {})
        return None if terms is None else msgspec.convert(terms, CommitTerms)


def hear(
    line: ChildLine, lifelines: tuple[int, ...], obey: Callable[[FromBot], None], look: Callable[[], None]
) -> None:
    """Do what the bot says, and `look` a few times a second; return when the bot or the fork server is gone."""
    selector = selectors.PollSelector()
    for source in (line.connection.fileno(), *lifelines):
        selector.register(source, selectors.EVENT_READ)
    while True:
        ready = [key.fd for key, _ in selector.select(LOOK_S)]
        look()
        if any(source in lifelines for source in ready):
            return
        for message in line.receive() if ready else ():
            obey(message)


def relayed_stream(line: ChildLine, stream: Literal["stdout", "stderr"], descriptor: int) -> TextIO:
    """A text stream whose complete lines go to the bot; its `fileno()` is the raw descriptor."""
    raw: Any = _RelayedBytes(line, stream, descriptor)
    return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True)


class _RelayedBytes(io.RawIOBase):
    """Sends what is written as messages; where that is not possible, it writes to the descriptor."""

    def __init__(self, line: ChildLine, stream: Literal["stdout", "stderr"], descriptor: int) -> None:
        self.name = f"<{stream}>"
        self._line = line
        self._stream = stream
        self._descriptor = descriptor
        self._decoder = getincrementaldecoder("utf-8")("backslashreplace")

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return False

    def write(self, written: Any) -> int:
        piece = bytes(memoryview(written)[:PIECE])
        text = self._decoder.decode(piece)
        if text and not self._line.send(Printed(self._stream, text)):
            os.write(self._descriptor, piece)
        return len(piece)


class LogRelay:
    """Stands for the stream of a log that is written as JSON: each line goes to the bot, whose log it belongs to."""

    name = "<log>"

    def __init__(self, line: ChildLine) -> None:
        self._line = line

    def write(self, lines: str) -> int:
        for line in filter(None, lines.split("\n")):  # and at no other end of a line, which JSON may hold
            if not self._line.send(Logged(msgspec.json.decode(line))):
                os.write(2, line.encode() + b"\n")
        return len(lines)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return False
