import os

from pinstripe_bot import BackgroundJob


class Forecast(BackgroundJob):
    """Computes what will be sold, in a process of its own: it holds up no other run, and can really be killed."""

    queue = "reports"
    isolation = "process"
    timeout = "20s"

    @classmethod
    def meta(cls):
        cls.schedule("5/15 * * * * *")

    def run(self):
        will_sell = sum(number % 7 for number in range(2_000_000))
        print(f"computed in process {os.getpid()}: {will_sell}")
