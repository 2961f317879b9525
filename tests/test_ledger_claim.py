from __future__ import annotations

from collections.abc import Callable

import pytest
from bots import EVERY_MINUTE, WAITING, claim_only, decisions, job, names_in, rows, states
from msgspec.structs import replace

from pinstripe_bot.bot import Bot
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


def test_what_has_come_due_is_claimed_once(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)

    claimed = [claim_only(bot), claim_only(bot)]

    assert [[run.job for run in runs] for runs in claimed] == [["sweep"], []]


def test_of_two_bots_one_claims(make_bot: MakeBot, clock: TravelClock) -> None:
    one, other = make_bot(sweep=job()), make_bot()
    clock.travel(minutes=1)

    claimed = [claim_only(one), claim_only(other)]

    assert [len(runs) for runs in claimed] == [1, 0]


def test_two_bots_share_the_work_of_many_instants(make_bot: MakeBot, clock: TravelClock) -> None:
    one, other = make_bot(sweep=job()), make_bot()
    for turn in range(10):
        clock.travel(minutes=1)
        for bot in (one, other) if turn % 2 else (other, one):
            bot.tick()
            bot.dispatcher.wait_until_idle()

    owners = rows(one.ledger, "SELECT owner, count(*) FROM runs GROUP BY owner ORDER BY owner")

    assert owners == sorted([(one.ledger.bot, 5), (other.ledger.bot, 5)])


def test_the_oldest_instant_comes_first(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(late=job("return 1", "'2 * * * *'"), early=job("return 1", "'1 * * * *'"))
    clock.travel(minutes=3)

    assert [run.job for run in claim_only(bot)] == ["early", "late"]


def test_an_overlap_is_skipped(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING))
    clock.travel(minutes=1)
    bot.tick()
    clock.travel(minutes=1)

    bot.tick()

    names_in(bot, "sweep")["go"].set()
    assert decisions(bot) == [(EVERY_MINUTE, "run", None, 1), (EVERY_MINUTE, "skipped", "overlap", 1)]


def test_an_overlap_with_a_run_of_another_bot_is_skipped(make_bot: MakeBot, clock: TravelClock) -> None:
    one, other = make_bot(sweep=job(WAITING)), make_bot()
    clock.travel(minutes=1)
    one.tick()
    clock.travel(minutes=1)

    other.tick()

    names_in(one, "sweep")["go"].set()
    assert decisions(one) == [(EVERY_MINUTE, "run", None, 1), (EVERY_MINUTE, "skipped", "overlap", 1)]


def test_a_run_that_is_only_queued_overlaps_as_well(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claim_only(bot)
    clock.travel(minutes=1)

    claim_only(bot)

    assert decisions(bot)[1] == (EVERY_MINUTE, "skipped", "overlap", 1)


def test_a_run_that_has_ended_overlaps_with_nothing(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    for _ in range(2):
        clock.travel(minutes=1)
        bot.tick()
        bot.dispatcher.wait_until_idle()

    assert states(bot) == [("succeeded", None), ("succeeded", None)]


def test_an_overlap_that_is_allowed_runs(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'* * * * *', overlap='allow'"))
    clock.travel(minutes=1)
    claim_only(bot)
    clock.travel(minutes=1)

    assert len(claim_only(bot)) == 1


def test_other_parameters_do_not_overlap(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(
        sweep=job("return 1", "'1 * * * *', params={'shop': 1}", "'2 * * * *', params={'shop': 2}", takes="shop")
    )
    clock.travel(minutes=1)
    claim_only(bot)
    clock.travel(minutes=1)

    assert [run.params for run in claim_only(bot)] == [{"shop": 2}]


def test_of_two_schedules_due_at_one_instant_the_first_declared_runs(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'*/5 * * * *'", "'* * * * *'"))
    clock.travel(minutes=5)

    bot.tick()

    at_five = [(schedule, decision, reason) for schedule, decision, reason, _ in decisions(bot)[-2:]]
    assert at_five == [("*/5 * * * *", "run", None), (EVERY_MINUTE, "skipped", "same_instant")]


def test_two_schedules_due_at_one_instant_make_one_run_also_where_overlap_is_allowed(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    allowed = "overlap='allow'"
    bot = make_bot(sweep=job("return 1", f"'*/5 * * * *', {allowed}", f"'0-59 * * * *', {allowed}"))
    clock.travel(minutes=5)

    assert len(claim_only(bot)) == 1


def test_two_schedules_with_other_parameters_both_run_at_one_instant(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(
        sweep=job("return 1", "'* * * * *', params={'shop': 1}", "'*/1 * * * *', name='b', params={'shop': 2}")
    )
    clock.travel(minutes=1)

    assert [run.params["shop"] for run in claim_only(bot)] == [1, 2]


def test_two_bots_make_one_run_of_two_schedules_due_at_one_instant(make_bot: MakeBot, clock: TravelClock) -> None:
    one = make_bot(sweep=job("return 1", "'*/5 * * * *'", "'* * * * *'"))
    other = make_bot()
    clock.travel(minutes=5)

    claimed = [*claim_only(one), *claim_only(other)]

    assert [run.schedule for run in claimed] == ["*/5 * * * *"]


def test_after_downtime_only_the_newest_instant_runs(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(days=365)

    bot.tick()

    assert decisions(bot) == [(EVERY_MINUTE, "missed", "coalesced", 525_599), (EVERY_MINUTE, "run", None, 1)]


def test_a_stretch_of_missed_instants_says_from_when_until_when(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    start = int(clock.now().timestamp())
    clock.travel(minutes=4)

    bot.tick()

    stretch = rows(bot.ledger, "SELECT due_at, until_at, count FROM occurrences WHERE decision = 'missed'")
    assert stretch == [((start + 60) * 1_000_000, (start + 180) * 1_000_000, 3)]


def test_without_catching_up_late_instants_are_missed(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'*/10 * * * *', catch_up='none'"))
    clock.travel(minutes=25)

    bot.tick()

    assert decisions(bot) == [("*/10 * * * *", "missed", "too_late", 2)]


def test_without_catching_up_an_instant_that_is_hardly_late_runs(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'*/10 * * * *', catch_up='none'"))
    clock.travel(minutes=10, seconds=60)

    bot.tick()

    assert decisions(bot) == [("*/10 * * * *", "run", None, 1)]


def test_an_instant_older_than_max_lateness_is_missed(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'0 * * * *', max_lateness='10m'"))
    clock.travel(hours=2, minutes=11)

    bot.tick()

    assert decisions(bot) == [("0 * * * *", "missed", "too_late", 2)]


def test_instants_within_max_lateness_but_the_newest_are_coalesced(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", "'* * * * *', max_lateness='2m'"))
    clock.travel(minutes=5)

    bot.tick()

    assert decisions(bot) == [
        (EVERY_MINUTE, "missed", "too_late", 2),
        (EVERY_MINUTE, "missed", "coalesced", 2),
        (EVERY_MINUTE, "run", None, 1),
    ]


def test_an_instant_claimed_ahead_splits_a_stretch(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    bot.run_background_jobs(clock.now().timestamp() + 120)
    clock.travel(minutes=4)

    bot.tick()

    assert decisions(bot) == [
        (EVERY_MINUTE, "missed", "coalesced", 1),
        (EVERY_MINUTE, "run", None, 1),
        (EVERY_MINUTE, "missed", "coalesced", 1),
        (EVERY_MINUTE, "run", None, 1),
    ]


# Catching up with all of them


ALL = "'* * * * *', catch_up='all'"


def take(bot: Bot, *, most: int = 100) -> list[Run]:
    return bot.ledger.waiting.take_available(bot.project.jobs, bot.clock.now(), most=most)


def end(bot: Bot, runs: list[Run], state: RunState = RunState.SUCCEEDED, *, lingers: bool = False) -> None:
    """Start these runs and end them."""
    now = bot.clock.now()
    started = bot.ledger.start(runs, now)
    ended = [replace(run, state=state, finished_at=now) for run in started]
    bot.ledger.finish(ended, lingering=[run.id for run in ended] if lingers else [])


def minutes(runs: list[Run]) -> list[int]:
    return [run.due_at.minute for run in runs]


def test_catching_up_with_all_makes_a_run_for_each_that_waits_in_the_ledger(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job("return 1", ALL))
    clock.travel(minutes=3)
    dues = bot.timetable.due(int(clock.now().timestamp()))

    claim = bot.ledger.claim(dues, clock.now())

    assert (claim.runs, claim.waiting) == ([], 3)
    assert rows(bot.ledger, "SELECT state, owner, in_turn FROM runs") == [("queued", None, 1)] * 3


def test_one_instant_is_no_catching_up(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", ALL))
    clock.travel(minutes=1)

    assert minutes(claim_only(bot)) == [1]


def test_runs_of_a_catch_up_start_one_after_another_oldest_first(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", ALL))
    clock.travel(minutes=3)
    claim_only(bot)
    taken = []

    while found := take(bot):
        taken += [minutes(found), minutes(take(bot))]
        end(bot, found)

    assert taken == [[1], [], [2], [], [3], []]


def test_a_catch_up_waits_for_a_run_that_lingers(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", ALL))
    clock.travel(minutes=2)
    claim_only(bot)
    (first,) = take(bot)
    end(bot, [first], RunState.TIMED_OUT, lingers=True)
    waiting = take(bot)

    bot.ledger.let_go([first.id])

    assert [minutes(waiting), minutes(take(bot))] == [[], [2]]


def test_a_catch_up_waits_for_no_other_work(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", f"{ALL}, params={{'a': 1}}", f"{ALL}, name='b', params={{'a': 2}}", takes="a"))
    clock.travel(minutes=2)
    claim_only(bot)

    assert [run.params for run in take(bot)] == [{"a": 1}, {"a": 2}]


def test_a_catch_up_has_its_spacing(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", f"{ALL}, catch_up_spacing='10m'"))
    clock.travel(minutes=3)
    now = int(clock.now().timestamp())
    claim_only(bot)

    available = [(at // 1_000_000 - now) for (at,) in rows(bot.ledger, "SELECT available_at FROM runs ORDER BY id")]

    assert available == [0, 600, 1200]


def test_a_spaced_run_waits_for_its_time(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", f"{ALL}, catch_up_spacing='10m'"))
    clock.travel(minutes=2)
    claim_only(bot)
    end(bot, take(bot))
    early = take(bot)

    clock.travel(minutes=10)

    assert [minutes(early), minutes(take(bot))] == [[], [2]]


def test_what_is_more_than_may_be_caught_up_is_missed(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", f"{ALL}, catch_up_max=2"))
    clock.travel(minutes=5)

    claim_only(bot)

    run = (EVERY_MINUTE, "run", None, 1)
    assert decisions(bot) == [(EVERY_MINUTE, "missed", "bot_down", 3), run, run]


def test_overlap_does_not_compare_runs_of_one_catch_up_but_the_next_instant_with_them(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job("return 1", ALL))
    clock.travel(minutes=2)
    claim_only(bot)
    clock.travel(minutes=1)

    claim_only(bot)

    run = (EVERY_MINUTE, "run", None, 1)
    assert decisions(bot) == [run, run, (EVERY_MINUTE, "skipped", "overlap", 1)]


def test_a_catch_up_meets_a_run_that_still_runs(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", ALL))
    clock.travel(minutes=1)
    bot.ledger.start(claim_only(bot), clock.now())
    clock.travel(minutes=2)

    claim_only(bot)

    skipped = (EVERY_MINUTE, "skipped", "overlap", 1)
    assert decisions(bot) == [(EVERY_MINUTE, "run", None, 1), skipped, skipped]


# Overlaps that wait


QUEUE = "'* * * * *', overlap='queue'"


def test_one_overlap_waits_and_a_further_one_is_skipped(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", QUEUE))
    for _ in range(3):
        clock.travel(minutes=1)
        claim_only(bot)

    assert [decision[1:3] for decision in decisions(bot)] == [("run", None), ("run", None), ("skipped", "overlap")]
    assert rows(bot.ledger, "SELECT owner, in_turn FROM runs ORDER BY id") == [(bot.ledger.bot, 0), (None, 1)]


def test_the_one_that_waits_runs_when_the_first_has_ended(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", QUEUE))
    clock.travel(minutes=1)
    first = claim_only(bot)
    clock.travel(minutes=1)
    claim_only(bot)
    waiting = take(bot)

    end(bot, first)

    assert [minutes(waiting), minutes(take(bot))] == [[], [2]]


def test_while_the_one_that_waited_runs_another_one_waits(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", QUEUE))
    clock.travel(minutes=1)
    first = claim_only(bot)
    clock.travel(minutes=1)
    claim_only(bot)
    end(bot, first)
    second = bot.ledger.start(take(bot), clock.now())
    clock.travel(minutes=1)

    claim_only(bot)

    assert minutes(second) == [2]
    assert rows(bot.ledger, "SELECT state FROM runs ORDER BY id") == [("succeeded",), ("running",), ("queued",)]


def test_two_schedules_due_at_one_instant_make_one_run_also_where_overlaps_wait(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job("return 1", QUEUE, "'*/1 * * * *', overlap='queue', name='too'"))
    clock.travel(minutes=1)

    claim_only(bot)

    assert sorted(one[1:3] for one in decisions(bot)) == [("run", None), ("skipped", "same_instant")]


def test_an_overlap_waits_for_a_run_of_another_bot(make_bot: MakeBot, clock: TravelClock) -> None:
    one, other = make_bot(sweep=job("return 1", QUEUE)), make_bot()
    clock.travel(minutes=1)
    first = claim_only(one)
    clock.travel(minutes=1)
    claim_only(other)
    waiting = take(other)

    end(one, first)

    assert [minutes(waiting), minutes(take(other)), take(one)] == [[], [2], []]


def test_a_bot_works_off_what_waits_by_itself(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", ALL))
    clock.travel(minutes=3)
    bot.tick()

    for _ in range(3):
        bot.parts.look()
        bot.dispatcher.wait_until_idle()

    assert states(bot) == [("succeeded", None)] * 3


@pytest.mark.parametrize(("overlap", "decision"), [("skip", "skipped"), ("queue", "run"), ("allow", "run")])
def test_a_run_that_lingers_overlaps(make_bot: MakeBot, clock: TravelClock, overlap: str, decision: str) -> None:
    bot = make_bot(sweep=job("return 1", f"'* * * * *', overlap='{overlap}'"))
    clock.travel(minutes=1)
    end(bot, claim_only(bot), RunState.TIMED_OUT, lingers=True)
    clock.travel(minutes=1)

    starting = claim_only(bot)

    assert decisions(bot)[1][1] == decision
    assert len(starting) == (overlap == "allow")


def test_a_run_that_has_let_go_overlaps_no_more(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    first = claim_only(bot)
    end(bot, first, RunState.TIMED_OUT, lingers=True)
    bot.ledger.let_go([run.id for run in first])
    clock.travel(minutes=1)

    assert minutes(claim_only(bot)) == [2]
