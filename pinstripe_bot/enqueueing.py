"""Enqueueing: a program puts a durable run into the ledger, for whichever bot comes first."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from pinstripe_bot.clock import Clock, SystemClock
from pinstripe_bot.durations import parse_duration
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.ledger_bots import Witness
from pinstripe_bot.ledger_place import FOLDER, ledger_place
from pinstripe_bot.ledger_queue import Wish
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.ledger_sweep import has_dead_bots, sweep
from pinstripe_bot.occurrence import MANUAL, Run, RunState
from pinstripe_bot.params import encode_params, params_key
from pinstripe_bot.project import Project
from pinstripe_bot.retries import Retries
from pinstripe_bot.tenant import TenantId, key_of

Delay = float | str | timedelta | None
"""Seconds, or as people write it: "10m"."""

PROGRAM = "program"
"""Who asked for a run that no bot did, in the column `bot` of its occurrence."""


class Wakeable(Protocol):
    """Who looks for what waits in the ledger."""

    def wake(self) -> None:
        """Look soon, instead of at the next second."""


pollers: weakref.WeakSet[Wakeable] = weakref.WeakSet()
"""Those that look in this process: a program beside its bot, such as a web application, need not wait for a second.

State of the module, as there is nothing else that `enqueue`, which is given no bot, shares with one.
"""


def enqueue(
    project: Project | Path | str,
    name: str,
    *,
    delay: Delay = None,
    params: Mapping[str, Any] | None = None,
    tenant: TenantId | None = None,
) -> Run:
    """Put a run of the job `name` into the project's ledger and return it; a bot starts it, after `delay`.

    From any process; no bot need run yet. Load a `Project` once and pass that: a path is loaded at each call.
    `tenant` is the id of whom it is for; a job with tenants, asked without one, runs for all that it chooses, and the
    run that comes back, of number 0, stands for theirs, which are still to be written.
    The job's `overlap` decides: where the same work is open, the run may come back as skipped. Raises UnknownJob,
    InvalidParams, InvalidTenant, and LedgerUnavailable, after which nothing was written or, where the answer was lost,
    all of it.
    """
    loaded = project if isinstance(project, Project) else Project.load(project)
    clock: Clock = SystemClock()
    key = "" if tenant is None else key_of(tenant)
    wish = wish_of(loaded, name, params or {}, delay, clock.now(), tenant=(key, ""))
    place = ledger_place(loaded.config, loaded.root)
    store = place.store()
    if not store.open_known(loaded.name, is_own=place.is_own):
        store.open(loaded.name, clock.now(), is_own=place.is_own)
    try:
        _sweep(store, loaded, clock)
        with store.writing() as connection:
            written = wish.write(connection, bot=PROGRAM)
    finally:
        store.close()
    wake_bots()
    return written


def wake_bots() -> None:
    """Let the bots of this process look at once for what has been written."""
    for poller in list(pollers):
        poller.wake()


def _sweep(store: LedgerStore, project: Project, clock: Clock) -> None:
    """Let nothing that a dead bot has left count as open work."""
    folder = project.root / FOLDER if store.path is None else store.path.parent
    witness = Witness(PROGRAM, folder / "bots", store.is_one_machine)
    with store.reading() as connection:
        is_needed = has_dead_bots(connection, witness, clock.now())
    if is_needed:
        sweep(store, witness, clock.now(), Retries(project, clock).retry_at)


def wish_of(
    project: Project,
    name: str,
    params: Mapping[str, Any],
    delay: Delay,
    now: datetime,
    *,
    tenant: tuple[str, str] = ("", ""),
) -> Wish:
    """The run as it is asked for, checked against its job. Raises UnknownJob and InvalidParams.

    `tenant` is (key, name) of whom it is for; without one, a job with tenants is asked to run for all of them.
    """
    job = project.job(name)
    available_at = _after(now, delay)
    run = Run(
        id=0,
        job=job.name,
        schedule=MANUAL,
        due_at=available_at.astimezone(UTC).replace(microsecond=0),
        state=RunState.QUEUED,
        claimed_at=now,
        params=job.manual_params(params),
        tenant=tenant[0],
        tenant_name=tenant[1],
    )
    encoded = encode_params(run.params)
    is_for_all = job.options["multi_tenant"] and not run.tenant
    return Wish(run, encoded, params_key(encoded), job.options["overlap"], available_at, is_for_all)


def _after(now: datetime, delay: Delay) -> datetime:
    try:
        return now if delay is None else now + parse_duration(delay)
    except OverflowError as error:
        raise InvalidParams(f"delay = {delay!r} ends after the year 9999: write a shorter one") from error
