"""The child: performs one run in a process of its own, forked from the fork server."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn, cast

import structlog
from msgspec.structs import replace

from pinstripe_bot.child_line import BotInParent, ChildControl, ChildLine, LogRelay, hear, relayed_stream
from pinstripe_bot.child_messages import Answer, Begin, Cancel, Ended, FromBot, Over
from pinstripe_bot.clock import Clock
from pinstripe_bot.database import DatabasePool
from pinstripe_bot.errors import PinstripeError
from pinstripe_bot.logs import configure_logs
from pinstripe_bot.occurrence import RunError, RunState
from pinstripe_bot.project import Project
from pinstripe_bot.runner import Runner, bind_log_keys
from pinstripe_bot.services import ProcessServices

log = structlog.get_logger("pinstripe")


class Child:
    """A forked process, from its first line to its last.

    `connection` leads to the bot, `output` takes what is written to the file descriptors 1 and 2, and each of
    `lifelines` ends with a process without which this one must not live: the bot and the fork server.
    """

    def __init__(
        self, project: Project, clock: Clock, connection: socket.socket, output: int, lifelines: tuple[int, ...]
    ) -> None:
        self._project = project
        self._clock = clock
        self._lifelines = lifelines
        self._output = output
        self._line = ChildLine(connection)

    def live(self) -> NoReturn:
        """Perform the run that the bot names, tell how it ended, and leave without a word to anybody else."""
        os.setpgid(0, 0)
        self._take_descriptors()
        _take_signals()
        begin, *early = self._wait_for_begin()
        assert isinstance(begin, Begin)
        control = ChildControl(begin.run, self._line)
        threading.Thread(target=self._hear, args=(control, early), name="pinstripe-line", daemon=True).start()
        self._take_streams()
        is_ours = os.getpid()
        ended, shared = self._perform(begin, control)
        if os.getpid() != is_ours:
            os._exit(0)  # a process that the job has forked came back through its job
        _flush()
        control.tell_progress()
        self._line.send(ended)
        self._close(shared)
        os._exit(0)

    def _take_descriptors(self) -> None:
        os.dup2(self._output, 1)
        os.dup2(self._output, 2)
        os.close(self._output)
        faulthandler.enable(2)  # where a crash of the interpreter happened is part of the run's output

    def _wait_for_begin(self) -> list[FromBot]:
        """The first message, which the bot sends as soon as it knows of this process, and what came with it."""
        while not (messages := self._line.receive()):
            continue
        return messages

    def _take_streams(self) -> None:
        sys.stdout = relayed_stream(self._line, "stdout", 1)
        sys.stderr = relayed_stream(self._line, "stderr", 2)
        configure_logs("json", self._project.config.logs.level, stream=cast(Any, LogRelay(self._line)))

    def _hear(self, control: ChildControl, early: list[FromBot]) -> None:
        """The line's thread: whatever ends it ends the process and its whole group."""
        group = os.getpid()

        def obey(message: FromBot) -> None:
            if isinstance(message, Answer):
                self._line.answer(message)
            elif isinstance(message, Cancel):
                control.cancel(message.reason)
            elif isinstance(message, Over):
                control.has_ended = True

        try:
            for message in early:
                obey(message)
            hear(self._line, self._lifelines, obey, control.tell_progress)
        finally:
            _end_group(group)

    def _perform(self, begin: Begin, control: ChildControl) -> tuple[Ended, ProcessServices]:
        config = self._project.config
        url = config.database.url
        pool = None if url is None else DatabasePool(url, root=self._project.root, monotonic=self._clock.monotonic)
        shared = ProcessServices(config, pool)
        bind_log_keys(begin.run)
        former = _limit_memory(begin.max_memory)
        try:
            ended = self._performed(begin, control, shared)
        except BaseException as error:  # noqa: BLE001 - a wall: no memory was left even to describe their error
            ended = Ended("failed", RunError(type(error).__name__, str(error), "", ""))
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, former)
        return ended, shared

    def _performed(self, begin: Begin, control: ChildControl, shared: ProcessServices) -> Ended:
        try:
            job = self._project.job(begin.run.job)
            run = replace(begin.run, params=job.params.cast(begin.run.params))
        except PinstripeError as error:  # the project was loaded again, and has changed
            return Ended("failed", RunError(type(error).__name__, str(error), "", ""))
        bot: Any = BotInParent(self._line, is_one_database=begin.is_one_database)
        performed, _ = Runner(self._project, shared, self._clock).perform(run, control, bot)
        if performed.state is RunState.SUCCEEDED:
            return Ended("succeeded", result=performed.result)
        return Ended("failed" if performed.state is RunState.FAILED else "cut_off", performed.error)

    def _close(self, shared: ProcessServices) -> None:
        try:
            shared.close()
        except BaseException:  # a wall: their code
            log.exception("service_close_failed")
        _flush()


def _take_signals() -> None:
    """As a fresh program has them; only SIGTERM, which the bot and init systems send to all of us, ends nothing.

    What a signal would say the line says too. A handler, since a program that the job starts would inherit "ignore".
    """
    for number in (signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)


def _end_group(group: int) -> NoReturn:
    with contextlib.suppress(OSError):
        os.killpg(group, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)  # the job may have moved to another group
    raise AssertionError


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # a wall: their stream, if they have replaced ours
            log.exception("stream_flush_failed")


def _limit_memory(most: int | None) -> tuple[int, int]:
    """Let this process take `most` bytes more than it has now; what the limit was before."""
    former = resource.getrlimit(resource.RLIMIT_DATA)
    if most is not None:
        limit = _used_bytes() + most
        hard = former[1]
        soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    return former


def _used_bytes() -> int:
    """What RLIMIT_DATA counts of this process so far; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData:")), 0)
