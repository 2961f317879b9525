"""move-ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.cli.progress import ProgressBar
from pinstripe_bot.cli.tables import print_json
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.errors import LedgerError
from pinstripe_bot.ledger_move import LedgerMove, Moved, give_up
from pinstripe_bot.project import Project
from pinstripe_bot.shown import count_of


@project_command()
@click.argument("url", required=False, metavar="[URL]")
@click.option("--dry-run", is_flag=True, help="Only say what would be moved.")
@click.option("--give-up", "gives_up", is_flag=True, help="Go on with the old ledger, where a move has not ended.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def move_ledger(invocation: Invocation, url: str | None, dry_run: bool, gives_up: bool, as_json: bool) -> None:
    """Move the ledger to another database.

    To URL, else to ledger.url or database.url. No bot may run meanwhile. Cut off, it goes on where it was; the old
    ledger is whole until the new one is.
    """
    project, now = invocation.load_project(), SystemClock().now()
    if gives_up:
        _give_up(project, now)
        return
    written = url or project.config.ledger.url or project.config.database.url
    if written is None:
        raise LedgerError("where to? Name the place: `pinstripe move-ledger postgresql://user@host/name`")
    move = LedgerMove(project.config, project.root, project.name, written)
    if dry_run:
        moved = move.look(now)
    else:
        with ProgressBar() as bar:
            moved = move.run(now, bar.show)
    if as_json:
        print_json(_as_json(moved, dry_run=dry_run))
    else:
        _tell(moved, dry_run=dry_run)


def _give_up(project: Project, now: datetime) -> None:
    if give_up(project.config, project.root, project.name, now):
        click.echo("The move is given up: the bot may use the old ledger again.")
    else:
        click.echo("There is no unfinished move of the ledger.")


def _as_json(moved: Moved, *, dry_run: bool) -> dict[str, Any]:
    return {
        "source": moved.source,
        "target": moved.target,
        "dry_run": dry_run,
        "rows": moved.rows,
        "renamed_to": None if moved.renamed_to is None else str(moved.renamed_to),
        "to_set": None if moved.to_set is None else {"ledger.url": moved.to_set},
    }


def _tell(moved: Moved, *, dry_run: bool) -> None:
    kinds = ", ".join(count_of(moved.rows[f"{kind}s"], kind) for kind in ("occurrence", "run"))
    rows = f"{count_of(sum(moved.rows.values()), 'row')} ({kinds})"
    verb, compared = ("Would move", "") if dry_run else ("Moved", ", and compared them")
    click.echo(f"{verb} {rows} from {moved.source} to {moved.target}{compared}.")
    if moved.renamed_to is not None:
        click.echo(f"The old file is now {moved.renamed_to}; nothing needs it any more.")
    if moved.to_set is not None:
        password = ", with the password for ***" if "***" in moved.to_set else ""
        click.echo(f"{'Then set' if dry_run else 'Now set'} in pinstripe.toml{password}:\n")
        click.echo(f'[ledger]\nurl = "{moved.to_set}"')
