"""What people ask of the ledger: retry, cancel, pause, resume, skip, backfill."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bots import (
    EVERY_MINUTE,
    PATIENCE_S,
    TENANTS,
    WAITING,
    Ears,
    claim_only,
    decisions,
    job,
    names_in,
    rows,
    states,
    write_tenants,
)
from tenancy import work_off

from pinstripe_bot.bot import Bot
from pinstripe_bot.enqueueing import wish_of
from pinstripe_bot.errors import InvalidSchedule, UnknownJob, UnknownRun
from pinstripe_bot.ledger_acts import ActRefused, Acts, schedules_of
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.ledger_backfill import Gap, Span, missing
from pinstripe_bot.ledger_queue import Wish
from pinstripe_bot.occurrence import Reason, RunState
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

ADA = Person("ada", "command on web-1")

LISTENING = f"begun.set()\nwhile not go.wait(0.005): workspace.checkpoint()\nassert {PATIENCE_S}"

FAILING = "calls.append(workspace.attempt)\nif len(calls) < 2: raise ValueError('out of paper')"


def acts_on(bot: Bot) -> Acts:
    return Acts(bot.ledger.store, bot.project, ADA)


def audit(bot: Bot) -> list[tuple[Any, ...]]:
    """(who, origin, action, job, run, details) of every act."""
    found = rows(bot.ledger, "SELECT who, origin, action, job, run_id, details FROM audit ORDER BY id")
    return [(*facts, json.loads(details)) for *facts, details in found]


def tick(bot: Bot, clock: TravelClock, **passed: float) -> None:
    """Let time pass, and the bot see it and end what it starts."""
    clock.travel(**passed)
    bot.tick()


# Retry


def test_a_failed_run_is_queued_again_as_its_next_attempt(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(FAILING))
    failed = bot.run_background_job("sweep")

    queued = acts_on(bot).retry(failed.id, clock.now())

    assert (queued.id, queued.state, queued.attempt, queued.error) == (failed.id, "queued", 2, None)
    assert rows(bot.ledger, "SELECT attempt, state FROM attempts") == [(1, "failed")]
    assert audit(bot) == [("ada", "command on web-1", "retry", "sweep", failed.id, {"was": "failed", "force": False})]


def test_a_bot_takes_up_a_retried_run(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(FAILING))
    failed = bot.run_background_job("sweep")
    acts_on(bot).retry(failed.id, clock.now())

    with Ears() as ears:
        bot.parts.look()
        ears.wait_for("run_succeeded")

    assert names_in(bot, "sweep")["calls"] == [1, 2]


@pytest.mark.parametrize("state", ["timed_out", "interrupted", "cancelled"])
def test_each_end_but_success_may_be_retried(make_bot: MakeBot, clock: TravelClock, state: str) -> None:
    bot = make_bot(sweep=job())
    run = bot.run_background_job("sweep")
    with bot.ledger.store.writing() as connection:
        connection.exec_driver_sql(f"UPDATE runs SET state = '{state}'")

    assert acts_on(bot).retry(run.id, clock.now()).attempt == 2


def test_a_succeeded_run_is_retried_only_by_force(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    run = bot.run_background_job("sweep")

    with pytest.raises(ActRefused, match="has succeeded: --force"):
        acts_on(bot).retry(run.id, clock.now())

    assert acts_on(bot).retry(run.id, clock.now(), force=True).state is RunState.QUEUED


def test_an_open_run_is_not_retried(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    (run,) = claim_only(bot)

    with pytest.raises(ActRefused, match=f"is queued: .* `pinstripe cancel {run.id}`"):
        acts_on(bot).retry(run.id, clock.now())

    assert audit(bot) == []


def test_a_skipped_run_has_no_attempt_to_retry(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    claim_only(bot)
    skipped = bot.run_background_job("sweep")

    with pytest.raises(ActRefused, match=r"`pinstripe run-background-job sweep --at 2026-01-01T00:01:00Z` runs it now"):
        acts_on(bot).retry(skipped.id, clock.now())


def test_a_run_whose_work_is_open_elsewhere_is_not_retried(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(FAILING))
    failed = bot.run_background_job("sweep")
    clock.travel(minutes=1)
    (other,) = claim_only(bot)

    with pytest.raises(ActRefused, match=f"would overlap with run {other.id}"):
        acts_on(bot).retry(failed.id, clock.now())

    assert acts_on(bot).retry(failed.id, clock.now(), force=True).attempt == 2


def test_a_job_that_may_overlap_is_retried_beside_itself(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(FAILING, repr(EVERY_MINUTE), "overlap='allow'"))
    failed = bot.run_background_job("sweep")
    clock.travel(minutes=1)
    claim_only(bot)

    assert acts_on(bot).retry(failed.id, clock.now()).attempt == 2


def test_a_run_of_a_removed_job_is_not_retried(make_bot: MakeBot, clock: TravelClock) -> None:
    failed = make_bot(sweep=job(FAILING)).run_background_job("sweep")
    bot = make_bot(sweep="", other=job())

    with pytest.raises(UnknownJob):
        acts_on(bot).retry(failed.id, clock.now())


def test_an_unknown_run_is_told(make_bot: MakeBot, clock: TravelClock) -> None:
    acts = acts_on(make_bot(sweep=job()))

    for act in (acts.retry, acts.cancel):
        with pytest.raises(UnknownRun, match="there is no run 7"):
            act(7, clock.now())


# Cancel


def test_a_queued_run_is_cancelled_at_once_and_never_starts(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("calls.append(1)"), other=job())
    clock.travel(minutes=1)
    claimed = claim_only(bot)
    (run,) = [run for run in claimed if run.job == "sweep"]

    asked = acts_on(bot).cancel(run.id, clock.now())

    with Ears() as ears:
        bot.dispatcher.dispatch(claimed)
        ears.wait_for("run_succeeded")
    assert (asked.run.state, asked.run.reason, asked.had_ended) == ("cancelled", Reason.CANCELLED, False)
    assert names_in(bot, "sweep")["calls"] == []
    assert rows(bot.ledger, "SELECT cancelled_by FROM runs WHERE job = 'sweep'") == [("ada",)]
    assert audit(bot) == [("ada", "command on web-1", "cancel", "sweep", run.id, {"was": "queued"})]


def test_a_running_run_is_ended_by_its_bot(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(LISTENING))
    tick(bot, clock, minutes=1)
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)

    asked = acts_on(bot).cancel(1, clock.now())

    assert (asked.run.state, asked.had_ended) == ("running", False)
    with Ears() as ears:
        bot.parts.look()
        ears.wait_for("run_cancelled")


def test_an_ended_run_stays_as_it_is(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    run = bot.run_background_job("sweep")

    asked = acts_on(bot).cancel(run.id, clock.now())

    assert (asked.run.state, asked.had_ended) == ("succeeded", True)
    assert audit(bot) == []


def test_a_cancelled_retry_is_not_tried_again(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("raise ValueError", f"{EVERY_MINUTE!r}, retries=3, backoff='10m'"))
    tick(bot, clock, minutes=1)
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)

    acts_on(bot).cancel(1, clock.now())

    clock.travel(hours=1)
    bot.parts.look()
    assert rows(bot.ledger, "SELECT state, attempt FROM runs") == [("cancelled", 2)]


# Pause and resume


def test_a_paused_job_does_not_come_due_and_runs_by_hand(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())

    acts_on(bot).pause("sweep", clock.now(), why="the bank is closed")

    tick(bot, clock, minutes=1)
    assert decisions(bot) == [(EVERY_MINUTE, "skipped", "paused", 1)]
    assert bot.run_background_job("sweep").state is RunState.SUCCEEDED
    assert audit(bot) == [
        ("ada", "command on web-1", "pause", "sweep", None, {"until_at": None, "why": "the bank is closed"})
    ]


def test_pausing_again_changes_the_end_and_the_reason_but_not_the_beginning(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job())
    begun_at = clock.now()
    acts_on(bot).pause("sweep", begun_at, why="first")
    clock.travel(minutes=1)

    pause = acts_on(bot).pause("sweep", clock.now(), until_at=begun_at + timedelta(hours=1), why="second")

    assert (pause.paused_at, pause.until_at, pause.why) == (begun_at, begun_at + timedelta(hours=1), "second")


def test_a_resume_never_fires_the_past_with_a_bot_that_runs(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    acts_on(bot).pause("sweep", clock.now())
    tick(bot, clock, minutes=2)
    clock.travel(minutes=2)

    ended = acts_on(bot).resume("sweep", clock.now())

    bot.tick()
    assert ended.passed == 2
    assert decisions(bot) == [(EVERY_MINUTE, "skipped", "paused", 4)]
    assert states(bot) == []


def test_a_resume_never_fires_the_past_where_no_bot_ran(make_bot: MakeBot, clock: TravelClock) -> None:
    before = make_bot(sweep=job())
    acts_on(before).pause("sweep", clock.now())
    before.stop()
    clock.travel(minutes=3)
    absent = make_bot(planned=False)
    absent.open()

    ended = acts_on(absent).resume("sweep", clock.now())

    clock.travel(seconds=30)
    bot = make_bot()
    bot.tick()
    assert ended.passed == 3
    assert decisions(bot) == [(EVERY_MINUTE, "skipped", "paused", 3)]
    assert states(bot) == []


def test_at_a_resume_what_came_due_before_the_pause_is_missed(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=2, seconds=30)
    acts_on(bot).pause("sweep", clock.now())
    clock.travel(minutes=3)

    ended = acts_on(bot).resume("sweep", clock.now())

    bot.tick()
    assert ended.passed == 3
    assert decisions(bot) == [(EVERY_MINUTE, "missed", "bot_down", 2), (EVERY_MINUTE, "skipped", "paused", 3)]
    assert states(bot) == []


def test_a_resumed_job_comes_due_again(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    acts_on(bot).pause("sweep", clock.now())
    clock.travel(minutes=1, seconds=30)
    acts_on(bot).resume("sweep", clock.now())

    clock.travel(minutes=1)

    assert [run.due_at.minute for run in claim_only(bot)] == [2]
    effective = rows(bot.ledger, "SELECT effective_from FROM schedules")
    assert effective == [(int(datetime(2026, 1, 1, 0, 1, 30, tzinfo=UTC).timestamp()) * 1_000_000,)]


def test_a_job_that_is_not_paused_is_left_alone(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)

    ended = acts_on(bot).resume("sweep", clock.now())

    assert (ended.pause, ended.passed, audit(bot)) == (None, 0, [])
    assert len(claim_only(bot)) == 1


def test_a_pause_of_every_job_holds_one_that_is_resumed(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    for name in ("", "sweep"):
        acts_on(bot).pause(name, clock.now())

    ended = acts_on(bot).resume("sweep", clock.now())

    assert ended.pause is not None
    assert ended.still is not None
    clock.travel(minutes=1)
    assert claim_only(bot) == []


def test_all_jobs_are_resumed_at_once(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), other=job())
    acts_on(bot).pause("", clock.now())
    clock.travel(minutes=2)

    ended = acts_on(bot).resume("", clock.now())

    assert ended.passed == 4
    assert claim_only(bot) == []


def test_a_schedule_that_was_edited_is_left_to_its_bot(make_bot: MakeBot, clock: TravelClock) -> None:
    old = make_bot(sweep=job())
    acts_on(old).pause("sweep", clock.now())
    clock.travel(minutes=2)
    edited = make_bot(planned=False, sweep=job("return None", f"'*/2 * * * *', name={EVERY_MINUTE!r}"))
    edited.open()

    ended = acts_on(edited).resume("sweep", clock.now())

    assert ended.pause is not None
    assert ended.passed == 0


def test_the_pause_of_a_removed_job_can_be_ended(make_bot: MakeBot, clock: TravelClock) -> None:
    acts_on(make_bot(sweep=job())).pause("sweep", clock.now())
    bot = make_bot(sweep="", other=job())
    clock.travel(seconds=1)
    assert acts_on(bot).is_paused("sweep", clock.now())

    assert acts_on(bot).resume("sweep", clock.now()).pause is not None

    clock.travel(seconds=1)
    assert not acts_on(bot).is_paused("sweep", clock.now())


# Skip


def test_the_next_instants_are_skipped_and_told(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())

    told = acts_on(bot).skip("sweep", 2, clock.now(), why="inventory")

    assert [(at.minute, one.name) for at, one in told] == [(1, EVERY_MINUTE), (2, EVERY_MINUTE)]
    for _ in range(3):
        clock.travel(minutes=1)
        claimed = claim_only(bot)
    assert [run.due_at.minute for run in claimed] == [3]
    assert [reason for _, _, reason, _ in decisions(bot)] == ["skip_asked", "skip_asked", None]
    details = {"schedule": "", "count": 2, "why": "inventory"}
    assert audit(bot) == [("ada", "command on web-1", "skip", "sweep", None, details)]


def test_asking_again_replaces_the_wish_and_zero_takes_it_back(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    acts_on(bot).skip("sweep", 5, clock.now())

    assert len(acts_on(bot).skip("sweep", 1, clock.now())) == 1
    assert acts_on(bot).skip("sweep", 0, clock.now()) == []

    clock.travel(minutes=1)
    assert len(claim_only(bot)) == 1


def test_one_schedule_may_be_skipped(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return None", repr(EVERY_MINUTE), "'*/2 * * * *', name='even', params={'a': 1}"))

    told = acts_on(bot).skip("sweep", 1, clock.now(), schedule="even")

    assert [(at.minute, one.name) for at, one in told] == [(2, "even")]
    clock.travel(minutes=2)
    assert [run.schedule for run in claim_only(bot)] == [EVERY_MINUTE]


def test_what_a_bot_has_to_catch_up_with_is_skipped_first(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=5, seconds=30)

    told = acts_on(bot).skip("sweep", 2, clock.now())

    assert [at.minute for at, _ in told] == [5, 6]
    assert claim_only(bot) == []


def test_a_paused_job_skips_after_its_pause(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    acts_on(bot).pause("sweep", clock.now(), until_at=clock.now() + timedelta(minutes=10, seconds=30))

    (told,) = acts_on(bot).skip("sweep", 1, clock.now())

    assert told[0].minute == 11
    acts_on(bot).pause("sweep", clock.now())
    assert acts_on(bot).skip("sweep", 1, clock.now()) == []


IN_THREE_ZONES = TENANTS.replace('"Coro"', '"Coro", "Asia/Tokyo"')
AT_NINE = job("return None", "'0 9 * * *', multi_tenant=True, timezone='tenant'")


def test_in_the_zones_of_tenants_the_next_instant_of_each_is_skipped(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    write_tenants(root, IN_THREE_ZONES)
    clock.travel(hours=10)  # nine has passed in Tokyo and in Berlin, and comes in New York
    bot = make_bot(invoice=AT_NINE)
    bot.parts.tenant_zones._look()
    bot.tick()

    told = acts_on(bot).skip("invoice", 1, clock.now())

    zones = ["America/New_York", "Asia/Tokyo", "Europe/Berlin"]
    assert [(one.key, at.day, at.hour) for at, one in told] == list(zip(zones, [1, 2, 2], [14, 0, 8], strict=True))
    for _ in range(48):
        clock.travel(hours=1)
        bot.tick()
    query = "SELECT key, decision, reason FROM occurrences WHERE key = ? ORDER BY due_at"
    for zone in zones:
        asked, *others = rows(bot.ledger, query, zone)
        assert asked == (zone, "skipped", "skip_asked")
        assert [decision for _, decision, _ in others] == ["run"]
    assert rows(bot.ledger, "SELECT * FROM skips") == []


def test_a_skip_is_not_kept_for_a_zone_that_is_planned_no_more(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    write_tenants(root, IN_THREE_ZONES)
    bot = make_bot(invoice=AT_NINE)
    bot.parts.tenant_zones._look()
    bot.tick()
    acts_on(bot).skip("invoice", 9, clock.now())
    gone = [one for one in bot.timetable.schedules if one.key == "Europe/Berlin"]

    bot.ledger.replan({}, gone, clock.now())

    assert rows(bot.ledger, "SELECT key FROM skips ORDER BY key") == [("America/New_York",), ("Asia/Tokyo",)]


def test_where_no_zone_of_a_tenant_is_known_yet_nothing_can_be_skipped(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(invoice=AT_NINE)

    with pytest.raises(ActRefused, match="no zone of a tenant is known yet"):
        acts_on(bot).skip("invoice", 1, clock.now())


def test_a_schedule_that_there_is_not_is_told(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return None", "'0 3 * * *', name='night'"), idle=job("return None", ""))

    with pytest.raises(InvalidSchedule, match="has no schedule 'nigt': did you mean 'night'"):
        acts_on(bot).skip("sweep", 1, clock.now(), schedule="nigt")
    with pytest.raises(InvalidSchedule, match="runs by hand only"):
        acts_on(bot).skip("idle", 1, clock.now())


# Backfill


def span_of(bot: Bot, name: str, clock: TravelClock, minutes: int) -> Span:
    """The last minutes before now, in the schedules of a job."""
    now_ts = int(clock.now().timestamp())
    return Span(tuple(schedules_of(bot.project.jobs[name])), now_ts - 60 * minutes + 1, now_ts)


def gaps_in(bot: Bot, span: Span) -> list[Gap]:
    with bot.ledger.store.reading() as connection:
        return missing(connection, span, bot.project.jobs[span.job].schedules)


def fill(bot: Bot, span: Span, clock: TravelClock, **options: Any) -> int:
    gaps = gaps_in(bot, span)
    return acts_on(bot).backfill(span, gaps, clock.now(), **options) if gaps else 0


def test_each_instant_of_the_past_gets_a_run_oldest_first(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("calls.append(workspace.due_at.minute)"))
    span = span_of(bot, "sweep", clock, 3)

    added = fill(bot, span, clock)

    for _ in range(3):
        with Ears() as ears:
            bot.parts.look()
            ears.wait_for("run_succeeded")
        assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert added == 3
    assert names_in(bot, "sweep")["calls"] == [58, 59, 0]
    assert [key for (key,) in rows(bot.ledger, "SELECT key FROM occurrences")] == ["backfill"] * 3


def test_the_same_backfill_again_adds_only_what_is_missing(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    span = span_of(bot, "sweep", clock, 3)
    acts_on(bot).backfill(span, gaps_in(bot, span)[1:2], clock.now())

    added = [fill(bot, span, clock), fill(bot, span, clock)]

    assert added == [2, 0]
    assert len(audit(bot)) == 2


def test_gaps_that_somebody_filled_meanwhile_are_left_out(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    span = span_of(bot, "sweep", clock, 3)
    gaps = gaps_in(bot, span)
    fill(bot, span, clock)

    assert acts_on(bot).backfill(span, gaps, clock.now()) == 0

    assert len(states(bot)) == 3


def test_missed_instants_are_filled_and_those_that_ran_are_not(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=3)
    claim_only(bot)  # the newest runs, the others are missed

    gaps = gaps_in(bot, span_of(bot, "sweep", clock, 3))

    assert [gap.due_ts % 3600 // 60 for gap in gaps] == [1, 2]


def test_paused_instants_are_filled(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    acts_on(bot).pause("sweep", clock.now())
    tick(bot, clock, minutes=2)

    assert len(gaps_in(bot, span_of(bot, "sweep", clock, 2))) == 2


def test_two_schedules_of_one_work_make_one_run_per_instant(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return None", repr(EVERY_MINUTE), "'*/2 * * * *', name='even'"))

    assert len(gaps_in(bot, span_of(bot, "sweep", clock, 4))) == 4


def test_an_instant_that_another_schedule_ran_is_not_filled(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return None", repr(EVERY_MINUTE), "'*/2 * * * *', name='even'"))
    clock.travel(minutes=2)
    claim_only(bot)

    assert [gap.due_ts % 3600 // 60 for gap in gaps_in(bot, span_of(bot, "sweep", clock, 2))] == [1]


def test_what_no_bot_has_decided_yet_does_not_run_twice(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=3)

    added = fill(bot, span_of(bot, "sweep", clock, 3), clock)

    assert added == 3
    assert claim_only(bot) == []
    assert len(states(bot)) == 3


def test_runs_of_a_backfill_start_a_spacing_apart_also_when_it_is_taken_up_again(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job())
    span = span_of(bot, "sweep", clock, 4)
    gaps = gaps_in(bot, span)
    acts_on(bot).backfill(span, gaps[:2], clock.now(), spacing=timedelta(minutes=1))

    fill(bot, span, clock, spacing=timedelta(minutes=1))

    instants = [at for (at,) in rows(bot.ledger, "SELECT available_at FROM runs ORDER BY id")]
    assert [later - earlier for earlier, later in pairwise(instants)] == [60_000_000] * 3


def test_runs_of_a_backfill_wait_for_the_run_before(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING))
    fill(bot, span_of(bot, "sweep", clock, 2), clock)

    bot.parts.look()

    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)
    bot.parts.look()
    owned = rows(bot.ledger, "SELECT count(*) FROM runs WHERE owner IS NOT NULL")
    names_in(bot, "sweep")["go"].set()
    assert owned == [(1,)]


# Enqueue


TAKING = "days: int = 1, folder: Path | None = None, api_code: Secret = Secret(''), token: str = ''"

HEAD = "from pathlib import Path\nfrom pinstripe_bot import Secret"


def wish(bot: Bot, name: str, clock: TravelClock, **options: Any) -> Wish:
    return wish_of(bot.project, name, options.pop("params", {}), options.pop("delay", None), clock.now(), **options)


def test_a_run_that_is_enqueued_waits_for_a_bot(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return None", takes=TAKING, head=HEAD))

    run = acts_on(bot).enqueue(wish(bot, "sweep", clock, params={"days": "3"}), clock.now())

    assert (run.id, run.state, run.params) == (1, RunState.QUEUED, {"days": 3})
    assert rows(bot.ledger, "SELECT state, schedule, owner, params FROM runs") == [
        ("queued", "manual", None, '{"days":3}')
    ]
    assert audit(bot) == [("ada", "command on web-1", "run", "sweep", 1, {"params": {"days": 3}})]


def test_a_run_that_is_enqueued_is_taken_up_and_performed(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("calls.append(days)", takes="days: int = 0"))
    acts_on(bot).enqueue(wish(bot, "sweep", clock, params={"days": "3"}), clock.now())

    work_off(bot)

    assert names_in(bot, "sweep")["calls"] == [3]


def test_secret_parameters_do_not_stand_in_the_audit(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return None", takes=TAKING, head=HEAD))
    params = {"api_code": "hush hush", "token": "psst", "days": 2}

    acts_on(bot).enqueue(wish(bot, "sweep", clock, params=params), clock.now())

    ((*_, details),) = audit(bot)
    assert details == {"params": {"api_code": "redacted", "token": "redacted", "days": 2}}


def test_a_run_without_parameters_has_an_audit_without_them(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())

    acts_on(bot).enqueue(wish(bot, "sweep", clock), clock.now())

    assert rows(bot.ledger, "SELECT job, details FROM audit") == [("sweep", None)]


def test_a_run_that_would_overlap_is_skipped_and_still_an_act(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    for _ in range(2):
        run = acts_on(bot).enqueue(wish(bot, "sweep", clock), clock.now())

    assert (run.state, run.reason) == (RunState.SKIPPED, Reason.OVERLAP)
    assert rows(bot.ledger, "SELECT count(*) FROM audit") == [(2,)]


def test_a_run_for_one_tenant_names_it_in_the_audit(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return None", "'0 0 1 1 *', multi_tenant=True"))

    run = acts_on(bot).enqueue(wish(bot, "sweep", clock, tenant=("acme", "Acme")), clock.now())

    assert (run.tenant, run.tenant_name) == ("acme", "Acme")
    assert audit(bot)[0][-1] == {"tenant": "acme"}


def test_a_run_for_all_tenants_has_no_number_yet(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return None", "'0 0 1 1 *', multi_tenant=True"))

    run = acts_on(bot).enqueue(wish(bot, "sweep", clock), clock.now())

    assert run.id == 0
    assert rows(bot.ledger, "SELECT job, run_id FROM audit") == [("sweep", None)]
    assert rows(bot.ledger, "SELECT listing FROM occurrences") == [("queued",)]


def test_a_run_may_be_asked_for_later(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())

    acts_on(bot).enqueue(wish(bot, "sweep", clock, delay="1h"), clock.now())

    tick(bot, clock, minutes=0.5)
    assert rows(bot.ledger, "SELECT state FROM runs WHERE schedule = 'manual'") == [("queued",)]


def test_a_parameter_that_json_has_no_word_for_is_enqueued(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return None", takes=TAKING, head=HEAD))

    acts_on(bot).enqueue(wish(bot, "sweep", clock, params={"folder": "/srv/paper"}), clock.now())

    assert audit(bot)[0][-1] == {"params": {"folder": "/srv/paper"}}
