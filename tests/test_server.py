"""The server: its sockets, and real requests to it."""

from __future__ import annotations

import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from conftest import WriteProject

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.errors import CannotServe
from pinstripe_bot.project import Project
from pinstripe_bot.server import Server, bind, load_application

LOCALHOST = "127.0.0.1"

MakeServer = Callable[..., Server]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens, and whose next one is free."""
    with socket.create_server((LOCALHOST, 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture
def free() -> int:
    """A port on which nobody listens."""
    with socket.create_server((LOCALHOST, 0)) as closed_at_once:
        port: int = closed_at_once.getsockname()[1]
    return port


@pytest.fixture
def bound() -> Iterator[list[socket.socket]]:
    """What the test binds: closed at its end."""
    sockets: list[socket.socket] = []
    yield sockets
    for one in sockets:
        one.close()


@pytest.fixture
def make_server(write_project: WriteProject) -> Iterator[MakeServer]:
    """Write a project and give its server, started; each is stopped after the test."""
    made: list[Server] = []

    def make(files: dict[str, str] | None = None, *, started: bool = True, **settings: str) -> Server:
        overrides = {"server.host": f"{LOCALHOST}:0", **{f"server.{key}": value for key, value in settings.items()}}
        project = Project.load(write_project(files or {}), environ={}, overrides=overrides)
        server = Server(project, None, SystemClock())
        made.append(server)
        if started:
            server.start()
        return server

    yield make
    for server in made:
        server.stop()


def get(url: str) -> tuple[int, str]:
    """(status, body) of a request."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def port_of(one: socket.socket) -> int:
    port: int = one.getsockname()[1]
    return port


# Sockets


def test_a_free_address_is_listened_on(bound: list[socket.socket], free: int) -> None:
    bound += bind([(LOCALHOST, free)], may_move=False)

    assert [port_of(one) for one in bound] == [free]
    with socket.create_connection((LOCALHOST, free)):
        pass


def test_a_taken_default_port_moves_on_to_the_next_free_one(bound: list[socket.socket], taken: int) -> None:
    bound += bind([(LOCALHOST, taken)], may_move=True)

    assert taken < port_of(bound[0]) <= taken + 100


def test_a_taken_given_port_is_one_sentence(taken: int) -> None:
    with pytest.raises(CannotServe) as raised:
        bind([(LOCALHOST, taken)], may_move=False)

    assert str(raised.value) == (
        f"{LOCALHOST}:{taken} is taken by another program: stop it, or give another address with --host"
    )


def test_where_one_address_is_taken_no_socket_stays_open(bound: list[socket.socket], free: int, taken: int) -> None:
    with pytest.raises(CannotServe, match=str(taken)):
        bind([(LOCALHOST, free), (LOCALHOST, taken)], may_move=False)

    bound += bind([(LOCALHOST, free)], may_move=False)


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid", "::ffff:"])
def test_an_address_of_another_machine_is_one_sentence(host: str) -> None:
    with pytest.raises(CannotServe, match=r"cannot be listened on \(.+\): give an address of this machine"):
        bind([(host, 0)], may_move=False)


def test_an_ipv6_address_is_listened_on(bound: list[socket.socket]) -> None:
    bound += bind([("::1", 0)], may_move=False)

    assert bound[0].family is socket.AF_INET6


# Serving


def test_a_server_answers_on_every_host(make_server: MakeServer) -> None:
    server = make_server(host="127.0.0.1:0 [::1]:0 127.0.0.2:0")

    assert [url.rpartition(":")[0] for url in server.urls] == ["http://127.0.0.1", "http://[::1]", "http://127.0.0.2"]
    assert [get(f"{url}/livez")[0] for url in server.urls] == [200, 200, 200]


def test_a_stopped_server_has_let_go_of_its_port(make_server: MakeServer, bound: list[socket.socket]) -> None:
    server = make_server()
    (url,) = server.urls

    server.stop()
    server.stop()

    bound += bind([(LOCALHOST, int(url.rpartition(":")[2]))], may_move=False)


def test_a_server_that_never_started_can_be_stopped(make_server: MakeServer, bound: list[socket.socket]) -> None:
    server = make_server(started=False)
    (url,) = server.urls

    server.stop()

    bound += bind([(LOCALHOST, int(url.rpartition(":")[2]))], may_move=False)


# The project's own application

WEB = """
    import os

    seen = []

    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                seen.append(message["type"])
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body = f"{scope['path']} after {seen}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    """


def test_a_projects_application_is_served_beside_ours_and_hears_of_its_life(make_server: MakeServer) -> None:
    server = make_server({"own_web.py": WEB}, app="own_web:application")
    (url,) = server.urls

    own, ours = get(f"{url}/livez"), get(f"{url}/_pinstripe/livez")
    server.stop()

    assert own == (200, "/livez after ['lifespan.startup']")
    assert (ours[0], json.loads(ours[1])) == (200, {"status": "ok"})
    assert sys.modules["own_web"].seen == ["lifespan.startup", "lifespan.shutdown"]


def test_an_application_that_fails_to_start_is_one_sentence(
    make_server: MakeServer, bound: list[socket.socket]
) -> None:
    web = """
        async def application(scope, receive, send):
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})
        """
    server = make_server({"failing_web.py": web}, app="failing_web:application", started=False)
    (url,) = server.urls

    with pytest.raises(CannotServe, match="the project's application did not start"):
        server.start()

    bound += bind([(LOCALHOST, int(url.rpartition(":")[2]))], may_move=False)


def test_an_application_without_a_life_of_its_own_is_served(make_server: MakeServer) -> None:
    web = """
        async def application(scope, receive, send):
            assert scope["type"] == "http"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"plain"})
        """
    server = make_server({"plain_web.py": web}, app="plain_web:application")

    assert get(server.urls[0]) == (200, "plain")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no_web:application", r"\(ModuleNotFoundError: No module named 'no_web'\): write module:attribute"),
        ("json:application", r"\(AttributeError: .*'application'.*\): write module:attribute"),
        ("json:__doc__", "is no ASGI or WSGI application: name something callable"),
    ],
)
def test_an_application_that_cannot_be_loaded_is_one_sentence(name: str, told: str) -> None:
    with pytest.raises(CannotServe, match=told):
        load_application(name)


def test_an_application_that_breaks_at_import_binds_no_port(
    make_server: MakeServer, free: int, bound: list[socket.socket]
) -> None:
    with pytest.raises(CannotServe, match="ZeroDivisionError"):
        make_server({"broken_web.py": "1 / 0"}, host=f"{LOCALHOST}:{free}", app="broken_web:application")

    bound += bind([(LOCALHOST, free)], may_move=False)


def test_an_application_inside_an_object_may_be_named() -> None:
    assert load_application("json:JSONDecoder.decode") == json.JSONDecoder.decode
