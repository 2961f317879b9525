from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bots import PATIENCE_S, job, names_in, rows, write_tenants

from pinstripe_bot.bot import Bot
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

AT_NINE = job("calls.append(workspace.due_at)", "'0 9 * * *', multi_tenant=True, timezone='tenant'")
ONE_TENANT = """
from pinstripe_bot import Tenant

home = [{zone!r}]

def tenants(workspace):
    yield Tenant("acme", "Acme", home[0])
"""


def at(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


def move(bot: Bot, zone: str) -> None:
    bot.project.tenants.list_all.__globals__["home"][0] = zone  # type: ignore[union-attr]


def pass_time(bot: Bot, clock: TravelClock, until: datetime) -> None:
    clock.travel(until - clock.now())
    bot.tick()
    bot._parts.lister.list_now()
    bot._parts.intake.look()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)


def make_planned(make_bot: MakeBot, root: Path, zone: str, **files: str) -> Bot:
    write_tenants(root, ONE_TENANT.format(zone=zone))
    bot = make_bot(**(files or {"report": AT_NINE}))
    bot._parts.tenant_zones._look()
    bot.tick()
    return bot


def zones_of(bot: Bot) -> list[str]:
    return sorted(one.key for one in bot.timetable.schedules)


def test_a_zone_is_planned_from_when_the_first_tenant_came(make_bot: MakeBot, clock: TravelClock, root: Path) -> None:
    bot = make_planned(make_bot, root, "Asia/Tokyo")  # it is nine there, and the bot starts from now
    pass_time(bot, clock, at("2026-01-01 07:59:59"))
    move(bot, "Europe/Berlin")
    bot._parts.tenant_zones._look()

    pass_time(bot, clock, at("2026-01-01 08:00:05"))  # nine in Berlin was between the look and the next tick
    pass_time(bot, clock, at("2026-01-01 08:00:06"))

    assert zones_of(bot) == ["Asia/Tokyo", "Europe/Berlin"]
    assert names_in(bot, "report")["calls"] == [at("2026-01-01 08:00")]


def test_a_schedule_that_is_new_fires_no_past_of_its_tenants_zones(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    bot = make_planned(make_bot, root, "Asia/Tokyo")
    move(bot, "Europe/Berlin")
    pass_time(bot, clock, at("2026-01-01 06:00"))
    bot._parts.tenant_zones._look()
    bot.stop()
    clock.travel(hours=4)  # nine in Berlin passes

    again = make_planned(make_bot, root, "Europe/Berlin", weekly=AT_NINE, report="")
    pass_time(again, clock, at("2026-01-01 10:01"))
    pass_time(again, clock, at("2026-01-01 10:02"))

    assert zones_of(again) == ["Asia/Tokyo", "Europe/Berlin"]
    assert rows(again.ledger, "SELECT count(*) FROM occurrences") == [(0,)]


def test_a_zone_is_dropped_when_its_last_tenant_has_gone_for_good(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    bot = make_planned(make_bot, root, "Asia/Tokyo")
    assert zones_of(bot) == ["Asia/Tokyo"]
    write_nobody = bot.project.tenants.list_all.__globals__["home"]  # type: ignore[union-attr]
    write_nobody[0] = "UTC"
    bot._parts.tenant_zones._look()
    bot.tick()
    assert zones_of(bot) == ["Asia/Tokyo", "UTC"]

    clock.travel(hours=49)
    bot._parts.tenant_zones._look()
    bot.tick()

    assert zones_of(bot) == ["UTC"]


def test_the_zone_of_a_tenant_that_is_deleted_is_dropped(make_bot: MakeBot, clock: TravelClock, root: Path) -> None:
    two = 'from pinstripe_bot import Tenant\n\nthere = ["Asia/Tokyo", "Europe/Berlin"]\n\n'
    two += "def tenants(workspace):\n    yield from (Tenant(zone, '', zone) for zone in there)\n"
    write_tenants(root, two)
    bot = make_bot(report=AT_NINE)
    bot._parts.tenant_zones._look()
    bot.tick()

    bot.project.tenants.list_all.__globals__["there"].pop()  # type: ignore[union-attr]
    bot._parts.tenant_zones._look()
    clock.travel(seconds=1)
    bot.tick()

    assert zones_of(bot) == ["Asia/Tokyo"]


def test_a_tenant_that_moves_west_after_its_run_is_given_no_second_one_there(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    bot = make_planned(make_bot, root, "Europe/Berlin")
    pass_time(bot, clock, at("2026-01-01 08:00"))
    assert len(names_in(bot, "report")["calls"]) == 1
    move(bot, "America/New_York")
    bot._parts.tenant_zones._look()
    pass_time(bot, clock, at("2026-01-01 08:00:01"))

    pass_time(bot, clock, at("2026-01-01 14:00"))  # nine in New York

    assert len(names_in(bot, "report")["calls"]) == 1
    assert rows(bot.ledger, "SELECT key, listing FROM occurrences ORDER BY id") == [
        ("Europe/Berlin", "listed"),
        ("America/New_York", "listed"),
    ]
