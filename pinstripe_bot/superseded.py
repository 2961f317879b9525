"""Superseded schedules: planned by another bot in another form, until that form is ours again, or nobody's."""

from __future__ import annotations

import contextlib
from datetime import datetime

from pinstripe_bot.clock import Clock
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.hook_calls import Hooks
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.metrics import Tally
from pinstripe_bot.reports import report_taken_back
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.timetable import Timetable

LOOK_EVERY_S = 5.0


class Superseded:
    """Looks now and then whether schedules that were set aside are this bot's to plan again."""

    def __init__(self, ledger: Ledger, clock: Clock, hooks: Hooks, tally: Tally) -> None:
        self._ledger = ledger
        self._clock = clock
        self._hooks = hooks
        self._tally = tally
        self._next_look_s = 0.0

    def look(self, timetable: Timetable[Schedule], now: datetime) -> None:
        """Take those back into the timetable whose form is ours again, or that no living bot plans any more."""
        now_s = self._clock.monotonic()
        if not timetable.aside or now_s < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_EVERY_S
        with contextlib.suppress(LedgerUnavailable):  # the claims tell it; this is asked again
            taken = self._ledger.take_back(timetable.aside, now)
            timetable.take_back(taken.marks)
            report_taken_back(taken, self._hooks, self._tally)
