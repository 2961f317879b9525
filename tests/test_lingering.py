"""Where a run is that does not listen: the author's frames alone, with a place as an error has it."""

from __future__ import annotations

import re
from collections.abc import Callable

from bots import PATIENCE_S, WAITING, job, names_in

from pinstripe_bot.bot import Bot
from pinstripe_bot.testing import TravelClock

LIMITED = "'* * * * *', timeout='30s', kill_after='5s'"


def test_its_stack_begins_with_the_authors_code_and_its_place_is_relative(
    make_bot: Callable[..., Bot], clock: TravelClock
) -> None:
    bot = make_bot(sweep=job(WAITING, LIMITED))
    deadlines = bot.dispatcher._runner.deadlines
    deadlines.close()
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)

    for seconds in (30, 5):
        clock.travel(seconds=seconds)
        deadlines.look()

    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    names_in(bot, "sweep")["go"].set()
    bot.dispatcher.wait_until_idle(PATIENCE_S)
    (run,) = bot.ledger.history.runs(limit=1)
    assert run.error is not None
    assert re.fullmatch(r"lib/background_jobs/sweep\.py:\d+ in work", run.error.place)
    first, frame, *rest = run.error.traceback.splitlines()
    assert first == "Where it was when its time was over (most recent call last):"
    assert "sweep.py" in frame
    assert not any("pinstripe_bot/" in line for line in rest)
