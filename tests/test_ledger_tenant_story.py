from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from bots import PATIENCE_S, job, write_tenants

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.ledger_overview import Overview, read_overview
from pinstripe_bot.ledger_story import Stories
from pinstripe_bot.occurrence import Reason, RunState
from pinstripe_bot.story import Absence, Story
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

BETA_FAILS = job("assert workspace.tenant.id != 'beta'", "'* * * * *', multi_tenant=True")
MUTE = """
from pinstripe_bot import Tenant

def tenants(workspace):
    raise ConnectionError("no answer")
    yield
"""


def come_due(bot: Bot, clock: TravelClock, **units: float) -> datetime:
    """Let time pass, and all happen that is due then; the instant."""
    clock.travel(**(units or {"minutes": 1}))
    bot.tick()
    bot.parts.lister.list_now()
    bot.parts.look()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    return clock.now()


def story(bot: Bot, due_at: datetime, tenant: str = "") -> Story:
    with bot.ledger.store.reading() as connection:
        stories = Stories(connection, bot.ledger.store, bot.clock.now(), timedelta(days=30), tenant=tenant)
        return stories.tell(bot.project.schedules[0], due_at)


def overview(bot: Bot) -> Overview:
    now = bot.clock.now()
    return read_overview(bot.ledger.store, bot.project.schedules, since=now - timedelta(hours=24), now=now)


def test_the_runs_of_tenants_are_counted_and_those_that_went_wrong_told(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(invoice=BETA_FAILS)
    Acts(bot.ledger.store, bot.project, Person("ada", "a test")).pause("invoice", clock.now(), tenant="coro")

    told = story(bot, come_due(bot, clock))

    assert told.listing is not None
    assert (told.listing.state, told.listing.runs) == ("listed", 3)
    assert {(one.state, one.reason, one.count, one.tenants) for one in told.tallies} == {
        (RunState.SUCCEEDED, None, 1, ()),
        (RunState.FAILED, None, 1, ()),
        (RunState.SKIPPED, Reason.PAUSED, 1, ("coro (Coro)",)),
    }
    assert told.tallies[0].state is RunState.SUCCEEDED
    assert [record.run.tenant for record in told.runs] == ["beta"]


@pytest.mark.parametrize("tenant", ["acme", "beta"])
def test_of_one_tenant_its_run_is_told(make_bot: MakeBot, clock: TravelClock, tenant: str) -> None:
    bot = make_bot(invoice=BETA_FAILS)

    told = story(bot, come_due(bot, clock), tenant)

    assert [record.run.tenant for record in told.runs] == [tenant]
    assert (told.absence, told.tallies) == (None, ())


def test_a_tenant_that_was_not_listed_was_not_chosen(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(invoice=BETA_FAILS)

    assert story(bot, come_due(bot, clock), "dora").absence is Absence.NOT_CHOSEN


def test_while_a_listing_fails_a_tenant_has_no_run_yet_and_then_none(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    write_tenants(root, MUTE)
    bot = make_bot(invoice=BETA_FAILS.replace("* * * * *", "0 0 1 * *"))
    due_at = come_due(bot, clock, days=31)

    (failing,) = overview(bot).failing_listings
    tried = story(bot, due_at, "acme")
    for _ in range(9):
        come_due(bot, clock, minutes=10)
    given_up = story(bot, due_at, "acme")

    assert (failing.failed_attempts, failing.error) == (1, "ConnectionError: no answer")
    assert tried.absence is Absence.NOT_YET
    assert given_up.passed is not None
    assert given_up.passed.occurrence.reason is Reason.NOT_LISTED
    assert overview(bot).failing_listings == []


def test_a_failure_is_over_once_that_tenant_has_succeeded(make_bot: MakeBot, clock: TravelClock) -> None:
    body = "calls.append(workspace.tenant.id)\nassert workspace.tenant.id != 'beta' or calls.count('beta') == 2"
    bot = make_bot(invoice=job(body, "'* * * * *', multi_tenant=True"))

    come_due(bot, clock)
    (at_first,) = overview(bot).troubles  # the run of coro, which comes after, does not make good for it
    come_due(bot, clock)
    (later,) = overview(bot).troubles

    assert (at_first.tenant_count, at_first.is_over) == (1, False)
    assert (later.tenant_count, later.is_over) == (1, True)
    assert [one.newest.tenant for one in later.tenants] == ["beta"]


def test_the_names_of_paused_tenants_come_from_their_runs(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(invoice=BETA_FAILS)
    come_due(bot, clock)
    acts = Acts(bot.ledger.store, bot.project, Person("ada", "a test"))
    for tenant in ("beta", "ghost"):
        acts.pause("invoice", clock.now(), tenant=tenant)

    told = overview(bot)

    assert {pause.tenant for pause in told.tenant_pauses} == {"beta", "ghost"}
    assert told.tenant_names == {"beta": "Beta"}


def test_a_listing_that_waits_is_open(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(invoice=BETA_FAILS)
    clock.travel(minutes=1)
    bot.tick()

    (found,) = overview(bot).listings

    assert (found.job, found.due_at, found.state, found.attempt, found.runs) == ("invoice", clock.now(), "queued", 1, 0)
    assert overview(bot).failing_listings == []
