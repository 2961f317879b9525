"""init-cluster and start-worker."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from pinstripe_bot.cli.invocation import Invocation, log_options, project_command
from pinstripe_bot.cli.serving import CANCELLING, STOPPING, load_to_run
from pinstripe_bot.cli.signals import StopSignals
from pinstripe_bot.desk import open_desk
from pinstripe_bot.errors import InvalidConfig
from pinstripe_bot.ledger_place import NEEDS_EXTRA, ledger_place, refuse_small_ledger
from pinstripe_bot.options import read_options
from pinstripe_bot.output import print_capture


@project_command()
def init_cluster(invocation: Invocation) -> None:
    """Make the tables by which a cluster shares its runs.

    They go into the schema pinstripe_cluster of the ledger's PostgreSQL database. Run it once, before the first bot or
    worker of a cluster starts, and again after an upgrade that asks for it, to bring them up to date.
    """
    with _extra():
        from pinstripe_bot.cluster_schema import init_cluster as make_tables
    project = invocation.load_project()
    refuse_small_ledger(ledger_place(project.config, project.root))
    with open_desk(project) as desk:
        done = make_tables(desk.store)
        place = desk.store.place
    if done.is_new:
        click.echo(f"made the tables for a cluster in {place}")
    elif done.applied:
        click.echo(f"brought the tables for a cluster in {place} up to date: {', '.join(done.applied)}")
    else:
        click.echo(f"the tables for a cluster in {place} are there, and up to date")
    if project.config.dispatcher != "cluster":
        click.echo('now set dispatcher = "cluster" in pinstripe.toml, and start bots and workers')


@project_command()
@click.option("--queues", metavar="A,B", help="Serve these queues only (default: all).")
@click.option("--host", metavar="HOST:PORT", help="Answer /livez, /readyz and the console there (default: nowhere).")
@click.option("--workers", type=int, metavar="N", help="How many jobs run at once (default: 8).")
@click.option("--shutdown-timeout", metavar="DURATION", help="How long running jobs get to end (default: 25s).")
@click.option("--require-all", is_flag=True, help="Refuse to start while any file of the project is broken.")
@log_options
def start_worker(invocation: Invocation, queues: str | None, host: str | None, require_all: bool, **flags: Any) -> None:
    """Perform what the bots of a cluster have claimed.

    Until SIGTERM or Ctrl-C: then running jobs may end. A second signal cancels them, a third exits at once.
    """
    from pinstripe_bot.server import Server

    with _extra():
        from pinstripe_bot.worker import Worker
    project = load_to_run(invocation, require_all=require_all, server__host=host, **flags)
    worker = Worker(project, queues=_read_queues(queues))
    with ExitStack() as stack:
        stack.enter_context(print_capture())
        signals = stack.enter_context(StopSignals((STOPPING, worker.request_stop), (CANCELLING, worker.cut_short)))
        if host is not None:
            server = Server(project, worker, worker.bot.clock, tally=worker.bot.tally, with_application=False)
            stack.callback(server.stop)
            server.start()
        cut_off = worker.run()
    sys.exit(signals.exit_code if cut_off else 0)


@contextmanager
def _extra() -> Iterator[None]:
    """Say in one sentence that Procrastinate is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InvalidConfig(NEEDS_EXTRA) from error


def _read_queues(written: str | None) -> list[str]:
    """The names in "a,b", each as a job may write it; all queues where the option is not given."""
    names = [] if written is None else [name.strip() for name in written.split(",")]
    for name in names:
        _, problems = read_options({"queue": name}, "job")
        if problems:
            raise click.BadParameter(problems["queue"], param_hint="--queues")
    return names
