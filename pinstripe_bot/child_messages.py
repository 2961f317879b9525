"""What the bot, the fork server and the process of a run say to each other: JSON lines, checked on arrival."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

import msgspec

from pinstripe_bot.occurrence import Reason, Run, RunError, TenantRuns
from pinstripe_bot.params import encode_params

LINE_LIMIT = 16 * 1024 * 1024
"""Bytes of the longest message; a longer line is none of ours."""

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading a message raises where it is none."""


class Message(msgspec.Struct, frozen=True, tag=True):
    """One line; its `type` is the name of its class."""


# The bot to the child


class Begin(Message, frozen=True):
    """Perform this run; its parameters are plain JSON values.

    `is_one_database`: its outcome is committed with its work, if it is atomic.
    """

    run: Run
    max_memory: int | None
    is_one_database: bool = False


class Cancel(Message, frozen=True):
    """The run is told to end."""

    reason: Reason


class Over(Message, frozen=True):
    """The end of the run is recorded already: nothing of it may be committed any more."""


class Failure(msgspec.Struct, frozen=True):
    """What answering a question raised; `run` where it was the run of another job that failed."""

    type: str
    message: str
    run: Run | None = None


class Answer(Message, frozen=True):
    """To the question `id`: a value, or a failure."""

    id: int
    value: Any = None
    failure: Failure | None = None


# The child to the bot


class Call(Message, frozen=True):
    """Do `what` on behalf of the run, and answer: "run" or "enqueue" another job, "may_commit", "begin_commit"."""

    id: int
    what: str
    name: str
    params: dict[str, Any]


class Progress(Message, frozen=True):
    """How far the job says it is."""

    done: int
    total: int | None


class Printed(Message, frozen=True):
    """Text that Python code wrote to sys.stdout or sys.stderr."""

    stream: Literal["stdout", "stderr"]
    text: str


class Logged(Message, frozen=True):
    """One log event as its JSON line has it."""

    event: dict[str, Any]


class Ended(Message, frozen=True):
    """How the run ended; "cut_off" where it heeded that it was told to end."""

    state: Literal["succeeded", "failed", "cut_off"]
    error: RunError | None = None
    result: Any = None


# Between the bot and the fork server, about one child


class Forked(Message, frozen=True):
    """The child is there, and leads a process group of its own."""

    pid: int


class Refused(Message, frozen=True):
    """There will be no child."""

    message: str


class Exited(Message, frozen=True):
    """The child and its group are gone: an exit code, or a signal's number below zero."""

    code: int


class Signal(Message, frozen=True):
    """Send this signal to the child's process group."""

    number: int


FromBot = Begin | Cancel | Over | Answer
FromChild = Call | Progress | Printed | Logged | Ended
FromForkServer = Forked | Refused | Exited

MessageT = TypeVar("MessageT")


class LineReader(Generic[MessageT]):
    """Takes bytes as they come and gives the messages that they complete."""

    def __init__(self, kind: Any) -> None:
        self._decoder: msgspec.json.Decoder[MessageT] = msgspec.json.Decoder(kind)
        self._rest = bytearray()

    def take(self, received: bytes) -> list[MessageT]:
        """The messages completed by these bytes. Raises one of UNREADABLE for what is no message of this kind."""
        *lines, rest = received.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > LINE_LIMIT:
            raise ValueError(f"a line of more than {LINE_LIMIT} bytes")
        return [self._decoder.decode(line) for line in lines]


def line_of(message: Message) -> bytes:
    """The message as one line."""
    return msgspec.json.encode(message) + b"\n"


def as_sent_runs(runs: TenantRuns) -> TenantRuns:
    """What a job came to for several tenants, with plain JSON values."""
    return TenantRuns(runs.job, runs.states, tuple(as_sent(run) for run in runs.unsuccessful))


def as_sent(run: Run) -> Run:
    """The run with its parameters as plain JSON values."""
    return msgspec.structs.replace(run, params=msgspec.json.decode(encode_params(run.params)))
