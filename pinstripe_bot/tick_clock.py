"""The clock of the ticks: what time it is at each, whether it was set meanwhile, and whether the ticks stand still."""

from __future__ import annotations

from datetime import datetime

from pinstripe_bot.clock import Clock
from pinstripe_bot.clock_jumps import ClockJumps
from pinstripe_bot.occurrence import Reason
from pinstripe_bot.reports import report_jump

STUCK_AFTER_S = 30.0


class TickClock:
    """Read once at the beginning of each tick, by the loop; asked by any thread, without a lock.

    `cause` is why a window that is long is long: the clock has jumped ahead, or nobody was there to decide it.
    """

    def __init__(self, clock: Clock) -> None:
        self.last_tick_s: float | None = None  # monotonic; None while there is no loop
        self.cause = Reason.BOT_DOWN
        self._clock = clock
        self._jumps = ClockJumps()

    def read(self) -> datetime:
        """What time it is; says so where the wall clock has been set since the last tick."""
        before_s = self._clock.monotonic()
        now = self._clock.now()
        self.last_tick_s = self._clock.monotonic()
        jump = self._jumps.between(before_s, now, self.last_tick_s)
        if jump is not None:
            report_jump(jump)
            if jump.jumped_over is not None:
                self.cause = Reason.CLOCK_JUMP
        return now

    def forget_cause(self) -> None:
        """Everything that was due at the last reading is decided."""
        self.cause = Reason.BOT_DOWN

    def stop(self) -> None:
        """There is no loop any more, or it drains: it may take longer than one may stand still."""
        self.last_tick_s = None
        self._jumps = ClockJumps()

    def stuck_s(self) -> float | None:
        """For how long the loop has stood still, where that is too long."""
        last_tick_s = self.last_tick_s
        if last_tick_s is None:
            return None
        age_s = self._clock.monotonic() - last_tick_s
        return age_s if age_s > STUCK_AFTER_S else None
