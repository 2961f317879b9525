"""Procrastinate's app and worker, as a receiver uses them: how they connect, listen, fetch and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Job
from procrastinate.manager import JobManager, get_channel_for_queues
from procrastinate.worker import Worker
from psycopg_pool import AsyncConnectionPool

from pinstripe_bot.ledger_postgres import CLUSTER_SESSION, PostgresStore

POLL_S = 1.0
"""How often the channels are looked at, beside the notices that tell of new carriers."""

CONNECT_S = 5.0
"""How long a connection may take, before the database counts as gone."""

CONNECTIONS = 4
"""By how many connections carriers are fetched and finished, at most."""


@asynccontextmanager
async def connected_app(store: PostgresStore, has_room: Callable[[], bool]) -> AsyncIterator[App]:
    """An app that is connected to the tables of the cluster, and fetches only while it `has_room`."""
    async with AsyncConnectionPool(
        kwargs=store.cluster_connection,
        configure=_prepare_session,
        open=False,
        min_size=1,
        max_size=CONNECTIONS,
        timeout=CONNECT_S,
    ) as pool:
        await pool.wait(CONNECT_S)
        app = App(connector=_Connector())
        app.job_manager = _JobManager(app, has_room)
        await app.connector.open_async(pool)
        yield app


async def _prepare_session(connection: Any) -> None:
    await connection.execute(CLUSTER_SESSION)
    await connection.commit()


class _Connector(PsycopgConnector):
    """Hears the one notice that is given of every carrier, instead of one for each channel that is served.

    What are called channels here are names of notices: PostgreSQL compares each notice with all that are listened for.
    """

    async def listen_notify(self, on_notification: Any, channels: Iterable[str]) -> None:
        await super().listen_notify(on_notification, get_channel_for_queues(None))


class _JobManager(JobManager):
    """Fetches nothing while runs that began before a connection was lost hold the threads here."""

    def __init__(self, app: App, has_room: Callable[[], bool]) -> None:
        super().__init__(app.connector)
        self._has_room = has_room

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        return await super().fetch_job(queues, worker_id) if self._has_room() else None


class CarrierWorker(Worker):
    """Takes carriers off these channels, and ends when its heartbeat or its listener fails.

    It does so also while it is full and fetches nothing. `lease_s` after its last heartbeat others take its carriers.
    """

    def __init__(self, app: App, channels: Sequence[str], *, concurrency: int, lease_s: float) -> None:
        super().__init__(
            app,
            queues=channels,
            concurrency=concurrency,
            fetch_job_polling_interval=POLL_S,
            shutdown_graceful_timeout=0,  # where the database is lost; what runs here goes on
            delete_jobs="always",  # the ledger has the record
            install_signal_handlers=False,
            update_heartbeat_interval=lease_s / 6,
            stalled_worker_timeout=lease_s,
        )

    async def _periodic_deferrer(self) -> None:
        # Of its side tasks Procrastinate looks at the first one that ends, and this one would end at once.
        await asyncio.Event().wait()
