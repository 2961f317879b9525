"""status."""

from __future__ import annotations

import click

from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.cli.pages import Page
from pinstripe_bot.cli.status_page import draw_overview
from pinstripe_bot.cli.tables import print_json
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.json_forms import outlook_as_json
from pinstripe_bot.ledger_history import open_history
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.outlook import look_out


@project_command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(invocation: Invocation, as_json: bool) -> None:
    """Show what went wrong lately, what runs, what comes.

    First what failed, was missed or late in the last 24 hours, with the commands to see it and to retry it.
    """
    project, now = invocation.load_project(), SystemClock().now()
    with open_history(ledger_place(project.config, project.root)) as history:
        outlook = look_out(project, history, now)
    if as_json:
        print_json(outlook_as_json(project, outlook))
    else:
        draw_overview(Page(), project, outlook)
