"""What a user may type, set or read must be documented, and what the pages promise must be there."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import click
import pytest
from starlette.routing import Route

from pinstripe_bot import BackgroundJob, Bot, Project, RunState, errors
from pinstripe_bot.cli import COMMANDS, main
from pinstripe_bot.config import SETTINGS, VARIABLES
from pinstripe_bot.console import PREFIX
from pinstripe_bot.console.api import Api
from pinstripe_bot.console.pages import Pages
from pinstripe_bot.console.rendering import Rendering
from pinstripe_bot.console.visit import LedgerDoor
from pinstripe_bot.durations import format_duration
from pinstripe_bot.occurrence import Decision
from pinstripe_bot.options import OPTIONS, Option
from pinstripe_bot.sources import variable_of
from pinstripe_bot.testing import TravelClock
from pinstripe_bot.workspace import RESERVED

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PACKAGE = ROOT / "pinstripe_bot"

PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

BOT_HEADINGS = ["Interface", "Description", "Examples", "Cron syntax", "Command line", "Notes"]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def sections(page: str) -> dict[str, str]:
    """{heading of the second level: what stands below it}."""
    parts = re.split(r"^## +(.*)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every row of every table."""
    for line in text.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def blocks(page: str, language: str) -> list[str]:
    """The code blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


# README


def test_the_readme_begins_with_the_two_commands() -> None:
    readme = read(ROOT / "README.md")

    assert "make run" in readme
    assert readme.index("make run") < readme.index("make test") < readme.index("```python")


def test_the_readme_links_every_page() -> None:
    readme = read(ROOT / "README.md")

    missing = [path.name for path in DOCS.glob("*.md") if f"(docs/{path.name})" not in readme]

    assert missing == []


def test_the_job_of_the_readme_has_ten_lines_and_runs(tmp_path: Path) -> None:
    job = blocks(read(ROOT / "README.md"), "python")[0]
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    path = tmp_path / "lib" / "background_jobs" / "cleanup.py"
    path.parent.mkdir(parents=True)
    path.write_text(job, encoding="utf-8")
    (tmp_path / "pinstripe.toml").write_text('[database]\nurl = "sqlite:///shop.db"\n', encoding="utf-8")
    database = sqlite3.connect(tmp_path / "shop.db")
    database.execute("CREATE TABLE sessions (id INTEGER PRIMARY KEY, last_accessed_at TIMESTAMP)")
    instants = [(str((now - timedelta(hours=hours)).replace(tzinfo=None)),) for hours in (1, 23, 25, 1000)]
    database.executemany("INSERT INTO sessions (last_accessed_at) VALUES (?)", instants)
    database.commit()
    project = Project.load(tmp_path, environ={})
    bot = Bot(project, clock=TravelClock(now))

    runs = bot.run_background_jobs(now.timestamp())
    bot.stop()

    left = database.execute("SELECT id FROM sessions ORDER BY id").fetchall()
    database.close()
    assert len(job.splitlines()) <= 11  # ten, and the formatter's second blank line
    assert project.problems == ()
    assert [(run.job, run.state) for run in runs] == [("cleanup", RunState.SUCCEEDED)]
    assert left == [(1,), (2,)]


# Commands


def commands() -> dict[str, click.Command]:
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in COMMANDS}
    return {name: command for name, command in found.items() if command is not None}


def options_of(command: click.Command) -> set[str]:
    parameters = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    return {name for parameter in parameters for name in parameter.opts if name.startswith("--")}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_each_of_its_options_is_documented(name: str) -> None:
    pages = sections(read(DOCS / "commands.md"))

    shared = set(re.findall(r"`(--[\w-]+)", pages["Options of every command"]))
    own = set(re.findall(r"`(--[\w-]+)", pages[f"`{name}`"]))

    assert options_of(commands()[name]) <= shared | own
    assert own <= options_of(commands()[name]) | options_of(main)


def test_the_common_options_are_documented() -> None:
    text = sections(read(DOCS / "commands.md"))["Options of every command"]

    assert all(f"`{option}" in text for option in options_of(main) | {"--help"})


def test_every_command_in_a_page_exists() -> None:
    called = {
        (path.name, name)
        for path in PAGES
        for name in re.findall(r"(?:^\$ |`|^    )pinstripe ([a-z][\w-]*)", read(path), flags=re.MULTILINE)
    }

    assert {(page, name) for page, name in called if name not in COMMANDS} == set()


def exit_codes() -> set[int]:
    """What the package's errors, its commands and its signals end with; 2 is click's for wrong arguments."""
    of_errors = {kind.exit_code for kind in vars(errors).values() if _is_error(kind)}
    modules = [importlib.import_module(f"pinstripe_bot.cli.{module}") for module in {m for m, _ in COMMANDS.values()}]
    of_commands = {
        value for module in modules for name, value in vars(module).items() if re.fullmatch(r"EXIT_[A-Z]+", name)
    }
    return of_errors | of_commands | {0, 2, 128 + 2, 128 + 15}


def _is_error(kind: object) -> bool:
    return inspect.isclass(kind) and issubclass(kind, errors.PinstripeError)


def test_the_exit_codes_are_documented_in_one_table() -> None:
    text = sections(read(DOCS / "commands.md"))["Exit codes"]

    assert {int(cells[0]) for cells in rows(text) if cells[0].isdecimal()} == exit_codes()


# Settings and options


@pytest.mark.parametrize("key", SETTINGS)
def test_a_setting_is_documented_with_its_variables(key: str) -> None:
    variables = {variable for variable, of in VARIABLES.items() if of == key}

    (row,) = [cells for cells in rows(read(DOCS / "configuration.md")) if cells[0] == f"`{key}`"]

    assert variable_of(key) in variables
    assert all(re.search(rf"`{variable}(__<\w+>)?`", row[3]) for variable in variables)


def option_rows() -> dict[str, list[str]]:
    text = sections(read(DOCS / "writing-jobs.md"))["Options"]
    return {cells[0].strip("`"): cells for cells in rows(text) if cells[0].startswith("`")}


def test_every_option_of_a_job_is_documented_and_no_other() -> None:
    assert list(option_rows()) == list(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_documented_with_its_default_and_its_places(name: str) -> None:
    option = OPTIONS[name]

    _, _, default, places, *_ = option_rows()[name]

    assert default == _shown(name, option)
    assert set(places.split(", ")) == {"`[job_defaults]`" if place == "defaults" else place for place in option.places}


def _shown(name: str, option: Option) -> str:
    if name == "timezone":
        return "the project's `timezone`"
    if isinstance(option.default, timedelta):
        return f'`"{format_duration(option.default).replace(" ", "")}"`'
    if isinstance(option.default, str):
        return f'`"{option.default}"`'
    return "none" if option.default in (None, {}) else f"`{option.default}`"


def test_everything_that_a_workspace_has_is_documented() -> None:
    text = sections(read(DOCS / "writing-jobs.md"))["The workspace"]

    names = RESERVED - {*vars(BackgroundJob), "workspace"}  # those are the author's side of a job

    assert [name for name in names if not re.search(rf"`(self|workspace)\.{name}[`(]", text)] == []


# Log events

EXPANSIONS: Mapping[tuple[str, str], list[str]] = {
    ("reports.py", "occurrence.decision"): [decision for decision in Decision if decision is not Decision.RUN],
}
"""What stands in the f-strings of log events, by file."""

LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}


@dataclass
class Event:
    """What the code says of one event: its keys and levels, and those of which only some calls know."""

    levels: set[str] = field(default_factory=set)
    perhaps: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)


@cache
def logged_events() -> dict[str, Event]:
    """Every event that the package logs."""
    found: dict[str, Event] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(read(path))
        names = _names_of_levels(tree)
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            levels = names.get(ast.unparse(call.func), set())
            for name in _event_names(call.args[0], path.name) if levels else ():
                event = found.setdefault(name, Event())
                (event.levels if len(levels) == 1 else event.perhaps).update(levels)
                event.keys |= {key for keyword in call.keywords for key in _keys(keyword, tree)}
    return found


def _keys(keyword: ast.keyword, tree: ast.AST) -> set[str]:
    """What a keyword names; `**facts(run)` names the keys of the dicts in the function `facts` of the same file."""
    if keyword.arg is not None:
        return {keyword.arg}
    called = ast.unparse(keyword.value).partition("(")[0]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == called]
    dicts = [node for function in functions for node in ast.walk(function) if isinstance(node, ast.Dict)]
    return {key.value for node in dicts for key in node.keys if isinstance(key, ast.Constant)}


def _names_of_levels(tree: ast.AST) -> dict[str, set[str]]:
    """{what is called: the levels that it logs at}; `say = log.info if ... else log.debug` counts for both."""
    names = {f"{log}.{method}": {level} for log in ("log", "self._log") for method, level in LEVELS.items()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.IfExp):
            chosen = {ast.unparse(node.value.body), ast.unparse(node.value.orelse)}
            if chosen <= names.keys():
                names[ast.unparse(node.targets[0])] = {level for each in chosen for level in names[each]}
    return names


def _event_names(node: ast.expr, file: str) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.IfExp):
        return _event_names(node.body, file) + _event_names(node.orelse, file)
    assert isinstance(node, ast.JoinedStr), f"an event's name is written down, not worked out: {ast.unparse(node)}"
    names = [""]
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            names = [name + value for name in names for value in EXPANSIONS[file, ast.unparse(part.value)]]
        else:
            names = [name + str(ast.literal_eval(part)) for name in names]
    return names


def event_rows() -> dict[str, list[str]]:
    return {cells[0].strip("`"): cells for cells in rows(read(DOCS / "events.md")) if cells[0].startswith("`")}


def test_the_events_of_the_code_are_found() -> None:
    events = logged_events()

    assert events["run_succeeded"].levels == {"info"}
    assert events["run_failed"].keys >= {"error_type", "traceback"}
    assert events["bot_stopped"].perhaps == {"info", "debug"}


def test_every_log_event_is_documented_and_no_other() -> None:
    assert sorted(event_rows()) == sorted(logged_events())


@pytest.mark.parametrize("name", logged_events())
def test_a_log_event_is_documented_with_its_levels_and_keys(name: str) -> None:
    event = logged_events()[name]

    _, levels, keys, *_ = event_rows()[name]

    assert event.levels <= set(levels.split(", ")) <= event.levels | event.perhaps
    assert event.keys <= set(re.findall(r"`(\w+)`", keys))


# The console and its API


def routes_of(routes: Iterable[Route]) -> list[str]:
    """`GET /_pinstripe/jobs/{name}`, whatever the name may hold."""
    found = [(method, route) for route in routes for method in sorted(route.methods or ()) if method != "HEAD"]
    return [f"{method} {PREFIX}{route.path}".replace(":path}", "}") for method, route in found]


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    (tmp_path / "lib" / "background_jobs").mkdir(parents=True)
    return Project.load(tmp_path, environ={})


def test_every_route_of_the_api_is_documented_and_no_other(shop: Project) -> None:
    clock = TravelClock(datetime(2026, 1, 31, 12, tzinfo=UTC))
    api = Api(shop, LedgerDoor(shop, clock), clock, is_read_only=False)

    listed = [cells[0] for cells in rows(read(DOCS / "api.md"))]

    documented = [match[1] for cell in listed if (match := re.match(r"\[`([A-Z]+ /[^`]*)`\]", cell))]
    assert sorted(documented) == sorted(routes_of(api.routes()))


def test_every_page_of_the_console_is_documented(shop: Project) -> None:
    clock = TravelClock(datetime(2026, 1, 31, 12, tzinfo=UTC))
    door = LedgerDoor(shop, clock)
    pages = Pages(shop, door, clock, Rendering("shop"), is_read_only=False, readiness=list)
    shown = [route.removeprefix("GET ") for route in routes_of(pages.routes()) if route.startswith("GET ")]

    text = sections(read(DOCS / "console.md"))["The pages"]

    named = {re.sub(r"{(\w+)}", lambda match: match[1].upper(), path): path for path in shown}
    assert [path for name, path in named.items() if f"`{name}`." not in text] == []


# Pages


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", read(page), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
            if not re.match(r"[a-z]+:", target):
                yield page, target


def test_no_link_is_broken() -> None:
    broken = []
    for page, target in links():
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        headings = (
            re.findall(r"^#+ +(.*)$", read(file), flags=re.MULTILINE) if file.suffix == ".md" and file.exists() else []
        )
        if not file.exists() or (anchor and anchor not in map(slug, headings)):
            broken.append(f"{page.relative_to(ROOT)}: {target}")

    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_in_a_page_can_be_read(page: Path) -> None:
    for block in blocks(read(page), "python"):
        ast.parse(block)


def test_the_page_of_the_bot_has_its_headings() -> None:
    assert list(sections(read(DOCS / "bot.md"))) == BOT_HEADINGS


def test_every_decision_is_listed() -> None:
    pages = sorted(path.name for path in (DOCS / "decisions").glob("[0-9]*.md"))

    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", read(DOCS / "decisions" / "README.md"))

    assert listed == pages
