"""retry and cancel."""

from __future__ import annotations

from datetime import timedelta

import click

from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.cli.tables import print_json
from pinstripe_bot.desk import Desk, number_of, open_desk
from pinstripe_bot.json_forms import run_as_json
from pinstripe_bot.ledger_history import History
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.story_words import GONE

PATIENCE = timedelta(seconds=5)
"""How long `cancel` waits for the end of a running job."""


@project_command()
@click.argument("run", metavar="RUN")
@click.option("--force", is_flag=True, help="Also one that succeeded, or whose work is running in another run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def retry(invocation: Invocation, run: str, force: bool, as_json: bool) -> None:
    """Queue a run again that did not succeed.

    RUN is its number. It is tried once more as the next attempt of the same run, with the same parameters.
    """
    project = invocation.load_project()
    number = number_of(project, run)
    with open_desk(project) as desk:
        queued = desk.acts.retry(number, desk.clock.now(), force=force)
        told = f"run {queued.id} of {queued.job} is queued for attempt {queued.attempt}: {desk.who_starts()}"
    if as_json:
        print_json(run_as_json(queued))
    else:
        click.echo(told)


@project_command()
@click.argument("run", metavar="RUN")
@click.option("--no-wait", is_flag=True, help="Do not wait for the end of a running job.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cancel(invocation: Invocation, run: str, no_wait: bool, as_json: bool) -> None:
    """End a run that is queued or running.

    RUN is its number. A running job's bot tells it to end within a second, in whichever process it is.
    """
    project = invocation.load_project()
    number = number_of(project, run)
    with open_desk(project) as desk:
        asked = desk.acts.cancel(number, desk.clock.now())
        ended = asked.run if no_wait or asked.had_ended else _wait_for_end(desk, asked.run)
        told = f"run {ended.id} of {ended.job} had {_ended(ended)} already" if asked.had_ended else _told(desk, ended)
    if as_json:
        print_json(run_as_json(ended) | {"cancel_requested": not asked.had_ended})
    else:
        click.echo(told)


def _wait_for_end(desk: Desk, run: Run) -> Run:
    """The run as it is when it has ended, or after a few seconds."""
    until = desk.clock.now() + PATIENCE
    history = History(desk.store)
    while run.state is RunState.RUNNING and desk.clock.now() < until:
        desk.clock.sleep_until(desk.clock.now() + timedelta(milliseconds=200))
        record = history.run(run.id, desk.clock.now())
        if record is None:
            break
        run = record.run
    return run


def _told(desk: Desk, run: Run) -> str:
    told = f"run {run.id} of {run.job}"
    if run.state is RunState.CANCELLED:
        return f"{told} is cancelled"
    if not run.state.is_open:
        return f"{told} was asked to end, and {_ended(run)}"
    record = History(desk.store).run(run.id, desk.clock.now())
    if record is not None and record.lost_its_bot:
        return f"{told} was asked to end, but {GONE}"
    return f"{told} was asked to end: `pinstripe show {run.id}` tells when it has"


def _ended(run: Run) -> str:
    """Finishes "it ..."."""
    return {
        RunState.CANCELLED: "been cancelled",
        RunState.INTERRUPTED: "been interrupted",
        RunState.SKIPPED: "been skipped",
    }.get(run.state, str(run.state).replace("_", " "))
