import time

from pinstripe_bot import BackgroundJob

SECONDS = 14


class Slow(BackgroundJob):
    """Counts the stock, which takes longer than its interval: every other due instant is skipped."""

    @classmethod
    def meta(cls):
        cls.schedule("*/10 * * * * *")

    def run(self):
        print("counting the stock")
        for second in range(SECONDS):
            self.checkpoint()  # ends the run here if it was told to end
            self.progress(second, SECONDS)
            time.sleep(1)
