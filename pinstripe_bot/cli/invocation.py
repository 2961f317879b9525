"""What every command is told: which project, and whether to show tracebacks of our own errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pinstripe_bot.project import Project


@dataclass(slots=True)
class Invocation:
    """The options that stand before or behind the command's name."""

    project: Path | None = None
    debug: bool = False

    def root(self) -> Path:
        """The project's root folder. Raises InvalidProject if there is none."""
        from pinstripe_bot.config import find_project_root

        return find_project_root(Path.cwd(), project=self.project)

    def load_project(self, **flags: Any) -> Project:
        """Load the project; `flags` are settings with `__` for the dot, None where not given."""
        from pinstripe_bot.project import Project

        overrides = {name.replace("__", "."): value for name, value in flags.items()}
        return Project.load(self.root(), overrides=overrides)


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--project` and `--debug`, on the group."""
    for option in reversed(_options(expose=True)):
        command = option(command)
    return command


def project_command(*args: Any, **kwargs: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A command that takes `--project` and `--debug` as well, and gets the Invocation as its first argument."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        command: Callable[..., Any] = click.pass_obj(function)
        for option in reversed(_options(expose=False)):
            command = option(command)
        decorated: click.Command = click.command(*args, **kwargs)(command)
        return decorated

    return decorate


def _options(*, expose: bool) -> list[Callable[..., Any]]:
    folder = click.Path(path_type=Path)
    project_help = "The project's folder (default: the nearest one upwards)."
    debug_help = "Show the traceback of Pinstripe's own errors."
    callback = None if expose else _remember
    return [
        click.option(
            "--project", type=folder, metavar="DIR", help=project_help, expose_value=expose, callback=callback
        ),
        click.option("--debug", is_flag=True, help=debug_help, expose_value=expose, callback=callback),
    ]


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Let an option behind the command's name count as if it stood before it."""
    if value and parameter.name is not None:
        setattr(ctx.ensure_object(Invocation), parameter.name, value)


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--log-format` and `--log-level`."""
    formats, levels = click.Choice(["auto", "console", "json"]), click.Choice(["debug", "info", "warning", "error"])
    format_help = "console, json, or auto: by the terminal (default: auto)."
    level_help = "debug, info, warning or error: what to log from (default: info)."
    command = click.option("--log-level", type=levels, metavar="LEVEL", help=level_help)(command)
    return click.option("--log-format", type=formats, metavar="FORMAT", help=format_help)(command)


def tenant_option(told: str) -> Callable[..., Any]:
    """`--tenant ID`, '' where it is not given. An empty one is refused: it must not mean everybody."""
    return click.option("--tenant", metavar="ID", help=told, callback=_read_tenant)


def _read_tenant(_context: click.Context, _option: click.Parameter, written: str | None) -> str:
    from pinstripe_bot.tenant import key_of

    return "" if written is None else key_of(written)
