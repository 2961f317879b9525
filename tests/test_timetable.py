from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from plans import Broken, Every

from pinstripe_bot.occurrence import Due
from pinstripe_bot.timetable import Timetable


def test_nothing_is_due_before_its_instant():
    timetable = Timetable([(Every(60), 0)])

    assert timetable.due(59) == []


def test_a_schedule_is_due_at_its_instant_with_the_window_since_its_mark():
    minutely = Every(60)
    timetable = Timetable([(minutely, 0)])

    assert timetable.due(60) == [Due(minutely, 0, 60)]


def test_a_schedule_stays_due_and_its_window_grows_until_it_is_decided():
    minutely = Every(60)
    timetable = Timetable([(minutely, 0)])
    timetable.due(60)

    assert timetable.due(200) == [Due(minutely, 0, 200)]


def test_a_decided_window_is_not_offered_again():
    timetable = Timetable([(Every(60), 0)])

    timetable.advance(timetable.due(60))

    assert timetable.due(119) == []


def test_the_next_window_starts_where_the_decided_one_ended():
    minutely = Every(60)
    timetable = Timetable([(minutely, 0)])

    timetable.advance(timetable.due(75))

    assert timetable.due(120) == [Due(minutely, 75, 120)]


def test_of_several_missed_instants_there_is_one_window():
    minutely = Every(60)
    timetable = Timetable([(minutely, 0)])

    assert timetable.due(10**9) == [Due(minutely, 0, 10**9)]


def test_schedules_come_in_the_order_of_their_first_due_instants():
    hourly, minutely = Every(3600), Every(60)
    timetable = Timetable([(hourly, 0), (minutely, 0)])

    assert [due.schedule for due in timetable.due(3600)] == [minutely, hourly]


def test_schedules_due_at_the_same_instant_come_in_the_order_of_declaration():
    plans = [Every(60) for _ in range(20)]
    timetable = Timetable([(plan, 0) for plan in plans])

    assert [due.schedule for due in timetable.due(60)] == plans


def test_the_order_of_declaration_holds_after_every_round():
    plans = [Every(60) for _ in range(20)]
    timetable = Timetable([(plan, 0) for plan in plans])
    timetable.advance(list(reversed(timetable.due(60))))

    assert [due.schedule for due in timetable.due(120)] == plans


def test_a_clock_that_goes_back_withdraws_an_offer():
    timetable = Timetable([(Every(60), 1000)])
    timetable.due(1020)

    assert timetable.due(500) == []


def test_a_withdrawn_offer_comes_again_with_its_instant():
    minutely = Every(60)
    timetable = Timetable([(minutely, 1000)])
    timetable.due(1020)
    timetable.due(500)

    assert timetable.due(1021) == [Due(minutely, 1000, 1021)]


def test_its_length_counts_planned_and_offered_schedules():
    timetable = Timetable([(Every(3600), 0), (Every(60), 0)])
    timetable.due(60)

    assert len(timetable) == 2


def test_a_schedule_that_raises_from_the_start_is_quarantined_and_the_others_go_on():
    broken, minutely = Broken(60, breaks_after_ts=0), Every(60)

    timetable = Timetable([(broken, 0), (minutely, 0)])

    assert [due.schedule for due in timetable.due(60)] == [minutely]
    assert [str(error) for error in timetable.quarantined.values()] == ["the year is too long"]


def test_a_schedule_that_raises_later_is_quarantined_with_its_error():
    broken = Broken(60, breaks_after_ts=60)
    timetable = Timetable([(broken, 0)])

    failed = timetable.advance(timetable.due(60))

    assert list(failed) == list(timetable.quarantined) == [broken]
    assert len(timetable) == 0


def test_a_schedule_that_was_set_aside_is_not_due_again():
    timetable = Timetable([(minutely := Every(60), 0)])
    timetable.due(60)

    timetable.set_aside([minutely])

    assert timetable.due(120) == []
    assert timetable.aside == [minutely]


def test_a_schedule_that_is_taken_back_is_due_from_its_mark_on():
    timetable = Timetable([(minutely := Every(60), 0)])
    timetable.due(60)
    timetable.set_aside([minutely])

    timetable.take_back({minutely: 130})

    assert timetable.due(170) == []
    assert timetable.due(180) == [Due(minutely, 130, 180)]


def test_a_schedule_that_was_set_aside_may_still_be_advanced():
    timetable = Timetable([(minutely := Every(60), 0)])
    dues = timetable.due(60)
    timetable.set_aside([minutely])

    timetable.advance(dues)

    assert len(timetable) == 0


def test_a_schedule_that_the_ledger_could_not_decide_is_quarantined_with_its_error():
    timetable = Timetable([(minutely := Every(60), 0)])
    timetable.due(60)
    error = ArithmeticError("no such day")

    timetable.quarantine({minutely: error})

    assert timetable.quarantined == {minutely: error}
    assert timetable.due(120) == []


@given(
    periods=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    ticks=st.lists(st.tuples(st.integers(-10, 30), st.booleans()), max_size=40),
)
def test_every_due_instant_lies_in_exactly_one_decided_window(periods, ticks):
    plans = [Every(period) for period in periods]
    timetable = Timetable([(plan, 0) for plan in plans])
    decided: dict[Every, list[int]] = {plan: [] for plan in plans}
    now_ts, latest_ts = 0, 0

    for step_s, is_ledger_there in [*ticks, (1000, True)]:
        now_ts += step_s  # also backwards
        dues = timetable.due(now_ts)
        assert all(due.after_ts < due.schedule.next_after_ts(due.after_ts) <= due.until_ts for due in dues)
        if is_ledger_there:
            latest_ts = max(latest_ts, now_ts)
            timetable.advance(dues)
            for due in dues:
                window = range(due.after_ts + 1, due.until_ts + 1)
                decided[due.schedule] += [ts for ts in window if ts % due.schedule.seconds == 0]

    for plan, instants in decided.items():
        assert instants == list(range(plan.seconds, latest_ts + 1, plan.seconds))
