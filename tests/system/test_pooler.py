"""A cluster behind PgBouncer, which has one session of the server for each of ours, or one for each transaction."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from chaos import embedded_postgres, wait_for
from cluster_site import Site
from sqlalchemy import make_url

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed")

SETTINGS = """
[databases]
postgres = host={socket} dbname=postgres user=postgres
[pgbouncer]
pool_mode = {mode}
unix_socket_dir = {folder}
listen_addr =
auth_type = any
auth_file = {folder}/users
default_pool_size = 40
"""


@pytest.fixture
def pooled() -> Iterator[Callable[[str], str]]:
    """Starts PgBouncer before a server of its own, in a mode; the URL that leads through it."""
    with ExitStack() as stack:

        def start(mode: str) -> str:
            url = make_url(stack.enter_context(embedded_postgres()))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgbouncer-")))
            socket = Path(str(url.query["host"]))
            (folder / "users").write_text('"postgres" ""\n')
            (folder / "settings").write_text(SETTINGS.format(socket=socket, mode=mode, folder=folder))
            assert PGBOUNCER is not None
            command = [PGBOUNCER, str(folder / "settings")]
            if os.getuid() == 0:  # it refuses root: it becomes whom the server belongs to
                command[1:1] = ["--user", socket.owner()]
                folder.chmod(0o777)
            with open(folder / "log", "w") as log:
                pooler = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
            stack.callback(pooler.kill)
            through = f"postgresql://postgres@/postgres?host={folder}&port=6432"
            wait_for(lambda: answers(through), (folder / "log").read_text)
            return through

        yield start


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def settings_of(url: str) -> dict[str, str]:
    """Those of a session that the pooler lends."""
    with psycopg.connect(url) as server:
        found = server.execute("SELECT name, setting FROM pg_settings").fetchall()
    return {name: setting for name, setting in found if name != "application_name"}


def test_a_cluster_works_behind_a_pooler_of_sessions(tmp_path: Path, pooled: Callable[[str], str]) -> None:
    with closing(Site(tmp_path / "site", pooled("session"))) as site:
        site.every("every")
        bot, worker = site.bot(), site.worker()
        worker.wait_for("run_succeeded", job="every")

        for daemon in (bot, worker):
            daemon.signal(signal.SIGTERM)

        assert [daemon.exit_code() for daemon in (bot, worker)] == [0, 0]
        assert not {"ledger_lost", "cluster_lost", "poll_failed"} & {*bot.events(), *worker.events()}


def test_a_pooler_of_transactions_is_refused_and_leaves_nothing_behind(
    tmp_path: Path, pooled: Callable[[str], str]
) -> None:
    url = pooled("transaction")
    before = settings_of(url)

    with pytest.raises(subprocess.CalledProcessError) as refusal:
        Site(tmp_path / "site", url)

    with psycopg.connect(url) as server:
        schemas = server.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'pinstripe%'").fetchall()
    assert settings_of(url) == before
    assert refusal.value.returncode == 4
    assert "behind a pooler that gives each transaction another session" in refusal.value.stderr
    assert schemas == []
