"""Clients that are slow or silent, over real sockets: they hold up nobody else, and are sent away in time."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from conftest import WriteProject

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.console.bodies import LIMIT, TIMEOUT_S
from pinstripe_bot.project import Project
from pinstripe_bot.server import Server

TOKEN = "correct-horse-battery-staple"

SOON_S = 5.0
"""How long an answer may take beside clients that say nothing; it takes some milliseconds."""

LATE_S = TIMEOUT_S + 10

POST = f"POST /_pinstripe/pause HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"


@pytest.fixture
def port(write_project: WriteProject) -> Iterator[int]:
    """The port of a server that runs."""
    root = write_project({"lib/background_jobs/.keep": ""})
    overrides = {"server.host": "127.0.0.1:0", "console.token": TOKEN}
    server = Server(Project.load(root, environ={}, overrides=overrides), None, SystemClock())
    server.start()
    yield int(server.urls[0].rpartition(":")[2])
    server.stop()


def connect(stack: ExitStack, port: int, said: str) -> socket.socket:
    """A client that has said this much."""
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LATE_S))
    client.sendall(said.encode())
    return client


def get(port: int, path: str) -> tuple[int, float]:
    """(status, seconds) of a request."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    began_s = time.monotonic()
    with urllib.request.urlopen(request, timeout=LATE_S) as answer:
        answer.read()
        return answer.status, time.monotonic() - began_s


def heard(client: socket.socket) -> bytes:
    """All that a client hears until it is sent away."""
    found = b""
    while part := client.recv(65536):
        found += part
    return found


def test_many_slow_clients_hold_up_nobody_and_are_sent_away(port: int) -> None:
    with ExitStack() as stack:
        silent = [connect(stack, port, "") for _ in range(50)]
        halves = [connect(stack, port, "GET /_pinstripe/ HTTP/1.1\r\nHost: local") for _ in range(50)]
        bodies = [connect(stack, port, f"{POST}Content-Length: 100\r\n\r\nreason=x") for _ in range(50)]

        answers = [get(port, path) for path in ("/_pinstripe/livez", "/_pinstripe/", "/_pinstripe/api/now")]
        for client in bodies:
            client.sendall(b"y")
        told = [heard(client) for client in bodies[:5]]

        assert [status for status, _ in answers] == [200] * 3
        assert max(took_s for _, took_s in answers) < SOON_S
        assert [answer.split(b" ", 2)[1] for answer in told] == [b"408"] * 5
        assert len(silent) == len(halves) == 50


def test_a_body_without_an_end_is_cut_off_at_its_limit(port: int) -> None:
    with ExitStack() as stack:
        client = connect(stack, port, f"{POST}Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
        for _ in range(LIMIT // 0x1000 + 1):
            client.sendall(chunk)

        assert heard(client).split(b" ", 2)[1] == b"413"


def test_a_listener_that_does_not_read_holds_up_nobody(port: int) -> None:
    listen = f"GET /_pinstripe/live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(20):
            connect(stack, port, listen)

        assert get(port, "/_pinstripe/jobs")[1] < SOON_S


def test_garbage_instead_of_a_request_harms_nobody(port: int) -> None:
    garbage = [
        "\0" * 1000,
        "GET / HTTP/9.9\r\n\r\n",
        "GET " + "/a" * 70000,
        "\r\n" * 1000,
        "POST / HTTP/1.1\r\nHost: \0\r\n\r\n",
    ]
    with ExitStack() as stack:
        for said in garbage:
            connect(stack, port, said)

        assert get(port, "/_pinstripe/livez")[0] == 200
