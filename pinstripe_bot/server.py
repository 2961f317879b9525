"""The server: sockets, and uvicorn in a thread of its own."""

from __future__ import annotations

import errno
import importlib
import inspect
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import structlog
import uvicorn
from a2wsgi import WSGIMiddleware
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from pinstripe_bot.clock import Clock
from pinstripe_bot.console.application import build_application
from pinstripe_bot.console.health import Health
from pinstripe_bot.errors import CannotServe, InvalidConfig
from pinstripe_bot.ledger_place import FOLDER
from pinstripe_bot.login_addresses import ServerNote, login_url, server_url
from pinstripe_bot.metrics import Tally
from pinstripe_bot.project import Project
from pinstripe_bot.tick_clock import TickClock

PORTS_TO_TRY = 100

GRACE_S = 2
"""How long open requests get once the bot has stopped: with its 25 s it stays below the 30 s of Kubernetes."""

log = structlog.get_logger("pinstripe")


class Server:
    """Serves a project over HTTP from sockets that were bound before anything else started.

    uvicorn in a thread dies silently where its port is taken: so we bind, in the main thread.
    """

    def __init__(
        self,
        project: Project,
        health: Health | None,
        clock: Clock,
        *,
        tally: Tally | None = None,
        ticks: TickClock | None = None,
        with_application: bool = True,
    ) -> None:
        """Bind the sockets and load the project's application, unless it is served elsewhere. Raises CannotServe.

        `health`, `tally` and `ticks` are those of the bot in this process; without one it is ready while its ledger
        can be read.
        """
        own = load_application(project.config.server.app) if with_application else None
        is_default = project.settings.origins["server.host"] == "default"
        self._sockets = bind(project.config.server.addresses, may_move=is_default)
        # The console reads for itself whom a proxy asks for: it must see the connection's own addresses.
        behind_proxy: Any = None if own is None else ProxyHeadersMiddleware(cast("Any", own), "127.0.0.1")
        self._served = build_application(project, health, clock, behind_proxy, tally=tally, ticks=ticks)
        self._note = ServerNote(project.root / FOLDER)
        self._server = _Announcing(
            uvicorn.Config(
                self._served.application,
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="pinstripe-server", daemon=True)

    @property
    def urls(self) -> list[str]:
        """Where it listens."""
        return [_url(bound) for bound in self._sockets]

    def login_url(self) -> str | None:
        """A fresh address that lets somebody in once; None where it listens on no address of this machine alone."""
        near = self._near()
        return None if near is None else login_url(near, self._served.addresses.issue())

    def _near(self) -> str | None:
        """Where a browser on this machine reaches it, if it listens there."""
        try:
            return server_url([bound.getsockname()[:2] for bound in self._sockets], is_protected=False)
        except InvalidConfig:
            return None

    def start(self) -> None:
        """Serve from now on; returns when the application has started. Raises CannotServe if it does not."""
        self._thread.start()
        self._server.has_started.wait()
        if not self._server.started:
            self.close()
            raise CannotServe("the project's application did not start: its error is in the log above")
        if (near := self._near()) is not None:
            self._note.write(near)
        log.info("server_started", url=" ".join(self.urls))

    def stop(self) -> None:
        """Finish the open requests and stop; harmless when called twice."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        self.close()

    def close(self) -> None:
        """Close the sockets."""
        for bound in self._sockets:
            bound.close()
        self._served.close()
        self._note.remove()

    def _serve(self) -> None:
        try:
            self._server.run(sockets=self._sockets)
        except SystemExit:  # how uvicorn ends where the application does not start: `start` says so
            return
        finally:
            self._server.has_started.set()


class _Announcing(uvicorn.Server):
    """A uvicorn server that tells other threads when its start is over, well or not."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.has_started.set()


def bind(addresses: Sequence[tuple[str, int]], *, may_move: bool) -> list[socket.socket]:
    """A listening socket for each (host, port); with `may_move`, on the next free port where one is taken.

    Raises CannotServe, with no socket left open.
    """
    sockets: list[socket.socket] = []
    try:
        for host, port in addresses:
            last = port + PORTS_TO_TRY if may_move else port
            sockets.append(_bind_first(host, range(port, last + 1)))
    except CannotServe:
        for bound in sockets:
            bound.close()
        raise
    return sockets


def _bind_first(host: str, ports: range) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in ports:
        try:
            bound = socket.create_server((host, port), family=family)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and port != ports[-1]:
                continue
            raise CannotServe(_why(host, port, error)) from error
        if port != ports[0]:
            log.warning("port_taken", taken=ports[0], used=port)
        return bound
    raise AssertionError("a range of ports is never empty")


def _why(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{host}:{port} is taken by another program: stop it, or give another address with --host"
    if error.errno == errno.EACCES:
        return f"{host}:{port} may not be used by this user: give a port above 1023 with --host"
    reason = error.strerror or error
    return f"{host}:{port} cannot be listened on ({reason}): give an address of this machine with --host"


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def load_application(name: str | None) -> ASGIApp | None:
    """The project's own ASGI or WSGI application, "module:attribute". Raises CannotServe with what is wrong."""
    if name is None:
        return None
    module_name, _, attribute = name.partition(":")
    try:
        found: object = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise CannotServe(
            f"server.app = {name!r} cannot be loaded ({type(error).__name__}: {error}): write module:attribute"
        ) from error
    if not callable(found):
        raise CannotServe(f"server.app = {name!r} is no ASGI or WSGI application: name something callable")
    return WSGIMiddleware(found) if _is_wsgi(found) else found  # type: ignore[return-value]


def _is_wsgi(application: Callable[..., object]) -> bool:
    """Whether it takes `environ` and `start_response`, and not `scope`, `receive` and `send`."""
    called = application if inspect.isfunction(application) else type(application).__call__
    if inspect.iscoroutinefunction(application) or inspect.iscoroutinefunction(called):
        return False
    try:
        signature = inspect.signature(application)
    except (TypeError, ValueError):
        return False
    return _takes(signature, 2) and not _takes(signature, 3)


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
