from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from plans import At, Every

from pinstripe_bot.occurrence import Decision, Reason
from pinstripe_bot.policies import CatchUp, CatchUpPolicy, Verdict

LATEST = CatchUpPolicy(CatchUp.LATEST, late_after_s=60, max_lateness_s=None)
NONE = CatchUpPolicy(CatchUp.NONE, late_after_s=60, max_lateness_s=None)

MINUTELY = Every(60)
NOON = 43_200


def ran(due_ts: int) -> Verdict:
    return Verdict(due_ts, Decision.RUN)


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


instants = st.sets(st.integers(-50, 250), max_size=30)
durations = st.none() | st.integers(0, 200) | st.floats(0, 200)


@given(
    instants=instants,
    decided=instants,
    after_ts=st.integers(-50, 150),
    length=st.integers(0, 100),
    delay_s=st.integers(0, 120) | st.floats(0, 120),
    catch_up=st.sampled_from(CatchUp),
    late_after_s=st.integers(0, 100) | st.floats(0, 100),
    max_lateness_s=durations,
)
def test_every_instant_of_the_window_gets_exactly_one_verdict(
    instants, decided, after_ts, length, delay_s, catch_up, late_after_s, max_lateness_s
):
    policy = CatchUpPolicy(catch_up, late_after_s, max_lateness_s)
    until_ts = after_ts + length
    now_ts = until_ts + delay_s

    verdicts = policy.decide(At(instants), after_ts, until_ts, now_ts, decided_ts=sorted(decided))

    window = sorted(ts for ts in instants if after_ts < ts <= until_ts)
    told = [
        (ts, verdict.decision, verdict.reason)
        for verdict in verdicts
        for ts in window
        if verdict.due_ts <= ts <= (verdict.until_ts or verdict.due_ts)
    ]
    newest = max(window, default=None)
    assert told == [(ts, *_expected(policy, ts, now_ts, is_newest=ts == newest)) for ts in window if ts not in decided]
    assert sum(verdict.count for verdict in verdicts) == len(told)


def _expected(policy: CatchUpPolicy, ts: int, now_ts: float, *, is_newest: bool) -> tuple[Decision, Reason | None]:
    """The decision of DESIGN 6 on one instant, without any cleverness."""
    too_late = policy.max_lateness_s is not None and ts < now_ts - policy.max_lateness_s
    if policy.catch_up is CatchUp.NONE and ts < now_ts - policy.late_after_s:
        too_late = True
    if too_late:
        return Decision.MISSED, Reason.TOO_LATE
    return (Decision.RUN, None) if is_newest else (Decision.MISSED, Reason.COALESCED)
