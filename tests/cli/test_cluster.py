from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from conftest import WriteProject

from pinstripe_bot.desk import open_desk
from pinstripe_bot.project import Project

from .conftest import Pinstripe

JOB = """
    from pinstripe_bot import background_job

    @background_job("*/5 * * * *", queue="reports")
    def report(workspace):
        return 1
    """


@pytest.fixture
def cluster(write_project: WriteProject, fresh_postgres_url: str) -> Path:
    """The project of a cluster, whose tables are not made yet."""
    settings = f'dispatcher = "cluster"\n[ledger]\nurl = "{fresh_postgres_url}"\n'
    return write_project({"pinstripe.toml": settings, "lib/background_jobs/report.py": JOB})


def test_the_tables_are_made_once(pinstripe: Pinstripe, cluster: Path) -> None:
    first, second = (pinstripe("init-cluster", at=cluster) for _ in range(2))

    assert first.stdout.startswith("made the tables for a cluster in postgresql://")
    assert second.stdout.endswith("are there, and up to date\n")
    assert (first.exit_code, second.exit_code) == (0, 0)


def test_a_project_that_is_no_cluster_yet_is_told_what_to_set(
    pinstripe: Pinstripe, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINSTRIPE_DISPATCHER", "threads")

    result = pinstripe("init-cluster", at=cluster)

    assert 'now set dispatcher = "cluster" in pinstripe.toml, and start bots and workers' in result.stdout


@pytest.mark.parametrize("command", ["init-cluster", "start-worker"])
def test_a_ledger_in_a_file_has_no_cluster(
    pinstripe: Pinstripe, shop: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("PINSTRIPE_DISPATCHER", "cluster")

    result = pinstripe(command, at=shop)

    assert result.exit_code == 2
    assert "needs a ledger in PostgreSQL, and this one is the file" in result.stderr


def test_a_worker_needs_a_cluster(pinstripe: Pinstripe, shop: Path) -> None:
    result = pinstripe("start-worker", at=shop)

    assert result.exit_code == 2
    assert 'this project has none: set dispatcher = "cluster" in pinstripe.toml' in result.stderr


def test_a_worker_needs_the_tables(pinstripe: Pinstripe, cluster: Path) -> None:
    result = pinstripe("start-worker", at=cluster)

    assert result.exit_code == 4
    assert "has no tables for a cluster yet: run `pinstripe init-cluster` once" in result.stderr


@pytest.mark.parametrize("written", ["Reports", "a,,b", "a b", ""])
def test_a_queue_is_named_as_a_job_names_it(pinstripe: Pinstripe, cluster: Path, written: str) -> None:
    result = pinstripe("start-worker", "--queues", written, at=cluster)

    assert result.exit_code == 2
    assert "write a name of small letters, digits, - and _" in result.stderr


@pytest.mark.parametrize("command", ["init-cluster", "start-worker"])
def test_without_procrastinate_it_says_what_to_install(
    pinstripe: Pinstripe, cluster: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(("pinstripe_bot.cluster", "pinstripe_bot.worker"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "procrastinate", None)

    result = pinstripe(command, at=cluster)

    assert result.exit_code == 2
    assert "a cluster needs Procrastinate: install pinstripe-bot[cluster]" in result.stderr


def test_who_asks_for_a_run_is_told_that_no_worker_would_start_it(cluster: Path) -> None:
    project = Project.load(cluster)

    with open_desk(project) as desk:
        told = desk.who_starts()

    assert told == "no worker is running, `pinstripe start-worker` runs one"


def test_the_status_of_a_cluster_says_that_no_worker_runs_and_how_deep_its_queues_are(
    pinstripe: Pinstripe, cluster: Path
) -> None:
    pinstripe("init-cluster", at=cluster)

    told = pinstripe("status", at=cluster).stdout
    told_as_json = json.loads(pinstripe("status", "--json", at=cluster).stdout)

    assert "No worker is running: `pinstripe start-worker` starts one." in told
    assert "reports  empty  0 running  0 workers" in told
    queue = {"queue": "reports", "waiting": 0, "running": 0, "oldest_at": None, "workers": 0}
    assert told_as_json["queues"] == [queue]
    assert told_as_json["is_well"] is False
