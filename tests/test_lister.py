from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from bots import CROWD, PATIENCE_S, TENANTS, Ears, job, let_go, names_in, rows, write_tenants
from tenancy import FOR_ALL, called, come_due, tenants_file, work_off

from pinstripe_bot import enqueue
from pinstripe_bot.bot import Bot
from pinstripe_bot.cli.running import tenants_sentence
from pinstripe_bot.errors import InvalidParams, InvalidTenant, UnknownTenant
from pinstripe_bot.ledger_overview import read_overview
from pinstripe_bot.ledger_rows import SECOND, from_ts
from pinstripe_bot.ledger_tenants import Terms
from pinstripe_bot.lister import STUCK_S, THREADS
from pinstripe_bot.occurrence import RunState
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

FAILING = """
from pinstripe_bot import Tenant

failures = []

def tenants(workspace):
    yield Tenant("acme", "Acme")
    if failures:
        raise ConnectionError(failures.pop())
    yield Tenant("beta", "Beta")
"""
RUNS = "SELECT tenant, state, reason FROM runs ORDER BY tenant"
LISTINGS = "SELECT decision, reason, listing FROM occurrences ORDER BY id"


def test_a_job_runs_once_for_each_tenant(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(invoice=FOR_ALL)

    come_due(bot, clock)

    assert sorted(names_in(bot, "invoice")["calls"]) == ["Acme", "Beta", "Coro"]
    assert rows(bot.ledger, LISTINGS) == [("run", None, "listed")]


def test_one_tenants_failure_touches_no_other(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(invoice=job("assert workspace.tenant.id != 'beta'", "'* * * * *', multi_tenant=True"))

    come_due(bot, clock)

    found = [("acme", "succeeded", None), ("beta", "failed", None), ("coro", "succeeded", None)]
    assert rows(bot.ledger, RUNS) == found


def test_a_jobs_filter_chooses_the_tenants(make_bot: MakeBot, clock: TravelClock) -> None:
    chosen = "tenants_filter=lambda tenants: (one for one in tenants if one.timezone)"
    bot = make_bot(invoice=FOR_ALL.replace("multi_tenant=True", f"multi_tenant=True, {chosen}"))

    come_due(bot, clock)

    assert sorted(names_in(bot, "invoice")["calls"]) == ["Acme", "Beta"]


def test_a_paused_tenant_is_skipped_and_the_others_run(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(invoice=FOR_ALL)
    with bot.ledger.store.writing() as connection:
        connection.exec_driver_sql("INSERT INTO pauses (job, tenant, paused_at, who) VALUES ('', 'beta', 0, 'ada')")

    come_due(bot, clock)

    found = [("acme", "succeeded", None), ("beta", "skipped", "paused"), ("coro", "succeeded", None)]
    assert rows(bot.ledger, RUNS) == found


def test_a_tenant_whose_run_goes_on_is_skipped_and_the_others_run(make_bot: MakeBot, clock: TravelClock) -> None:
    body = f"if workspace.tenant.id == 'acme':\n    begun.set(); assert go.wait({PATIENCE_S})"
    bot = make_bot(invoice=job(body, "'* * * * *', multi_tenant=True"))
    clock.travel(minutes=1)
    bot.tick()
    bot.parts.lister.list_now()
    bot.parts.look()
    assert names_in(bot, "invoice")["begun"].wait(PATIENCE_S)

    clock.travel(minutes=1)
    bot.tick()
    bot.parts.lister.list_now()

    states = rows(bot.ledger, f"{RUNS.replace('ORDER', 'WHERE tenant = ? ORDER')}, id", "acme")
    names_in(bot, "invoice")["go"].set()
    work_off(bot)
    assert states == [("acme", "running", None), ("acme", "skipped", "overlap")]


def test_a_listing_that_fails_is_tried_again_and_lists_each_tenant_once(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    write_tenants(root, FAILING)
    bot = make_bot(invoice=job("calls.append(workspace.tenant.id)", "'0 * * * *', multi_tenant=True"))
    tenants_file(bot)["failures"].append("no answer")

    come_due(bot, clock, hours=1)
    failed = rows(bot.ledger, "SELECT listing, attempt, error FROM occurrences JOIN listings ON occurrence_id = id")
    clock.travel(seconds=11)
    work_off(bot)

    assert failed == [("queued", 2, "ConnectionError: no answer")]
    assert sorted(names_in(bot, "invoice")["calls"]) == ["acme", "beta"]
    assert rows(bot.ledger, LISTINGS) == [("run", None, "listed")]


def test_an_instant_whose_tenants_can_never_be_listed_is_missed(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    write_tenants(root, "def tenants(workspace):\n    raise ConnectionError('no answer')\n")
    bot = make_bot(invoice=job("return 1", "'0 0 * * *', multi_tenant=True"))
    come_due(bot, clock, days=1)

    for _ in range(9):
        clock.travel(minutes=10)
        work_off(bot)

    assert rows(bot.ledger, LISTINGS) == [("missed", "not_listed", "failed")]


def test_what_a_dead_bot_was_listing_another_one_goes_on_with(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(invoice=FOR_ALL)
    clock.travel(minutes=1)
    bot.tick()
    (listing,) = bot.ledger.fan_out.take(["invoice"], clock.now(), most=1)
    tenants = list(bot.project.tenants.each(bot.workspace()))[:1]  # type: ignore[union-attr]
    bot.ledger.fan_out.write(listing, tenants, Terms(), clock.now(), homes={})
    with bot.ledger.store.writing() as connection:
        connection.exec_driver_sql("UPDATE listings SET owner = 'dead'")

    bot.parts.rounds.bury()
    work_off(bot)

    assert sorted(names_in(bot, "invoice")["calls"]) == ["Acme", "Beta", "Coro"]


def test_a_listing_that_was_taken_by_a_commit_whose_answer_was_lost_is_worked_off(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(invoice=FOR_ALL)
    clock.travel(minutes=1)
    bot.tick()
    bot.ledger.fan_out.take(["invoice"], clock.now(), most=1)

    work_off(bot)

    assert sorted(names_in(bot, "invoice")["calls"]) == ["Acme", "Beta", "Coro"]


def test_a_listing_that_is_in_hand_is_not_taken_once_more(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(invoice=FOR_ALL)
    clock.travel(minutes=1)
    bot.tick()
    (taken,) = bot.ledger.fan_out.take(["invoice"], clock.now(), most=1)

    again = bot.ledger.fan_out.take(["invoice"], clock.now(), most=1)
    others = bot.ledger.fan_out.take(["invoice"], clock.now(), most=1, known={taken.occurrence})

    assert (again, others) == ([taken], [])


def test_at_nine_where_each_tenant_lives_its_run_comes(make_bot: MakeBot, clock: TravelClock) -> None:
    at_nine = "'0 9 * * *', multi_tenant=True, timezone='tenant'"
    bot = make_bot(invoice=job("calls.append((workspace.tenant.id, workspace.due_at))", at_nine))
    bot.parts.tenant_zones._look()
    bot.tick()

    for _ in range(24):
        come_due(bot, clock, hours=1)

    due = dict(names_in(bot, "invoice")["calls"])
    assert {tenant: at.astimezone(UTC).hour for tenant, at in due.items()} == _nine_in(clock.now())


def _nine_in(now: datetime) -> dict[str, int]:
    from zoneinfo import ZoneInfo

    zones = {"acme": "Europe/Berlin", "beta": "America/New_York", "coro": "UTC"}
    nines = {tenant: now.astimezone(ZoneInfo(zone)).replace(hour=9) for tenant, zone in zones.items()}
    return {tenant: nine.astimezone(UTC).hour for tenant, nine in nines.items()}


def test_by_hand_a_job_runs_for_the_tenants_that_are_named(make_bot: MakeBot) -> None:
    bot = make_bot(invoice=FOR_ALL)

    ran = bot.run_for_tenants("invoice", tenants=["beta"])

    assert ran.states == {RunState.SUCCEEDED: 1}
    assert names_in(bot, "invoice")["calls"] == ["Beta"]


def test_by_hand_it_says_that_it_was_stopped_before_it_had_come_to_all(make_bot: MakeBot, root: Path) -> None:
    twenty = "from pinstripe_bot import Tenant\ndef tenants(workspace):\n    yield from map(Tenant, range(20))\n"
    write_tenants(root, twenty)
    bot = make_bot(invoice=job("pass", "'* * * * *', multi_tenant=True, tenant_concurrency=1"))
    bot.dispatcher.on_left = lambda _: bot.dispatcher.stop_starting()

    ran = bot.run_for_tenants("invoice")

    assert (ran.is_cut_short, ran.is_success, ran.count) == (True, False, 8)
    assert ran.states[RunState.SUCCEEDED] < 8
    assert tenants_sentence(ran).endswith("stopped before it had come to all tenants")


def test_an_empty_id_does_not_mean_all_tenants(make_bot: MakeBot) -> None:
    bot = make_bot(invoice=FOR_ALL)

    for misuse in (
        lambda: enqueue(bot.project, "invoice", tenant=""),
        lambda: bot.run_for_tenants("invoice", tenants=[""]),
        lambda: bot.run_for_tenants("invoice", tenants=[None]),  # type: ignore[list-item]
    ):
        with pytest.raises(InvalidTenant, match="is not the id of a tenant: give"):
            misuse()

    assert bot.run_for_tenants("invoice", tenants=[]).count == 0
    assert rows(bot.ledger, RUNS) == []


def test_one_id_is_not_taken_for_the_ids_that_its_signs_would_be(make_bot: MakeBot) -> None:
    bot = make_bot(invoice=FOR_ALL)

    with pytest.raises(InvalidTenant, match=r"'acme' is one id, .*: write \['acme'\]"):
        bot.run_for_tenants("invoice", tenants="acme")


def test_an_id_may_be_a_number(make_bot: MakeBot, root: Path) -> None:
    write_tenants(root, "from pinstripe_bot import Tenant\ndef tenants(workspace):\n    yield Tenant(7)\n")
    bot = make_bot(invoice=job("calls.append(workspace.tenant.id)", "'* * * * *', multi_tenant=True"))

    assert bot.run_for_tenants("invoice", tenants=[7]).count == 1
    assert names_in(bot, "invoice")["calls"] == [7]


def test_by_hand_for_an_unknown_tenant_nothing_runs(make_bot: MakeBot) -> None:
    bot = make_bot(invoice=FOR_ALL)

    with pytest.raises(UnknownTenant, match="there is no tenant 'acne'"):
        bot.run_for_tenants("invoice", tenants=["acme", "acne"])

    assert names_in(bot, "invoice")["calls"] == []


def test_a_job_that_is_called_by_a_tenants_run_runs_for_that_tenant(make_bot: MakeBot, clock: TravelClock) -> None:
    caller = job("workspace.run_background_job('invoice')", "'* * * * *', multi_tenant=True")
    bot = make_bot(caller=caller, invoice=FOR_ALL.replace("@background_job('* * * * *', ", "@background_job("))

    bot.run_for_tenants("caller", tenants=["acme"])

    assert names_in(bot, "invoice")["calls"] == ["Acme"]


def test_a_job_that_is_called_by_a_run_without_a_tenant_runs_for_all(make_bot: MakeBot) -> None:
    caller = job("return workspace.run_background_job('invoice').count")
    bot = make_bot(caller=caller, invoice=FOR_ALL)

    ran = bot.run_background_job("caller")

    assert ran.result == 3
    assert names_in(bot, "invoice")["calls"] == ["Acme", "Beta", "Coro"]


def test_what_is_enqueued_for_all_tenants_is_listed_by_a_bot(make_bot: MakeBot) -> None:
    caller = job("workspace.enqueue_background_job('invoice')")
    bot = make_bot(caller=caller, invoice=FOR_ALL)
    bot.run_background_job("caller")

    work_off(bot)

    assert sorted(names_in(bot, "invoice")["calls"]) == ["Acme", "Beta", "Coro"]


def test_a_job_with_tenants_is_not_run_for_none(make_bot: MakeBot) -> None:
    bot = make_bot(invoice=FOR_ALL)

    with pytest.raises(InvalidParams, match=r"runs once per tenant: use bot\.run_for_tenants\('invoice'\)"):
        bot.run_background_job("invoice")

    assert rows(bot.ledger, RUNS) == []


@pytest.mark.parametrize("name", ["tenant", "tenants", "tenant_id"])
def test_a_parameter_that_would_choose_no_tenant_is_refused(make_bot: MakeBot, name: str) -> None:
    bot = make_bot(invoice=FOR_ALL)

    with pytest.raises(InvalidParams, match=f"the parameter '{name}' of the job 'invoice' would choose no tenant"):
        bot.run_for_tenants("invoice", {name: "beta"})

    assert rows(bot.ledger, RUNS) == []


def test_a_parameter_that_is_called_like_a_tenant_may_be_declared(make_bot: MakeBot) -> None:
    bot = make_bot(invoice=job("return tenant", "'0 0 1 1 *', multi_tenant=True", takes="tenant=''"))

    bot.run_for_tenants("invoice", {"tenant": "beta"}, tenants=["acme"])

    assert rows(bot.ledger, "SELECT tenant, result FROM runs") == [("acme", '"beta"')]


def test_a_run_that_was_asked_for_before_its_job_had_tenants_fails(make_bot: MakeBot) -> None:
    with make_bot(invoice=job("return 1")).workspace() as workspace:
        workspace.enqueue_background_job("invoice")
    bot = make_bot(invoice=FOR_ALL)

    work_off(bot)

    ((tenant, state, error),) = rows(bot.ledger, "SELECT tenant, state, error FROM runs")
    assert (tenant, state, names_in(bot, "invoice")["calls"]) == ("", "failed", [])
    assert "the job 'invoice' runs once per tenant, and this run is for none" in error


def test_hooks_hear_of_a_tenant_that_is_skipped(make_bot: MakeBot, clock: TravelClock, root: Path) -> None:
    told = "heard = []\n\ndef on_skip(occurrence):\n    heard.append((occurrence.tenant, str(occurrence.reason)))\n"
    write_tenants(root)
    (root / "lib/hooks.py").write_text(told)
    bot = make_bot(invoice=FOR_ALL)
    with bot.ledger.store.writing() as connection:
        connection.exec_driver_sql("INSERT INTO pauses (job, tenant, paused_at, who) VALUES ('', 'beta', 0, 'ada')")

    come_due(bot, clock)
    bot.hooks.close()

    assert bot.project.hooks.functions["on_skip"].__globals__["heard"] == [("beta", "paused")]


def test_a_listing_that_hangs_is_told_of_and_takes_no_place_from_others(make_bot: MakeBot, clock: TravelClock) -> None:
    hang = f"def hang(tenants):\n    begun.set(); assert go.wait({PATIENCE_S}); return tenants\n"
    slow = job("return None", "'* * * * *', multi_tenant=True, tenants_filter=hang", head=hang)
    bot = make_bot(**{f"hanging{number}": slow for number in range(THREADS)}, invoice=FOR_ALL)
    clock.travel(minutes=1)
    bot.tick()
    with Ears() as ears:
        bot.parts.lister.look()
        for number in range(THREADS):
            assert names_in(bot, f"hanging{number}")["begun"].wait(PATIENCE_S)
        bot.parts.lister.look()
        assert not names_in(bot, "invoice")["calls"]

        clock.travel(seconds=STUCK_S)
        bot.parts.lister.look()
        assert ears.wait_for("tenants_listed")["job"] == "invoice"
        bot.parts.lister.look()

    stuck = [event for event in ears.heard if event["event"] == "listing_stuck"]
    for number in range(THREADS):
        names_in(bot, f"hanging{number}")["go"].set()
    assert sorted(event["job"] for event in stuck) == [f"hanging{number}" for number in range(THREADS)]
    assert "in hang" in stuck[0]["stack"]


def test_a_tenants_part_of_the_spread_is_no_lateness(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(invoice=FOR_ALL.replace("'* * * * *'", "'0 0 * * *'").replace("=True", "=True, spread='10h'"))
    come_due(bot, clock, days=1)

    for (available_at,) in rows(bot.ledger, "SELECT available_at FROM runs ORDER BY available_at"):
        clock.travel(from_ts(available_at // SECOND) - clock.now() + timedelta(seconds=5))
        work_off(bot)

    ended = bot.ledger.history.runs()
    assert [run.lateness for run in ended] == [timedelta(seconds=5)] * 3
    assert min(run.started_at - run.due_at for run in ended if run.started_at) > timedelta(minutes=2)
    since, now = clock.now() - timedelta(days=2), clock.now()
    assert read_overview(bot.ledger.store, bot.project.schedules, since=since, now=now).troubles == ()


def test_only_the_tenant_whose_run_failed_is_tried_again(make_bot: MakeBot, clock: TravelClock) -> None:
    body = "calls.append(workspace.tenant.id)\nassert workspace.tenant.id != 'beta' or workspace.attempt > 1"
    bot = make_bot(invoice=job(body, "'0 0 * * *', multi_tenant=True, retries=1"))
    come_due(bot, clock, days=1)

    clock.travel(hours=1)
    work_off(bot)

    assert sorted(names_in(bot, "invoice")["calls"]) == ["acme", "beta", "beta", "coro"]
    assert rows(bot.ledger, "SELECT tenant, state, attempt FROM runs ORDER BY tenant") == [
        ("acme", "succeeded", 1),
        ("beta", "succeeded", 2),
        ("coro", "succeeded", 1),
    ]


def test_only_the_tenants_run_that_was_cut_off_is_tried_again(make_bot: MakeBot, clock: TravelClock) -> None:
    body = (
        f"if workspace.tenant.id == 'beta' and workspace.attempt == 1:\n    begun.set(); assert go.wait({PATIENCE_S})"
    )
    bot = make_bot(invoice=job(body, "'0 0 * * *', multi_tenant=True, on_interrupt='retry'"))
    clock.travel(days=1)
    bot.tick()
    bot.parts.lister.list_now()
    bot.parts.look()
    dead = names_in(bot, "invoice")
    assert dead["begun"].wait(PATIENCE_S)
    while rows(bot.ledger, "SELECT count(*) FROM runs WHERE state = 'succeeded'") != [(2,)]:
        sleep(0.01)  # until the other two are recorded

    let_go(bot.ledger)
    again = make_bot()
    clock.travel(hours=1)
    work_off(again)
    dead["go"].set()

    assert rows(again.ledger, "SELECT tenant, state, attempt FROM runs ORDER BY tenant") == [
        ("acme", "succeeded", 1),
        ("beta", "succeeded", 2),
        ("coro", "succeeded", 1),
    ]


def test_after_a_downtime_each_tenant_catches_up_oldest_first(make_bot: MakeBot, clock: TravelClock) -> None:
    body = "calls.append((workspace.tenant.id, workspace.due_at.hour))"
    options = "multi_tenant=True, catch_up='all', catch_up_max=3, catch_up_spacing='10m'"
    bot = make_bot(invoice=job(body, f"'0 * * * *', {options}"))
    clock.travel(hours=5)
    bot.tick()

    for _ in range(4):
        work_off(bot)
        work_off(bot)  # of a tenant, the next one has its turn when the one before is recorded
        clock.travel(minutes=10)

    calls = names_in(bot, "invoice")["calls"]
    for tenant in ("acme", "beta", "coro"):
        assert [hour for whose, hour in calls if whose == tenant] == [3, 4, 5]
    assert rows(bot.ledger, "SELECT reason, sum(count) FROM occurrences WHERE decision = 'missed' GROUP BY 1") == [
        ("bot_down", 2)
    ]


# At one second


def test_the_jobs_of_a_second_are_listed_on_the_thread_that_asks(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    write_tenants(root, f"import threading\nthreads = []\n{TENANTS}    threads.append(threading.get_ident())\n")
    bot = make_bot(invoice=FOR_ALL, planned=False)

    ran = bot.run_background_jobs(clock.now().timestamp() + 60)

    assert {(run.tenant, run.state) for run in ran} == {(one, "succeeded") for one in ("acme", "beta", "coro")}
    assert tenants_file(bot)["threads"] == [threading.get_ident()]


def test_the_jobs_of_a_second_run_for_the_tenants_of_every_zone(make_bot: MakeBot, clock: TravelClock) -> None:
    hourly = "'0 * * * *', multi_tenant=True, timezone='tenant'"
    bot = make_bot(invoice=job("calls.append(workspace.tenant.name)", hourly), planned=False)

    ran = bot.run_background_jobs(clock.now().timestamp() + 3600)

    assert sorted(called(bot, "invoice")) == sorted(run.tenant_name for run in ran) == ["Acme", "Beta", "Coro"]


def test_the_jobs_of_a_second_run_at_once_whatever_each_tenants_part_of_the_spread(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    spread = "'* * * * *', multi_tenant=True, spread='10h', retries=1"
    bot = make_bot(invoice=job("assert workspace.tenant.id != 'beta'", spread), planned=False)

    ran = bot.run_background_jobs(clock.now().timestamp() + 60)

    assert {run.tenant: str(run.state) for run in ran} == {"acme": "succeeded", "beta": "failed", "coro": "succeeded"}


def test_the_jobs_of_a_second_let_a_tenants_run_wait_for_its_turn(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    write_tenants(
        root, "from pinstripe_bot import Tenant\nids = [1]\ndef tenants(workspace): return map(Tenant, ids)\n"
    )
    waits = f"if workspace.tenant.id == 1:\n    begun.set(); assert go.wait({PATIENCE_S})"
    bot = make_bot(invoice=job(waits, "'* * * * *', multi_tenant=True, overlap='queue'"))
    clock.travel(minutes=1)
    bot.tick()
    bot.parts.lister.list_now()
    bot.parts.look()
    assert names_in(bot, "invoice")["begun"].wait(PATIENCE_S)
    tenants_file(bot)["ids"].append(2)

    ran = bot.run_background_jobs(clock.now().timestamp() + 60)

    assert [run.tenant for run in ran] == ["2"]
    names_in(bot, "invoice")["go"].set()


def test_the_jobs_of_a_second_leave_alone_what_else_waits(make_bot: MakeBot, clock: TravelClock) -> None:
    caller = job("workspace.enqueue_background_job('other')", "'0 0 1 1 *'")
    bot = make_bot(caller=caller, invoice=FOR_ALL, other=FOR_ALL.replace("'* * * * *'", "'0 0 1 1 *'"))
    bot.run_background_job("caller")

    ran = bot.run_background_jobs(clock.now().timestamp() + 60)

    assert {run.job for run in ran} == {"invoice"}


# Fairness

THOUSANDS = """
from pinstripe_bot import Tenant
import threading

waiting, go_on = threading.Event(), threading.Event()

def tenants(workspace):
    for number in range(2000):
        if number == 1700:
            waiting.set()
            assert go_on.wait(10)
        yield Tenant(number)
"""


def test_while_thousands_of_tenants_are_listed_and_run_another_job_is_the_next_one_to_start(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    write_tenants(root, THOUSANDS)
    bot = make_bot(crowd=CROWD.replace("'0 0 1 1 *'", "'1 0 1 1 *'"), other=job("begun.set()", "'2 0 1 1 *'"))
    tenants, crowd, other = tenants_file(bot), names_in(bot, "crowd"), names_in(bot, "other")
    clock.travel(minutes=1)
    bot.tick()
    bot.parts.lister.look()
    assert tenants["waiting"].wait(PATIENCE_S)
    bot.parts.look()
    crowd["go"].release(100)
    wait_for_entries(crowd, 102)  # all of them quick, and two more that wait
    clock.travel(minutes=1)

    with Ears() as ears:
        bot.tick()
        crowd["go"].release()  # one run of the crowd ends, and no other

        assert other["begun"].wait(PATIENCE_S)
        tenants["go_on"].set()
        crowd["go"].release(2000)
        assert ears.wait_for("tenants_listed")["tenants"] == 2000
    while rows(bot.ledger, "SELECT id FROM runs WHERE state = 'queued' LIMIT 1"):
        work_off(bot)
    assert rows(bot.ledger, "SELECT state, count(DISTINCT tenant) FROM runs GROUP BY state") == [("succeeded", 2001)]


def wait_for_entries(crowd: dict[str, Any], runs: int) -> None:
    """Wait until so many runs of the crowd have begun."""
    for _ in range(runs):
        assert crowd["entered"].acquire(timeout=PATIENCE_S)
