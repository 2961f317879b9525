from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from bots import EVERY_MINUTE, job, names_in
from sqlalchemy import update

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.ledger_figures import RECENT, Figures, read_figures
from pinstripe_bot.ledger_schema import runs
from pinstripe_bot.testing import TravelClock
from pinstripe_bot.zones import zone

MakeBot = Callable[..., Bot]

NOW_TS = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def figures(bot: Bot, *, since: int = 0) -> Figures:
    return read_figures(bot.ledger.store, bot.project.jobs, bot.project.schedules, bot.clock.now(), since=since)


def tick(bot: Bot, clock: TravelClock, **passed: float) -> None:
    clock.travel(**passed)
    bot.tick()
    bot.dispatcher.wait_until_idle(10)


def set_states(bot: Bot, **columns: object) -> None:
    """Let all runs of the ledger stand like this."""
    with bot.ledger.store.writing() as connection:
        connection.execute(update(runs).values(**columns))


def test_a_new_ledger_has_nothing_but_what_is_due_next(make_bot: MakeBot) -> None:
    found = figures(make_bot(sweep=job(), yearly=job("return 1", "'0 0 2 1 *'")))

    assert (found.running, found.queued, found.lingering, found.succeeded) == ({}, {}, {}, {})
    assert found.next_due == {"sweep": NOW_TS + 60, "yearly": NOW_TS + 86_400}
    assert found.bots == 1


def test_open_runs_are_counted_by_job_and_state(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), other=job())
    tick(bot, clock, minutes=1)

    set_states(bot, state="running", owner="somebody")
    running = figures(bot)
    set_states(bot, state="timed_out", lingers=1)
    lingering = figures(bot)

    assert (running.running, running.queued) == ({"sweep": 1, "other": 1}, {})
    assert (lingering.running, lingering.lingering) == ({}, {"sweep": 1, "other": 1})


def test_the_newest_success_of_each_job_is_found(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), flaky=job("assert not calls"))
    tick(bot, clock, minutes=1)

    names_in(bot, "flaky")["calls"].append(1)
    tick(bot, clock, minutes=1)

    assert figures(bot).succeeded == {"sweep": NOW_TS + 120, "flaky": NOW_TS + 60}


def test_a_further_look_reads_only_what_may_be_new(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    tick(bot, clock, minutes=1)
    set_states(bot, id=3 * RECENT)

    first = figures(bot)

    assert first.recent == 2 * RECENT
    assert figures(bot, since=first.recent).succeeded == {"sweep": NOW_TS + 60}
    assert figures(bot, since=3 * RECENT + 1).succeeded == {}


def test_a_run_that_was_open_is_looked_at_again_however_old(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    tick(bot, clock, minutes=1)
    set_states(bot, state="running")
    tick(bot, clock, minutes=1)

    assert figures(bot).recent <= 1


def test_an_old_run_that_a_person_retries_is_found(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(flaky=job("assert calls"))
    tick(bot, clock, minutes=1)
    before = figures(bot)

    names_in(bot, "flaky")["calls"].append(1)
    Acts(bot.ledger.store, bot.project, Person("eve", "a test")).retry(1, clock.now())
    bot.parts.look()
    bot.dispatcher.wait_until_idle(10)

    assert before.succeeded == {}
    assert figures(bot, since=before.recent).succeeded == {"flaky": NOW_TS + 60}


def test_a_schedule_in_tenants_zones_is_due_first_where_it_is_due_first(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job("return 1", "'0 9 * * *', timezone='tenant', multi_tenant=True"))
    (declared,) = bot.project.schedules

    bot.ledger.replan({declared.in_zone(zone(name)): None for name in ("Europe/Berlin", "UTC")}, [], bot.clock.now())

    assert figures(bot).next_due == {"sweep": NOW_TS + 8 * 3600}


def test_a_disabled_schedule_is_never_due(make_bot: MakeBot) -> None:
    assert figures(make_bot(sweep=job("return 1", f"{EVERY_MINUTE!r}, enabled=False"))).next_due == {}
