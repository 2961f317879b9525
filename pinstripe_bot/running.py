"""The runs whose code runs now: seen, told to end, and given up where they do not listen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from pinstripe_bot.clock import Clock
from pinstripe_bot.control import RunControl
from pinstripe_bot.lingering import Lingering
from pinstripe_bot.occurrence import Reason, Run
from pinstripe_bot.runner import Runner


class Running:
    """What a runner performs; `on_given_up(run, needs_worker)` hears of the end of one that does not listen."""

    def __init__(
        self, runner: Runner, clock: Clock, *, most_lingering: int, on_given_up: Callable[[Run, bool], None]
    ) -> None:
        self.lingering = Lingering(most_lingering, runner.root)
        self._turn = threading.Lock()  # who is given up comes back only after that is handed over
        self._runner = runner
        self._clock = clock
        self._on_given_up = on_given_up
        runner.deadlines.on_deaf = self._give_up

    @property
    def controls(self) -> list[RunControl]:
        return list(self._runner.controls.values())

    @property
    def is_empty(self) -> bool:
        """Whether no code runs, also none that lingers."""
        return not self._runner.controls

    @property
    def ids(self) -> set[int]:
        return {control.run.id for control in self.controls if control.run is not None}

    @property
    def runs(self) -> list[Run]:
        """The runs that are performed now, without those that linger."""
        return [control.run for control in self.controls if control.run is not None and not control.has_ended]

    def held_since(self, instant: datetime) -> list[str]:
        """The jobs of the runs that have been running since `instant`: one name for each worker they hold."""
        return sorted(run.job for run in self.runs if run.started_at is not None and run.started_at <= instant)

    def progress(self) -> list[tuple[int, int | None]]:
        """(done, total) as the running jobs last said it."""
        return [control.progress for control in self.controls if control.progress is not None]

    def cancel_all(self) -> None:
        """Ask every run to end, because of a shutdown."""
        for control in self.controls:
            control.cancel(Reason.SHUTDOWN)

    def cancel(self, run_id: int, attempt: int) -> None:
        """Ask one run to end, because a person wants it; what does not listen is given up."""
        control = self._runner.controls.get(run_id)
        if control is None or control.run is None or control.run.attempt != attempt or control.is_cancelled:
            return
        self._runner.deadlines.cancel(control, Reason.CANCELLED)

    def disown(self, run: Run) -> bool:
        """Let a run that another bot has ended change nothing any more; false if its end is recorded already."""
        control = self._runner.controls.get(run.id)
        return control is not None and control.run is run and control.end_early()

    def abandon_all(self) -> list[Run]:
        """The runs that are still running; from now on none of them can change the database or its outcome."""
        return [control.run for control in self.controls if control.run is not None and control.end_early()]

    def stop_lingering(self, control: RunControl) -> bool:
        """The code of a run has ended whose end was recorded before; whether it had lingered."""
        with self._turn:
            if control.run is None or control.run.id not in self.lingering:
                return False
            self.lingering.remove(control)
            return True

    def _give_up(self, control: RunControl) -> None:
        with self._turn:
            if control.end_early():
                self._on_given_up(self.lingering.add(control, self._clock.now()), control.is_replaced)
