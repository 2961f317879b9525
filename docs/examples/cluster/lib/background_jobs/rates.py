from pinstripe_bot import background_job


class LineBusy(Exception):
    """The bank is on the phone."""


@background_job("*/15 * * * * *", retries=2, backoff=("1s", "10s"), timeout="10s")
def rates(workspace):
    """Asks the bank for today's rates. Its line is busy at first; another attempt, on any worker, gets through."""
    if workspace.attempt == 1:
        raise LineBusy("the bank did not pick up")
    workspace.logger.info("rates_fetched", attempt=workspace.attempt)
