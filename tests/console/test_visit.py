"""A visit: what is asked of an address, and which schedules come due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from bots import job
from stored import ODD

from pinstripe_bot.bot import Bot
from pinstripe_bot.console.visit import late_after

from .visits import visit_to

MakeBot = Callable[..., Bot]


@pytest.fixture
def bot(make_bot: MakeBot) -> Bot:
    return make_bot(sweep=job("return None", "'0 * * * *'", "'30 * * * *', enabled=False"))


def test_what_is_asked_has_no_blanks_around_it_and_an_end(bot: Bot) -> None:
    visit = visit_to(bot, job=f"  {ODD}\n", tenant="x" * 10_000)

    assert visit.asked("job") == ODD
    assert len(visit.asked("tenant")) == 200
    assert (visit.asked("state"), visit.asked("state", "failed")) == ("", "failed")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("7", 7),
        ("007", 7),
        (" 7 ", 7),
        ("", 1),
        ("-7", 1),
        ("7.0", 1),
        ("²", 1),
        ("٣", 1),
        ("9" * 10, 1),
        ("9" * 9, 999_999_999),
    ],
)
def test_a_number_is_read_or_not_asked_for(bot: Bot, written: str, number: int) -> None:
    assert visit_to(bot, page=written).number("page", 1) == number


def test_what_is_disabled_is_not_planned(bot: Bot) -> None:
    assert [one.name for one in visit_to(bot).planned()] == ["0 * * * *"]


@pytest.mark.parametrize(
    ("schedules", "after"),
    [
        (["'0 * * * *'"], timedelta(seconds=60)),
        (["'0 * * * *', late_after='1h'"], timedelta(hours=1)),
        (["'0 * * * *', late_after='1h'", "'30 * * * *', late_after='1h'"], timedelta(hours=1)),
        (["'0 * * * *', late_after='1h'", "'30 * * * *'"], timedelta(seconds=60)),
        ([""], timedelta(seconds=60)),
    ],
)
def test_a_run_is_late_as_the_schedules_of_its_job_say(
    make_bot: MakeBot, schedules: list[str], after: timedelta
) -> None:
    bot = make_bot(sweep=job("return None", *schedules))

    assert late_after(bot.project.job("sweep")) == after
