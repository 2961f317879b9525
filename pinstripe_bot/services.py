"""Services: what a workspace builds on first use, for one run or once per process."""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pinstripe_bot.config import Config
from pinstripe_bot.database import DatabasePool
from pinstripe_bot.errors import DatabaseError, InvalidJob
from pinstripe_bot.loader import LoadedFile
from pinstripe_bot.schedule import Place

SCOPES = ("run", "process")


@dataclass(frozen=True, slots=True)
class ServiceDefinition:
    """One file of `lib/services`: its name in snake case, its `create`, and how long an instance lives."""

    name: str
    create: Callable[[Any], Any]
    is_per_process: bool
    place: Place

    def build(self, subject: Any, stack: contextlib.ExitStack) -> Any:
        """Call `create(subject)`; a generator is entered on `stack`, which closes it with the run's exception."""
        if inspect.isgeneratorfunction(self.create):
            return stack.enter_context(contextlib.contextmanager(self.create)(subject))
        return self.create(subject)


def define_service(name: str, loaded: LoadedFile) -> ServiceDefinition:
    """Check a service file. Raises InvalidJob with what is wrong."""
    create = getattr(loaded.module, "create", None)
    scope = getattr(loaded.module, "scope", "run")
    if not inspect.isfunction(create):
        raise InvalidJob("a service file has a function `create`: write `def create(workspace)`")
    if inspect.iscoroutinefunction(create) or inspect.isasyncgenfunction(create):
        raise InvalidJob(
            "create() is async: write it as a plain function, which may return an object with async methods"
        )
    if scope not in SCOPES:
        raise InvalidJob(f'scope = {scope!r} is not accepted: write "run" or "process"')
    return ServiceDefinition(name, create, scope == "process", loaded.place_of("create"))


class ProcessServices:
    """What all runs of this process share: the database's pool and the services with `scope = "process"`.

    Built on first use under one lock; closed in reverse order. A shared service receives the configuration,
    never a workspace: it must not know a run or a tenant.
    """

    def __init__(self, config: Config, definitions: Mapping[str, ServiceDefinition], pool: DatabasePool | None) -> None:
        self._config = config
        self._definitions = definitions
        self._pool = pool
        self._instances: dict[str, Any] = {}
        self._stack = contextlib.ExitStack()
        self._lock = threading.RLock()  # a shared service may not ask for another one, but its code may import

    def database_pool(self) -> DatabasePool:
        """The pool of the project's database. Raises DatabaseError where the settings name none."""
        if self._pool is None:
            raise DatabaseError('this project has no database: set `url = "sqlite:///app.db"` under [database]')
        return self._pool

    def get(self, definition: ServiceDefinition) -> Any:
        """The one instance of a shared service."""
        with self._lock:
            if definition.name not in self._instances:
                self._instances[definition.name] = definition.build(self._config, self._stack)
            return self._instances[definition.name]

    def close(self) -> None:
        """Close the shared services, newest first, then the database's pool."""
        with self._lock:
            self._instances.clear()
            try:
                self._stack.close()
            finally:
                if self._pool is not None:
                    self._pool.close()
