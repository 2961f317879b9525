from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import At, Every

from pinstripe_bot.occurrence import Decision, Reason
from pinstripe_bot.policies import CatchUp, CatchUpPolicy, RetryPolicy, Verdict

LATEST = CatchUpPolicy(CatchUp.LATEST, late_after_s=60, max_lateness_s=None)
NONE = CatchUpPolicy(CatchUp.NONE, late_after_s=60, max_lateness_s=None)
ALL = CatchUpPolicy(CatchUp.ALL, late_after_s=60, max_lateness_s=None)

MINUTELY = Every(60)
NOON = 43_200


def ran(due_ts: int) -> Verdict:
    return Verdict(due_ts, Decision.RUN)


def caught_up(due_ts: int, delay_s: float = 0.0) -> Verdict:
    return Verdict(due_ts, Decision.RUN, delay_s=delay_s, is_in_turn=True)


def missed(due_ts: int, reason: Reason, *, until_ts: int | None = None, count: int = 1) -> Verdict:
    return Verdict(due_ts, Decision.MISSED, reason, until_ts, count)


def test_a_window_without_a_due_instant_has_no_verdict():
    assert LATEST.decide(MINUTELY, NOON, NOON + 59, NOON + 59) == []


def test_an_instant_on_time_runs():
    assert LATEST.decide(MINUTELY, NOON, NOON + 60, NOON + 60.2) == [ran(NOON + 60)]


def test_the_start_of_the_window_is_decided_already():
    assert LATEST.decide(MINUTELY, NOON + 60, NOON + 60, NOON + 60) == []


def test_of_several_instants_the_newest_runs_and_the_older_ones_are_one_stretch():
    verdicts = LATEST.decide(MINUTELY, NOON, NOON + 300, NOON + 300)

    assert verdicts == [missed(NOON + 60, Reason.COALESCED, until_ts=NOON + 240, count=4), ran(NOON + 300)]


def test_a_single_superseded_instant_is_a_stretch_without_an_end():
    verdicts = LATEST.decide(MINUTELY, NOON, NOON + 120, NOON + 120)

    assert verdicts == [missed(NOON + 60, Reason.COALESCED), ran(NOON + 120)]


def test_latest_runs_the_newest_however_late_it_is():
    yearly = At([NOON])

    verdicts = LATEST.decide(yearly, 0, NOON + 10**7, NOON + 10**7)

    assert verdicts == [ran(NOON)]


def test_a_year_of_missed_seconds_takes_one_stretch():
    year_s = 365 * 86400

    verdicts = LATEST.decide(Every(1), NOON, NOON + year_s, NOON + year_s)

    until_ts = NOON + year_s - 1
    stretch = missed(NOON + 1, Reason.COALESCED, until_ts=until_ts, count=year_s - 1)
    assert verdicts == [stretch, ran(NOON + year_s)]


def test_none_runs_an_instant_that_is_not_late_yet():
    assert NONE.decide(MINUTELY, NOON, NOON + 119, NOON + 120) == [ran(NOON + 60)]


def test_none_misses_an_instant_that_is_late():
    verdicts = NONE.decide(MINUTELY, NOON, NOON + 119, NOON + 120.001)

    assert verdicts == [missed(NOON + 60, Reason.TOO_LATE)]


def test_none_runs_the_newest_instant_where_it_is_on_time():
    verdicts = NONE.decide(MINUTELY, NOON, NOON + 300, NOON + 300.5)

    assert verdicts == [
        missed(NOON + 60, Reason.TOO_LATE, until_ts=NOON + 240, count=4),
        ran(NOON + 300),
    ]


def test_an_instant_older_than_max_lateness_is_missed():
    policy = CatchUpPolicy(CatchUp.LATEST, late_after_s=60, max_lateness_s=3600)

    verdicts = policy.decide(At([NOON]), 0, NOON + 3601, NOON + 3601)

    assert verdicts == [missed(NOON, Reason.TOO_LATE)]


def test_an_instant_exactly_max_lateness_old_runs():
    policy = CatchUpPolicy(CatchUp.LATEST, late_after_s=60, max_lateness_s=3600)

    assert policy.decide(At([NOON]), 0, NOON + 3600, NOON + 3600) == [ran(NOON)]


def test_max_lateness_shorter_than_late_after_decides_under_none():
    policy = CatchUpPolicy(CatchUp.NONE, late_after_s=60, max_lateness_s=5)

    assert policy.decide(At([NOON]), 0, NOON + 6, NOON + 6) == [missed(NOON, Reason.TOO_LATE)]


def test_too_late_and_superseded_instants_are_two_stretches():
    policy = CatchUpPolicy(CatchUp.LATEST, late_after_s=60, max_lateness_s=150)

    verdicts = policy.decide(MINUTELY, NOON, NOON + 300, NOON + 300)

    assert verdicts == [
        missed(NOON + 60, Reason.TOO_LATE, until_ts=NOON + 120, count=2),
        missed(NOON + 180, Reason.COALESCED, until_ts=NOON + 240, count=2),
        ran(NOON + 300),
    ]


def test_an_instant_decided_ahead_cuts_a_stretch():
    verdicts = LATEST.decide(MINUTELY, NOON, NOON + 300, NOON + 300, decided_ts=[NOON + 180])

    assert verdicts == [
        missed(NOON + 60, Reason.COALESCED, until_ts=NOON + 120, count=2),
        missed(NOON + 240, Reason.COALESCED),
        ran(NOON + 300),
    ]


def test_where_the_newest_instant_was_decided_ahead_nothing_runs():
    verdicts = LATEST.decide(MINUTELY, NOON, NOON + 120, NOON + 120, decided_ts=[NOON + 120])

    assert verdicts == [missed(NOON + 60, Reason.COALESCED)]


def test_where_all_was_decided_ahead_nothing_is_left():
    assert LATEST.decide(MINUTELY, NOON, NOON + 60, NOON + 60, decided_ts=[NOON + 60]) == []


def test_the_first_second_of_1970_is_an_instant_like_any_other():
    verdicts = LATEST.decide(At([-60, 0]), -90, 30, 30)

    assert verdicts == [missed(-60, Reason.COALESCED), ran(0)]


def test_all_runs_one_instant_on_time_as_any_other():
    assert ALL.decide(MINUTELY, NOON, NOON + 60, NOON + 60.2) == [ran(NOON + 60)]


def test_all_runs_every_instant_in_turn_oldest_first():
    verdicts = ALL.decide(MINUTELY, NOON, NOON + 180, NOON + 180)

    assert verdicts == [caught_up(NOON + 60), caught_up(NOON + 120), caught_up(NOON + 180)]


def test_the_runs_of_a_catch_up_start_at_their_spacing():
    policy = CatchUpPolicy(CatchUp.ALL, late_after_s=60, max_lateness_s=None, catch_up_spacing_s=2.5)

    verdicts = policy.decide(MINUTELY, NOON, NOON + 180, NOON + 180)

    assert verdicts == [caught_up(NOON + 60), caught_up(NOON + 120, 2.5), caught_up(NOON + 180, 5.0)]


@pytest.mark.parametrize("cause", [Reason.BOT_DOWN, Reason.CLOCK_JUMP])
def test_all_misses_what_is_older_than_its_newest_with_the_cause(cause):
    policy = CatchUpPolicy(CatchUp.ALL, late_after_s=60, max_lateness_s=None, catch_up_max=2)

    verdicts = policy.decide(MINUTELY, NOON, NOON + 300, NOON + 300, cause=cause)

    older = missed(NOON + 60, cause, until_ts=NOON + 180, count=3)
    assert verdicts == [older, caught_up(NOON + 240), caught_up(NOON + 300)]


def test_a_catch_up_of_at_most_one_is_not_in_turn():
    policy = CatchUpPolicy(CatchUp.ALL, late_after_s=60, max_lateness_s=None, catch_up_max=1)

    verdicts = policy.decide(MINUTELY, NOON, NOON + 120, NOON + 120)

    assert verdicts == [missed(NOON + 60, Reason.BOT_DOWN), ran(NOON + 120)]


def test_all_runs_nothing_that_is_too_late():
    policy = CatchUpPolicy(CatchUp.ALL, late_after_s=60, max_lateness_s=150, catch_up_max=2)

    verdicts = policy.decide(MINUTELY, NOON, NOON + 300, NOON + 300)

    assert verdicts == [
        missed(NOON + 60, Reason.TOO_LATE, until_ts=NOON + 120, count=2),
        missed(NOON + 180, Reason.BOT_DOWN),
        caught_up(NOON + 240),
        caught_up(NOON + 300),
    ]


def test_an_instant_decided_ahead_takes_no_place_in_a_catch_up():
    policy = CatchUpPolicy(CatchUp.ALL, late_after_s=60, max_lateness_s=None, catch_up_max=2)

    verdicts = policy.decide(MINUTELY, NOON, NOON + 240, NOON + 240, decided_ts=[NOON + 180])

    assert verdicts == [
        missed(NOON + 60, Reason.BOT_DOWN),
        caught_up(NOON + 120),
        caught_up(NOON + 240),
    ]


@pytest.mark.parametrize("catch_up", [CatchUp.LATEST, CatchUp.NONE])
def test_a_cause_changes_nothing_where_the_newest_supersedes(catch_up):
    policy = CatchUpPolicy(catch_up, late_after_s=600, max_lateness_s=None)

    verdicts = policy.decide(MINUTELY, NOON, NOON + 120, NOON + 120, cause=Reason.CLOCK_JUMP)

    assert verdicts == [missed(NOON + 60, Reason.COALESCED), ran(NOON + 120)]


class Counted:
    """Due every second, and counts what it is asked."""

    def __init__(self) -> None:
        self.plan = Every(1)
        self.asked = Counter()

    def next_after_ts(self, after_ts: int) -> int:
        self.asked["next"] += 1
        return self.plan.next_after_ts(after_ts)

    def previous_before_ts(self, before_ts: int) -> int | None:
        self.asked["previous"] += 1
        return self.plan.previous_before_ts(before_ts)

    def count_ts(self, after_ts: int, until_ts: int) -> int:
        self.asked["count"] += 1
        return self.plan.count_ts(after_ts, until_ts)


@pytest.mark.parametrize("catch_up", CatchUp)
def test_a_year_of_a_job_of_every_second_is_decided_with_few_questions(catch_up):
    plan = Counted()
    policy = CatchUpPolicy(catch_up, late_after_s=60, max_lateness_s=86_400.0)
    year_s = 365 * 86_400

    verdicts = policy.decide(plan, NOON, NOON + year_s, NOON + year_s)

    runs = policy.catch_up_max if catch_up is CatchUp.ALL else 1
    assert [verdict.decision for verdict in verdicts].count(Decision.RUN) == runs
    assert len(verdicts) <= runs + 2
    assert sum(verdict.count for verdict in verdicts) == year_s
    assert plan.asked["previous"] <= runs + 2  # the walk, and the end of each stretch
    assert plan.asked["next"] <= 3
    assert plan.asked["count"] <= 2


instants = st.sets(st.integers(-50, 250), max_size=30)
durations = st.none() | st.integers(0, 200) | st.floats(0, 200)
policies = st.builds(
    CatchUpPolicy,
    catch_up=st.sampled_from(CatchUp),
    late_after_s=st.integers(0, 100) | st.floats(0, 100),
    max_lateness_s=durations,
    catch_up_max=st.integers(1, 12),
    catch_up_spacing_s=st.floats(0, 100),
)


@given(
    policy=policies,
    instants=instants,
    decided=instants,
    after_ts=st.integers(-50, 150),
    length=st.integers(0, 100),
    delay_s=st.integers(0, 120) | st.floats(0, 120),
)
def test_every_instant_of_the_window_gets_exactly_one_verdict(policy, instants, decided, after_ts, length, delay_s):
    until_ts = after_ts + length
    now_ts = until_ts + delay_s

    verdicts = policy.decide(At(instants), after_ts, until_ts, now_ts, decided_ts=sorted(decided))

    window = sorted(ts for ts in instants if after_ts < ts <= until_ts)
    told = [
        (ts, verdict.decision, verdict.reason)
        for verdict in verdicts
        for ts in window
        if verdict.due_ts <= ts <= (verdict.due_ts if verdict.until_ts is None else verdict.until_ts)
    ]
    expected = _expected(policy, window, decided, now_ts)
    assert told == [(ts, *expected[ts]) for ts in window if ts not in decided]
    assert sum(verdict.count for verdict in verdicts) == len(told)


@given(
    policy=policies,
    instants=instants,
    decided=instants,
    after_ts=st.integers(-50, 150),
    length=st.integers(0, 100),
    delay_s=st.integers(0, 120) | st.floats(0, 120),
)
def test_what_runs_is_bounded_on_time_and_in_order(policy, instants, decided, after_ts, length, delay_s):
    until_ts = after_ts + length
    now_ts = until_ts + delay_s

    verdicts = policy.decide(At(instants), after_ts, until_ts, now_ts, decided_ts=sorted(decided))

    runs = [verdict for verdict in verdicts if verdict.decision is Decision.RUN]
    assert len(runs) <= (policy.catch_up_max if policy.catch_up is CatchUp.ALL else 1)
    assert not any(_is_too_late(policy, verdict.due_ts, now_ts) for verdict in runs)
    assert [verdict.due_ts for verdict in verdicts] == sorted({verdict.due_ts for verdict in verdicts})
    assert [verdict.delay_s for verdict in runs] == [number * policy.catch_up_spacing_s for number in range(len(runs))]
    assert all(verdict.is_in_turn is (len(runs) > 1) for verdict in runs)
    assert not any(verdict.is_in_turn or verdict.delay_s for verdict in verdicts if verdict not in runs)


def _expected(
    policy: CatchUpPolicy, window: list[int], decided: set[int], now_ts: float
) -> dict[int, tuple[Decision, Reason | None]]:
    """The decision of DESIGN 6 on each instant, without any cleverness."""
    to_run = window[-1:]
    if policy.catch_up is CatchUp.ALL:
        to_run = [ts for ts in window if ts not in decided][-policy.catch_up_max :]
    superseded = Reason.BOT_DOWN if policy.catch_up is CatchUp.ALL else Reason.COALESCED
    expected: dict[int, tuple[Decision, Reason | None]] = {}
    for ts in window:
        if _is_too_late(policy, ts, now_ts):
            expected[ts] = (Decision.MISSED, Reason.TOO_LATE)
        else:
            expected[ts] = (Decision.RUN, None) if ts in to_run else (Decision.MISSED, superseded)
    return expected


def _is_too_late(policy: CatchUpPolicy, ts: int, now_ts: float) -> bool:
    limits = [policy.max_lateness_s, policy.late_after_s if policy.catch_up is CatchUp.NONE else None]
    return any(limit is not None and ts < now_ts - limit for limit in limits)


def test_a_run_is_tried_again_as_often_as_its_job_says():
    policy = RetryPolicy(retries=2, first_s=10, cap_s=3600)

    assert [policy.delay_s(attempt, 0.0) is not None for attempt in (1, 2, 3, 4)] == [True, True, False, False]


def test_without_retries_the_first_attempt_is_the_last():
    assert RetryPolicy(retries=0, first_s=10, cap_s=3600).delay_s(1, 0.5) is None


def test_the_wait_doubles_up_to_its_cap():
    policy = RetryPolicy(retries=9, first_s=10, cap_s=60)

    assert [policy.delay_s(attempt, 0.0) for attempt in range(1, 6)] == [5, 10, 20, 30, 30]


@given(
    attempt=st.integers(1, 10_000),
    fraction=st.floats(0, 1, exclude_max=True),
    first_s=st.floats(0.001, 1e9),
    more_s=st.floats(0, 1e9),
)
def test_a_wait_is_between_half_of_the_full_one_and_all_of_it(attempt, fraction, first_s, more_s):
    policy = RetryPolicy(retries=10_000, first_s=first_s, cap_s=first_s + more_s)

    delay_s = policy.delay_s(attempt, fraction)

    full_s = policy.cap_s if attempt > 100 else min(policy.cap_s, first_s * 2 ** (attempt - 1))
    assert full_s / 2 <= delay_s <= full_s


def test_the_ten_thousandth_wait_is_no_longer_than_the_cap():
    assert RetryPolicy(retries=10_000, first_s=10, cap_s=3600).delay_s(10_000, 0.0) == 1800
