"""The fork server as the bot sees it: started by exec, asked for children, and gone when the bot is."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass

from pinstripe_bot.project import Project

START = (
    "import sys; control, lifeline, *sys.path = sys.argv[1:]; "
    "from pinstripe_bot.fork_server import main; main(int(control), int(lifeline))"
)
"""What the fresh interpreter executes: it sees the modules that this one sees."""

END_S = 5.0


@dataclass(frozen=True, slots=True)
class ChildEnds:
    """The bot's ends of what leads to one child: messages, raw output, and the watch that the fork server keeps."""

    connection: socket.socket
    output: int
    watch: socket.socket

    def close(self) -> None:
        self.connection.close()
        self.watch.close()
        os.close(self.output)


class ForkServerProcess:
    """A running fork server. Returns at once from its start: what is asked of it waits until the project is loaded.

    By exec, not by fork: the bot has threads whenever it starts one, the first or a later one.
    """

    def __init__(self, project: Project) -> None:
        self._turn = threading.Lock()
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            self._control, control = _enter(socket.socketpair(), ours, theirs)
            lifeline, self._lifeline = os.pipe()
            ours.callback(os.close, self._lifeline)
            theirs.callback(os.close, lifeline)
            descriptors = (control.fileno(), lifeline)
            self._process = subprocess.Popen(
                [sys.executable, "-c", START, *map(str, descriptors), *sys.path],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # what the project prints when it is loaded, the bot has printed already
                start_new_session=True,
            )
            ours.pop_all()
        # A process that a job forks must not hold the lifeline when the bot has died.
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _let_go(this()))
        # Pickled, to our own fresh interpreter: JSON cannot tell a date of a TOML file from its text.
        handover = pickle.dumps((project.root, project.settings))
        self._control.sendall(len(handover).to_bytes(8) + handover)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def fork(self) -> ChildEnds:
        """Ask for a child; the first word on its watch says whether there is one. Raises OSError if nobody listens."""
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            connection, their_connection = _enter(socket.socketpair(), ours, theirs)
            watch, their_watch = _enter(socket.socketpair(), ours, theirs)
            output, their_output = os.pipe()
            ours.callback(os.close, output)
            theirs.callback(os.close, their_output)
            with self._turn:
                sent = [their_connection.fileno(), their_output, their_watch.fileno()]
                socket.send_fds(self._control, [b"f"], sent)
            ours.pop_all()
        return ChildEnds(connection, output, watch)

    def wait(self) -> int:
        """The exit code of a server that is known to end; below zero: the number of a signal."""
        try:
            return self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def close(self) -> int:
        """End the server and every child; its exit code."""
        self.let_go()
        return self.wait()

    def let_go(self) -> None:
        """Close our ends, as our death would."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        with contextlib.suppress(OSError):
            self._control.close()


def _enter(
    pair: tuple[socket.socket, socket.socket], ours: contextlib.ExitStack, theirs: contextlib.ExitStack
) -> tuple[socket.socket, socket.socket]:
    """The two ends, each to be closed with its own."""
    return ours.enter_context(pair[0]), theirs.enter_context(pair[1])


def _let_go(process: ForkServerProcess | None) -> None:
    if process is not None:
        process.let_go()
