"""Services: what a workspace builds on first use, for one run or once per process."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pinstripe_bot.config import Config
from pinstripe_bot.database import DatabasePool
from pinstripe_bot.errors import BrokenFile, DatabaseError, WorkspaceError
from pinstripe_bot.loader import LoadedFile
from pinstripe_bot.schedule import Place
from pinstripe_bot.tenants import Tenants

SCOPES = ("run", "process")


@dataclass(frozen=True, slots=True)
class ServiceDefinition:
    """One file of `lib/services`: its name in snake case, its `create`, and how long an instance lives."""

    name: str
    create: Callable[[Any], Any]
    is_per_process: bool
    place: Place

    def build(self, subject: Any, stack: contextlib.ExitStack) -> Any:
        """Call `create(subject)`; a generator is closed by `stack`, and sees the run's exception."""
        if not inspect.isgeneratorfunction(self.create):
            return self.create(subject)
        manager = contextlib.contextmanager(self.create)(subject)
        instance = manager.__enter__()

        def close(*failure: Any) -> None:  # returns nothing: a service that swallows the error hides no failed run
            manager.__exit__(*failure)

        stack.push(close)
        return instance


class ProjectSurroundings(Protocol):
    """What a workspace needs of the project."""

    @property
    def config(self) -> Config: ...

    @property
    def tenants(self) -> Tenants | None: ...

    def service(self, name: str) -> ServiceDefinition:
        """The service of this name, in any case. Raises UnknownService with the close names."""


def define_service(name: str, loaded: LoadedFile) -> ServiceDefinition:
    """Check a service file. Raises BrokenFile with what is wrong."""
    create = getattr(loaded.module, "create", None)
    scope = getattr(loaded.module, "scope", "run")
    place = loaded.place_of("create", "scope")
    problem = _wrong_with(create) or _wrong_scope(scope)
    if problem is not None:
        raise BrokenFile(place.path, place.line, problem)
    assert create is not None
    return ServiceDefinition(name, create, scope == "process", place)


def _wrong_with(create: Any) -> str | None:
    if not inspect.isfunction(create):
        return "a service file has a function `create`: write `def create(workspace)`"
    if inspect.iscoroutinefunction(create) or inspect.isasyncgenfunction(create):
        return "create() is async: write it as a plain function, which may return an object with async methods"
    if inspect.isgeneratorfunction(inspect.unwrap(create)) and not inspect.isgeneratorfunction(create):
        return "create() is decorated, as with @contextmanager, and contains `yield`: remove the decorator"
    try:
        inspect.signature(create).bind(None)
    except TypeError:
        return "create() takes one argument: write `def create(workspace)`"
    return None


def _wrong_scope(scope: Any) -> str | None:
    return None if scope in SCOPES else f'scope = {scope!r} is not accepted: write "run" or "process"'


class ProcessServices:
    """What all runs of this process share: the database's pool and the services with `scope = "process"`.

    Built on first use under one lock; closed in reverse order. A shared service receives the configuration,
    never a workspace: it must not know a run or a tenant.
    """

    def __init__(self, config: Config, pool: DatabasePool | None) -> None:
        self._config = config
        self._pool = pool
        self._instances: dict[str, Any] = {}
        self._stack = contextlib.ExitStack()
        self._lock = threading.RLock()
        self._is_closed = False

    def database_pool(self) -> DatabasePool:
        """The pool of the project's database. Raises DatabaseError where the settings name none."""
        if self._pool is None:
            raise DatabaseError('this project has no database: set `url = "sqlite:///app.db"` under [database]')
        return self._pool

    def get(self, definition: ServiceDefinition) -> Any:
        """The one instance of a shared service."""
        with self._lock:
            if self._is_closed:
                raise WorkspaceError(f"the bot has stopped: {definition.name!r} cannot be used any more")
            if definition.name not in self._instances:
                # In a context of its own: that of the first run would give it, and what it starts, a tenant's name.
                context = contextvars.Context()
                self._instances[definition.name] = context.run(definition.build, self._config, self._stack)
            return self._instances[definition.name]

    def close(self) -> None:
        """Close the shared services, newest first, then the database's pool."""
        with self._lock:
            self._is_closed = True
            try:
                self._stack.close()
            finally:
                if self._pool is not None:
                    self._pool.close()
