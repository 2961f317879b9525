"""The ledger in PostgreSQL: a schema of its own, shared by the bots of every machine that reaches it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from pinstripe_bot.errors import LedgerError, LedgerUnavailable
from pinstripe_bot.ledger_store import BUSY_TIMEOUT_S, LedgerStore
from pinstripe_bot.ledger_writer import LedgerWriter

SCHEMA = "pinstripe"

CLUSTER_SCHEMA = "pinstripe_cluster"
"""Where the tables of Procrastinate are, if there is a cluster: apart from ours, which they must not meet."""

WRITER_LOCK = (0x70696E73, 0x74726970)
"""The advisory lock of whoever decides: "pins", "trip"."""

FROZEN_S = 5
"""How long a bot that was stopped in the middle of a transaction may keep others waiting; ours stand still for less."""

NO_RIGHT = "42501"
"""PostgreSQL's code for what a user may not do."""

_KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def _to_set(settings: Mapping[str, str]) -> str:
    """The statement that a session begins with. Options of its start would be refused by poolers such as PgBouncer."""
    each = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    return f"SELECT {each}"


CLUSTER_SESSION = _to_set(
    {
        "search_path": CLUSTER_SCHEMA,
        "timezone": "UTC",
        "idle_in_transaction_session_timeout": f"{FROZEN_S}s",  # one that stands still keeps no job from the others
        "synchronous_commit": "off",
        "enable_seqscan": "off",
        "enable_sort": "off",
    }
)
"""How Procrastinate's sessions begin.

Their commits do not wait for the disk: what the server forgets of who fetched and finished a job is mended. Their plans
are those of a full queue: else one that is made while it is empty, and kept for as long as the session, reads all jobs
twice to fetch one of 1,000 (100 ms instead of 0.5).
"""


class PostgresStore(LedgerStore):
    """The schema `pinstripe` of a PostgreSQL database.

    Every commit is durable, also where less was asked: a server that crashes must not come back without its last ones.
    """

    covers = "every machine that reaches this database"
    _begin_reading = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

    def __init__(self, url: URL, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        super().__init__()
        self._worker = LedgerWriter(self._connect_writer, self._begin_working)  # whoever decides waits on the other
        where = {name: url.query[name] for name in ("host", "port") if name in url.query}  # of a socket, say
        self.place = url.set(query=where, password=url.password or None).render_as_string(hide_password=True)
        self._url = url.set(drivername="postgresql+psycopg")
        self._busy_timeout_s = busy_timeout_s

    def _exists(self) -> bool:
        self._refuse_pooled_transactions()
        return True

    def check(self) -> None:
        """Nothing: a PostgreSQL server looks after its files."""

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        yield  # the tables are made in one transaction, under the writer's lock

    def _prepare(self) -> None:
        """The schema, which the search path of every later connection starts with."""
        self._refuse_pooled_transactions()
        with self._engine().connect() as connection:
            if connection.dialect.default_schema_name == SCHEMA:
                return
            connection.exec_driver_sql("BEGIN")
            self._lock_writer(connection)
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            connection.exec_driver_sql("COMMIT")

    def _refuse_pooled_transactions(self) -> None:
        """Raise LedgerError where a pooler gives each transaction another session: settings and locks would be lost.

        It shows itself when a session that was ours a moment ago is lent to another connection, which keeps it for a
        while. Nothing that others would notice is set before: their program may be behind the same pooler.
        """
        engine = self._bare_engine()
        with engine.connect() as ours, engine.connect() as other:
            for connection in (ours, other):  # there are poolers that give whole sessions to those who set something
                connection.exec_driver_sql("SELECT set_config('pinstripe.session', 'whole', false)")
            before = _session_of(ours)
            other.exec_driver_sql("BEGIN")
            is_lent = _session_of(other) == before or _session_of(ours) != before
            other.exec_driver_sql("COMMIT")
        if is_lent:
            raise LedgerError(
                f"the ledger {self.place} is behind a pooler that gives each transaction another session:"
                " set ledger.url to the server itself, or let the pooler give whole sessions (pool_mode = session)"
            )

    def _connect_readers(self) -> Engine:
        return self._engine(pool_pre_ping=True)

    def _connect_writer(self) -> Connection:
        return self._engine(poolclass=StaticPool).connect()

    def _engine(self, **settings: object) -> Engine:
        engine = self._bare_engine(**settings)
        event.listen(engine, "connect", self._prepare_session, insert=True)  # before SQLAlchemy asks for the schema
        return engine

    def _prepare_session(self, connection: Any, _record: object) -> None:
        settings = {
            "search_path": f"{SCHEMA},{CLUSTER_SCHEMA}",
            "lock_timeout": f"{round(self._busy_timeout_s * 1000)}ms",
            "idle_in_transaction_session_timeout": f"{FROZEN_S}s",
            "timezone": "UTC",
        }
        connection.execute(_to_set(settings))
        connection.commit()

    def _bare_engine(self, **settings: object) -> Engine:
        try:
            return create_engine(
                self._url,
                isolation_level="AUTOCOMMIT",  # we begin and commit ourselves, as on SQLite
                use_native_hstore=False,  # we have none, and the look for it takes a connection as long as all the rest
                connect_args={
                    "application_name": "pinstripe",
                    "connect_timeout": max(round(self._busy_timeout_s), 2),
                    "prepare_threshold": None,  # a pooler between us and the server may not keep them
                    **_KEEPALIVE,
                },
                **(settings or {"poolclass": NullPool}),
            )
        except ImportError as error:
            raise LedgerError("a ledger in PostgreSQL needs a driver: install pinstripe-bot[postgres]") from error

    @property
    def cluster_connection(self) -> dict[str, Any]:
        """What psycopg connects by to the tables of the cluster; then comes `CLUSTER_SESSION`."""
        _, found = self._url.get_dialect()().create_connect_args(self._url)
        return {**found, **_KEEPALIVE, "application_name": "pinstripe"}

    def _begin_writing(self, connection: Connection, *, durable: bool) -> None:
        self._begin_working(connection, durable=durable)
        self._lock_writer(connection)

    def _begin_working(self, connection: Connection, *, durable: bool) -> None:
        # Said, as a database may have other defaults: only so a statement sees all that was committed before a lock.
        connection.exec_driver_sql("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")

    def _lock_writer(self, connection: Connection) -> None:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock({}, {})".format(*WRITER_LOCK))

    def _told(self, error: DBAPIError) -> LedgerError:
        # What libpq says of a lost server goes over several lines; no password is ever in it.
        said = " ".join(str(error.orig).split())
        if getattr(error.orig, "sqlstate", None) == NO_RIGHT:
            return LedgerUnavailable(
                f"the ledger {self.place} is not open to this user: {said}: docs/ledger.md says which rights it needs"
            )
        return LedgerUnavailable(f"the ledger {self.place} does not answer: {said}")


def _session_of(connection: Connection) -> int:
    """The number of the server's process that serves a connection just now."""
    pid: int = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    return pid
