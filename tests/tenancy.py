"""What the tests of tenants share: a job that runs for all, and a bot that works off what is due."""

from __future__ import annotations

from typing import Any

from bots import PATIENCE_S, job, names_in

from pinstripe_bot.bot import Bot
from pinstripe_bot.testing import TravelClock

FOR_ALL = job("calls.append(workspace.tenant.name)", "'* * * * *', multi_tenant=True")
"""A job that notes for which tenant it runs."""


def come_due(bot: Bot, clock: TravelClock, **span: float) -> None:
    """Let time pass, and everything happen that is due then."""
    clock.travel(**(span or {"minutes": 1}))
    bot.tick()
    work_off(bot)


def work_off(bot: Bot) -> None:
    """List what waits to be listed, on this thread, and let what waits in the ledger run to its end."""
    bot.parts.lister.list_now()
    bot.parts.intake.look()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)


def tenants_file(bot: Bot) -> dict[str, Any]:
    """The global names of `lib/tenants.py`."""
    names: dict[str, Any] = bot.project.tenants.list_all.__globals__  # type: ignore[union-attr]
    return names


def called(bot: Bot, name: str) -> list[Any]:
    """What a job has noted in its `calls`."""
    calls: list[Any] = names_in(bot, name)["calls"]
    return calls
