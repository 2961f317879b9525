import os
import time

from pinstripe_bot import BackgroundJob

SHELVES = 16


class Stocktaking(BackgroundJob):
    """Counts the shelves, for eight seconds. To begin anew does no harm: kill its worker, and another one does so."""

    on_interrupt = "retry"
    timeout = "1m"

    @classmethod
    def meta(cls):
        cls.schedule("*/20 * * * * *")

    def run(self):
        self.logger.info("counting", attempt=self.attempt, worker_pid=os.getpid())
        for shelf in range(SHELVES):
            self.checkpoint()  # ends the run here if it was told to end
            self.progress(shelf, SHELVES)
            time.sleep(0.5)
