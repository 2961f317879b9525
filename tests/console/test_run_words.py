"""What is told of a run around what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from bots import job

from pinstripe_bot.bot import Bot
from pinstripe_bot.console.run_words import how_it_began, what_else
from pinstripe_bot.ledger_neighbours import Neighbours, Sibling

from .visits import NOON, a_record, a_run, visit_to

SECOND = timedelta(seconds=1)


@pytest.fixture
def bot(make_bot: Callable[..., Bot]) -> Bot:
    return make_bot(sweep=job("return None", "'0 13 * * *'"))


def others(bot: Bot, *states: str, count: int | None = None) -> list[str]:
    """What is told of a run with so many siblings, which stand so."""
    same = tuple(Sibling(number, str(number), "", state, SECOND) for number, state in enumerate(states, start=8))
    mine = Sibling(7, "7", "", "failed", SECOND)
    near = Neighbours(None, None, (mine, *same), len(same) + 1 if count is None else count)
    return list(what_else(visit_to(bot, NOON), a_record(a_run()), near, None))


def test_a_run_tells_by_what_it_was_due_and_how_long_it_waited(bot: Bot) -> None:
    run = a_run(claimed_at=NOON + 0.4 * SECOND, started_at=NOON + 3.1 * SECOND)

    told = how_it_began(visit_to(bot, NOON), a_record(run), bot.project.job("sweep").schedules[0])

    by = f"It was due at 12:00:00 by the schedule `* * * * *` ({bot.project.config.timezone})"
    assert told == f"{by}, was claimed 0.40 s later and waited 2.7 s for a worker."


def test_a_run_that_has_not_started_waited_for_nobody_yet(bot: Bot) -> None:
    told = how_it_began(visit_to(bot, NOON), a_record(a_run(state="queued", started_at=None)), None)

    assert told == "It was due at 12:00:00 by the schedule `* * * * *`, was claimed 0 s later."


def test_a_run_by_hand_tells_when_it_was_asked_for(bot: Bot) -> None:
    told = how_it_began(visit_to(bot, NOON), a_record(a_run(schedule="manual")), None)

    assert told == "It was asked for by hand at 12:00:00 and waited 0 s for a worker."


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([], []),
        (["succeeded"], ["The other tenant succeeded."]),
        (["succeeded"] * 11, ["The 11 other tenants succeeded."]),
        (["succeeded", "failed", "timed_out"], ["Of the three other tenants 2 did not succeed."]),
        (["succeeded", "running"], []),
    ],
)
def test_it_is_told_how_the_other_tenants_fared(bot: Bot, states: Sequence[str], told: list[str]) -> None:
    assert others(bot, *states) == told


def test_of_more_tenants_than_were_looked_at_nothing_is_told(bot: Bot) -> None:
    assert others(bot, "succeeded", count=9000) == []


def test_it_is_told_when_it_is_due_again(bot: Bot) -> None:
    schedule = bot.project.job("sweep").schedules[0]
    near = Neighbours(None, None, (), 1)

    today = list(what_else(visit_to(bot, NOON), a_record(a_run()), near, schedule))
    tomorrow = list(what_else(visit_to(bot, NOON + timedelta(hours=2)), a_record(a_run()), near, schedule))

    assert today == ["It is due again at 13:00."]
    assert tomorrow == ["It is due again on Fri 2 Jan 13:00."]
