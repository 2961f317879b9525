"""What every page says at its top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bots import job
from stored import ODD, put_run

from pinstripe_bot.bot import Bot
from pinstripe_bot.console.matters import Matter
from pinstripe_bot.console.standing import Standing, near, stand, top_facts, usual_of, verdict
from pinstripe_bot.console.visit import Visit
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.testing import TravelClock

from .visits import a_bot, an_overview, visit_to

MakeBot = Callable[..., Bot]


def standing(*matters: Matter, has_bot: bool = True) -> Standing:
    return Standing(an_overview(bots=(a_bot(is_alive=has_bot),)), matters, {})


def matter(subject: str = "sweep", kind: str = "failed", job: str | None = "sweep") -> Matter:
    return Matter(kind, subject, "failed", "", None, job=job)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (standing(), "All is well: 1 job, 1,440 runs in 24 hours, none failed, none late, none missed."),
        (standing(has_bot=False), "No bot is running"),
        (Standing(None, (), {}), "No bot is running"),
        (standing(matter()), "sweep needs attention"),
        (standing(matter(), has_bot=False), "sweep needs attention"),
        (standing(matter("Every job", "paused", None)), "Every job needs attention"),
        (standing(matter(), matter()), "Two things need attention"),
        (standing(*[matter()] * 1200), "1,200 things need attention"),
    ],
)
def test_the_verdict_is_one_sentence(found: Standing, words: str) -> None:
    assert verdict(found, jobs=1, day=(1440, 0, 0)) == words


def test_what_failed_and_has_succeeded_since_is_told_though_all_is_well() -> None:
    told = "All is well: 1 job, 1,440 runs in 24 hours, 2 failed and succeeded since, 1 late, none missed."

    assert verdict(standing(), jobs=1, day=(1440, 2, 1)) == told


def test_several_jobs_need_attention() -> None:
    assert verdict(standing(matter("3 jobs", "missed", None)), jobs=9, day=(1, 0, 0)) == "3 jobs need attention"


def test_a_project_is_well_with_a_bot_and_without_matters() -> None:
    assert standing().is_well
    assert not standing(has_bot=False).is_well
    assert not standing(matter()).is_well
    assert not Standing(None, (), {}).is_well


def test_commands_that_run_a_job_by_hand_are_no_bots() -> None:
    bots = (a_bot(), a_bot(kind="command"), a_bot(is_alive=False))

    assert Standing(an_overview(bots=bots), (), {}).bots == [a_bot()]


def test_a_project_without_a_ledger_is_looked_at(make_bot: MakeBot) -> None:
    visit = replace(visit_to(make_bot(sweep=job(), broken="def (")), history=None)

    found = stand(visit)

    assert (found.overview, [one.kind for one in found.matters]) == (None, ["broken"])
    assert "There is no ledger yet" in top_facts(visit, found)["no_bot"]
    assert top_facts(visit, found)["ledger"] is None
    assert usual_of(visit, ["sweep"]) == {}


def test_the_top_tells_of_the_bot_and_the_clock(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot({"timezone": "Europe/Berlin"}, sweep=job())
    bot.tick()
    clock.travel(seconds=3)

    facts = top_facts(visit_to(bot), stand(visit_to(bot)))

    assert (facts["bot_count"], facts["no_bot"], facts["heard_ago_s"]) == (1, "", 3.0)
    assert (facts["clock"], facts["clock_zone"], facts["offset_s"]) == ("01:00:03", "CET", 3600)
    assert facts["ledger"] == ".pinstripe/ledger.db (this machine only)"
    assert facts["who"] is None


def test_the_top_names_whoever_looks(make_bot: MakeBot) -> None:
    visit = replace(visit_to(make_bot(sweep=job())), person=Person(ODD, "here"), is_read_only=True)

    facts = top_facts(visit, stand(visit))

    assert (facts["who"], facts["is_read_only"]) == (ODD, True)


def test_a_clock_that_was_set_back_has_heard_of_the_bot_just_now(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    visit = visit_to(bot, clock.now() - timedelta(hours=1))

    assert top_facts(visit, stand(visit))["heard_ago_s"] == 0.0


def test_a_bot_that_died_is_told_with_when_it_was_heard_last(make_bot: MakeBot) -> None:
    visit = visit_to(make_bot(sweep=job()))
    found = Standing(an_overview(bots=(a_bot(is_alive=False),)), (), {})

    assert top_facts(visit, found)["no_bot"] == "No bot has ticked since 12:00:00. Nothing runs until one starts."
    assert top_facts(visit, found)["heard_ago_s"] is None


def test_what_is_usual_is_the_median_of_what_has_succeeded(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job(), other=job())
    for took in (1, 5, 3):
        put_run(bot.ledger, took=took)
    put_run(bot.ledger, state="failed", took=900)
    put_run(bot.ledger, "gone")

    assert usual_of(visit_to(bot), ["sweep", "other", "gone", ODD]) == {"sweep": timedelta(seconds=3)}


def test_a_place_is_told_as_the_project_sees_it(make_bot: MakeBot) -> None:
    visit: Visit = visit_to(make_bot(sweep=job()))

    assert near(visit, f"{visit.project.root}/.pinstripe/ledger.db") == ".pinstripe/ledger.db"
    assert near(visit, "/elsewhere/ledger.db") == "/elsewhere/ledger.db"


def test_everything_at_once_is_looked_at(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job())
    facts: dict[str, Any] = {"state": "failed", "tenant": ODD, "tenant_name": ODD}
    put_run(bot.ledger, ODD, **facts)

    (found,) = stand(visit_to(bot)).matters

    assert (found.subject, found.retry) == (ODD, False)
