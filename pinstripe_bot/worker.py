"""The worker: a process that performs the runs which a cluster's bots have claimed, on any machine with the project."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from pinstripe_bot.bot import Bot
from pinstripe_bot.clock import Clock
from pinstripe_bot.cluster_receiver import Receiver
from pinstripe_bot.errors import InvalidConfig
from pinstripe_bot.project import Project

log = structlog.get_logger("pinstripe")


class Worker:
    """Performs runs as a bot does, with all its parts but the loop: what runs here was claimed elsewhere.

    `queues` are those that it serves, none for all. Raises InvalidConfig where the project is not one of a cluster.
    """

    def __init__(self, project: Project, *, queues: Sequence[str] = (), clock: Clock | None = None) -> None:
        if project.config.dispatcher != "cluster":
            raise InvalidConfig(
                'a worker performs the runs of a cluster, and this project has none: set dispatcher = "cluster" in'
                " pinstripe.toml, or start a bot with `pinstripe start-bot`"
            )
        self.bot = Bot(project, clock=clock)  # what a job sees as `self.bot`
        self._queues = queues
        self._receiver: Receiver | None = None
        self._is_stopping = False  # a plain flag: a signal handler sets it

    def run(self, *, on_start: Callable[[], None] | None = None) -> int:
        """Work in this thread until `request_stop`; returns how many runs had to be cut off at its end."""
        bot = self.bot
        bot.open(kind="worker")
        parts = bot.parts
        receiver = self._receiver = Receiver(
            bot.project, bot.ledger, bot.dispatcher, parts.admission, bot.clock, self._queues
        )
        try:
            bot.dispatcher.also_told = {"queues": list(self._queues)}
            parts.start_processes(bot.project)
            bot.dispatcher.start()
            receiver.start()
            queues = list(self._queues) or "all"
            log.info("worker_started", jobs=len(bot.project.jobs), workers=bot.dispatcher.workers, queues=queues)
            if on_start is not None:
                on_start()
            while not self._is_stopping:
                bot.clock.sleep_to_next_second()  # not longer: a signal that another thread got does not end the sleep
        finally:
            receiver.stop()
            bot.stop()
            receiver.close()
        return bot.dispatcher.cut_off

    def reasons_not_alive(self) -> list[str]:
        """Why this process should be started again. Empty while it lives."""
        return [] if self._receiver is None or self._is_stopping else self._receiver.reasons_not_alive()

    def reasons_not_ready(self) -> list[str]:
        """Why this worker cannot do its work now. Empty while it can."""
        if self._is_stopping:
            return ["the worker is stopping"]
        if self._receiver is None:
            return ["the worker has not started"]
        return [*self._receiver.reasons_not_ready(), *self.bot.readiness.reasons_not_ready()]

    def request_stop(self) -> None:
        """Ask it to stop; no run starts any more. Safe in a signal handler: flags and one byte in a pipe."""
        self._is_stopping = True
        self.bot.request_stop()

    def cut_short(self) -> None:
        """End the wait for running jobs. Safe in a signal handler."""
        self.bot.cut_short()
