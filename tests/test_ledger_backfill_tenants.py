from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bots import PATIENCE_S, job, names_in, rows

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.ledger_backfill import Span
from pinstripe_bot.ledger_backfill_tenants import TenantGaps
from pinstripe_bot.tenant import Tenant
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

HOURLY = job("calls.append((workspace.tenant.id, workspace.due_at.hour))", "'0 * * * *', multi_tenant=True")
AT_NINE = job("calls.append(workspace.due_at)", "'0 9 * * *', multi_tenant=True, timezone='tenant'")

ACME, BETA, CORO = Tenant("acme", "Acme"), Tenant("beta", "Beta"), Tenant("coro", "Coro")


def backfill(bot: Bot, clock: TravelClock, *tenants: Tenant, hours: int, zone: str = "UTC") -> int:
    """Fill the last hours of the only job for these tenants, who live in this zone."""
    (definition,) = bot.project.jobs.values()
    now_ts = int(clock.now().timestamp())
    wanted = TenantGaps(Span(tuple(definition.schedules), now_ts - hours * 3600 + 1, now_ts), definition.schedules)
    gaps = wanted.of(tenants, dict.fromkeys([tenant.key for tenant in tenants], zone))
    acts = Acts(bot.ledger.store, bot.project, Person("ada", "a test"))
    return acts.backfill_for_tenants(wanted, gaps, clock.now())


def come_due(bot: Bot) -> None:
    bot.tick()
    bot.parts.lister.list_now()
    work_off(bot)


def work_off(bot: Bot) -> None:
    while rows(bot.ledger, "SELECT count(*) FROM runs WHERE state IN ('queued', 'running')") != [(0,)]:
        bot.parts.look()
        assert bot.dispatcher.wait_until_idle(PATIENCE_S)


def test_each_tenant_is_given_what_it_has_not_had_oldest_first(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(report=HOURLY)
    clock.travel(hours=3)  # by itself only the newest of them runs

    first = backfill(bot, clock, ACME, BETA, hours=2)
    second = backfill(bot, clock, ACME, BETA, CORO, hours=2)
    work_off(bot)

    calls = names_in(bot, "report")["calls"]
    assert (first, second) == (4, 2)
    assert [hour for tenant, hour in calls if tenant == "acme"] == [2, 3]
    assert sorted(calls) == [(tenant, hour) for tenant in ("acme", "beta", "coro") for hour in (2, 3)]


def test_what_comes_due_later_gives_nobody_a_second_run(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(report=HOURLY)
    clock.travel(hours=1)
    backfill(bot, clock, ACME, hours=1)  # no bot has decided this instant yet
    work_off(bot)

    come_due(bot)

    assert sorted(names_in(bot, "report")["calls"]) == [("acme", 1), ("beta", 1), ("coro", 1)]


def test_what_a_bot_has_given_is_not_given_again(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(report=HOURLY)
    clock.travel(hours=1)
    come_due(bot)

    assert backfill(bot, clock, ACME, BETA, CORO, hours=1) == 0


def test_who_has_moved_is_not_given_a_wall_time_that_it_had_where_it_lived(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(report=AT_NINE)
    bot.parts.tenant_zones._look()
    bot.tick()
    clock.travel(hours=8)  # nine in Berlin, where acme lives
    come_due(bot)
    clock.travel(hours=8)

    for_mover = backfill(bot, clock, ACME, hours=10, zone="America/New_York")
    for_other = backfill(bot, clock, BETA, hours=10, zone="America/New_York")

    assert (for_mover, for_other) == (0, 1)


def test_two_schedules_of_the_same_work_give_one_run_for_an_instant(make_bot: MakeBot, clock: TravelClock) -> None:
    twice = HOURLY.replace("@background_job(", "@background_job('0 0 * * *', name='midnight')\n@background_job(", 1)
    bot = make_bot(report=twice)
    clock.travel(days=1, minutes=1)

    added = backfill(bot, clock, ACME, hours=1)

    assert added == 1
    assert rows(bot.ledger, "SELECT count(*) FROM runs") == [(1,)]
    assert clock.now().minute == timedelta(minutes=1).seconds // 60
