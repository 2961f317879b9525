"""Applications of the older kind, WSGI, behind the server; and what a proxy in front of it is believed."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from conftest import WriteProject

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.project import Project
from pinstripe_bot.server import Server, _is_wsgi

LOCALHOST = "127.0.0.1"

TOKEN = "correct-horse-battery-staple"

Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def serve(write_project: WriteProject) -> Iterator[Callable[[str], Ask]]:
    """Serve a project whose `web.py` is this text, and give what asks it; stopped after the test."""
    made: list[Server] = []

    def serve(web: str) -> Ask:
        root = write_project({"shop_web.py": web})
        overrides = {
            "server.host": f"{LOCALHOST}:0",
            "server.app": "shop_web:application",
            "console.token": TOKEN,
            "console.proxy_addresses": ["10.0.0.7"],
        }
        made.append(Server(Project.load(root, environ={}, overrides=overrides), None, SystemClock()))
        made[-1].start()
        port = int(made[-1].urls[0].rpartition(":")[2])

        def ask(path: str, *, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, str]:
            connection = http.client.HTTPConnection(LOCALHOST, port, timeout=5)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            found = answer.status, answer.read().decode()
            connection.close()
            return found

        return ask

    yield serve
    for server in made:
        server.stop()


FUNCTION = """
    def application(environ, start_response):
        body = environ["wsgi.input"].read()
        start_response("201 Created", [("Content-Type", "text/plain")])
        yield f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']} ".encode()
        yield body
    """

CALLABLE = """
    class Application:
        def __call__(self, environ, start_response):
            start_response("200 OK", [])
            return [environ["PATH_INFO"].encode()]

    application = Application()
    """

LIKE_FLASK = """
    class Flask:
        def __init__(self, import_name, static_url_path=None):
            self.import_name = import_name

        def wsgi_app(self, environ, start_response):
            start_response("200 OK", [("Content-Type", "text/html")])
            return [f"Hello from {self.import_name} at {environ['PATH_INFO']}".encode()]

        def __call__(self, environ, start_response):
            return self.wsgi_app(environ, start_response)

    application = Flask("shop")
    """


def test_a_plain_function_is_served_with_its_body(serve: Callable[[str], Ask]) -> None:
    ask = serve(FUNCTION)

    assert ask("/orders?page=2", method="POST", body=b"a=1") == (201, "POST /orders?page=2 a=1")


def test_an_object_that_is_called_is_served(serve: Callable[[str], Ask]) -> None:
    assert serve(CALLABLE)("/orders") == (200, "/orders")


def test_an_object_like_those_of_flask_is_served_beside_the_console(serve: Callable[[str], Ask]) -> None:
    ask = serve(LIKE_FLASK)

    assert ask("/") == (200, "Hello from shop at /")
    assert ask("/livez") == (200, "Hello from shop at /livez")
    assert ask("/_pinstripe/livez") == (200, '{"status":"ok"}')
    assert ask("/_pinstripe/", Authorization=f"Bearer {TOKEN}")[0] == 200


def test_an_application_that_raises_harms_no_other_request(serve: Callable[[str], Ask]) -> None:
    ask = serve("""
        def application(environ, start_response):
            if environ["PATH_INFO"] == "/broken":
                raise RuntimeError("the reason is a secret")
            start_response("200 OK", [])
            return [b"well"]
        """)

    broken = ask("/broken")

    assert broken[0] == 500
    assert "secret" not in broken[1]
    assert ask("/") == (200, "well")
    assert ask("/_pinstripe/livez")[0] == 200


# Behind a proxy

TELLS_CLIENT = """
    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        body = f"{scope['client'][0]} by {scope['scheme']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    """

TELLS_ENVIRON = """
    def application(environ, start_response):
        start_response("200 OK", [])
        return [f"{environ['REMOTE_ADDR']} by {environ['wsgi.url_scheme']}".encode()]
    """

FORWARDED = {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "https"}


@pytest.mark.parametrize("web", [TELLS_CLIENT, TELLS_ENVIRON], ids=["asgi", "wsgi"])
def test_a_projects_application_learns_whom_a_proxy_on_this_machine_asks_for(
    serve: Callable[[str], Ask], web: str
) -> None:
    ask = serve(web)

    assert ask("/") == (200, "127.0.0.1 by http")
    assert ask("/", **FORWARDED) == (200, "203.0.113.9 by https")


def test_the_console_believes_only_the_proxies_of_its_own_settings(serve: Callable[[str], Ask]) -> None:
    ask = serve(TELLS_CLIENT)
    bearer = {"Authorization": f"Bearer {TOKEN}"}

    status, _ = ask("/_pinstripe/api/pause", method="POST", body=b'{"reason": "tried"}', **FORWARDED, **bearer)
    _, audit = ask("/_pinstripe/api/audit", **bearer)

    assert status == 200
    assert "console from 127.0.0.1" in audit
    assert "203.0.113.9" not in audit


# Which kind it is


def wsgi_function(environ: Any, start_response: Any) -> Iterable[bytes]:
    return []


def wsgi_with_defaults(environ: Any, start_response: Any, *, charset: str = "utf-8") -> Iterable[bytes]:
    return []


async def asgi_function(scope: Any, receive: Any, send: Any) -> None: ...


def asgi_function_that_is_not_async(scope: Any, receive: Any, send: Any) -> Any: ...


async def anything(*arguments: Any) -> None: ...


class Wsgi:
    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        return []

    def method(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        return []


class Asgi:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    async def method(self, scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize(
    "application", [wsgi_function, wsgi_with_defaults, Wsgi(), Wsgi().method, lambda environ, start_response: []]
)
def test_what_takes_environ_and_start_response_is_wsgi(application: Callable[..., object]) -> None:
    assert _is_wsgi(application)


@pytest.mark.parametrize(
    "application", [asgi_function, asgi_function_that_is_not_async, anything, Asgi(), Asgi().method, print]
)
def test_what_takes_three_or_is_async_is_asgi(application: Callable[..., object]) -> None:
    assert not _is_wsgi(application)
