"""Ours: one bot of a cluster claims what is due, and one worker of concurrency eight performs it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import psycopg

from cluster_peers.measured import EVERY_S, Measured, reckon
from cluster_peers.notes import Note, NotePad
from cluster_peers.postgres import postgres
from cluster_peers.processes import python_command, sit_through, started

JOBS = 10
"""The schedules belong to so many jobs."""

JOB = """
import os

from cluster_peers.notes import NotePad
from pinstripe_bot import BackgroundJob

begun = NotePad(os.environ["BEGUN"])


class Note(BackgroundJob):
    @classmethod
    def meta(cls):
        for number in range({first}, {last}):
            cls.schedule("*/{every_s} * * * * *", name=f"number-{{number}}", params={{"number": number}})

    def run(self, *, number):
        begun.note(number)
"""


def measure(schedules: int, instants: int) -> Measured:
    """So many schedules at so many due instants."""
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        root = Path(folder, "project")
        _write_project(root, url, schedules)
        begun = NotePad(Path(folder, "begun"))
        environment = {"BEGUN": f"{folder}/begun"}
        cli: list[str | Path] = [python_command("pinstripe"), f"--project={root}"]
        subprocess.run([*cli, "init-cluster"], check=True, capture_output=True)
        quiet = "--log-level=warning"
        with (
            started([*cli, "start-worker", quiet], environment, Path(folder, "worker.log")) as worker,
            started([*cli, "start-bot", quiet], environment, Path(folder, "bot.log")) as bot,
        ):
            due_ts = sit_through(begun, schedules, instants, [worker, bot])
        return reckon("Pinstripe", schedules, due_ts, handed_over=_handed_over(url), begun=begun.read())


def _write_project(root: Path, url: str, schedules: int) -> None:
    jobs = root / "lib/background_jobs"
    jobs.mkdir(parents=True)
    (root / "pinstripe.toml").write_text(f'dispatcher = "cluster"\n[ledger]\nurl = "{url}"\n')
    each = -(-schedules // JOBS)
    for place in range(JOBS):
        first, last = place * each, min((place + 1) * each, schedules)
        (jobs / f"note_{place}.py").write_text(JOB.format(first=first, last=last, every_s=EVERY_S))


def _handed_over(url: str) -> list[Note]:
    """For each due instant: when its tick began, and when its transaction, in which its carrier is, was committed.

    Nobody changes the row of an occurrence, so that its transaction is the one that claimed it.
    """
    query = """
        SELECT split_part(schedule, '-', 2)::int, claimed_at / 1e6::float,
               extract(epoch FROM pg_xact_commit_timestamp(xmin))::float
        FROM pinstripe.occurrences
    """
    with psycopg.connect(url) as connection:
        rows = connection.execute(query).fetchall()
    return [Note(number, at_s) for number, *both_s in rows for at_s in both_s]
