import os

from pinstripe_bot import background_job


@background_job("*/2 * * * * *", timeout="10s")
def orders(workspace):
    """Sends off the orders of the last two seconds; whichever worker is free does it."""
    workspace.logger.info("orders_sent", orders=workspace.run_id % 5 + 1, worker_pid=os.getpid())
