from __future__ import annotations

from collections.abc import Callable

from bots import EVERY_MINUTE, WAITING, claim_only, decisions, job, names_in, rows, states

from pinstripe_bot.bot import Bot
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

    owners = rows(one.ledger.path, "SELECT owner, count(*) FROM runs GROUP BY owner ORDER BY owner")

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

    stretch = rows(bot.ledger.path, "SELECT due_at, until_at, count FROM occurrences WHERE decision = 'missed'")
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
