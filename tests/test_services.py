from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
import structlog

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.config import Config
from pinstripe_bot.database import DatabasePool
from pinstripe_bot.errors import DatabaseError, WorkspaceError
from pinstripe_bot.project import Project
from pinstripe_bot.services import ProcessServices, ServiceDefinition

CONNECTION = """
scope = "process"
opened = []

def create(config):
    opened.append(config.app["name"])
    yield opened
    opened.append("closed")
"""


@pytest.fixture
def define(load_project):
    """The service `mailer` with this text."""

    def define(text: str):
        project = load_project({"lib/services/mailer.py": text})
        assert project.problems == ()
        return project.service("mailer")

    return define


@pytest.fixture
def problem(load_project):
    """What is wrong with the service `mailer` with this text, and in which line."""

    def problem(text: str) -> tuple[int | None, str]:
        (problem,) = load_project({"lib/services/mailer.py": text}).problems
        return (problem.place.line, problem.message)

    return problem


@pytest.fixture
def project(load_project) -> Project:
    return load_project({"pinstripe.toml": "[app]\nname = 'books'", "lib/services/connection.py": CONNECTION})


@pytest.fixture
def shared(project) -> Iterator[ProcessServices]:
    shared = ProcessServices(project.config, None)
    yield shared
    shared.close()


def run_and_fail(*services: ServiceDefinition, log: list[str]) -> None:
    """A run that uses these services and raises."""
    with contextlib.ExitStack() as stack:
        for service in services:
            service.build(log, stack)
        raise ValueError("no stamps")


def test_a_service_is_built_once_per_run_unless_it_says_otherwise(define):
    assert not define("def create(workspace): ...").is_per_process


def test_a_service_may_be_built_once_per_process(define):
    assert define("scope = 'process'\ndef create(config): ...").is_per_process


def test_create_gets_what_the_service_is_for(define):
    service = define("def create(workspace): return [workspace]")

    with contextlib.ExitStack() as stack:
        built = service.build("the workspace", stack)

    assert built == ["the workspace"]


def test_what_a_generator_yields_is_the_service_until_it_is_closed(define):
    service = define("def create(log):\n    log.append('open')\n    yield 'mailer'\n    log.append('closed')")
    log: list[str] = []

    with contextlib.ExitStack() as stack:
        built = service.build(log, stack)
        assert (built, log) == ("mailer", ["open"])

    assert log == ["open", "closed"]


def test_a_generator_sees_the_error_of_the_run(define):
    service = define("def create(log):\n    try: yield\n    except ValueError as error: log.append(str(error)); raise")
    log: list[str] = []

    with pytest.raises(ValueError, match="no stamps"):
        run_and_fail(service, log=log)

    assert log == ["no stamps"]


def test_a_generator_that_swallows_the_error_hides_no_failed_run(define):
    service = define("def create(log):\n    try: yield\n    except ValueError: log.append('swallowed')")
    log: list[str] = []

    with pytest.raises(ValueError, match="no stamps"):
        run_and_fail(service, log=log)

    assert log == ["swallowed"]


def test_a_generator_that_swallows_the_error_hides_it_from_no_other(define):
    service = define(
        "def create(log):\n    try: yield\n    except ValueError: log.append('swallowed')\n    else: log.append('fine')"
    )
    log: list[str] = []

    with pytest.raises(ValueError, match="no stamps"):
        run_and_fail(service, service, log=log)

    assert log == ["swallowed", "swallowed"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("\ndef build(workspace): ...", 1, "a service file has a function `create`: write `def create(workspace)`"),
        ("create = 5", 1, "a service file has a function `create`: write `def create(workspace)`"),
        ("\nclass create: ...", 2, "a service file has a function `create`: write `def create(workspace)`"),
        ("\nasync def create(workspace): ...", 2, "create() is async: write it as a plain function"),
        ("\nasync def create(workspace): yield", 2, "create() is async: write it as a plain function"),
        ("\ndef create(): ...", 2, "create() takes one argument: write `def create(workspace)`"),
        ("\ndef create(workspace, url): ...", 2, "create() takes one argument: write `def create(workspace)`"),
        (
            "from contextlib import contextmanager\n@contextmanager\ndef create(workspace): yield",
            3,
            "create() is decorated, as with @contextmanager, and contains `yield`: remove the decorator",
        ),
        ("\nscope = 'thread'\ndef create(workspace): ...", 3, "scope = 'thread' is not accepted: write \"run\" or"),
        ("scope = ['run']\ndef create(workspace): ...", 2, "scope = ['run'] is not accepted"),
    ],
)
def test_a_wrong_service_is_told_with_its_line(problem, text, line, message):
    told_line, told = problem(text)

    assert told_line == line
    assert told.startswith(message)


def test_a_service_per_process_is_built_once_from_the_settings(project, shared):
    connection = shared.get(project.service("connection"))

    assert connection == ["books"]
    assert shared.get(project.service("connection")) is connection


def test_a_service_per_process_is_built_on_first_use(project, shared):
    shared.close()

    opened = project.service("connection").create.__globals__["opened"]
    assert opened == []


def test_a_service_per_process_is_built_once_however_many_threads_want_it(project, shared):
    service = project.service("connection")
    threads = [threading.Thread(target=shared.get, args=(service,)) for _ in range(8)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    assert shared.get(service) == ["books"]


def test_services_per_process_are_closed_at_shutdown_the_newest_first(load_project):
    text = "scope = 'process'\ndef create(config):\n    yield\n    config.app['log'].append(__name__[-5:])"
    files = {"lib/services/first.py": text, "lib/services/other.py": text}
    project = load_project({"pinstripe.toml": "[app]\nlog = []", **files})
    shared = ProcessServices(project.config, None)
    shared.get(project.service("other"))
    shared.get(project.service("first"))

    shared.close()

    assert project.config.app["log"] == ["first", "other"]


def test_after_the_shutdown_no_service_is_built_that_nobody_would_close(project, shared):
    shared.close()

    with pytest.raises(WorkspaceError, match="the bot has stopped: 'connection' cannot be used any more"):
        shared.get(project.service("connection"))


def test_closing_twice_is_harmless(project, shared):
    connection = shared.get(project.service("connection"))
    shared.close()

    shared.close()

    assert connection == ["books", "closed"]


def test_a_service_per_process_that_cannot_be_closed_does_not_keep_the_database_open(load_project, tmp_path):
    text = "scope = 'process'\ndef create(config):\n    yield\n    raise OSError('line is busy')"
    project = load_project({"lib/services/phone.py": text})
    pool = DatabasePool(f"sqlite:///{tmp_path}/shop.db", monotonic=SystemClock().monotonic)
    shared = ProcessServices(project.config, pool)
    shared.get(project.service("phone"))

    with pytest.raises(OSError, match="line is busy"):
        shared.close()

    assert shared.database_pool() is pool


def test_a_project_without_a_database_says_how_to_get_one():
    shared = ProcessServices(Config(), None)

    with pytest.raises(DatabaseError, match=r"this project has no database: set `url = .*` under \[database\]"):
        shared.database_pool()


def test_a_shared_service_is_built_without_a_word_of_the_run_that_came_first(define, project):
    service = define(
        """
        import structlog
        scope = "process"

        def create(config):
            return structlog.contextvars.get_contextvars()
        """
    )
    shared = ProcessServices(project.config, None)

    with structlog.contextvars.bound_contextvars(tenant="acme"):
        built = shared.get(service)

    assert built == {}
