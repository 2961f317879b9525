"""The settings: the one reader of the environment and of pinstripe.toml."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pinstripe_bot import sources
from pinstripe_bot.console_settings import ConsoleConfig, contradiction
from pinstripe_bot.durations import format_duration
from pinstripe_bot.errors import InvalidConfig, InvalidProject
from pinstripe_bot.redaction import redact
from pinstripe_bot.settings import Tree, convert, keys_of, leaves, merge, place_of, setting, unknown_settings
from pinstripe_bot.sources import variable_of
from pinstripe_bot.zones import zone


def addresses_of(host: str) -> tuple[tuple[str, int], ...]:
    """Read "127.0.0.1:3000 [::1]:3000" as (("127.0.0.1", 3000), ("::1", 3000)); port 0 means any free one."""
    matches = [re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):([0-9]{1,5})", part) for part in host.split()]
    addresses = tuple((match[1].strip("[]"), int(match[2])) for match in matches if match)
    if not addresses or len(addresses) < len(matches) or any(port > 65535 for _, port in addresses):
        raise ValueError(f'{host!r} is not "HOST:PORT": write "127.0.0.1:3000", or several separated by blanks')
    return addresses


_Url = Annotated[str, msgspec.Meta(pattern="://")]
_URL = setting('a URL such as "postgresql://user@host/name"')
_Attribute = Annotated[str, msgspec.Meta(pattern=r"^[\w.]+:[\w.]+$")]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_TABLE = setting("it as a table")
_COLUMN = setting('the name of a column such as "tenant_id"', min_length=1, max_length=200)


class DatabaseConfig(msgspec.Struct, frozen=True):
    """The project's own database."""

    url: Annotated[_Url | None, _URL] = None


class ServerConfig(msgspec.Struct, frozen=True):
    """What `start-server` listens on and serves."""

    host: Annotated[str, setting('"HOST:PORT"', check=addresses_of)] = "127.0.0.1:3000"
    app: Annotated[_Attribute | None, setting('"module:attribute"')] = None

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """`host` as pairs of host and port."""
        return addresses_of(self.host)


class LedgerConfig(msgspec.Struct, frozen=True):
    """Where the bot keeps its record, None: `.pinstripe/ledger.db` in the project; how long a silent bot is alive."""

    url: Annotated[_Url | None, _URL] = None
    lease: Annotated[timedelta, setting('a duration from 1 second to 1 day such as "30s"')] = timedelta(seconds=30)


class TenantsConfig(msgspec.Struct, frozen=True):
    """Which table of the project's database holds its tenants, and which column of the others says whose a row is."""

    table: Annotated[_Name | None, setting('the name of a table such as "tenants"')] = None
    id_column: Annotated[str, _COLUMN] = "id"
    name_column: Annotated[str, _COLUMN] = "name"
    timezone_column: Annotated[str, _COLUMN] = "timezone"
    tenant_column: Annotated[str, _COLUMN] = "tenant_id"


class LogsConfig(msgspec.Struct, frozen=True):
    """How the daemon's log looks, and how much it says."""

    format: Annotated[Literal["auto", "console", "json"], setting('one of "auto", "console", "json"')] = "auto"
    level: Annotated[
        Literal["debug", "info", "warning", "error"], setting('one of "debug", "info", "warning", "error"')
    ] = "info"


class Config(msgspec.Struct, frozen=True):
    """Everything a user may set; each field is explained in docs/configuration.md."""

    jobs: Annotated[str, setting('a folder such as "lib/background_jobs"', min_length=1)] = "lib/background_jobs"
    name: Annotated[_Name | None, setting('a name such as "shop"')] = None
    timezone: Annotated[str, setting('the name of a time zone such as "Europe/Berlin"', check=zone)] = "UTC"
    dispatcher: Annotated[Literal["threads", "cluster"], setting('one of "threads", "cluster"')] = "threads"
    workers: Annotated[int, setting("a whole number from 1 to 1000", ge=1, le=1000)] = 8
    shutdown_timeout: Annotated[timedelta, setting('a duration such as "25s"')] = timedelta(seconds=25)
    retention: Annotated[timedelta, setting('a duration from 1 hour to 10 years such as "30d"')] = timedelta(days=30)
    database: DatabaseConfig = DatabaseConfig()
    server: ServerConfig = ServerConfig()
    ledger: LedgerConfig = LedgerConfig()
    tenants: TenantsConfig = TenantsConfig()
    console: ConsoleConfig = ConsoleConfig()
    logs: LogsConfig = LogsConfig()
    job_defaults: Annotated[dict[str, Any], _TABLE] = {}
    app: Annotated[dict[str, Any], _TABLE] = {}


SETTINGS = keys_of(Config)
"""Every setting as a dotted key, in the order in which they are declared."""

VARIABLES = {variable_of(key): key for key in SETTINGS} | {"PINSTRIPE_HOST": "server.host"}
"""Which environment variable sets which key."""


_LIMITS = {
    "retention": (timedelta(hours=1), timedelta(days=3650)),
    "ledger.lease": (timedelta(seconds=1), timedelta(days=1)),
}
"""The shortest and the longest of a duration that has limits."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """The settings, and for each dotted key what gave it its value: "default", a file, a variable, a flag.

    `places` are the origins with the line of a file where that is known: "pinstripe.toml:4".
    """

    config: Config
    origins: Mapping[str, str]
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of `pinstripe show-config`; the value is text without secrets."""

    key: str
    value: str
    origin: str


def load_config(
    root: Path, *, environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> LoadedConfig:
    """Read the settings of the project in `root`.

    For each key the first of these wins: `overrides` (flags under dotted keys; None is a flag not given),
    PINSTRIPE_* variables, pinstripe.toml, [tool.pinstripe] in pyproject.toml, the default.
    Raises InvalidConfig, which lists all problems.
    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    found = [
        sources.machine(environ),
        *sources.files(root, problems),
        *sources.variables(environ, VARIABLES, ("app", "job_defaults"), problems),
        *sources.flags(overrides or {}, {"server.host": "host"}),
    ]
    for source in found:
        problems += unknown_settings(Config, source)
    tree = merge(found)
    config = convert(Config, tree, problems)
    problems += _beyond_limits(config, tree)
    if not problems and (told := contradiction(config.console)):
        problems.append(f"{place_of(tree, 'console.proxy_header')}: {told}")
    if problems:
        raise InvalidConfig(_listed(problems))
    found_in = {key: written for key, written in leaves(tree) if written}
    origins = {key: found_in[key].origin if key in found_in else "default" for key, _ in leaves(config)}
    places = {key: found_in[key].place if key in found_in else "default" for key in origins}
    return LoadedConfig(config, origins, places)


def _beyond_limits(config: Config, tree: Tree) -> list[str]:
    """A sentence for each duration that is too short or too long."""
    written = dict(leaves(tree))
    return [
        f"{written[key].place}: {key} = {format_duration(duration)!r} is not accepted:"
        f" write a duration from {format_duration(_LIMITS[key][0])} to {format_duration(_LIMITS[key][1])}"
        for key, duration in leaves(config)
        if key in _LIMITS and not _LIMITS[key][0] <= duration <= _LIMITS[key][1]
    ]


def _listed(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return "\n  ".join([f"{len(problems)} settings cannot be used:", *problems])


def own_copy(config: Config) -> Config:
    """The settings, with tables of the project's own that may be changed and change nobody else's."""
    return msgspec.structs.replace(config, app=copy.deepcopy(config.app))


def find_project_root(start: Path, *, project: Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """The project's folder: `project` (a flag), PINSTRIPE_PROJECT, or the nearest one from `start` upwards.

    A project has a pinstripe.toml, a [tool.pinstripe] in its pyproject.toml, or a folder lib/background_jobs.
    Raises InvalidProject if there is none.
    """
    environ = os.environ if environ is None else environ
    start = start.absolute()
    if named := project or environ.get("PINSTRIPE_PROJECT"):
        if not (start / named).is_dir():
            origin = "--project" if project else "PINSTRIPE_PROJECT"
            raise InvalidProject(f"{origin} says {str(named)!r}, which is no folder: name the project's folder")
        return (start / named).resolve()
    for folder in (start, *start.parents):
        if sources.is_project(folder, Config().jobs):
            return folder
    raise InvalidProject(
        f"no project in {start} or above it: make one with `pinstripe generate-project NAME`,"
        " or name its folder with --project DIR"
    )


def wants_colors(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the user leaves colours on: NO_COLOR is not set, the terminal is not a dumb one."""
    environ = os.environ if environ is None else environ
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def describe(loaded: LoadedConfig) -> list[Setting]:
    """All settings as rows for `pinstripe show-config`."""
    return [Setting(key, _shown(redact(key, value)), loaded.origins[key]) for key, value in leaves(loaded.config)]


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, timedelta):
        return format_duration(value)
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
