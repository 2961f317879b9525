from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from bots import PATIENCE_S, Ears, job, names_in, rows, write_jobs, write_tenants
from hypothesis import given, settings
from hypothesis import strategies as st

from pinstripe_bot.bot import Bot
from pinstripe_bot.project import Project
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

IS_SOAKING = os.environ.get("PINSTRIPE_TEST_SOAK") == "1"

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


@pytest.mark.parametrize(("zone", "nine"), [("America/New_York", "14:00"), ("Asia/Kolkata", "03:30")])
def test_a_run_covers_the_time_since_nine_of_the_day_before_where_its_tenant_lives(
    make_bot: MakeBot, clock: TravelClock, root: Path, zone: str, nine: str
) -> None:
    covered = AT_NINE.replace("workspace.due_at", "workspace.window")
    bot = make_planned(make_bot, root, zone, report=covered)

    pass_time(bot, clock, at(f"2026-01-02 {nine}"))
    bot.run_for_tenants("report")

    two_nines = (at(f"2026-01-01 {nine}"), at(f"2026-01-02 {nine}"))
    assert names_in(bot, "report")["calls"] == [two_nines, (two_nines[0], clock.now())]


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


# Moves

ZONES = [
    *("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Asia/Kolkata"),
    *("Pacific/Honolulu", "Pacific/Kiritimati", "Australia/Lord_Howe"),
]
DAYS = 6
TRAVELLERS = """
from pinstripe_bot import Tenant

homes = {}

def tenants(workspace):
    for name, zone in homes.items():
        yield Tenant(name, name, zone)
"""

moves = st.lists(st.tuples(st.integers(1, DAYS * 24), st.sampled_from(ZONES)), max_size=5).map(sorted)
travels = st.lists(st.tuples(st.sampled_from(ZONES), moves), min_size=3, max_size=3)


def nines_of(root: Path, start: datetime, journeys: list[tuple[str, list[tuple[int, str]]]]) -> dict[str, list[date]]:
    """{tenant: the days of which it was given nine o'clock}, where a real bot looks and ticks once an hour."""
    write_jobs(root, report=AT_NINE)
    write_tenants(root, TRAVELLERS)
    clock = TravelClock(start)
    bot = Bot(Project.load(root, environ={}, overrides={"workers": 2}), clock=clock)
    homes = bot.open() or bot.project.tenants.list_all.__globals__["homes"]  # type: ignore[union-attr]
    homes.update({str(number): first for number, (first, _) in enumerate(journeys)})
    try:
        bot.plan()
        bot._parts.tenant_zones._look()
        for hour in range(1, DAYS * 24 + 1):
            for number, (_, its_moves) in enumerate(journeys):
                homes[str(number)] = next((to for at, to in reversed(its_moves) if at <= hour), homes[str(number)])
            bot._parts.tenant_zones._look()
            pass_time(bot, clock, start + timedelta(hours=hour))
        found: dict[str, list[date]] = {name: [] for name in homes}
        query = "SELECT tenant, key, runs.due_at FROM runs JOIN occurrences ON occurrences.id = occurrence_id"
        for tenant, zone, due_at in rows(bot.ledger, f"{query} WHERE state = 'succeeded' ORDER BY runs.id"):
            found[tenant].append(datetime.fromtimestamp(due_at // 1_000_000, ZoneInfo(zone)).date())
        return found
    finally:
        bot.stop()


@settings(max_examples=200 if IS_SOAKING else 8, deadline=None)
@given(journeys=travels, day=st.integers(24, 27))
def test_whoever_moves_is_given_each_days_nine_o_clock_once(
    tmp_path_factory: pytest.TempPathFactory, journeys: list[tuple[str, list[tuple[int, str]]]], day: int
) -> None:
    start = datetime(
        2026, 3, day, tzinfo=UTC
    )  # the clocks of Berlin change on the 29th, those of Lord Howe a week later
    days = [(start + timedelta(days=number)).date() for number in range(2, DAYS - 2)]  # whole in every zone

    found = nines_of(tmp_path_factory.mktemp("shop"), start, journeys)

    for tenant, nines in found.items():
        assert len(nines) == len(set(nines)), f"tenant {tenant} was given a day twice: {nines}"
        assert set(days) <= set(nines), f"tenant {tenant} was left out: {nines}"


def test_a_zone_that_is_none_is_told_of_once(make_bot: MakeBot, root: Path) -> None:
    write_tenants(root, ONE_TENANT.format(zone=f"Mars/{root.parent.name}"))
    bot = make_bot(report=AT_NINE)

    with Ears() as ears:
        for _ in range(3):
            bot._parts.tenant_zones._look()

    (told,) = [event for event in ears.heard if event["event"] == "tenant_zone_unknown"]
    assert (told["tenant"], told["timezone"]) == ("acme", f"Mars/{root.parent.name}")
