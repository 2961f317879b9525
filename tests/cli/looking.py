"""What the tests of the commands share: a shop whose ledger a bot has filled or fills, and whose log nobody prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bots import PATIENCE_S, TENANTS, Ears

from pinstripe_bot.bot import Bot
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.output import print_capture
from pinstripe_bot.project import Project
from pinstripe_bot.testing import TravelClock

from .conftest import Pinstripe

REPORT = """
    from pinstripe_bot import background_job

    @background_job("*/5 * * * *", params={"days": 3, "api_key": "hunter2"})
    def report(workspace, *, days: int, api_key: str):
        print(f"report of {days} days")
        raise ConnectionError("the bank did not answer: postgresql://shop:hunter2@bank/db")
    """

SWEEP = """
    from pinstripe_bot import background_job

    @background_job("*/5 * * * *")
    def sweep(workspace):
        print("swept")
        return {"rows": 7}
    """

FILES = {"pinstripe.toml": "", "lib/background_jobs/report.py": REPORT, "lib/background_jobs/sweep.py": SWEEP}

INVOICE = """
    from pinstripe_bot import background_job

    @background_job("0 9 * * *", timezone="tenant", multi_tenant=True)
    def invoice(workspace):
        if workspace.tenant.id == "beta":
            raise KeyError("total")
    """

FOR_TENANTS = {
    "pinstripe.toml": 'timezone = "UTC"',
    "lib/tenants.py": TENANTS,
    "lib/background_jobs/invoice.py": INVOICE,
}
"""Three tenants in Berlin, New York and UTC, who get their invoices at nine where they live; beta's fail."""


@contextmanager
def bot_of(root: Path, *, ago: timedelta) -> Iterator[tuple[Bot, TravelClock]]:
    """A planned bot of the project in `root`, that long ago, on a minute that five divides."""
    then = SystemClock().now() - ago
    clock = TravelClock(datetime.fromtimestamp(then.timestamp() // 300 * 300, UTC))
    bot = Bot(Project.load(root, environ={"TZ": "UTC"}), clock=clock)
    with Ears(), print_capture():  # unheard, the log would be printed, captured and logged again
        bot.plan()
        try:
            yield bot, clock
        finally:
            bot.stop()


@contextmanager
def running_bot(root: Path) -> Iterator[Bot]:
    """A bot of the project in `root` that runs; its log does not get into what the commands print."""
    bot = Bot(Project.load(root, environ={}))
    with Ears():
        bot.start()
        try:
            yield bot
        finally:
            bot.cut_short()
            bot.stop()


def tick(bot: Bot, clock: TravelClock, **units: float) -> None:
    """Let time pass, and all that is due run."""
    clock.travel(timedelta(**units))
    bot.tick()
    bot.dispatcher.wait_until_idle()


def find_zones(bot: Bot) -> None:
    """Let the bot ask the tenants where they live, and plan their zones."""
    bot.parts.tenant_zones._look()
    bot.tick()


def come_due(bot: Bot, clock: TravelClock, **units: float) -> None:
    """As `tick`; tenants are listed, and their runs taken."""
    clock.travel(timedelta(**units))
    bot.tick()
    bot.parts.lister.list_now()
    bot.parts.intake.look()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)


def write_history(root: Path) -> Path:
    """Let the project of FILES have run: 1 (report, failed), 2 (sweep), and 3 and 4 after an hour that was missed."""
    with bot_of(root, ago=timedelta(hours=2)) as (bot, clock):
        tick(bot, clock, minutes=5)
        tick(bot, clock, minutes=60)
    return root


def asked(pinstripe: Pinstripe, *arguments: str, at: Path) -> Any:
    """What a command answers with --json."""
    result = pinstripe(*arguments, "--json", at=at)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)
