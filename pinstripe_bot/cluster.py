"""The cluster: Procrastinate carries waiting runs to workers on other machines. The ledger stays the truth."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import structlog
from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import ConnectorException
from sqlalchemy.engine import Connection

from pinstripe_bot import ledger_carriers
from pinstripe_bot.clock import Clock
from pinstripe_bot.cluster_schema import check_cluster
from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_sql import to_json
from pinstripe_bot.ledger_taking import jobs_waiting
from pinstripe_bot.project import Project

AHEAD = 1000
"""How many runs of one job are on their way or at workers at a time: one's crowd keeps no other job out for longer."""

CHUNK = 5000
"""How many runs one transaction sends."""

MEND_EVERY_S = 5.0

PRUNE_EVERY_S = 60.0

log = structlog.get_logger("pinstripe")


class HerdConnector(SyncPsycopgConnector):
    """Hands many jobs to PostgreSQL as one JSON text, instead of as an array of rows: that takes psycopg 30 us each."""

    GIVEN = "%(jobs)s::procrastinate_job_to_defer_v1[]"
    AS_JSON = """
        ARRAY(SELECT jsonb_populate_record(NULL::procrastinate_job_to_defer_v1, value)
              FROM jsonb_array_elements(%(jobs)s::jsonb))
    """

    def execute_query_all_with_connection(
        self, connection: Any, query: LiteralString, **arguments: Any
    ) -> list[dict[str, Any]]:
        if self.GIVEN in query:
            query = query.replace(self.GIVEN, self.AS_JSON)
            arguments["jobs"] = to_json([one._asdict() for one in arguments["jobs"]])
        return super().execute_query_all_with_connection(connection, query, **arguments)


class ClusterOutbox:
    """Gives each run that waits, and whose time and turn have come, its carrier: a job of Procrastinate.

    A part of the ledger's own transactions: run and carrier are committed together.
    """

    def __init__(self, project: Project, clock: Clock) -> None:
        self._project = project
        self._clock = clock
        self._app = App(connector=HerdConnector())  # never opened: it writes on the ledger's connection

    def send(self, connection: Connection) -> None:
        """Send what waits of the jobs that this project has; others are left to a bot that knows them."""
        now = self._clock.now()
        waiting = self._project.jobs.keys() & jobs_waiting(connection, now)
        if not waiting:
            return
        limits = {job: self._project.jobs[job].concurrency for job in waiting}
        limited = {job: limit for job, limit in limits.items() if limit is not None}
        most_of = dict.fromkeys(waiting, AHEAD) | limited  # in the whole cluster, no more tenants than a job says
        chosen = ledger_carriers.choose(connection, most_of, now, strict=limited, most=CHUNK)
        if chosen:
            queues = {job: self._project.jobs[job].options["queue"] for job in {job for *_, job in chosen}}
            ledger_carriers.note(connection, self._defer(connection, chosen, queues), queues)

    def _defer(
        self, connection: Connection, runs: Sequence[tuple[int, int, str]], queues: Mapping[str, str]
    ) -> list[int]:
        """Write the carriers of these (run, attempt, job); their numbers."""
        driver = connection.connection.driver_connection
        deferrer = self._app.configure_task(ledger_carriers.CARRY, connection=driver)
        channels = {job: channel_of(queue, job) for job, queue in queues.items()}
        jobs = [
            deferrer.job.evolve(queue=channels[job], task_kwargs={"run": run_id, "attempt": attempt})
            for run_id, attempt, job in runs
        ]
        try:  # what `batch_defer` does, which spends a third of its time on words for a log
            deferred = deferrer.job_manager.batch_defer_jobs(jobs, connection=deferrer.connection)
        except ConnectorException as error:
            raise LedgerUnavailable(f"runs cannot be sent to the cluster: {error.__cause__ or error}") from error
        return [one.id for one in deferred if one.id is not None]


def channel_of(queue: str, job: str) -> str:
    """The queue of Procrastinate for one job of ours: only workers that have it, and serve `queue`, look into that.

    A hash, since no more than 40 bytes of it fit into the name of a notice of PostgreSQL.
    """
    digest = hashlib.blake2s(f"{queue}/{job}".encode(), digest_size=8).hexdigest()
    return f"{queue[:20]}/{digest}"


def channels_of(project: Project) -> dict[str, str]:
    """{job: where its runs wait} of all jobs that this project can run."""
    return {name: channel_of(job.options["queue"], name) for name, job in project.jobs.items()}


class Cluster:
    """What a bot or a worker does for the cluster beside its own work. `look` is a part of the poller's turn.

    Whoever it is: all of them do the same, and each step changes nothing when it is repeated.
    """

    def __init__(self, project: Project, ledger: Ledger, clock: Clock) -> None:
        self._project = project
        self._ledger = ledger
        self._clock = clock
        self._next_mend_s = self._next_prune_s = 0.0

    def begin(self) -> None:
        """Check the tables, and send whatever waits from now on. Raises LedgerError, which says what to do.

        What waits where its job no longer wants it, by another release, is sent anew: whoever starts last has the
        project of today.
        """
        check_cluster(self._ledger.store)
        self._recall()
        self._ledger.store.outbox = ClusterOutbox(self._project, self._clock)

    def look(self) -> None:
        """Send what has come to wait without a transaction of ours, as time has passed or a command has written it.

        And now and then mend and prune.
        """
        now = self._clock.now()
        with self._ledger.store.reading() as connection:  # nearly always there is none
            is_waiting = not self._project.jobs.keys().isdisjoint(jobs_waiting(connection, now))
        if is_waiting:
            self._ledger.carriers.send()
        now_s = self._clock.monotonic()
        if now_s >= self._next_mend_s:
            self._mend()
            self._next_mend_s = now_s + MEND_EVERY_S
        if now_s >= self._next_prune_s:
            self._ledger.carriers.prune(self._ledger.lease)
            self._recall()  # what an older release has sent or given back since
            self._next_prune_s = now_s + PRUNE_EVERY_S

    def _recall(self) -> None:
        self._ledger.carriers.recall(channels_of(self._project))

    def _mend(self) -> None:
        facts = self._ledger.carriers.mend(self._ledger.lease).facts()
        if facts:
            log.warning("carriers_mended", **facts)
