"""The fork server: a warm interpreter with the project loaded, which forks a child for each run."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import pickle
import select
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from pinstripe_bot.child import Child
from pinstripe_bot.child_messages import Exited, Forked, LineReader, Message, Refused, Signal, line_of
from pinstripe_bot.clock import Clock, SystemClock
from pinstripe_bot.config import LoadedConfig
from pinstripe_bot.project import Project


def main(control_fd: int, lifeline_fd: int) -> None:
    """Load the project that the bot names on `control_fd`, and serve until the bot is gone.

    The bot starts it with a session of its own. `lifeline_fd` ends when the bot does, however that happens.
    """
    for descriptor in (control_fd, lifeline_fd):
        os.set_inheritable(descriptor, False)
    control = socket.socket(fileno=control_fd)
    _die_with(lifeline_fd)
    try:
        root, settings = _receive_handover(control)
        project = Project.load(root, settings=settings)
    except BaseException as error:  # noqa: BLE001 - a wall: their settings and files, whatever they raise
        _refuse_one(control, f"the project could not be loaded again: {type(error).__name__}: {error}")
        return
    _live_on_without(lifeline_fd)
    gc.collect()
    gc.freeze()  # what is loaded stays: a child's collector need not touch these pages, and so copy them
    ForkServer(control, lifeline_fd, project, SystemClock()).serve()


def _die_with(lifeline: int) -> None:
    """Let the kernel end this process together with the lifeline, also while an import of the project hangs."""
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        sys.exit()  # it has ended before we asked


def _live_on_without(lifeline: int) -> None:
    """From now on the end of the lifeline is seen by `serve`, which has children to end first."""
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) & ~os.O_ASYNC)


def _receive_handover(control: socket.socket) -> tuple[Path, LoadedConfig]:
    """The root and the settings exactly as the bot has them."""
    size = int.from_bytes(_receive(control, 8))
    root, settings = pickle.loads(_receive(control, size))
    return root, settings


def _receive(control: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = control.recv(size - len(received))
        if not part:
            sys.exit()  # the bot is gone
        received += part
    return received


def _refuse_one(control: socket.socket, message: str) -> None:
    """Tell the first run that waits for a child why there is none; for the next one the bot starts another server."""
    received = _receive_request(control)
    if received is not None:
        _tell(socket.socket(fileno=received[2]), Refused(message))


def _receive_request(control: socket.socket) -> list[int] | None:
    """The child's end of its connection, of its output and of its watch; None once the bot is gone."""
    try:
        said, descriptors, _, _ = socket.recv_fds(control, 1, 3)
    except ConnectionError:  # it was killed before it had read our last word
        return None
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return descriptors if said and len(descriptors) == 3 else None


def _tell(watch: socket.socket, message: Message) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        watch.sendall(line_of(message))


class ForkServer:
    """Forks on request, hands signals on to the children's groups, and tells of their ends. One thread, no locks.

    Each child has a *watch*, a socket between the bot and the server: the server says on it that the child is there
    and how it ended, the bot which signals to send. Where the bot lets go of a watch the child is killed. Only the
    server signals and only the server reaps, so that no signal ever meets another process with a used number.
    """

    def __init__(self, control: socket.socket, lifeline: int, project: Project, clock: Clock) -> None:
        self._control = control
        self._lifeline = lifeline
        self._project = project
        self._clock = clock
        self._alive, self._alive_writer = os.pipe()  # ends for the children when this server does
        self._watches: dict[int, socket.socket] = {}  # by the child's pid
        self._selector = selectors.PollSelector()  # unlike epoll it shares nothing with a forked child
        self._is_over = False

    def serve(self) -> None:
        """Return when the bot is gone and no child is left."""
        self._listen(self._control, self._fork)
        self._listen(self._lifeline, self._end)
        self._listen(self._hear_of_children(), self._reap)
        try:
            while not self._is_over:
                for key, _ in self._selector.select():
                    key.data()
        finally:
            self._kill_all()

    def _kill_all(self) -> None:
        """Also the child whose own thread cannot see the bot's end, since C code holds its interpreter's lock."""
        for pid in self._watches:
            _signal_group(pid, signal.SIGKILL)
        for pid, watch in self._watches.items():
            _tell(watch, Exited(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))

    def _listen(self, source: int | socket.socket, act: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, act)

    def _hear_of_children(self) -> int:
        """Take signals: what ends a child wakes the loop, and what a terminal or an init system sends ends nothing."""
        self._bell, writer = os.pipe()
        for descriptor in (self._bell, writer):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _do_nothing)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        return self._bell

    def _end(self) -> None:
        self._is_over = True

    def _fork(self) -> None:
        received = _receive_request(self._control)
        if received is None:
            self._end()
            return
        connection, output, watch = socket.socket(fileno=received[0]), received[1], socket.socket(fileno=received[2])
        try:
            pid = os.fork()
        except OSError as error:
            _tell(watch, Refused(f"the system makes no further process: {error}"))
        else:
            if pid == 0:
                self._become_child(connection, output, watch)
            with contextlib.suppress(OSError):  # the child has done it itself, or is gone already
                os.setpgid(pid, pid)
            self._watch(pid, watch)
        connection.close()
        os.close(output)

    def _become_child(self, connection: socket.socket, output: int, watch: socket.socket) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            os.close(self._alive_writer)
            for own in (self._control, watch, *self._watches.values()):
                own.close()
            Child(self._project, self._clock, connection, output, (self._lifeline, self._alive)).live()
        except BaseException:  # noqa: BLE001 - a wall: nothing of the server's may go on in the child
            traceback.print_exc()
        finally:
            os._exit(1)

    def _watch(self, pid: int, watch: socket.socket) -> None:
        """Tell that the child is there, and do what the bot asks for it."""
        self._watches[pid] = watch
        _tell(watch, Forked(pid))
        reader: LineReader[Signal] = LineReader(Signal)

        def obey() -> None:
            try:
                received = watch.recv(4096)
            except OSError:
                received = b""
            if not received:
                self._selector.unregister(watch)
                _signal_group(pid, signal.SIGKILL)
            for message in reader.take(received):
                _signal_group(pid, message.number)

        self._listen(watch, obey)

    def _reap(self) -> None:
        os.read(self._bell, 4096)
        for pid, watch in list(self._watches.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            _signal_group(pid, signal.SIGKILL)  # what the job has started and left behind
            del self._watches[pid]
            _tell(watch, Exited(os.waitstatus_to_exitcode(status)))
            with contextlib.suppress(KeyError):  # the bot has let go of it before
                self._selector.unregister(watch)
            watch.close()


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left in it
        os.killpg(group, number)


def _do_nothing(_number: int, _frame: object) -> None:
    """Stands for a handler: the system call is interrupted, and a program that is executed has the default again."""
