"""The order of the house, as docs/architecture.md draws it and docs/decisions say why."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pinstripe_bot"

_ORDER = """
    __init__.py errors.py clock.py clock_jumps.py durations.py sizes.py zones.py shifts.py calendar_days.py
    search.py cron_gate.py cron.py cron_words.py tenant.py occurrence.py records.py spans.py escapes.py
    reason_words.py policies.py options.py redaction.py params.py child_messages.py schedule.py residence.py job.py
    definition.py timetable.py upcoming.py asked.py instants.py explanation.py explanation_words.py day_figures.py
    story.py tenant_story_words.py story_words.py story_commands.py settings.py passwords.py console_settings.py
    sources.py config.py log_lines.py output.py logs.py database_types.py database_sessions.py database_engine.py
    database_connections.py database_scope.py database_table.py database.py database_tenant.py loader.py tenants.py
    services.py hooks.py control.py workspace.py project.py unscoped.py bot_lock.py ledger_sql.py ledger_schema.py
    ledger_rows.py ledger_migrations.py ledger_trouble.py ledger_ownership.py ledger_writer.py ledger_store.py
    ledger_sqlite.py ledger_postgres.py ledger_clock.py ledger_place.py ledger_bots.py ledger_roll.py
    ledger_marks.py ledger_skips.py ledger_work.py ledger_listings.py ledger_residences.py
    ledger_tenants.py ledger_claim.py ledger_former.py ledger_decide.py ledger_manual.py ledger_runs.py
    ledger_taking.py ledger_sweep.py ledger_cluster.py ledger_carriers.py ledger_mending.py ledger_carried.py
    ledger_queues.py ledger_waiting.py ledger_turns.py ledger_fan_out.py ledger_history.py ledger_failures.py
    ledger_listed.py
    ledger_strips.py ledger_tenant_strips.py ledger_pages.py ledger_timeline.py ledger_trends.py ledger_changes.py
    ledger_neighbours.py ledger_extent.py ledger_overview.py ledger_figures.py ledger_tenant_story.py
    ledger_story.py ledger_audit.py ledger_queue.py ledger_outcome.py ledger_resume.py ledger_foresight.py
    ledger_backfill.py ledger_backfill_tenants.py ledger_acts.py ledger_days.py ledger_tidy.py ledger_prune.py
    ledger_copy.py ledger_route.py ledger_move.py ledger_recovery.py ledger.py retries.py enqueueing.py failure.py
    hook_calls.py deadlines.py atomic_commit.py runner.py fork_server_process.py hearing.py supervision.py
    isolation.py child_line.py child.py fork_server.py lingering.py running.py metrics.py reports.py recorder.py
    handoff.py lanes.py starter.py dispatcher.py cluster_schema.py cluster.py tenant_homes.py tenant_listing.py
    lister.py by_hand.py pruner.py admission.py rounds.py intake.py tenant_zones.py superseded.py drain.py
    assembly.py poller.py watchdog.py tick_clock.py readiness.py loop_handle.py bot.py cluster_app.py
    cluster_receiver.py worker.py
    scripting.py login_addresses.py shown.py outlook.py json_forms.py answers.py desk.py console/__init__.py
    console/svg.py console/durations.py console/scales.py console/glyphs.py console/strips.py console/calendars.py
    console/scatters.py console/waterfalls.py console/timeline_marks.py console/timelines.py console/bars.py
    console/health.py console/metrics.py console/callers.py console/bodies.py console/sealing.py console/sessions.py
    console/attempts.py console/access.py console/login.py console/addresses.py console/words.py
    console/schedule_words.py console/visit.py console/fields.py console/matters.py console/standing.py
    console/lanes.py console/now_page.py console/jobs_page.py console/printed.py console/tracebacks.py
    console/job_days.py console/job_history.py console/job_page.py console/run_words.py console/run_page.py
    console/runs_page.py console/timeline_page.py console/system_page.py console/rendering.py console/acting.py
    console/pages.py console/api_reads.py console/api.py console/live.py console/application.py server.py
    scaffold.py testing.py cli/signals.py cli/tables.py cli/progress.py cli/invocation.py cli/pages.py
    cli/run_page.py cli/following.py cli/due.py cli/generating.py cli/listing.py cli/history.py cli/logs.py
    cli/status_trouble.py cli/status_page.py cli/status.py cli/explaining.py cli/fillings.py cli/acting.py
    cli/pausing.py cli/backfilling.py cli/console.py cli/moving.py cli/running.py cli/tenants.py cli/reloading.py
    cli/serving.py cli/cluster.py cli/__init__.py __main__.py
"""

ROOMS = _ORDER.split()
"""Every file of the package: a room imports only rooms before it."""

PURE = ROOMS[1 : ROOMS.index("settings.py") + 1]
"""No files, sockets, threads, environment or wall clock."""

DOORS = {
    "croniter": {"cron.py"},
    "click": {room for room in ROOMS if room.startswith("cli/")},
    "rich": {*(room for room in ROOMS if room.startswith("cli/")), "console/printed.py"},
    "jinja2": {"console/rendering.py"},
    "markupsafe": {"console/printed.py", "console/rendering.py"},
    "cron_descriptor": {"cron_words.py"},
    "sqlalchemy": {room for room in ROOMS if re.fullmatch(r"(database|ledger)(_\w+)?\.py", room)},
    "starlette": {room for room in ROOMS if room.startswith("console/")},
    "itsdangerous": {"console/sessions.py"},
    "prometheus_client": {"console/metrics.py"},
    "uvicorn": {"server.py"},
    "a2wsgi": {"server.py"},
    "procrastinate": {"cluster.py", "cluster_schema.py", "cluster_app.py", "cluster_receiver.py"},
    "psycopg_pool": {"cluster_app.py"},
    "watchfiles": {"cli/reloading.py"},
    "tomllib": {"sources.py"},
    "structlog": set(ROOMS),
    "msgspec": set(ROOMS),
}
"""Which rooms may import a library: every one outside the standard library, and one of it."""

DOOR_EXCEPTIONS = {
    ("cluster.py", "sqlalchemy.engine"): "the type of the connection on which it writes; no code",
    ("server.py", "starlette.types"): "the type of the application that it hands to uvicorn; no code",
}

IMPURE = {
    *("os", "io", "pathlib", "shutil", "tempfile", "importlib", "zoneinfo", "sqlite3"),
    *("socket", "select", "urllib", "http", "asyncio", "threading", "multiprocessing", "subprocess", "signal"),
    *("time", "random", "logging"),
}
"""What a pure room does not import."""

IMPURE_EXCEPTIONS = {
    ("clock.py", "os"): "SystemClock waits on a pipe",
    ("clock.py", "select"): "SystemClock waits on a pipe",
    ("clock.py", "time"): "SystemClock is the reader of time",
    ("zones.py", "io"): "ZoneInfo reads a zone's content only from a stream, here one in memory",
    ("zones.py", "importlib"): "the zone files of the tzdata package",
    ("zones.py", "zoneinfo"): "the offset of an instant, from the content of a zone file",
    ("zones.py", "pathlib"): "the system's zone files, where the package is stripped",
}

LATE_IMPORT_EXCEPTIONS = {
    ("__init__.py", "__getattr__"): "the public names load on first use",
    ("assembly.py", "_cluster"): "Procrastinate is an optional extra",
    ("server.py", "load_application"): "the project's own ASGI application, named in its settings",
}
"""Functions outside cli/ that may import, and why."""

LONG_FILE_EXCEPTIONS: dict[str, str] = {}


class Room:
    """A file of the package, parsed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = (PACKAGE / name).read_text(encoding="utf-8")
        self.tree = ast.parse(self.source, filename=name)
        self.functions = [node for node in ast.walk(self.tree) if isinstance(node, FUNCTIONS)]
        self._late = {id(node) for function in self.functions for node in ast.walk(function)}
        self._for_types = {
            id(node)
            for block in ast.walk(self.tree)
            if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
            for node in ast.walk(block)
        }

    def imports(self, *, late: bool | None = None, for_types: bool = False) -> Iterator[str]:
        """The modules that it imports, with dots: all, or only the ones inside functions, or only the others."""
        for node in ast.walk(self.tree):
            if late is not None and (id(node) in self._late) is not late:
                continue
            if id(node) in self._for_types and not for_types:
                continue
            yield from _imported(node)

    def is_used(self, wanted: str) -> bool:
        """Whether an attribute such as `datetime.now` appears in its code."""
        attributes = (node for node in ast.walk(self.tree) if isinstance(node, ast.Attribute))
        return any(f".{ast.unparse(node)}".endswith(f".{wanted}") for node in attributes)

    def texts(self) -> Iterator[str]:
        """The strings in its code, without docstrings."""
        alone = {id(node.value) for node in ast.walk(self.tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
                yield node.value


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert not node.level, "imports are absolute"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def _room_of(module: str) -> str | None:
    """The file of this package that `module`, or the thing `module` in a module, comes from."""
    parts = module.split(".")
    if parts[0] != PACKAGE.name:
        return None
    for length in range(len(parts), 0, -1):
        path = "/".join(parts[1:length])
        for candidate in (f"{path}.py", f"{path}/__init__.py".lstrip("/")):
            if candidate in ROOMS:
                return candidate
    raise AssertionError(f"{module} is in no room")


@pytest.fixture(scope="module")
def rooms() -> dict[str, Room]:
    return {name: Room(name) for name in ROOMS}


def breaches(rooms: dict[str, Room], find: Callable[[Room], Iterator[str]]) -> list[str]:
    """What `find` says of each room, with the room's name before it."""
    return [f"{name}: {breach}" for name, room in rooms.items() for breach in find(room)]


def test_every_file_is_a_room() -> None:
    files = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")}

    assert files == set(ROOMS)


def test_the_architecture_page_shows_the_rooms_in_this_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

    assert re.findall(r"^\|[^|]*\| `([\w/]+\.py)` \|", page, re.MULTILINE) == ROOMS


def test_every_room_says_its_job_on_its_first_line(rooms: dict[str, Room]) -> None:
    def silent(room: Room) -> Iterator[str]:
        if not room.source.startswith('"""') or not ast.get_docstring(room.tree):
            yield "has no docstring on its first line"

    assert breaches(rooms, silent) == []


def test_a_room_imports_only_rooms_before_it(rooms: dict[str, Room]) -> None:
    def upwards(room: Room) -> Iterator[str]:
        # The package's own TYPE_CHECKING block names what `__getattr__` loads: it stands for no import.
        for module in room.imports(for_types=room.name != "__init__.py"):
            target = _room_of(module)
            if target is not None and ROOMS.index(target) >= ROOMS.index(room.name):
                yield f"imports {target}, which comes later"

    assert breaches(rooms, upwards) == []


def test_imports_inside_functions_are_for_commands_and_extras_only(rooms: dict[str, Room]) -> None:
    def late(room: Room) -> Iterator[str]:
        if not room.name.startswith("cli/"):
            yield from (f"imports {module} inside a function" for module in room.imports(late=True))
        for function in room.functions:
            is_loader = "import_module" in ast.unparse(function)
            is_known = (room.name, function.name) in LATE_IMPORT_EXCEPTIONS or room.name.startswith("cli/")
            if is_loader and not is_known:
                yield f"{function.name}() imports a module by its name"

    assert breaches(rooms, late) == []


def test_each_library_has_its_door(rooms: dict[str, Room]) -> None:
    def through_the_wall(room: Room) -> Iterator[str]:
        for module in room.imports(for_types=True):
            library = module.split(".")[0]
            if library not in DOORS and library in sys.stdlib_module_names | {PACKAGE.name}:
                continue
            is_known = any(room.name == name and module.startswith(f"{each}.") for name, each in DOOR_EXCEPTIONS)
            if room.name not in DOORS.get(library, ()) and not is_known:
                yield f"imports {module}: its door is {sorted(DOORS.get(library, ())) or 'nowhere'}"

    assert breaches(rooms, through_the_wall) == []


def test_the_first_rooms_are_pure(rooms: dict[str, Room]) -> None:
    def impure(room: Room) -> Iterator[str]:
        if room.name not in PURE:
            return
        for module in room.imports():
            library = module.split(".")[0]
            if library in IMPURE and (room.name, library) not in IMPURE_EXCEPTIONS:
                yield f"imports {module}"
        for node in ast.walk(room.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("open", "print"):
                yield f"calls {node.func.id}()"

    assert breaches(rooms, impure) == []


@pytest.mark.parametrize("forbidden", ["datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time"])
def test_only_the_clock_reads_the_time(rooms: dict[str, Room], forbidden: str) -> None:
    function = forbidden.rpartition(".")[2]

    readers = [name for name, room in rooms.items() if room.is_used(forbidden) or f"time.{function}" in room.imports()]

    assert set(readers) <= {"clock.py"}


def test_nobody_sleeps_but_the_clock(rooms: dict[str, Room]) -> None:
    sleepers = [name for name, room in rooms.items() if room.is_used("time.sleep") or "time.sleep" in room.imports()]

    assert sleepers == []


def test_only_the_settings_read_the_environment(rooms: dict[str, Room]) -> None:
    readers = {
        name
        for name, room in rooms.items()
        if room.is_used("os.environ") or room.is_used("os.getenv") or {"os.environ", "os.getenv"} & {*room.imports()}
    }

    assert readers == {"config.py"}


def test_only_the_settings_read_pinstripe_toml(rooms: dict[str, Room]) -> None:
    named = {name for name, room in rooms.items() if "pinstripe.toml" in room.texts()}

    assert named == {"sources.py", "scaffold.py"}  # the scaffold writes one into a new project


def test_files_are_short(rooms: dict[str, Room]) -> None:
    def long(room: Room) -> Iterator[str]:
        length = len(room.source.splitlines())
        if length >= 300 and room.name not in LONG_FILE_EXCEPTIONS:
            yield f"has {length} lines: split it by subject"

    assert breaches(rooms, long) == []


def test_functions_are_short(rooms: dict[str, Room]) -> None:
    def long(room: Room) -> Iterator[str]:
        for function in room.functions:
            length = (function.end_lineno or 0) - function.lineno + 1
            if length >= 40:
                yield f"{function.name}() has {length} lines"

    assert breaches(rooms, long) == []


def test_every_exception_is_still_needed(rooms: dict[str, Room]) -> None:
    doors = {(name, library) for name, library in DOOR_EXCEPTIONS if _imports(rooms[name], library)}
    impure = {(name, library) for name, library in IMPURE_EXCEPTIONS if _imports(rooms[name], library)}
    late = {
        (room.name, function.name)
        for room in rooms.values()
        for function in room.functions
        if "import_module" in ast.unparse(function)
    }

    assert doors == set(DOOR_EXCEPTIONS)
    assert impure == set(IMPURE_EXCEPTIONS)
    assert set(LATE_IMPORT_EXCEPTIONS) <= late
    assert {name for name in LONG_FILE_EXCEPTIONS if len(rooms[name].source.splitlines()) >= 300} == {
        *LONG_FILE_EXCEPTIONS
    }


def _imports(room: Room, module: str) -> bool:
    return any(f"{each}.".startswith(f"{module}.") for each in room.imports(for_types=True))
