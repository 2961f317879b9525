"""run-background-job."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import click

from pinstripe_bot.bot import Bot
from pinstripe_bot.cli.invocation import Invocation, log_options, project_command
from pinstripe_bot.cli.progress import ProgressBar
from pinstripe_bot.cli.signals import StopSignals
from pinstripe_bot.config import wants_colors
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.escapes import escape_controls
from pinstripe_bot.instants import read_instant
from pinstripe_bot.logs import configure_logs
from pinstripe_bot.occurrence import Run, RunError, RunState, TenantRuns
from pinstripe_bot.output import print_capture
from pinstripe_bot.spans import show_duration

EXIT_FAILED = 1
EXIT_OVERLAP = 6


@project_command()
@click.argument("job", required=False, metavar="NAME")
@click.option("--name", metavar="NAME", help="The job, in any case; the same as the argument.")
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="A parameter; as often as needed.")
@click.option(
    "--at", metavar="INSTANT", help="The due instant the run is for, such as 2026-03-29T02:30 (default: now)."
)
@click.option("--tenant", "tenants", multiple=True, metavar="ID", help="For this tenant; as often as needed.")
@click.option("--all-tenants", is_flag=True, help="For all tenants that the job chooses (default, if it has tenants).")
@click.option("--force", is_flag=True, help="Run even if the same job with the same parameters is running.")
@log_options
def run_background_job(
    invocation: Invocation,
    job: str | None,
    name: str | None,
    params: Sequence[str],
    at: str | None,
    tenants: Sequence[str],
    all_tenants: bool,
    force: bool,
    log_format: str | None,
    log_level: str | None,
) -> None:
    """Run one job now, in the foreground.

    It takes the same road through the ledger and the runner as a run of the bot. NAME is the job's, in any case.
    """
    if (job is None) == (name is None):
        raise click.UsageError("name one job: `run-background-job NAME`, or with --name NAME")
    if tenants and all_tenants:
        raise click.UsageError("--tenant names some tenants and --all-tenants means all: give one of the two")
    project = invocation.load_project(logs__format=log_format, logs__level=log_level)
    bar, logs = ProgressBar(), project.config.logs
    configure_logs(logs.format, logs.level, colors=wants_colors(), stream=bar.log_stream)
    definition = project.job(job or name or "")
    due_at = None if at is None else read_instant(at, project.config.timezone)
    given = _read_params(params)
    definition.manual_params(given)  # what does not fit is refused before there is a ledger
    bot = Bot(project)
    how = {"at": due_at, "force": force}
    work = partial(bot.run_background_job, definition.name, given, **how)  # type: ignore[arg-type]
    if tenants or all_tenants or definition.options["multi_tenant"]:
        work = partial(bot.run_for_tenants, definition.name, given, tenants=tenants or None, **how)  # type: ignore
    try:
        ran, exit_code = _watch(bot, bar, work)
    finally:
        bot.stop()
    click.echo(ended_sentence(ran) if isinstance(ran, Run) else tenants_sentence(ran))
    sys.exit(exit_code)


def _watch(bot: Bot, bar: ProgressBar, work: Callable[[], Run | TenantRuns]) -> tuple[Run | TenantRuns, int]:
    """Do the work in a thread; show its progress, and cancel it at the first stop signal: (run, exit code)."""
    outcome = _Outcome(work)
    bot.open(kind="command")
    with print_capture(), StopSignals(("cancelling the job; once more exits at once", lambda: None)) as signals, bar:
        thread = threading.Thread(target=outcome.find, name="pinstripe-command")
        thread.start()
        while not outcome.is_known.wait(0.1):
            if signals.number is not None:
                bot.cut_short()
                bot.stop()  # a job that does not listen is recorded as interrupted, and left behind
            for done, total in bot.dispatcher.running.progress():
                bar.show(done, total)
        thread.join()
    ran = outcome.run()
    if isinstance(ran, TenantRuns):
        if ran.is_cut_short and signals.number is not None:
            return ran, 128 + signals.number
        states = [state for state, count in ran.states.items() if count] or [RunState.SUCCEEDED]
        return ran, max(
            exit_code_of(state, signals.number) for state in states if state is not RunState.SKIPPED or ran.is_success
        )
    return ran, exit_code_of(ran.state, signals.number)


def exit_code_of(state: RunState, number: int | None) -> int:
    """What the command ends with; `number` is the signal that told it to stop, if one did."""
    if number is not None and (state is RunState.INTERRUPTED or state.is_open):
        return 128 + number
    return {RunState.SUCCEEDED: 0, RunState.SKIPPED: EXIT_OVERLAP}.get(state, EXIT_FAILED)


class _Outcome:
    """What a function gives or raises, found in another thread."""

    def __init__(self, work: Callable[[], Run | TenantRuns]) -> None:
        self.is_known = threading.Event()
        self._work = work
        self._run: Run | TenantRuns | None = None
        self._error: BaseException | None = None

    def find(self) -> None:
        try:
            self._run = self._work()
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._error = error
        self.is_known.set()

    def run(self) -> Run | TenantRuns:
        if self._run is None:
            assert self._error is not None
            raise self._error
        return self._run


def _read_params(written: Sequence[str]) -> dict[str, Any]:
    params = {}
    for one in written:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise InvalidParams(f"--param {one!r} is not KEY=VALUE: write it as `--param limit=5`")
        params[key] = value
    return params


def tenants_sentence(ran: TenantRuns) -> str:
    """How the runs of a job for several tenants ended: "invoice: 2 succeeded, 1 failed", and which did not succeed."""
    if not ran.count:
        return f"{ran.job} has no tenant to run for"
    counts = ", ".join(f"{count} {str(state).replace('_', ' ')}" for state, count in ran.states.items() if count)
    bad = [
        f"  {_tenant(run)}: run {run.id} {str(run.state).replace('_', ' ')}{_because(run.error)}"
        for run in ran.unsuccessful
    ]
    cut_short = ["  stopped before it had come to all tenants"] if ran.is_cut_short else []
    return "\n".join([f"{ran.job}: {counts}", *bad, *cut_short])


def _tenant(run: Run) -> str:
    return escape_controls(f"{run.tenant} ({run.tenant_name})" if run.tenant_name else run.tenant)


def ended_sentence(run: Run) -> str:
    """How a run ended and how long it took: "report succeeded in 12 ms", "report timed out after 30.0 s"."""
    if run.state is RunState.SKIPPED:
        return f"{run.job} skipped: the same job with the same parameters is queued or running (--force runs it)"
    word = str(run.state).replace("_", " ")
    words = f"was {word}" if run.state in (RunState.CANCELLED, RunState.INTERRUPTED) else word
    took = show_duration(run.duration or timedelta(0))
    return f"{run.job} {words} {'in' if run.state is RunState.SUCCEEDED else 'after'} {took}{_because(run.error)}"


def _because(error: RunError | None) -> str:
    if error is None:
        return ""
    told = escape_controls(": ".join(text for text in (error.type, error.message) if text))
    return f": {told} ({error.place})" if error.place else f": {told}"
