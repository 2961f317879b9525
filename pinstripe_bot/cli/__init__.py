"""The command line: one table of commands, each loaded when it is called."""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path
from typing import Any

import click

from pinstripe_bot import __version__
from pinstripe_bot.cli.invocation import Invocation, common_options
from pinstripe_bot.errors import PinstripeError

COMMANDS = {
    "start-server": ("serving", "Serve the project over HTTP and run its bot."),
    "start-bot": ("serving", "Run the project's bot alone, without HTTP."),
    "start-worker": ("cluster", "Perform what the bots of a cluster have claimed."),
    "run-background-job": ("running", "Run one job now, in the foreground."),
    "list-background-jobs": ("listing", "List the jobs: when due next, how they ended."),
    "tenants": ("tenants", "List the project's tenants."),
    "status": ("status", "Show what went wrong lately, what runs, what comes."),
    "runs": ("history", "List the runs of one job or of all."),
    "show": ("history", "Show everything about one run."),
    "logs": ("logs", "Show what a run printed and logged."),
    "explain": ("explaining", "Say what became of a job at an instant, and why."),
    "retry": ("acting", "Queue a run again that did not succeed."),
    "cancel": ("acting", "End a run that is queued or running."),
    "pause": ("pausing", "Let a job, or every job, not come due for a while."),
    "resume": ("pausing", "End a pause."),
    "skip": ("pausing", "Let the next due instants of a job not run."),
    "backfill": ("backfilling", "Run a job for the due instants of a span in the past."),
    "next": ("due", "Show when a job or a cron expression is due next."),
    "check": ("listing", "List everything that is wrong in the project."),
    "show-config": ("listing", "Show each setting, its value and its origin."),
    "login-address": ("console", "Print an address that logs in to the console once."),
    "hash-password": ("console", "Print the hash of a password for the console."),
    "init-cluster": ("cluster", "Make the tables by which a cluster shares its runs."),
    "move-ledger": ("moving", "Move the ledger to another database."),
    "generate-background-job": ("generating", "Write the file of a new job."),
    "generate-project": ("generating", "Write the folder of a new project."),
}
"""Each command: its module in this folder, and its short help. Static, so that `--help` imports none of them."""


class LazyGroup(click.Group):
    """Loads a command when it is called, and turns our own errors into one sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"pinstripe_bot.cli.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from pinstripe_bot.options import did_you_mean

            likely = [repr(name) for name in COMMANDS if name.startswith(args[0])]
            hint = f"did you mean {' or '.join(likely)}?" if likely else did_you_mean(args[0], COMMANDS)
            ctx.fail(f"there is no command {args[0]!r}: {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PinstripeError as error:
            if ctx.ensure_object(Invocation).debug:
                click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
            click.echo(f"pinstripe: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="pinstripe %(version)s")
@common_options
@click.pass_context
def main(ctx: click.Context, project: Path | None, debug: bool) -> None:
    """Run a project's background jobs on cron schedules."""
    ctx.obj = Invocation(project, debug)
