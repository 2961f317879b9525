"""A bot that is killed around the commit of an atomic run has done both, the work and its record, or neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from processes import BotProcess, bots_of

StartBot = Callable[..., BotProcess]

JOB = """
import os, signal
import psycopg
from pinstripe_bot import background_job

commit = psycopg.Connection.commit

def kill(connection):
    {steps}

@background_job("* * * * * *", name="often", on_interrupt="retry", atomic=True, isolation="{isolation}")
def work(workspace):
    workspace.database.notes.insert(run=workspace.run_id, attempt=workspace.attempt, key=workspace.occurrence_key)
    marker = workspace.project.root / "killed"
    if not marker.exists():
        marker.write_text(str(workspace.run_id))
        psycopg.Connection.commit = kill
    return workspace.attempt
"""

KILL = "os.kill({pid}, signal.SIGKILL); signal.pause()"
STEPS = {"before": "{kill}", "after": "commit(connection); {kill}"}

TABLE = "CREATE TABLE notes (run bigint, attempt bigint, key text)"


@pytest.fixture
def start_bot(tmp_path: Path) -> Iterator[StartBot]:
    with bots_of(tmp_path) as start:
        yield start


def found(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, options="-c search_path=pinstripe,public") as server:
        return server.execute(query).fetchall()


def write_project(root: Path, url: str, moment: str, isolation: str) -> None:
    """A job whose first run kills its bot at this moment: in a process, through the parent of its fork server."""
    pid = "os.getpid()" if isolation == "thread" else "int(open('bot').read())"
    pid = pid.replace("'bot'", repr(str(root / "bot")))
    steps = STEPS[moment].format(kill=KILL.format(pid=pid))
    folder = root / "lib" / "background_jobs"
    folder.mkdir(parents=True)
    folder.joinpath("work.py").write_text(JOB.format(steps=steps, isolation=isolation))
    root.joinpath("pinstripe.toml").write_text(f'database.url = "{url}"\n')
    with psycopg.connect(url) as server:
        server.execute(TABLE)


@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize(("moment", "attempts"), [("before", [2]), ("after", [1])])
def test_a_kill_around_the_commit_leaves_work_and_success_or_neither(
    tmp_path: Path, fresh_postgres_url: str, start_bot: StartBot, moment: str, attempts: list[int], isolation: str
) -> None:
    write_project(tmp_path, fresh_postgres_url, moment, isolation)
    first = start_bot()
    (tmp_path / "bot").write_text(str(first.process.pid))
    first.process.wait(20)
    run_id = int((tmp_path / "killed").read_text())
    ended = found(fresh_postgres_url, f"SELECT state, result FROM runs WHERE id = {run_id}")
    done = found(fresh_postgres_url, f"SELECT attempt FROM notes WHERE run = {run_id}")

    second = start_bot()
    if moment == "before":
        second.wait_for_one("run_succeeded", run_id=run_id, attempt=2)
    second.wait_for("run_succeeded", times=2)

    assert second.stop() == 0
    assert (ended, done) == (([("succeeded", "1")], [(1,)]) if moment == "after" else ([("running", None)], []))
    after = found(fresh_postgres_url, f"SELECT state, attempt, result FROM runs WHERE id = {run_id}")
    assert after == [("succeeded", attempt, str(attempt)) for attempt in attempts]
    notes = found(fresh_postgres_url, f"SELECT attempt, key FROM notes WHERE run = {run_id}")
    assert [attempt for attempt, _ in notes] == attempts
    assert notes[0][1].startswith("work/often/20")
