from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bots import job, rows
from sqlalchemy import insert, update

from pinstripe_bot.bot import Bot
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_prune import CHUNK, NEWEST, Keeping, pruning
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_schema import attempts, audit, bots, days, listings, occurrences, pauses, runs, schedules
from pinstripe_bot.schedule import Schedule

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=31)
KEEPING = Keeping(timedelta(days=30))


def fill(ledger: Ledger, table: Any, *values: dict[str, Any]) -> None:
    with ledger.store.writing() as connection:
        connection.execute(insert(table), list(values))


class Story:
    """Writes occurrences and runs as they were decided and ended at some time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def ran(
        self,
        job: str,
        due_at: datetime,
        *,
        state: str = "succeeded",
        claimed_at: datetime | None = None,
        tenants: tuple[str, ...] = ("",),
        **facts: Any,
    ) -> int:
        """A run, or one of each tenant, that took 20 ms and was 10 ms late; the occurrence's id."""
        claimed_at = claimed_at or due_at
        schedule = facts.get("schedule", "* * * * *")
        occurrence = self.passed(job, due_at, "run", None, claimed_at=claimed_at, schedule=schedule)
        started_at = max(due_at, claimed_at) + timedelta(milliseconds=10)
        ended = None if state in ("queued", "running") else to_column(started_at + timedelta(milliseconds=20))
        own = {
            "occurrence_id": occurrence,
            "job": job,
            "schedule": schedule,
            "due_at": to_column(due_at),
            "state": state,
            "params": "{}",
            "params_key": "",
            "available_at": to_column(claimed_at),
            "claimed_at": to_column(claimed_at),
            "started_at": to_column(started_at),
            "finished_at": ended,
        }
        fill(self._ledger, runs, *(own | {"tenant": tenant} | facts for tenant in tenants))
        return occurrence

    def passed(
        self,
        job: str,
        due_at: datetime,
        decision: str,
        reason: str | None,
        *,
        claimed_at: datetime | None = None,
        schedule: str = "* * * * *",
        **facts: Any,
    ) -> int:
        own = {
            "job": job,
            "schedule": schedule,
            "key": uuid.uuid4().hex if schedule == "manual" else "",
            "due_at": to_column(due_at),
            "decision": decision,
            "reason": reason,
            "claimed_at": to_column(claimed_at or due_at),
            "bot": facts.pop("bot", "b"),
        }
        with self._ledger.store.writing() as connection:
            return int(connection.execute(insert(occurrences).values(own | facts)).inserted_primary_key[0])


@pytest.fixture
def story(ledger: Ledger) -> Story:
    return Story(ledger)


def prune(ledger: Ledger, keeping: Keeping = KEEPING, now: datetime = NOW) -> list[int]:
    """One whole pass; how many rows each of its steps has pruned."""
    return [pruned for pruned in pruning(ledger.store, keeping, now) if pruned]


def left(ledger: Ledger) -> tuple[int, int]:
    """How many (occurrences, runs) there are."""
    ((decided,),) = rows(ledger, "SELECT count(*) FROM occurrences")
    ((ran,),) = rows(ledger, "SELECT count(*) FROM runs")
    return decided, ran


def minutes(count: int, begin: datetime = OLD) -> list[datetime]:
    return [begin + timedelta(minutes=number) for number in range(count)]


def day_of(ledger: Ledger, job: str, tenant: str = "") -> list[tuple[str, dict[str, int]]]:
    found = rows(ledger, "SELECT day, counts FROM days WHERE job = ? AND tenant = ? ORDER BY day", job, tenant)
    return [(day, json.loads(counts)) for day, counts in found]


def test_old_rows_go_and_young_ones_stay(ledger: Ledger, story: Story) -> None:
    for due_at in minutes(5):
        story.passed("sweep", due_at, "missed", "bot_down")
    story.passed("sweep", NOW - timedelta(days=29), "missed", "bot_down")

    prune(ledger)

    assert left(ledger) == (1, 0)
    assert day_of(ledger, "sweep") == [("2026-05-01", {"missed bot_down": 5})]


def test_the_newest_60_runs_of_a_job_stay(ledger: Ledger, story: Story) -> None:
    for due_at in minutes(NEWEST + 5):
        story.ran("sweep", due_at)
    story.ran("report", OLD)

    prune(ledger)

    assert rows(ledger, "SELECT job, count(*), min(id) FROM runs GROUP BY job ORDER BY job") == [
        ("report", 1, NEWEST + 6),
        ("sweep", NEWEST, 6),
    ]
    assert left(ledger) == (NEWEST + 1, NEWEST + 1)


def test_the_newest_60_are_those_of_each_tenant(ledger: Ledger, story: Story) -> None:
    story.ran("sweep", OLD - timedelta(minutes=1), tenants=("quiet", "loud"))
    for due_at in minutes(NEWEST):
        story.ran("sweep", due_at, tenants=("loud",))

    prune(ledger)

    assert rows(ledger, "SELECT tenant, count(*) FROM runs GROUP BY tenant ORDER BY tenant") == [
        ("loud", NEWEST),
        ("quiet", 1),
    ]
    assert left(ledger) == (NEWEST + 1, NEWEST + 1)
    assert day_of(ledger, "sweep", "quiet") == [("2026-05-01", {"succeeded": 1})]
    assert day_of(ledger, "sweep", "loud") == [("2026-05-01", {"succeeded": NEWEST + 1})]


def test_a_day_is_summed_up_from_all_its_rows_also_those_that_stay(ledger: Ledger, story: Story) -> None:
    for number, due_at in enumerate(minutes(NEWEST + 5)):
        story.ran("sweep", due_at, state="failed" if number == 64 else "succeeded")
    story.passed("sweep", OLD + timedelta(hours=3), "skipped", "overlap")

    prune(ledger)

    found = rows(
        ledger,
        "SELECT worst, counts, duration_p50_ms, duration_p95_ms, lateness_p50_ms, lateness_p95_ms FROM days",
    )
    assert [(json.loads(worst), json.loads(counts), *times) for worst, counts, *times in found] == [
        (
            [*[None] * 6, "failed", "skipped", *[None] * 4],
            {"failed": 1, "skipped overlap": 1, "succeeded": 64},
            20,
            20,
            10,
            10,
        )
    ]


def test_figures_stay_as_they_are_when_more_of_their_rows_go_later(ledger: Ledger, story: Story) -> None:
    for due_at in minutes(NEWEST + 5):
        story.ran("sweep", due_at)
    prune(ledger)
    before = day_of(ledger, "sweep")
    for due_at in minutes(NEWEST, NOW - timedelta(hours=2)):
        story.ran("sweep", due_at)

    prune(ledger)

    assert left(ledger) == (NEWEST, NEWEST)
    assert day_of(ledger, "sweep") == before == [("2026-05-01", {"succeeded": NEWEST + 5})]


def test_a_job_may_keep_its_rows_longer_or_shorter(ledger: Ledger, story: Story) -> None:
    for name in ("long", "short", "removed"):
        for days_ago in (50, 31, 3):
            story.passed(name, NOW - timedelta(days=days_ago), "missed", "bot_down")

    prune(ledger, Keeping(timedelta(days=30), {"long": timedelta(days=40), "short": timedelta(days=2)}))

    assert rows(ledger, "SELECT job, count(*) FROM occurrences GROUP BY job ORDER BY job") == [
        ("long", 2),
        ("removed", 1),
    ]


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_day_with_an_open_run_waits_for_its_end(ledger: Ledger, story: Story, state: str) -> None:
    story.ran("sweep", OLD, state=state, started_at=None)
    story.passed("sweep", OLD + timedelta(minutes=1), "missed", "bot_down")

    prune(ledger)

    assert left(ledger) == (2, 1)
    assert day_of(ledger, "sweep") == []


def test_a_day_with_a_lingering_run_waits_for_its_end(ledger: Ledger, story: Story) -> None:
    story.ran("sweep", OLD, state="timed_out", lingers=1)
    story.passed("sweep", OLD + timedelta(minutes=1), "missed", "bot_down")

    prune(ledger)

    assert left(ledger) == (2, 1)


def test_what_ended_or_was_decided_lately_stays(ledger: Ledger, story: Story) -> None:
    lately = NOW - timedelta(days=2)
    story.passed("sweep", OLD, "missed", "bot_down", claimed_at=lately)
    story.passed("sweep", OLD + timedelta(minutes=1), "skipped", "paused", until_at=to_column(lately))
    story.passed("sweep", OLD + timedelta(minutes=2), "missed", "bot_down")
    for due_at in minutes(NEWEST, lately):
        story.ran("sweep", due_at)
    story.ran("sweep", OLD + timedelta(minutes=3), finished_at=to_column(lately))

    prune(ledger)

    assert rows(ledger, "SELECT id FROM occurrences WHERE id <= 3 ORDER BY id") == [(1,), (2,)]
    assert left(ledger) == (NEWEST + 3, NEWEST + 1)


@pytest.fixture
def yearly(make_bot: Callable[..., Bot]) -> Schedule:
    """The schedule of `sweep`, due once a year."""
    (schedule,) = make_bot(planned=False, sweep=job("return 1", "'0 0 1 1 *'")).project.schedules
    return schedule


def mark(ledger: Ledger, schedule: Schedule, planned_to: datetime, *, removed: bool = False) -> None:
    row = {
        "job": "sweep",
        "schedule": schedule.name,
        "fingerprint": schedule.fingerprint,
        "effective_from": 0,
        "planned_to": to_column(planned_to),
        "removed_at": to_column(planned_to) if removed else None,
    }
    fill(ledger, schedules, row)


def test_a_day_beyond_the_mark_of_a_schedule_that_nobody_plans_waits(
    ledger: Ledger, story: Story, yearly: Schedule
) -> None:
    mark(ledger, yearly, OLD)
    story.passed("sweep", OLD - timedelta(days=2), "missed", "bot_down")
    story.passed("sweep", OLD, "missed", "bot_down")

    prune(ledger)

    assert [day for day, _ in day_of(ledger, "sweep")] == ["2026-04-29"]
    assert left(ledger) == (1, 0)


def test_a_day_with_an_instant_that_is_still_to_be_decided_waits(
    ledger: Ledger, story: Story, yearly: Schedule
) -> None:
    mark(ledger, yearly, datetime(2025, 12, 31, tzinfo=UTC))
    story.passed("sweep", OLD, "missed", "bot_down")

    prune(ledger, Keeping(timedelta(days=30), planned=(yearly,)))

    assert left(ledger) == (1, 0)


def test_the_mark_of_a_schedule_that_is_seldom_due_keeps_nothing(
    ledger: Ledger, story: Story, yearly: Schedule
) -> None:
    mark(ledger, yearly, datetime(2026, 1, 1, tzinfo=UTC))
    story.passed("sweep", OLD, "missed", "bot_down")

    prune(ledger, Keeping(timedelta(days=30), planned=(yearly,)))

    assert left(ledger) == (0, 0)


def test_the_mark_of_a_removed_schedule_keeps_nothing(ledger: Ledger, story: Story, yearly: Schedule) -> None:
    mark(ledger, yearly, OLD, removed=True)
    story.passed("sweep", OLD, "missed", "bot_down")

    prune(ledger)

    assert left(ledger) == (0, 0)


def test_a_day_is_over_an_hour_after_its_end(ledger: Ledger, story: Story) -> None:
    story.passed("sweep", datetime(2026, 5, 31, 1, tzinfo=UTC), "missed", "bot_down")
    keeping = Keeping(timedelta(hours=1))

    prune(ledger, keeping, datetime(2026, 6, 1, 0, 59, tzinfo=UTC))
    before = left(ledger)
    prune(ledger, keeping, datetime(2026, 6, 1, 1, tzinfo=UTC))

    assert (before, left(ledger)) == ((1, 0), (0, 0))


def test_a_run_by_hand_counts_on_the_day_it_was_asked_for(ledger: Ledger, story: Story) -> None:
    story.ran("sweep", datetime(2020, 1, 1, tzinfo=UTC), claimed_at=OLD, schedule="manual")
    story.passed("sweep", OLD + timedelta(minutes=1), "missed", "bot_down")

    prune(ledger)

    assert day_of(ledger, "sweep") == [("2026-05-01", {"missed bot_down": 1, "succeeded": 1})]


def test_several_schedules_are_summed_up_together(ledger: Ledger, story: Story) -> None:
    for schedule in ("a", "manual", "z"):
        story.ran("sweep", OLD, schedule=schedule)
    story.passed("sweep", OLD, "missed", "bot_down", schedule="late")

    prune(ledger)

    assert day_of(ledger, "sweep") == [("2026-05-01", {"missed bot_down": 1, "succeeded": 3})]


def test_earlier_attempts_go_with_their_run(ledger: Ledger, story: Story) -> None:
    for due_at in minutes(NEWEST + 1):
        story.ran("sweep", due_at, attempt=2)
    fill(ledger, attempts, *({"run_id": run, "attempt": 1, "state": "failed"} for run in (1, 2)))

    prune(ledger)

    assert rows(ledger, "SELECT run_id FROM attempts") == [(2,)]


def test_the_lateness_of_a_retry_does_not_count(ledger: Ledger, story: Story) -> None:
    story.ran("sweep", OLD, attempt=2)
    story.passed("sweep", OLD + timedelta(minutes=1), "missed", "bot_down")

    prune(ledger)

    assert rows(ledger, "SELECT duration_p50_ms, lateness_p50_ms FROM days") == [(20, None)]


def test_a_step_prunes_a_few_hundred_rows_at_most(ledger: Ledger, story: Story) -> None:
    fill(
        ledger,
        occurrences,
        *(
            {
                "job": f"job-{number % 70:02}",
                "schedule": "s",
                "due_at": to_column(due_at),
                "decision": "missed",
                "reason": "bot_down",
                "claimed_at": to_column(due_at),
                "bot": "b",
            }
            for number, due_at in enumerate(minutes(1200))
        ),
    )

    pruned = prune(ledger)

    assert sum(pruned) == 1200
    assert max(pruned) == CHUNK
    counts = rows(ledger, "SELECT counts FROM days")
    assert sum(json.loads(one)["missed bot_down"] for (one,) in counts) == 1200


def test_a_long_day_is_read_in_pages(ledger: Ledger, story: Story) -> None:
    begin = datetime(2026, 5, 1, tzinfo=UTC)
    for schedule in ("* * * * *", "manual"):
        for due_at in minutes(3, begin):
            story.ran("sweep", due_at, schedule=schedule)
    fill(
        ledger,
        occurrences,
        *(
            {
                "job": "sweep",
                "schedule": "s",
                "due_at": to_column(due_at),
                "decision": "skipped",
                "reason": "overlap",
                "claimed_at": to_column(due_at),
                "bot": "b",
            }
            for due_at in minutes(1001, begin)
        ),
    )

    prune(ledger)

    assert day_of(ledger, "sweep") == [("2026-05-01", {"skipped overlap": 1001, "succeeded": 6})]


def test_a_pass_that_was_cut_off_is_made_up_for_by_the_next(ledger: Ledger, story: Story) -> None:
    for due_at in minutes(700):
        story.passed("sweep", due_at, "missed", "bot_down")
    first = (pruned for pruned in pruning(ledger.store, KEEPING, NOW) if pruned)
    next(first)

    prune(ledger)

    assert left(ledger) == (0, 0)
    assert day_of(ledger, "sweep") == [("2026-05-01", {"missed bot_down": 700})]


def test_two_bots_may_prune_at_once(ledger: Ledger, story: Story) -> None:
    for due_at in minutes(NEWEST + 700, datetime(2026, 5, 1, tzinfo=UTC)):
        story.ran("sweep", due_at)
    one, other = (pruning(ledger.store, KEEPING, NOW) for _ in range(2))

    pruned = [(next(one, None), next(other, None)) for _ in range(40)]

    assert pruned[-1] == (None, None)
    assert left(ledger) == (NEWEST, NEWEST)
    assert day_of(ledger, "sweep") == [("2026-05-01", {"succeeded": NEWEST + 700})]


def test_a_run_that_is_tried_again_meanwhile_stays(ledger: Ledger, story: Story) -> None:
    for due_at in minutes(NEWEST + 2):
        story.ran("sweep", due_at)
    steps = pruning(ledger.store, KEEPING, NOW)
    next(steps)
    with ledger.store.writing() as connection:
        connection.execute(update(runs).where(runs.c.id == 1).values(state="queued", finished_at=None))

    list(steps)

    assert left(ledger) == (NEWEST + 2, NEWEST + 2)
    assert day_of(ledger, "sweep") == []


def test_figures_are_kept_for_400_days(ledger: Ledger, story: Story) -> None:
    figures = {"worst": "[]", "counts": "{}"}
    fill(
        ledger,
        days,
        *({"job": job, "day": day, **figures} for job in ("a", "b") for day in ("2025-04-26", "2025-04-27")),
    )
    story.passed("very-old", datetime(2025, 1, 1, tzinfo=UTC), "missed", "bot_down")

    prune(ledger)

    assert rows(ledger, "SELECT job, day FROM days ORDER BY job") == [("a", "2025-04-27"), ("b", "2025-04-27")]
    assert left(ledger) == (0, 0)


def test_audit_pauses_and_bots_are_tidied(ledger: Ledger, story: Story) -> None:
    who = {"who": "me", "origin": "here", "action": "pause"}
    fill(ledger, audit, *(who | {"at": to_column(NOW - timedelta(days=day))} for day in (401, 399)))
    pause = {"paused_at": 0, "who": "me"}
    until = {"over": NOW - timedelta(days=2), "just-over": NOW - timedelta(hours=2), "lasts": NOW + timedelta(days=1)}
    fill(ledger, pauses, *(pause | {"job": job, "until_at": to_column(at)} for job, at in until.items()))
    fill(ledger, pauses, pause | {"job": "endless"})
    bot = {"kind": "bot", "host": "h", "boot_id": "", "pid": 1, "version": "1", "started_at": 0, "heartbeat_at": 0}
    fill(ledger, bots, *(bot | {"id": name, "stopped_at": to_column(OLD)} for name in ("gone", "ran", "tried")))
    fill(ledger, bots, bot | {"id": "young", "stopped_at": to_column(NOW)}, bot | {"id": "dead", "stopped_at": None})
    run = story.ran("sweep", OLD, owner="ran")
    fill(ledger, attempts, {"run_id": run, "attempt": 1, "state": "failed", "owner": "tried"})

    prune(ledger)

    assert rows(ledger, "SELECT at FROM audit") == [(to_column(NOW - timedelta(days=399)),)]
    assert [job for (job,) in rows(ledger, "SELECT job FROM pauses ORDER BY job")] == ["endless", "just-over", "lasts"]
    names = {name for (name,) in rows(ledger, "SELECT id FROM bots")}
    assert names == {"ran", "tried", "young", "dead", ledger.bot}


def test_an_empty_ledger_is_pruned_without_a_write(ledger: Ledger) -> None:
    assert prune(ledger) == []


def test_pruning_a_closed_ledger_is_an_error_of_ours(make_ledger: Callable[[], Ledger]) -> None:
    ledger = make_ledger()
    ledger.open("shop", NOW)
    steps = pruning(ledger.store, KEEPING, NOW)
    ledger.close(NOW)

    with pytest.raises(LedgerUnavailable, match="is closed"):
        next(steps)


def test_a_listing_goes_with_its_occurrence_and_never_while_it_is_open(ledger: Ledger, story: Story) -> None:
    facts = {"params": "{}", "params_key": "", "overlap": "skip", "available_at": to_column(OLD)}
    for due_at, state in zip(minutes(4), ("listed", "failed", "queued", "running"), strict=True):
        occurrence = story.passed("sweep", due_at, "run", None, listing=state)
        fill(ledger, listings, {"occurrence_id": occurrence} | facts)

    prune(ledger)

    assert rows(ledger, "SELECT listing FROM occurrences ORDER BY id") == [("queued",), ("running",)]
    assert rows(ledger, "SELECT occurrence_id FROM listings ORDER BY occurrence_id") == [(3,), (4,)]
