"""logs."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click

from pinstripe_bot.cli.following import Follower
from pinstripe_bot.cli.history import find_job
from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.cli.run_page import traceback_of
from pinstripe_bot.cli.tables import print_json
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.escapes import escape_controls
from pinstripe_bot.ledger_history import find_run, open_history
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.occurrence import Run
from pinstripe_bot.records import RunRecord


@project_command()
@click.argument("subject", metavar="NAME|RUN")
@click.option("--follow", "-f", is_flag=True, help="Go on while it runs; with a NAME also with its next runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def logs(invocation: Invocation, subject: str, follow: bool, as_json: bool) -> None:
    """Show what a run printed and logged.

    Of the run of that number, or of the newest run of the job NAME.
    """
    if follow and as_json:
        raise click.UsageError("--follow prints as it comes, and --json is one answer: leave one of them out")
    project, clock = invocation.load_project(), SystemClock()
    with open_history(ledger_place(project.config, project.root)) as history:
        job: str | None = None
        record: RunRecord | None
        if subject.isdigit():
            record = find_run(history, subject, clock.now())
        else:
            job = find_job(project, history, subject)
            record = None if history is None else history.newest(job, clock.now())
        if follow and history is not None:
            _follow(Follower(history, clock, _write), job, record)
        elif record is None and as_json:
            print_json(None)
        elif record is None:
            click.echo(f"{job} has not run yet: `pinstripe run-background-job {job}` runs it now", err=True)
        elif as_json:
            print_json(_output_as_json(record.run))
        else:
            _print_output(record.run)


def _follow(follower: Follower, job: str | None, record: RunRecord | None) -> None:
    """Until the run has ended or, with a job, until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        if job is not None:
            follower.follow_job(job, record)
        elif record is not None:
            follower.follow_run(record)


def _write(text: str) -> None:
    """Show it; as it is where no terminal would obey it."""
    is_piped = not sys.stdout.isatty()
    click.echo(text if is_piped else escape_controls(text), nl=False, color=is_piped)


def _print_output(run: Run) -> None:
    if run.output:
        _write(run.output if run.output.endswith("\n") else f"{run.output}\n")
    if run.error is not None:
        _write(f"{traceback_of(run.error)}\n")
    elif not run.output:
        click.echo(
            f"run {run.id} of {run.job} {'has printed nothing yet' if run.state.is_open else 'printed nothing'}",
            err=True,
        )


def _output_as_json(run: Run) -> dict[str, Any]:
    return {"run": run.id, "job": run.job, "state": run.state, "attempt": run.attempt, "output": run.output}
