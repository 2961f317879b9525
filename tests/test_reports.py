from __future__ import annotations

from collections.abc import Callable

import pytest
from bots import Ears, job

from pinstripe_bot.bot import Bot

MakeBot = Callable[..., Bot]


def at(expression: str, zone: str, dst: str) -> str:
    """A job whose one schedule keeps its name, whatever else is edited."""
    return job("return 1", f"{expression!r}, name='early', timezone={zone!r}, dst={dst!r}")


@pytest.mark.parametrize("dst", ["once", "wall"])
def test_an_edited_schedule_of_the_same_zone_is_told_without_an_alarm(make_bot: MakeBot, dst: str) -> None:
    make_bot(sweep=at("5 4 * * *", "Europe/Berlin", dst))

    with Ears() as ears:
        make_bot(sweep=at("6 4 * * *", "Europe/Berlin", dst))

    assert ears.names("schedule_edited", "zones_disagree") == ["schedule_edited"]


@pytest.mark.parametrize("dst", ["once", "wall"])
def test_another_zone_than_a_living_bot_has_is_an_alarm(make_bot: MakeBot, dst: str) -> None:
    make_bot(sweep=at("5 4 * * *", "Europe/Berlin", dst))

    with Ears() as ears:
        make_bot(sweep=at("5 4 * * *", "Asia/Tokyo", dst))

    told = ears.wait_for("zones_disagree")
    assert (told["job"], told["here"], told["there"]) == ("sweep", "Asia/Tokyo", "Europe/Berlin")


def test_another_zone_than_a_bot_had_that_has_stopped_is_no_alarm(make_bot: MakeBot) -> None:
    make_bot(sweep=at("5 4 * * *", "Europe/Berlin", "wall")).stop()

    with Ears() as ears:
        make_bot(sweep=at("5 4 * * *", "Asia/Tokyo", "wall"))

    assert ears.names("schedule_edited", "zones_disagree") == ["schedule_edited"]
