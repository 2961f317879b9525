"""What needs attention: what it is, in which order, and when it is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from stored import FAR, ODD

from pinstripe_bot.console.matters import Matter, jobs_in_trouble, matters_of
from pinstripe_bot.ledger_failures import TenantTrouble, Trouble
from pinstripe_bot.ledger_overview import Overview, PassedGroup
from pinstripe_bot.ledger_skips import Pause
from pinstripe_bot.occurrence import Decision, Reason, Run
from pinstripe_bot.project import Project
from pinstripe_bot.records import ListingRecord, QueueRecord
from pinstripe_bot.zones import zone

from .visits import NOON, a_bot, a_miss, a_record, a_run, an_error, an_overview

SWEEP = """
from pinstripe_bot import background_job

@background_job("* * * * *")
def sweep(workspace): ...
"""

UTC_ZONE = zone("UTC")
NOW = NOON + timedelta(minutes=30)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def project(load_project: Callable[..., Project]) -> Project:
    return load_project({"lib/background_jobs/sweep.py": SWEEP})


def matters(
    project: Project, usual: dict[str, timedelta] | None = None, now: datetime = NOW, **facts: Any
) -> list[Matter]:
    return matters_of(project, an_overview(**facts), usual or {}, now, UTC_ZONE)


def only(project: Project, **facts: Any) -> Matter:
    (found,) = matters(project, **facts)
    return found


def failed(*, kind: str = "failed", count: int = 1, is_over: bool = False, **facts: Any) -> Trouble:
    its = {"error": an_error(), "finished_at": NOON + MINUTE} | facts
    state = "succeeded" if kind == "late" else kind
    return Trouble(kind, count, a_run(state=state, **its), is_over)


def for_tenants(*overs: bool) -> Trouble:
    """A failure for so many tenants: for which of them it is over."""
    tenants = [
        TenantTrouble(
            1, a_run(id=number, tenant=f"t{number}", tenant_name=f"Tenant {number}", error=an_error()), is_over
        )
        for number, is_over in enumerate(overs, start=1)
    ]
    newest = a_run(tenant="t1", tenant_name="Tenant 1", error=an_error())
    return Trouble("failed", len(overs), newest, all(overs), tuple(tenants), len(overs))


def missed(*groups: PassedGroup) -> dict[str, Any]:
    return {"passed": groups}


def test_nothing_is_a_matter_where_nothing_happened(project: Project) -> None:
    assert matters(project) == []
    assert matters_of(project, None, {}, NOW, UTC_ZONE) == []


# What failed


def test_a_failure_tells_its_error_and_may_be_tried_again(project: Project) -> None:
    matter = only(project, troubles=[failed()])

    assert (matter.kind, matter.subject, matter.told) == ("failed", "sweep", "failed")
    assert (matter.code, matter.run, matter.retry, matter.at) == ("ValueError: out of paper", 7, True, NOON + MINUTE)


@pytest.mark.parametrize(
    ("kind", "told"), [("timed_out", "timed out"), ("interrupted", "was interrupted"), ("failed", "failed")]
)
def test_each_end_has_its_words(project: Project, kind: str, told: str) -> None:
    assert only(project, troubles=[failed(kind=kind)]).told == told


def test_a_failure_again_and_again_is_counted(project: Project) -> None:
    assert only(project, troubles=[failed(count=1_000_000)]).told == "failed 1,000,000 times in 24 hours"


def test_a_failure_after_several_attempts_says_so(project: Project) -> None:
    assert only(project, troubles=[failed(attempt=3)]).why.startswith("3 attempts: ")


def test_an_end_without_an_error_tells_its_reason(project: Project) -> None:
    matter = only(project, troubles=[failed(kind="interrupted", error=None, reason=Reason.BOT_DIED)])

    assert (matter.why, matter.code) == ("Because its bot died.", "")


def test_an_end_without_an_error_or_a_reason_tells_none(project: Project) -> None:
    assert only(project, troubles=[failed(error=None)]).why == ""


def test_a_failure_that_is_over_is_no_matter(project: Project) -> None:
    assert matters(project, troubles=[failed(is_over=True)]) == []


def test_a_failure_of_a_job_that_is_no_more_cannot_be_tried_again(project: Project) -> None:
    matter = only(project, troubles=[Trouble("failed", 1, a_run(ODD, error=an_error(ODD)), False)])

    assert (matter.subject, matter.retry) == (ODD, False)
    assert "\u202e" not in matter.code


def test_an_error_is_told_without_its_secrets(project: Project) -> None:
    assert "hush" not in repr(only(project, troubles=[failed(error=an_error("postgresql://me:hush@db"))]))


def test_a_failure_for_one_tenant_names_it(project: Project) -> None:
    matter = only(project, troubles=[failed(tenant="7", tenant_name="Acme", count=2)])

    assert (matter.told, matter.why) == ("failed for one tenant 2 times in 24 hours", "Acme: ")


def test_a_failure_for_several_tenants_names_those_for_whom_it_is_not_over(project: Project) -> None:
    matter = only(project, troubles=[for_tenants(False, True, False)])

    assert matter.told == "failed for 3 tenants"
    assert matter.why == "Tenant 1 and Tenant 3: "


def test_a_failure_for_many_tenants_names_some(project: Project) -> None:
    assert only(project, troubles=[for_tenants(*[False] * 9)]).why == "Tenant 1, Tenant 2, Tenant 3 and 6 more: "


# What began late


def test_a_late_start_is_a_matter_for_an_hour(project: Project) -> None:
    late = failed(kind="late", error=None, count=3, started_at=NOON + 5 * MINUTE)

    matter = only(project, troubles=[late])

    assert (matter.told, matter.retry) == ("started 5 m 00 s late", False)
    assert matter.why == "It was due at 12:00. The last of 3 times."
    assert matters(project, now=NOON + timedelta(hours=2), troubles=[late]) == []


def left(state: str = "failed", **facts: Any) -> dict[str, Run]:
    """The newest run of the job, which ended two days ago."""
    return {"sweep": a_run(state=state, error=an_error(), finished_at=NOW - timedelta(days=2), **facts)}


def test_a_job_that_has_not_run_since_it_failed_is_a_matter_however_long_ago(project: Project) -> None:
    (matter,) = matters_of(project, an_overview(), {}, NOW, UTC_ZONE, last=left())

    assert (matter.kind, matter.told, matter.retry) == ("failed", "failed, and has not run since", True)


def test_a_job_whose_newest_run_succeeded_or_that_is_no_more_is_no_matter(project: Project) -> None:
    gone = {"gone": left(job="gone")["sweep"]}

    assert matters_of(project, an_overview(), {}, NOW, UTC_ZONE, last=left("succeeded")) == []
    assert matters_of(project, an_overview(), {}, NOW, UTC_ZONE, last=gone) == []


# What does not load


def test_a_file_that_does_not_load_is_a_matter_also_without_a_ledger(load_project: Callable[..., Project]) -> None:
    project = load_project({"lib/background_jobs/broken.py": "token = 'x'\ndef ("})

    (matter,) = matters_of(project, None, {}, NOW, UTC_ZONE)

    assert (matter.kind, matter.subject, matter.told, matter.job) == ("broken", "broken.py", "does not load", "broken")
    assert matter.why.startswith("Line 2: ")
    assert matter.place == "lib/background_jobs/broken.py:2"


# What is stuck


@pytest.mark.parametrize(
    ("usual_s", "running_s", "is_stuck"),
    [(100, 500, False), (100, 501, True), (1, 61, False), (1, 62, True), (0, 60, False), (0, 61, True)],
)
def test_a_run_that_takes_many_times_as_long_as_usual_is_stuck(
    project: Project, usual_s: int, running_s: int, is_stuck: bool
) -> None:
    record = a_record(a_run(state="running"))
    now = NOON + timedelta(seconds=running_s)

    found = matters(project, {"sweep": timedelta(seconds=usual_s)}, now, running=[record])

    assert bool(found) is is_stuck


def test_a_stuck_run_says_how_long_it_runs_and_may_be_cancelled(project: Project) -> None:
    (matter,) = matters(project, {"sweep": MINUTE}, running=[a_record(a_run(state="running"))])

    assert (matter.kind, matter.told, matter.cancel) == ("running", "seems stuck", True)
    assert matter.why == "Running for 30 m 00 s, usually 1 m 00 s. No time-out is set."


def test_a_run_of_which_nothing_is_known_is_not_stuck(project: Project) -> None:
    those = [a_record(a_run(state="running")), a_record(a_run(state="running", started_at=None))]

    assert matters(project, now=FAR, running=those[:1]) == []
    assert matters(project, {"sweep": MINUTE}, now=FAR, running=those[1:]) == []


def test_a_run_that_began_in_the_future_is_not_stuck(project: Project) -> None:
    assert matters(project, {"sweep": MINUTE}, running=[a_record(a_run(state="running", started_at=FAR))]) == []


@pytest.mark.parametrize("bot", [None, a_bot(is_alive=False)])
def test_a_run_that_lost_its_bot_cannot_be_cancelled(project: Project, bot: Any) -> None:
    matter = only(project, running=[a_record(a_run(state="running"), bot=bot)])

    assert (matter.told, matter.cancel) == ("lost its bot", False)


def test_a_thread_that_goes_on_is_a_matter(project: Project) -> None:
    matter = only(project, running=[a_record(a_run(state="timed_out"), lingers=True)])

    assert (matter.told, matter.cancel) == ("does not end", False)
    assert matter.why == "Its end is recorded as timed out, and its thread goes on."


# What was missed


def test_what_was_missed_for_one_reason_is_one_matter(project: Project) -> None:
    groups = (
        PassedGroup(3, NOON, a_miss("a", until_at=NOON + 5 * MINUTE, count=3)),
        PassedGroup(1_000, NOON - MINUTE, a_miss("b")),
        PassedGroup(1, NOON, a_miss("a", Reason.TOO_LATE)),
    )

    several, one = sorted(matters(project, **missed(*groups)), key=lambda matter: matter.subject)

    assert (several.subject, several.told, several.job) == ("2 jobs", "missed 1,003 instants", None)
    assert several.why == "Because no bot was running. From 11:59 to 12:05."
    assert several.filter == {"state": "missed"}
    assert (one.subject, one.told, one.job) == ("a", "missed 1 instant", "a")
    assert one.filter == {"state": "missed", "job": "a"}


def test_an_instant_that_was_missed_without_a_reason_tells_none(project: Project) -> None:
    assert only(project, **missed(PassedGroup(1, NOON, a_miss(reason=None)))).why == ""


def test_what_was_skipped_is_no_matter(project: Project) -> None:
    skipped = a_miss(reason=Reason.OVERLAP, decision=Decision.SKIPPED)

    assert matters(project, **missed(PassedGroup(1, NOON, skipped))) == []


def test_a_stretch_into_the_far_future_is_borne(project: Project) -> None:
    assert "9999" in only(project, **missed(PassedGroup(2**31, NOON, a_miss(until_at=FAR)))).why


# What is paused


def paused(job: str = "sweep", days: float = 8, **facts: Any) -> Pause:
    its = {"until_at": None, "who": "ada", "why": "", "tenant": ""} | facts
    return Pause(job, NOW - timedelta(days=days), **its)


def test_a_pause_is_a_matter_after_a_week(project: Project) -> None:
    assert matters(project, pauses=[paused(days=6.9)]) == []
    assert len(matters(project, pauses=[paused(days=7)])) == 1


def test_a_long_pause_says_who_since_when_and_why(project: Project) -> None:
    matter = only(project, pauses=[paused(why="stocktaking", until_at=FAR)], paused_counts={"sweep": 11_520})

    assert (matter.told, matter.resume, matter.job) == ("has been paused for 8 days", "sweep", "sweep")
    why = "By ada on 24 Dec 2025: “stocktaking”; until 31 Dec 9999 23:59. 11,520 instants skipped since."
    assert matter.why == why


def test_the_long_pause_of_a_tenant_says_whose_it_is(project: Project) -> None:
    matter = only(project, tenant_pauses=[paused(tenant="7")], tenant_names={"7": "Acme"})

    assert matter.told == "has been paused for the tenant Acme for 8 days"
    assert (matter.resume, matter.tenant) == ("sweep", "7")


def test_a_pause_of_every_job_belongs_to_none(project: Project) -> None:
    matter = only(project, pauses=[paused("")])

    assert (matter.subject, matter.job, matter.resume) == ("Every job", None, "")
    assert "no end is set" in matter.why


# Listings


def listing(state: str, attempt: int) -> ListingRecord:
    return ListingRecord("sweep", "s", NOON, None, state, attempt, NOON, None, "OSError: token=hush", None, 0)


@pytest.mark.parametrize(
    ("facts", "told", "why"),
    [
        ({"listings": [listing("queued", 3)]}, "cannot list its tenants", "2 attempts: "),
        ({"broken_off": [listing("failed", 1)]}, "gave up listing its tenants", "1 attempt: "),
    ],
)
def test_tenants_that_cannot_be_listed_are_a_matter(project: Project, facts: Any, told: str, why: str) -> None:
    matter = only(project, **facts)

    assert (matter.kind, matter.told, matter.why, matter.code) == ("failed", told, why, "OSError: token=***")


def test_a_listing_at_its_first_attempt_is_no_matter(project: Project) -> None:
    assert matters(project, listings=[listing("running", 1)]) == []


# All of them


def everything() -> Overview:
    return an_overview(
        troubles=[
            failed(kind="late", error=None, started_at=NOON + MINUTE),
            failed(kind="interrupted"),
            failed(kind="timed_out"),
            failed(id=1, finished_at=NOON),
            failed(id=2, finished_at=NOON + 9 * MINUTE),
        ],
        passed=[PassedGroup(1, NOON, a_miss())],
        pauses=[paused()],
        running=[a_record(a_run(state="running"), bot=None)],
    )


def test_the_worst_stands_first_and_of_one_kind_the_newest(load_project: Callable[..., Project]) -> None:
    project = load_project({"lib/background_jobs/broken.py": "def ("})

    found = matters_of(project, everything(), {}, NOW, UTC_ZONE)

    assert [matter.kind for matter in found] == [
        *("failed", "failed", "timed_out", "broken", "running", "interrupted", "missed", "late", "paused")
    ]
    assert [matter.run for matter in found[:2]] == [2, 1]


def test_a_job_is_in_the_trouble_of_its_worst_matter(project: Project) -> None:
    found = matters_of(project, everything(), {}, NOW, UTC_ZONE)

    assert jobs_in_trouble(found) == {"sweep": "failed"}
    assert jobs_in_trouble([]) == {}


def test_a_living_bot_whose_clock_is_off_needs_attention(project: Project) -> None:
    bots = [
        a_bot(pid=1, stats={"clock_offset_ms": 3200}),
        a_bot(pid=2, stats={"clock_offset_ms": -90_000}),
        a_bot(pid=3, stats={"clock_offset_ms": 900}),
        a_bot(pid=4, stats={"clock_offset_ms": 9000}, is_alive=False),
    ]

    found = matters_of(project, an_overview(bots=tuple(bots)), {}, NOW, UTC_ZONE)

    assert [(one.kind, one.subject, one.told) for one in found] == [
        ("late", "web-1, pid 1", "has a clock that is 3.2 s ahead of the database's"),
        ("late", "web-1, pid 2", "has a clock that is 1 m 30 s behind the database's"),
    ]


def test_a_queue_in_which_runs_wait_and_that_nobody_serves_needs_attention(project: Project) -> None:
    queues = (
        QueueRecord("default", 3, 0, NOW - timedelta(minutes=4), 1),
        QueueRecord("reports", 12, 0, NOW - timedelta(minutes=3), 0),
        QueueRecord("slow", 0, 0, None, 0),
    )

    found = matters_of(project, an_overview(queues=queues), {}, NOW, UTC_ZONE)

    assert [(one.subject, one.told, one.why) for one in found] == [
        ("The queue reports", "has no worker", "12 runs waiting, the oldest since 3 m 00 s.")
    ]


def test_a_cluster_without_any_worker_needs_attention(load_project: Callable[..., Project]) -> None:
    project = load_project({"pinstripe.toml": 'dispatcher = "cluster"', "lib/background_jobs/sweep.py": SWEEP})

    found = matters_of(project, an_overview(), {}, NOW, UTC_ZONE)
    with_one = matters_of(project, an_overview(bots=(a_bot(kind="worker"),)), {}, NOW, UTC_ZONE)

    assert [(one.subject, one.told) for one in found] == [("The cluster", "has no worker")]
    assert with_one == []
