"""The outlook: what comes due next, and whether all is well."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bots import job
from stored import FAR, ODD, put_passed, put_run

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.occurrence import Reason
from pinstripe_bot.outlook import LATELY, Outlook, is_well, look_out, next_due
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

ADA = Person("ada", "here")


def look(bot: Bot, clock: TravelClock, count: int = 5) -> Outlook:
    return look_out(bot.project, bot.ledger.history, clock.now(), count=count)


def due(bot: Bot, clock: TravelClock, count: int = 5) -> list[tuple[str, str]]:
    return [(f"{at:%H:%M}", one.job) for at, one in next_due(bot.project, (), clock.now(), count)]


def test_what_comes_due_first_stands_first(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(a=job("return None", "'0 * * * *'"), b=job("return None", "'*/40 * * * *'"))

    assert due(bot, clock, 4) == [("00:40", "b"), ("01:00", "a"), ("01:00", "b"), ("01:40", "b")]
    assert due(bot, clock, 0) == []


def test_what_is_disabled_or_by_hand_does_not_come_due(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(off=job("return None", "'* * * * *', enabled=False"), hand=job("return None", ""))

    assert due(bot, clock) == []


def test_a_schedule_that_never_comes_again_is_left_out(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return None", "'0 0 29 2 *'"))

    assert next_due(bot.project, (), FAR - timedelta(days=1)) == []


def test_of_tenants_each_zone_comes_due(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return None", "'0 9 * * *', multi_tenant=True, timezone='tenant'"))

    found = next_due(bot.project, {"Europe/Berlin", "America/New_York"}, clock.now(), 2)

    assert [f"{at:%H:%M} {one.zone.name}" for at, one in found] == ["08:00 Europe/Berlin", "14:00 America/New_York"]
    assert due(bot, clock) == []


def test_without_a_ledger_only_what_comes_due_is_known(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())

    found = look_out(bot.project, None, clock.now())

    assert (found.overview, found.ground, len(found.coming)) == (None, None, 5)
    assert not is_well(bot.project, None)


def test_with_a_ledger_its_place_is_known(make_bot: MakeBot, clock: TravelClock) -> None:
    ground = look(make_bot(sweep=job()), clock).ground

    assert ground is not None
    assert ground.place.endswith(".pinstripe/ledger.db")
    assert ground.size


def test_what_is_paused_or_to_be_skipped_will_not_run(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(a=job("return None", "'0 * * * *'"), b=job("return None", "'30 * * * *'"))
    acts = Acts(bot.ledger.store, bot.project, ADA)
    acts.pause("a", clock.now(), until_at=clock.now() + timedelta(minutes=90))
    acts.skip("b", 1, clock.now())

    fates = [(one.schedule.job, one.fate) for one in look(bot, clock, 4).coming]

    assert fates == [("b", Reason.SKIP_ASKED), ("a", Reason.PAUSED), ("b", None), ("a", None)]


def test_a_project_is_well_until_something_goes_wrong(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    assert is_well(bot.project, look(bot, clock).overview)

    put_run(bot.ledger, ODD, state="failed", due_at=clock.now())

    assert not is_well(bot.project, look(bot, clock).overview)


def test_what_was_missed_is_not_well_and_what_was_skipped_is(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    put_passed(bot.ledger, decision="skipped", reason="overlap")
    assert is_well(bot.project, look(bot, clock).overview)

    put_passed(bot.ledger, until_at=FAR, count=2**31 - 1)

    assert not is_well(bot.project, look(bot, clock).overview)


def test_trouble_is_told_of_for_a_day(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    put_run(bot.ledger, state="failed", due_at=clock.now())

    clock.travel(LATELY + timedelta(seconds=2))

    assert is_well(bot.project, look(bot, clock).overview)


def test_a_project_with_a_broken_file_is_not_well(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(), broken="def (")

    assert not is_well(bot.project, look(bot, clock).overview)


def test_a_project_whose_bot_stopped_is_not_well(make_bot: MakeBot, clock: TravelClock) -> None:
    make_bot(sweep=job()).stop()
    looking = make_bot(planned=False)
    looking.ledger.open("shop", clock.now(), kind="command")

    assert not is_well(looking.project, look(looking, clock).overview)
