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
from tenancy import tenants_file, work_off

from pinstripe_bot.bot import Bot
from pinstripe_bot.project import Project
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]
Journey = tuple[str, list[tuple[int, str]]]
Trouble = tuple[int, int, str]
Moves = list[tuple[str, str]]

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
    tenants_file(bot)["home"][0] = zone


def pass_time(bot: Bot, clock: TravelClock, until: datetime) -> None:
    clock.travel(until - clock.now())
    bot.tick()
    work_off(bot)


def make_planned(make_bot: MakeBot, root: Path, zone: str, **files: str) -> Bot:
    write_tenants(root, ONE_TENANT.format(zone=zone))
    bot = make_bot(**(files or {"report": AT_NINE}))
    bot.parts.tenant_zones._look()
    bot.tick()
    return bot


def zones_of(bot: Bot) -> list[str]:
    return sorted(one.key for one in bot.timetable.schedules)


def test_a_zone_is_planned_from_when_the_first_tenant_came(make_bot: MakeBot, clock: TravelClock, root: Path) -> None:
    bot = make_planned(make_bot, root, "Asia/Tokyo")  # it is nine there, and the bot starts from now
    pass_time(bot, clock, at("2026-01-01 07:59:59"))
    move(bot, "Europe/Berlin")
    bot.parts.tenant_zones._look()

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
    bot.parts.tenant_zones._look()
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
    move(bot, "UTC")
    bot.parts.tenant_zones._look()
    bot.tick()
    assert zones_of(bot) == ["Asia/Tokyo", "UTC"]

    clock.travel(hours=49)
    bot.parts.tenant_zones._look()
    bot.tick()

    assert zones_of(bot) == ["UTC"]


def test_the_zone_of_a_tenant_that_is_deleted_is_dropped(make_bot: MakeBot, clock: TravelClock, root: Path) -> None:
    two = 'from pinstripe_bot import Tenant\n\nthere = ["Asia/Tokyo", "Europe/Berlin"]\n\n'
    two += "def tenants(workspace):\n    yield from (Tenant(zone, '', zone) for zone in there)\n"
    write_tenants(root, two)
    bot = make_bot(report=AT_NINE)
    bot.parts.tenant_zones._look()
    bot.tick()

    tenants_file(bot)["there"].pop()
    bot.parts.tenant_zones._look()
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
    bot.parts.tenant_zones._look()
    pass_time(bot, clock, at("2026-01-01 08:00:01"))

    pass_time(bot, clock, at("2026-01-01 14:00"))  # nine in New York

    assert len(names_in(bot, "report")["calls"]) == 1
    assert rows(bot.ledger, "SELECT key, listing FROM occurrences ORDER BY id") == [
        ("Europe/Berlin", "listed"),
        ("America/New_York", "listed"),
    ]


# Moves

BERLIN, NEW_YORK, LONDON, TOKYO = "Europe/Berlin", "America/New_York", "Europe/London", "Asia/Tokyo"
HONOLULU, PAGO_PAGO, APIA = "Pacific/Honolulu", "Pacific/Pago_Pago", "Pacific/Apia"


@pytest.mark.parametrize(
    ("expression", "moves", "expected"),
    [
        (  # west, after its run
            "0 9 * * *",
            [("2026-01-05 00:00", BERLIN), ("2026-01-05 11:00", NEW_YORK)],
            ["Berlin 05 09:00", "New_York 06 09:00"],
        ),
        (  # west, before it
            "0 9 * * *",
            [("2026-01-05 00:00", BERLIN), ("2026-01-05 07:00", NEW_YORK)],
            ["New_York 05 09:00", "New_York 06 09:00"],
        ),
        (  # east, over nine o'clock
            "0 9 * * *",
            [("2026-01-05 05:30", NEW_YORK), ("2026-01-05 11:00", BERLIN)],
            ["New_York 05 09:00", "Berlin 06 09:00"],
        ),
        (  # to and fro, after its run
            "0 9 * * *",
            [("2026-01-05 00:00", BERLIN), ("2026-01-05 11:00", NEW_YORK), ("2026-01-05 15:00", BERLIN)],
            ["Berlin 05 09:00", "Berlin 06 09:00"],
        ),
        (  # to and fro, before it, and back when it is past
            "0 9 * * *",
            [("2026-01-05 00:00", BERLIN), ("2026-01-05 07:00", NEW_YORK), ("2026-01-05 10:00", BERLIN)],
            ["New_York 05 09:00", "Berlin 06 09:00"],
        ),
        (  # over the date line, a day back
            "0 9 * * *",
            [("2026-01-05 12:00", TOKYO), ("2026-01-06 03:00", HONOLULU)],
            ["Tokyo 06 09:00", "Honolulu 07 09:00"],
        ),
        (  # over the date line, a day ahead
            "0 9 * * *",
            [("2026-01-05 12:00", HONOLULU), ("2026-01-06 01:00", TOKYO)],
            ["Honolulu 05 09:00", "Honolulu 06 09:00", "Tokyo 07 09:00"],
        ),
        (  # over the date line between two places whose clocks show the same time: two days at one instant
            "0 9 * * *",
            [("2026-01-05 12:00", PAGO_PAGO), ("2026-01-05 22:00", APIA)],
            ["Pago_Pago 05 09:00", "Pago_Pago 06 09:00", "Apia 07 09:00"],
        ),
        (  # after a night in which half past two was skipped
            "30 2 * * *",
            [("2026-03-28 12:00", BERLIN), ("2026-03-29 02:00", NEW_YORK)],
            ["Berlin 29 03:00", "New_York 30 02:30"],
        ),
        (  # between the two times at which a clock shows half past two
            "30 2 * * *",
            [("2026-10-24 12:00", BERLIN), ("2026-10-25 01:00", LONDON)],
            ["Berlin 25 02:30", "London 26 02:30"],
        ),
    ],
)
def test_a_wall_time_is_given_once_wherever_a_tenant_moves(
    make_bot: MakeBot, clock: TravelClock, root: Path, expression: str, moves: Moves, expected: list[str]
) -> None:
    first, *later = [(at(when), zone) for when, zone in moves]
    clock.travel(first[0] - clock.now())
    bot = make_planned(make_bot, root, first[1], report=AT_NINE.replace("0 9 * * *", expression))

    while clock.now() < first[0] + timedelta(days=2.5):
        for when, zone in later:
            if when == clock.now():
                move(bot, zone)
        bot.parts.tenant_zones._look()
        pass_time(bot, clock, clock.now() + timedelta(minutes=30))

    query = "SELECT key, runs.due_at FROM runs JOIN occurrences ON occurrences.id = occurrence_id"
    given = [shown(*run) for run in rows(bot.ledger, f"{query} WHERE state = 'succeeded' ORDER BY runs.id")]
    assert given[: len(expected)] == expected
    assert len({day for _, day, _ in map(str.split, given)}) == len(given)


def test_two_days_at_one_instant_run_one_after_the_other(make_bot: MakeBot, clock: TravelClock, root: Path) -> None:
    waits = f"calls.append(workspace.due_at); begun.set(); assert go.wait({PATIENCE_S})"
    bot = make_planned(make_bot, root, PAGO_PAGO, report=AT_NINE.replace("calls.append(workspace.due_at)", waits))
    clock.travel(hours=22)  # its day has begun in Apia, where nine is past
    move(bot, APIA)
    bot.parts.tenant_zones._look()
    clock.travel(hours=22)
    bot.tick()
    bot.parts.lister.list_now()
    bot.parts.look()
    assert names_in(bot, "report")["begun"].wait(PATIENCE_S)

    bot.parts.look()
    states = rows(bot.ledger, "SELECT state FROM runs ORDER BY id")
    names_in(bot, "report")["go"].set()
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    work_off(bot)

    assert states == [("running",), ("queued",)]
    assert names_in(bot, "report")["calls"] == [at("2026-01-02 20:00")] * 2


def shown(zone: str, due_at: int) -> str:
    local = datetime.fromtimestamp(due_at // 1_000_000, ZoneInfo(zone))
    return f"{zone.split('/')[1]} {local:%d %H:%M}"


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
kinds = st.sampled_from(["asleep", "unlisted"])
troubles = st.lists(st.tuples(st.integers(1, DAYS * 24), st.integers(1, 7), kinds), max_size=3)
"""(From which hour, for how many, what): the machine sleeps, or tenants are neither asked nor listed."""


def nines_of(root: Path, start: datetime, journeys: list[Journey], troubles: list[Trouble]) -> dict[str, list[date]]:
    """{tenant: the days of which it was given nine o'clock}, where a real bot looks and ticks once an hour."""
    write_jobs(root, report=AT_NINE)
    write_tenants(root, TRAVELLERS)
    clock = TravelClock(start)
    bot = Bot(Project.load(root, environ={}, overrides={"workers": 2}), clock=clock)
    homes = tenants_file(bot)["homes"]
    homes.update({str(number): first for number, (first, _) in enumerate(journeys)})
    try:
        bot.plan()
        bot.parts.tenant_zones._look()
        for hour in range(1, DAYS * 24 + 1):
            for number, (_, its_moves) in enumerate(journeys):
                homes[str(number)] = next((to for at, to in reversed(its_moves) if at <= hour), homes[str(number)])
            clock.travel(start + timedelta(hours=hour) - clock.now())
            trouble = next((what for since, length, what in troubles if 0 <= hour - since < length), None)
            if trouble is None:
                bot.parts.tenant_zones._look()
            if trouble != "asleep":
                bot.tick()
            if trouble is None:
                work_off(bot)
        found: dict[str, list[date]] = {name: [] for name in homes}
        query = "SELECT tenant, key, runs.due_at FROM runs JOIN occurrences ON occurrences.id = occurrence_id"
        for tenant, zone, due_at in rows(bot.ledger, f"{query} WHERE state = 'succeeded' ORDER BY runs.id"):
            found[tenant].append(datetime.fromtimestamp(due_at // 1_000_000, ZoneInfo(zone)).date())
        return found
    finally:
        bot.stop()


@settings(max_examples=200 if IS_SOAKING else 8, deadline=None)
@given(journeys=travels, troubles=troubles, day=st.integers(24, 27))
def test_whoever_moves_is_given_each_days_nine_o_clock_once(
    tmp_path_factory: pytest.TempPathFactory, journeys: list[Journey], troubles: list[Trouble], day: int
) -> None:
    start = datetime(2026, 3, day, tzinfo=UTC)  # Berlin's clocks change on the 29th, Lord Howe's a week later
    days = [(start + timedelta(days=number)).date() for number in range(2, DAYS - 2)]  # whole in every zone

    found = nines_of(tmp_path_factory.mktemp("shop"), start, journeys, troubles)

    for tenant, nines in found.items():
        assert len(nines) == len(set(nines)), f"tenant {tenant} was given a day twice: {nines}"
        assert set(days) <= set(nines), f"tenant {tenant} was left out: {nines}"


def test_a_zone_that_is_none_is_told_of_once(make_bot: MakeBot, root: Path) -> None:
    write_tenants(root, ONE_TENANT.format(zone=f"Mars/{root.parent.name}"))
    bot = make_bot(report=AT_NINE)

    with Ears() as ears:
        for _ in range(3):
            bot.parts.tenant_zones._look()

    (told,) = [event for event in ears.heard if event["event"] == "tenant_zone_unknown"]
    assert (told["tenant"], told["timezone"]) == ("acme", f"Mars/{root.parent.name}")
