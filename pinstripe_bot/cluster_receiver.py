"""The receiver: the thread in which Procrastinate's worker hands over the runs that it carries to this process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from procrastinate import App, JobContext
from procrastinate.exceptions import ConnectorException

from pinstripe_bot.admission import Admission
from pinstripe_bot.clock import Clock
from pinstripe_bot.cluster import channels_of
from pinstripe_bot.cluster_app import CarrierWorker, connected_app
from pinstripe_bot.dispatcher import Dispatcher
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_carriers import CARRY, Fetched
from pinstripe_bot.ledger_postgres import PostgresStore
from pinstripe_bot.occurrence import Run
from pinstripe_bot.project import Project

BACKOFF_S = (1.0, 30.0)
"""How long to wait before the next try to reach the database: the first time, and at most."""

THREADS = 4
"""For the receiver's own questions to the ledger; the runs have the worker threads."""

Carried = tuple[int, int]
"""A run and its attempt."""

log = structlog.get_logger("pinstripe")


class Receiver:
    """Takes carried runs for this worker and gives them to its dispatcher; a carrier lasts as long as its run.

    When the database goes away, what runs here goes on, and the loop begins anew with growing pauses.
    """

    def __init__(
        self,
        project: Project,
        ledger: Ledger,
        dispatcher: Dispatcher,
        admission: Admission,
        clock: Clock,
        queues: Sequence[str],
    ) -> None:
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._admission = admission
        self._clock = clock
        self._queues = queues
        served = {name for name, job in project.jobs.items() if not queues or job.options["queue"] in queues}
        self._channels = sorted(channel for job, channel in channels_of(project).items() if job in served)
        self._arrived: list[tuple[Fetched, asyncio.Future[None]]] = []  # of the loop alone
        self._adopting: asyncio.Task[None] | None = None
        self._carrying = 0  # how many jobs this loop has, of the loop alone
        self._left_over: set[Carried] = set()  # what runs here that an earlier loop has fetched
        self._under_way: dict[Carried, list[Callable[[], None]]] = {}  # what to call when a run needs no thread here
        self._lock = threading.Lock()
        self._connected_s: float | None = None  # since when its loop works, monotonic
        self._stop: Callable[[], None] = lambda: None
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="pinstripe-receiver", daemon=True)
        dispatcher.on_left = self._leave

    def start(self) -> None:
        self._thread.start()

    def reasons_not_alive(self) -> list[str]:
        """Why no run will ever arrive here any more; empty while one may."""
        return [] if self._thread.is_alive() else ["the receiver of runs has ended"]

    def reasons_not_ready(self) -> list[str]:
        """Why no run can arrive now; empty while one can."""
        return self.reasons_not_alive() or ([] if self._connected_s is not None else ["the queues cannot be reached"])

    def stop(self) -> None:
        """Fetch nothing more; carriers whose runs go on are finished when these have ended. Returns at once."""
        self._is_stopping.set()
        with self._lock:
            self._stop()

    def close(self, timeout_s: float = 5.0) -> None:
        """Wait for the end of the thread, which comes soon after that of the last run."""
        self.stop()
        self._thread.join(timeout_s)

    def _loop(self) -> None:
        wait_s, most_s = BACKOFF_S
        while not self._is_stopping.is_set():
            self._connected_s = None
            try:
                asyncio.run(self._receive())
                error = "its connection was lost"
            except Exception as lost:  # noqa: BLE001 - a wall: the outermost loop of this thread
                error = _why(lost)
            if self._is_stopping.is_set():
                return
            if self._connected_s is not None and self._clock.monotonic() - self._connected_s > wait_s:
                wait_s = BACKOFF_S[0]  # it has worked meanwhile: this is another outage
            log.warning("cluster_lost", error=error, retry_in_s=wait_s)
            self._is_stopping.wait(wait_s)
            wait_s = min(2 * wait_s, most_s)

    async def _receive(self) -> None:
        """Be a worker of Procrastinate until `stop`, or until the database is lost."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_tell)
        loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="pinstripe-receiver"))
        store = self._ledger.store
        assert isinstance(store, PostgresStore), "a cluster's ledger is in PostgreSQL"
        self._arrived, self._adopting, self._carrying = [], None, 0
        with self._lock:
            self._under_way = {}
            self._left_over = {(run.id, run.attempt) for run in self._dispatcher.open_runs}
        async with connected_app(store, self._has_room) as app:
            app.task(name=CARRY, pass_context=True)(self._carry)
            await self._work(loop, app)

    async def _work(self, loop: asyncio.AbstractEventLoop, app: App) -> None:
        lease_s = self._ledger.lease.total_seconds()
        worker = CarrierWorker(app, self._channels, concurrency=self._dispatcher.workers, lease_s=lease_s)

        def stop() -> None:
            worker.shutdown_graceful_timeout = None  # the runs have ended or are released when the dispatcher is closed
            worker.stop()  # type: ignore[no-untyped-call]

        with self._lock:
            self._stop = lambda: _call(loop, stop)
            if self._is_stopping.is_set():
                return
        self._connected_s = self._clock.monotonic()
        log.info("worker_connected", queues=list(self._queues) or "all", place=self._ledger.store.place)
        try:
            await worker.run()  # type: ignore[no-untyped-call]
        finally:
            with self._lock:
                self._stop = lambda: None

    async def _carry(self, context: JobContext, run: int, attempt: int) -> None:
        """Procrastinate's task: adopt a run of the ledger, and return when it has ended here, or was none of ours."""
        assert context.job.id is not None, "a job that was fetched has a number"
        arrived = asyncio.get_running_loop().create_future()
        self._arrived.append(((run, attempt, context.job.id), arrived))
        if self._adopting is None:
            self._adopting = asyncio.create_task(self._adopt())
        self._carrying += 1
        try:
            await arrived
        finally:
            self._carrying -= 1

    def _has_room(self) -> bool:
        with self._lock:
            return self._carrying + len(self._left_over) < self._dispatcher.workers

    async def _adopt(self) -> None:
        """Adopt what has arrived, group by group: while one is written, the next one gathers."""
        loop = asyncio.get_running_loop()
        while self._arrived:
            group, self._arrived = self._arrived, []
            try:
                await loop.run_in_executor(None, self._take, loop, group)
            except Exception as error:  # noqa: BLE001 - a wall: what could not be adopted is sent again
                for _, arrived in group:
                    if not arrived.done():
                        arrived.set_exception(error)
        self._adopting = None

    def _take(self, loop: asyncio.AbstractEventLoop, group: Sequence[tuple[Fetched, asyncio.Future[None]]]) -> None:
        """Make these runs ours and dispatch them, on a thread of the executor. What somebody else has is done here."""
        runs = self._ledger.carriers.adopt({fetched for fetched, _ in group}, self._clock.now())
        with self._lock:
            for (run_id, attempt, _), arrived in group:
                self._under_way.setdefault((run_id, attempt), []).append(_finisher(loop, arrived))
        started = self._admission.admit(runs)
        self._finish(
            {(run_id, attempt) for (run_id, attempt, _), _ in group} - {(run.id, run.attempt) for run in started}
        )

    def _leave(self, runs: Sequence[Run]) -> None:
        """These runs need no worker thread here any more: they have ended, or were released. From whichever thread.

        Their outcomes need not be recorded yet: whether they are is the ledger's affair, not their carriers'.
        """
        self._finish({(run.id, run.attempt) for run in runs})

    def _finish(self, left: set[Carried]) -> None:
        """Finish the carriers of these runs."""
        with self._lock:
            self._left_over -= left
            finishers = [finish for carried in left for finish in self._under_way.pop(carried, ())]
        for finish in finishers:
            finish()


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What the loop says of an error that nobody waits for.

    Usual is the end of a carrier that could not be written: the database is away, or others have the carrier since, as
    this worker stood still. Neither changes a run, and every process mends what is left of the carrier.
    """
    error = context.get("exception")
    if isinstance(error, ConnectorException):
        log.debug("carrier_left", error=" ".join(str(error.__cause__ or error).split()))
    else:
        loop.default_exception_handler(context)


def _why(lost: Exception) -> str:
    """Why the database was lost, on one line."""
    cause = lost.__cause__ or lost
    if type(cause).__name__ == "ForeignKeyViolation":  # its number is gone from Procrastinate's table of workers
        return "others took this worker for dead: it stood still"
    return " ".join(str(cause).split()) or type(cause).__name__


def _finisher(loop: asyncio.AbstractEventLoop, arrived: asyncio.Future[None]) -> Callable[[], None]:
    """What finishes a carrier, from any thread; harmless when called twice."""

    def finish() -> None:
        if not arrived.done():
            arrived.set_result(None)

    return lambda: _call(loop, finish)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Call it in the loop, from any thread; not where that loop has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function)
