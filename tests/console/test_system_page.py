"""The page System: facts of bots, ledger, clock and settings, and the audit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from bots import job
from stored import ODD, minute, put_run

from pinstripe_bot.bot import Bot
from pinstripe_bot.console.standing import Standing, stand
from pinstripe_bot.console.system_page import ACTS, _next_shift, _shift_words, system_facts
from pinstripe_bot.ledger_audit import Person, write_audit
from pinstripe_bot.zones import zone

from .visits import NOON, a_bot, an_overview, visit_to

MakeBot = Callable[..., Bot]


def facts(bot: Bot, now: datetime = NOON, **query: str) -> dict[str, Any]:
    visit = visit_to(bot, now, **query)
    return system_facts(visit, stand(visit))


def clock_facts(bot: Bot, now: datetime) -> dict[str, tuple[str, str]]:
    return {name: (value, note) for name, value, note in facts(bot, now)["clock_facts"]}


@pytest.fixture
def bot(make_bot: MakeBot) -> Bot:
    return make_bot(sweep=job())


# The next shift of the clock


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Europe/Berlin", "Sun 29 Mar 2026 02:00 to 03:00"),
        ("America/New_York", "Sun 8 Mar 2026 02:00 to 03:00"),
        ("Australia/Lord_Howe", "Sun 5 Apr 2026 02:00 to 01:30"),
        ("Australia/Sydney", "Sun 5 Apr 2026 03:00 to 02:00"),
        ("America/Havana", "Sun 8 Mar 2026 00:00 to 01:00"),
    ],
)
def test_the_next_shift_is_told_on_the_clock_that_it_shifts(name: str, words: str) -> None:
    shift = _next_shift(zone(name), NOON)

    assert shift is not None
    assert _shift_words(*shift) == words


def test_a_shift_at_midnight_is_told_by_the_day_that_the_clock_shows_before_it() -> None:
    shift = _next_shift(zone("Asia/Beirut"), datetime(2026, 6, 1, tzinfo=UTC))

    assert shift is not None
    assert _shift_words(*shift) == "Sun 25 Oct 2026 00:00 to 23:00"


@pytest.mark.parametrize("name", ["UTC", "Asia/Tokyo", "America/Sao_Paulo", "Asia/Kolkata"])
def test_a_zone_that_shifts_no_more_has_no_shift_to_come(name: str) -> None:
    assert _next_shift(zone(name), NOON) is None


def test_there_is_a_shift_to_come_also_in_a_hundred_years() -> None:
    shift = _next_shift(zone("Europe/Berlin"), datetime(2126, 1, 1, tzinfo=UTC))

    assert shift is not None
    assert shift[0] == datetime(2126, 3, 31, 1, tzinfo=UTC)


SUMMER, WINTER = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "now", "note"),
    [
        ("30 2 * * *", WINTER, "sweep is due then"),
        ("30 1 * * *", WINTER, ""),
        ("* * * * *", WINTER, ""),
        ("30 2 * * *", SUMMER, "sweep is due then"),
        ("30 1 * * *", SUMMER, ""),
        ("30 3 * * *", SUMMER, ""),
        ("* * * * *", SUMMER, ""),
    ],
)
def test_jobs_that_a_shift_meets_are_named(make_bot: MakeBot, expression: str, now: datetime, note: str) -> None:
    bot = make_bot({"timezone": "Europe/Berlin"}, sweep=job("return None", repr(expression)))

    assert clock_facts(bot, now)["Next shift"][1] == note


def test_the_clock_is_told_in_the_zone_of_the_project(make_bot: MakeBot) -> None:
    bot = make_bot({"timezone": "America/New_York"}, sweep=job())

    found = clock_facts(bot, NOON)

    assert found["Now"] == ("Thu 1 Jan 07:00:00 EST, 12:00:00 UTC", "")
    assert found["Zone"][0] == "America/New_York"


# Bots and workers


def test_no_bot_one_bot_and_several_are_told(bot: Bot) -> None:
    visit = visit_to(bot, NOON)
    tellings = [
        system_facts(visit, Standing(an_overview(bots=(a_bot(),) * count), (), {}))["told"] for count in (0, 1, 12)
    ]

    assert tellings == ["No bot is alive.", "One bot, alive.", "12 bots, alive."]


def test_the_living_bots_stand_first_then_whoever_was_heard_last(bot: Bot) -> None:
    bots = (
        a_bot(host="dead", is_alive=False, heartbeat_at=minute(5)),
        a_bot(host="stopped", is_alive=False, heartbeat_at=minute(8), stopped_at=minute(9)),
        a_bot(host="signed out", is_alive=False, heartbeat_at=minute(4), stopped_at=minute(4)),
        a_bot(host=ODD, started_at=NOON.replace(year=2027)),
    )

    found = system_facts(visit_to(bot, NOON), Standing(an_overview(bots=bots), (), {}))["bots"]

    words = [(one["host"], one["word"]) for one in found]
    assert words == [(ODD, "alive"), ("stopped", "stopped"), ("dead", "died"), ("signed out", "died")]
    assert found[0]["up"] == "0 s"


def test_workers_are_counted_over_all_bots(bot: Bot) -> None:
    bots = (a_bot(stats={"workers": 8, "busy": 3, "lingering": 1}), a_bot(stats={"workers": 4}), a_bot(stats={}))

    found = system_facts(visit_to(bot, NOON), Standing(an_overview(bots=bots), (), {}))["workers"]

    assert (found["busy"], found["lingering"], found["queue"]) == ("3 of 12", 1, "empty")
    assert found["without_timeout"] == [("sweep", "/_pinstripe/jobs/sweep")]


# Ledger and settings


def test_a_project_without_a_ledger_says_so(bot: Bot) -> None:
    visit = replace(visit_to(bot, NOON), history=None)

    found = system_facts(visit, stand(visit))

    assert found["ledger"] == [("Where", "there is none yet: a bot makes it when it starts")]
    assert (found["acts"], found["bots"]) == ([], [])


def test_the_ledger_tells_where_it_is_and_how_much_it_holds(bot: Bot) -> None:
    for number in range(3):
        put_run(bot.ledger, due_at=minute(number), state="queued")

    found = dict(facts(bot)["ledger"])

    assert found["Where"] == ".pinstripe/ledger.db, this machine only"
    assert found["Size"].endswith("about 3 runs, the oldest of today")
    assert (found["Open"], found["Kept"]) == ("3 runs", "30d")


def test_settings_that_somebody_wrote_are_shown_with_their_place(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job())

    some, everything = facts(bot), facts(bot, settings="all")

    assert {one["origin"] for one in some["settings"]} <= {"--workers", "the machine", "flag"} | {
        one["origin"] for one in everything["settings"]
    }
    assert len(some["settings"]) < len(everything["settings"]) == some["setting_count"]


# The audit


def put_act(bot: Bot, action: str, **details: Any) -> None:
    with bot.ledger.store.writing() as connection:
        write_audit(connection, Person("ada", "here"), NOON, action, **details)


@pytest.mark.parametrize(
    ("action", "details", "told", "detail"),
    [
        (
            "run",
            {"job": "sweep", "run": 7, "params": {"token": "hush"}},
            "ran sweep by hand",
            'params={"token": "redacted"}',
        ),
        ("pause", {"why": "stocktaking", "until_at": None}, "paused every job", "why=stocktaking"),
        ("cancel", {"job": "sweep", "run": 7, "was": "queued"}, "cancelled run 7 of sweep", "was=queued"),
        ("resume", {"job": "sweep", "tenant": "acme"}, "resumed sweep for acme", ""),
        ("new_act", {"job": "{job}"}, "new act {job}", ""),
        ("login", {}, "logged in", ""),
    ],
)
def test_an_act_is_told_in_words(bot: Bot, action: str, details: Any, told: str, detail: str) -> None:
    put_act(bot, action, **details)

    (found,) = facts(bot)["acts"]

    assert (found["told"], found["detail"], found["who"]) == (told, detail, "ada")


def test_acts_are_told_page_by_page(bot: Bot) -> None:
    for _ in range(ACTS + 2):
        put_act(bot, "login")

    first, second = facts(bot), facts(bot, before="3")

    assert (len(first["acts"]), len(second["acts"]), second["more_acts"]) == (ACTS, 2, "")
    assert first["more_acts"] == "/_pinstripe/system?before=3"


def test_every_living_bot_is_shown_with_its_work_and_a_clock_that_is_off(bot: Bot) -> None:
    stats = {"workers": 8, "busy": 3, "clock_offset_ms": -2500}
    living = [a_bot(id=f"b{number}", pid=number, stats=stats) for number in range(30)]
    gone = [a_bot(id="gone", pid=99, is_alive=False)]
    overview = an_overview(bots=(*gone, *living))

    shown = system_facts(visit_to(bot), Standing(overview, (), {}))["bots"]

    assert sorted(one["pid"] for one in shown) == list(range(30))
    assert {(one["work"], one["clock"]) for one in shown} == {("3 of 8", "clock 2.5 s behind the database's")}


def test_a_bot_of_another_kind_says_which(bot: Bot) -> None:
    overview = an_overview(bots=(a_bot(kind="command"), a_bot(id="c", kind="other")))

    shown = system_facts(visit_to(bot), Standing(overview, (), {}))["bots"]

    assert [one["kind"] for one in shown] == ["runs a job by hand", "other"]


def test_one_that_is_gone_does_no_work(bot: Bot) -> None:
    stats = {"workers": 8, "busy": 3}
    overview = an_overview(bots=(a_bot(is_alive=False, stats=stats), a_bot(id="s", is_alive=False, stopped_at=NOON)))

    shown = system_facts(visit_to(bot, NOON), Standing(overview, (), {}))["bots"]

    assert [one["work"] for one in shown] == ["", ""]
