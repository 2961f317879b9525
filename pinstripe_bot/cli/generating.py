"""generate-background-job and generate-project."""

from __future__ import annotations

import shlex
from itertools import islice
from pathlib import Path

import click

from pinstripe_bot import cron
from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.config import load_config
from pinstripe_bot.instants import show_instant
from pinstripe_bot.scaffold import write_job, write_project
from pinstripe_bot.upcoming import upcoming
from pinstripe_bot.zones import zone


@project_command()
@click.argument("name")
@click.option("--schedule", default="*/5 * * * *", show_default=True, help="Its cron expression.")
def generate_background_job(invocation: Invocation, name: str, schedule: str) -> None:
    """Write the file of a new job.

    NAME is the job's, such as cleanup, or reports/monthly for a subfolder. Shows when it will be due.
    """
    root = invocation.root()
    config = load_config(root).config
    expression = cron.parse(schedule)
    path = write_job(root / config.jobs, name, expression.expression)
    click.echo(f"Wrote {path.relative_to(root) if path.is_relative_to(root) else path}. Next due:")
    for at in islice(upcoming(expression, zone(config.timezone), SystemClock().now()), 3):
        click.echo(f"  {show_instant(at.local)}")


@project_command()
@click.argument("name")
def generate_project(_invocation: Invocation, name: str) -> None:
    """Write the folder of a new project.

    NAME is the folder's; it gets settings, one job and a .gitignore.
    """
    root = write_project(Path.cwd(), name)
    click.echo(f"Wrote the project {root.name}. Next:\n  cd {shlex.quote(name)}\n  pinstripe start-server")
