from pinstripe_bot import background_job


class LineBusy(Exception):
    """The supplier is on the phone."""


@background_job("*/4 * * * * *")
def flaky(workspace):
    """Orders new stock from a supplier whose line is busy every other time."""
    if workspace.due_at.second % 8 == 0:
        raise LineBusy("the supplier did not pick up")
