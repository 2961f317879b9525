"""start-server and start-bot."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

import click
import structlog

from pinstripe_bot.bot import Bot
from pinstripe_bot.cli.invocation import Invocation, log_options, project_command
from pinstripe_bot.cli.signals import StopSignals
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.config import wants_colors
from pinstripe_bot.errors import InvalidProject
from pinstripe_bot.hook_calls import Hooks
from pinstripe_bot.logs import configure_logs
from pinstripe_bot.output import print_capture
from pinstripe_bot.project import Project
from pinstripe_bot.server import Server

STOPPING = "stopping: what runs may end; once more cancels it, a third time exits at once"
CANCELLING = "cancelling what runs; once more exits at once"

log = structlog.get_logger("pinstripe")


def bot_options(command: Any) -> Any:
    """The options of the bot, on both commands."""
    for option in (
        click.option("--recover", is_flag=True, help="Move a damaged ledger aside and begin a new one."),
        click.option("--require-all", is_flag=True, help="Refuse to start while any file of the project is broken."),
        click.option("--shutdown-timeout", metavar="DURATION", help="How long running jobs get to end (default: 25s)."),
        click.option("--workers", type=int, metavar="N", help="How many jobs run at once (default: 8)."),
    ):
        command = option(command)
    return command


@project_command()
@click.option("--host", metavar="HOST:PORT", help="Where to listen; several in quotes, separated by blanks.")
@click.option("--without-bot", is_flag=True, help="Serve only; another process runs the bot.")
@click.option(
    "--reload", "reloads", is_flag=True, help="Start again when a file changes (needs pinstripe-bot[reload])."
)
@bot_options
@log_options
def start_server(
    invocation: Invocation,
    host: str | None,
    without_bot: bool,
    reloads: bool,
    require_all: bool,
    recover: bool,
    **flags: Any,
) -> None:
    """Serve the project over HTTP and run its bot.

    Until SIGTERM or Ctrl-C: then running jobs may end. A second signal cancels them, a third exits at once.
    """
    if reloads:
        from pinstripe_bot.cli.reloading import run_again_on_change

        run_again_on_change(invocation.root())
        return
    project = load_to_run(invocation, require_all=require_all, server__host=host, **flags)
    if without_bot:
        _serve_alone(project)
        return
    bot = Bot(project, recover=recover)
    _run(bot, Server(project, bot, bot.clock, tally=bot.tally, ticks=bot.ticks))


@project_command()
@bot_options
@log_options
def start_bot(invocation: Invocation, require_all: bool, recover: bool, **flags: Any) -> None:
    """Run the project's bot alone, without HTTP.

    Until SIGTERM or Ctrl-C: then running jobs may end. A second signal cancels them, a third exits at once.
    """
    _run(Bot(load_to_run(invocation, require_all=require_all, **flags), recover=recover), None)


def load_to_run(
    invocation: Invocation,
    *,
    require_all: bool,
    log_format: str | None,
    log_level: str | None,
    server__host: str | None = None,
    **flags: Any,
) -> Project:
    """The project with these flags over its settings, its log configured, and its problems told."""
    flags |= {"logs__format": log_format, "logs__level": log_level, "server__host": server__host}
    project = invocation.load_project(**flags)
    configure_logs(project.config.logs.format, project.config.logs.level, colors=wants_colors())
    if require_all and project.problems:
        listed = "\n  ".join(str(problem) for problem in project.problems)
        raise InvalidProject(f"--require-all, and the project is not whole:\n  {listed}")
    for problem in project.problems:
        log.error("job_broken" if problem.job else "file_broken", place=str(problem.place), problem=problem.message)
    if not project.jobs:
        log.warning("no_jobs_found", folder=str(project.jobs_folder))
    return project


def _run(bot: Bot, server: Server | None) -> None:
    """Run the bot in this thread and the server beside it; end the process with the exit code of the drain."""
    with ExitStack() as stack:
        stack.enter_context(print_capture())
        signals = stack.enter_context(StopSignals((STOPPING, bot.request_stop), (CANCELLING, bot.cut_short)))
        if server is not None:
            stack.callback(server.stop)
        bot.hooks.call("before_server_start")
        if server is not None:
            server.start()
            _tell_login(bot.project, server)
        cut_off = bot.run(
            on_start=lambda: bot.hooks.call("after_server_start"),
            on_stop=lambda: bot.hooks.call("before_server_stop"),
        )
    sys.exit(signals.exit_code if cut_off else 0)


def _tell_login(project: Project, server: Server) -> None:
    """At a terminal, an address that opens the console; a log that programs read gets no secret."""
    logs = project.config.logs.format
    if logs != "console" and not (logs == "auto" and sys.stderr.isatty()):
        return
    address = server.login_url()
    if address is not None:
        click.echo(f"Open the console, once, within 10 minutes: {address}", err=True)


def _serve_alone(project: Project) -> None:
    clock = SystemClock()
    hooks = Hooks(project.hooks.functions, project.root, clock)
    server = Server(project, None, clock)
    with StopSignals(("stopping", clock.wake)) as signals:
        hooks.call("before_server_start")
        server.start()
        _tell_login(project, server)
        hooks.call("after_server_start")
        while signals.number is None:
            clock.sleep_to_next_second()  # not longer: a signal that another thread got does not end the sleep
        hooks.call("before_server_stop")
        server.stop()
