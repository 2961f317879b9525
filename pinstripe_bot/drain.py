"""The drain: how the running jobs, and then the bot, come to their end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from msgspec.structs import replace

from pinstripe_bot.clock import Clock
from pinstripe_bot.dispatcher import Dispatcher
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.occurrence import Reason, RunState
from pinstripe_bot.services import ProcessServices

CUT_OFF_GRACE_S = 2.0
"""How long cancelled runs get to tidy up before they are recorded as interrupted."""

LOOK_S = 0.1
"""How often a waiting drain looks at the flag of a signal handler, which cannot wake it."""

log = structlog.get_logger("pinstripe")


def drain(
    dispatcher: Dispatcher,
    clock: Clock,
    timeout: timedelta,
    is_cut_short: Callable[[], bool],
    *,
    watched_as: str | None,
) -> int:
    """Start nothing more, let running jobs end for `timeout`, or until `is_cut_short`, then cut them off.

    Closes the dispatcher and returns how many runs were cut off. Somebody hears of it where it is watched as a "bot" or
    a "worker".
    """
    say = log.debug if watched_as is None else log.info
    is_worker = watched_as == "worker"
    dispatcher.stop_starting()
    running = dispatcher.running.runs
    jobs = sorted({run.job for run in running})
    deadline_s = clock.monotonic() + timeout.total_seconds()
    say(
        "worker_stopping" if is_worker else "bot_stopping",
        running=len(running),
        jobs=jobs,
        shutdown_timeout_s=timeout.total_seconds(),
    )
    while not dispatcher.wait_until_idle(LOOK_S):
        if is_cut_short() or clock.monotonic() >= deadline_s:
            _cut_off(dispatcher, clock)
            break
    dispatcher.close()
    say("worker_stopped" if is_worker else "bot_stopped", cut_off=dispatcher.cut_off)
    return dispatcher.cut_off


def _cut_off(dispatcher: Dispatcher, clock: Clock) -> None:
    """Cancel what runs; record what does not end as interrupted."""
    log.warning("runs_cancelled", runs=len(dispatcher.running.runs))
    dispatcher.running.cancel_all()
    if dispatcher.wait_until_idle(CUT_OFF_GRACE_S):
        return
    ended = {"state": RunState.INTERRUPTED, "reason": Reason.SHUTDOWN, "finished_at": clock.now()}
    dispatcher.record([dispatcher.to_retry(replace(run, **ended)) for run in dispatcher.running.abandon_all()])


def sign_out(shared: ProcessServices, ledger: Ledger, now: datetime) -> None:
    """Close the shared services and the ledger; an error of one keeps nobody from stopping."""
    try:
        shared.close()
    except BaseException:  # a wall: their code
        log.exception("service_close_failed")
    try:
        ledger.close(now)
    except LedgerUnavailable as error:
        ledger.trouble.note("sign_out", str(error))
