"""What a bot decides that comes back after a downtime: exactly, for each catch-up policy, on both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bots import PATIENCE_S, Ears, crash, job, rows, states
from sqlalchemy import event

from pinstripe_bot.bot import Bot
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]
Decided = tuple[int, int, str, str | None, int]
"""(first instant, last instant, decision, reason, count); seconds since the first bot started."""

SECOND = 1_000_000
DOWN_S = 180
YEAR_S = 365 * 24 * 3600

EVERY_TEN_SECONDS = "'*/10 * * * * *'"
EVERY_SECOND = "'* * * * * *'"


def decided(bot: Bot, clock: TravelClock, since_s: float = 0.0) -> list[Decided]:
    """The decisions on instants after `since_s`, oldest first."""
    start = TravelClock().now().timestamp()
    query = "SELECT due_at, coalesce(until_at, due_at), decision, reason, count FROM occurrences ORDER BY due_at"
    found = [(first / SECOND - start, last / SECOND - start, *rest) for first, last, *rest in rows(bot.ledger, query)]
    return [(int(first), int(last), *rest) for first, last, *rest in found if first > since_s]


def back_after(make_bot: MakeBot, clock: TravelClock, down_s: int, schedule: str, *, first_s: int = 10) -> Bot:
    """A bot that ticks for the first time, so long after another one ran its job, at `first_s`, and died."""
    first = make_bot(sweep=job("return 1", schedule))
    clock.travel(seconds=first_s)
    first.tick()
    first.dispatcher.wait_until_idle(PATIENCE_S)
    crash(first.ledger)
    clock.travel(seconds=down_s)
    bot = make_bot()
    bot.tick()
    return bot


THREE_MINUTES: dict[str, list[Decided]] = {
    "": [
        (20, 180, "missed", "coalesced", 17),
        (190, 190, "run", None, 1),
    ],
    "catch_up='latest', max_lateness='45s'": [
        (20, 140, "missed", "too_late", 13),
        (150, 180, "missed", "coalesced", 4),
        (190, 190, "run", None, 1),
    ],
    "catch_up='all', catch_up_max=3": [
        (20, 160, "missed", "bot_down", 15),
        (170, 170, "run", None, 1),
        (180, 180, "run", None, 1),
        (190, 190, "run", None, 1),
    ],
    "catch_up='all'": [(due_s, due_s, "run", None, 1) for due_s in range(20, 191, 10)],
    "catch_up='all', max_lateness='25s'": [
        (20, 160, "missed", "too_late", 15),
        (170, 170, "run", None, 1),
        (180, 180, "run", None, 1),
        (190, 190, "run", None, 1),
    ],
    "catch_up='all', catch_up_max=1, max_lateness='25s'": [
        (20, 160, "missed", "too_late", 15),
        (170, 180, "missed", "bot_down", 2),
        (190, 190, "run", None, 1),
    ],
    "catch_up='none'": [
        (20, 120, "missed", "too_late", 11),
        (130, 180, "missed", "coalesced", 6),
        (190, 190, "run", None, 1),
    ],
    "catch_up='none', late_after='5s'": [
        (20, 180, "missed", "too_late", 17),
        (190, 190, "run", None, 1),
    ],
    "catch_up='none', max_lateness='15s'": [
        (20, 170, "missed", "too_late", 16),
        (180, 180, "missed", "coalesced", 1),
        (190, 190, "run", None, 1),
    ],
}
"""{options of a schedule of every ten seconds: what three minutes become, of which the last instant is now}"""


@pytest.mark.parametrize("options", THREE_MINUTES)
def test_three_minutes_of_downtime(make_bot: MakeBot, clock: TravelClock, options: str) -> None:
    bot = back_after(make_bot, clock, DOWN_S, f"{EVERY_TEN_SECONDS}, {options}")

    assert decided(bot, clock, since_s=10) == THREE_MINUTES[options]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", [(20, 180, "missed", "coalesced", 17), (190, 190, "run", None, 1)]),
        ("catch_up='none', late_after='6s'", [(20, 190, "missed", "too_late", 18)]),
        ("max_lateness='6s'", [(20, 190, "missed", "too_late", 18)]),
    ],
)
def test_three_minutes_whose_last_instant_is_seven_seconds_ago(
    make_bot: MakeBot, clock: TravelClock, options: str, expected: list[Decided]
) -> None:
    bot = back_after(make_bot, clock, DOWN_S + 7, f"{EVERY_TEN_SECONDS}, {options}")

    assert decided(bot, clock, since_s=10) == expected


def test_a_second_look_decides_nothing_again(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = back_after(make_bot, clock, DOWN_S, EVERY_TEN_SECONDS)
    before = decided(bot, clock)

    bot.tick()
    make_bot().tick()

    assert decided(bot, clock) == before


def test_what_is_caught_up_runs_one_after_another_oldest_first(make_bot: MakeBot, clock: TravelClock) -> None:
    schedule = f"{EVERY_TEN_SECONDS}, catch_up='all', catch_up_max=4"
    bot = back_after(make_bot, clock, DOWN_S, schedule)
    ran: list[int] = []

    for _ in range(4):
        bot.parts.look()
        bot.dispatcher.wait_until_idle(PATIENCE_S)
        done = rows(bot.ledger, "SELECT due_at FROM runs WHERE state = 'succeeded' ORDER BY finished_at, id")
        ran.append(len(done) - 1)

    assert ran == [1, 2, 3, 4]
    assert [state for state, _ in states(bot)] == ["succeeded"] * 5


def test_what_is_caught_up_keeps_its_spacing(make_bot: MakeBot, clock: TravelClock) -> None:
    schedule = f"{EVERY_TEN_SECONDS}, catch_up='all', catch_up_max=4, catch_up_spacing='30s'"
    bot = back_after(make_bot, clock, DOWN_S, schedule)
    done = []

    for _ in range(4):
        bot.parts.look()
        bot.parts.look()
        bot.dispatcher.wait_until_idle(PATIENCE_S)
        done.append(states(bot).count(("succeeded", None)) - 1)
        clock.travel(seconds=30)

    assert done == [1, 2, 3, 4]
    spaced = rows(bot.ledger, "SELECT available_at - claimed_at FROM runs WHERE in_turn = 1 ORDER BY due_at")
    assert [wait // SECOND for (wait,) in spaced] == [0, 30, 60, 90]


def test_a_catch_up_that_is_cut_off_is_finished_by_the_next_bot(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = back_after(make_bot, clock, DOWN_S, f"{EVERY_TEN_SECONDS}, catch_up='all', catch_up_max=4")
    crash(bot.ledger)

    next_bot = make_bot()
    for _ in range(5):
        next_bot.parts.look()
        next_bot.dispatcher.wait_until_idle(PATIENCE_S)

    assert [state for state, _ in states(next_bot)] == ["succeeded"] * 5
    assert decided(next_bot, clock, since_s=10) == [
        (20, 150, "missed", "bot_down", 14),
        *[(due_s, due_s, "run", None, 1) for due_s in range(160, 191, 10)],
    ]


A_YEAR: dict[str, list[tuple[str, str | None, int]]] = {
    "": [("missed", "coalesced", YEAR_S - 1), ("run", None, 1)],
    "max_lateness='1h'": [
        ("missed", "too_late", YEAR_S - 3601),
        ("missed", "coalesced", 3600),
        ("run", None, 1),
    ],
    "catch_up='all'": [("missed", "bot_down", YEAR_S - 24), *[("run", None, 1)] * 24],
    "catch_up='all', catch_up_max=1000": [("missed", "bot_down", YEAR_S - 1000), *[("run", None, 1)] * 1000],
    "catch_up='none'": [
        ("missed", "too_late", YEAR_S - 61),
        ("missed", "coalesced", 60),
        ("run", None, 1),
    ],
}
"""{options of a schedule of every second: (decision, reason, count) of what a year becomes}"""


@pytest.mark.parametrize("options", A_YEAR)
def test_a_year_of_downtime_of_a_job_of_every_second_is_decided_in_one_tick(
    make_bot: MakeBot, clock: TravelClock, options: str
) -> None:
    bot = back_after(make_bot, clock, YEAR_S, f"{EVERY_SECOND}, {options}", first_s=1)

    assert [(decision, reason, count) for *_, decision, reason, count in decided(bot, clock, since_s=1)] == A_YEAR[
        options
    ]


def test_a_year_takes_as_many_statements_as_a_minute(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", f"{EVERY_SECOND}, catch_up='none', late_after='5s'"))
    said: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        said.append(statement)

    def statements_after(**passed: float) -> int:
        clock.travel(**passed)
        dues = bot.timetable.due(int(clock.now().timestamp()))
        said.clear()
        bot.ledger.claim(dues, clock.now())
        bot.timetable.advance(dues)
        return len(said)

    statements_after(seconds=1)  # connects
    assert bot.ledger.store._writer.connection is not None
    event.listen(bot.ledger.store._writer.connection.engine, "before_cursor_execute", hear)

    minute, year = statements_after(minutes=1), statements_after(days=365)

    assert minute == year > 0


def test_what_was_missed_is_told_in_one_line_for_each_stretch(make_bot: MakeBot, clock: TravelClock) -> None:
    with Ears() as ears:
        back_after(make_bot, clock, YEAR_S, EVERY_SECOND, first_s=1)

    assert ears.names("occurrence_missed") == ["occurrence_missed"]


def test_two_schedules_that_catch_up_on_the_same_work_take_turns(make_bot: MakeBot, clock: TravelClock) -> None:
    often = "'{} * * * * *', catch_up='all', catch_up_max=2"
    make_bot(sweep=job("return 1", often.format(0), often.format(30))).stop()
    clock.travel(minutes=5, seconds=1)
    bot = make_bot()

    bot.tick()
    for _ in range(4):
        bot.parts.look()
        bot.dispatcher.wait_until_idle(PATIENCE_S)

    ran = [due_s for due_s, _, decision, *_ in decided(bot, clock) if decision == "run"]
    assert sorted(ran) == [210, 240, 270, 300]
    assert states(bot) == [("succeeded", None)] * 4
