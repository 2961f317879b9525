import time

from pinstripe_bot import BackgroundJob


class SalesReport(BackgroundJob):
    """Writes a report for each warehouse. Its queue is served by both workers, so they share the three."""

    queue = "reports"
    multi_tenant = True
    timeout = "1m"

    @classmethod
    def meta(cls):
        cls.schedule("*/5 * * * * *")

    def run(self):
        time.sleep(1)
        self.logger.info("report_written", warehouse=self.tenant.name, shelves=self.tenant.shelves)
