"""Several bots on one PostgreSQL: the commands and the console tell of each."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import psycopg
from click.testing import CliRunner
from processes import PATIENCE_S, bots_of

from pinstripe_bot.cli import main
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.console.standing import stand
from pinstripe_bot.console.system_page import system_facts
from pinstripe_bot.console.visit import Visit
from pinstripe_bot.ledger_history import open_history
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.project import Project

JOB = """
from pinstripe_bot import background_job


@background_job("0 0 1 1 *")
def work(workspace):
    pass
"""


def wait_until_heard(url: str, pids: set[int]) -> None:
    """Wait until each of these has told of its work in a heartbeat, and of its clock."""
    deadline_s = time.monotonic() + PATIENCE_S
    query = "SELECT pid FROM pinstripe.bots WHERE stats LIKE '%workers%' AND stats LIKE '%clock_offset_ms%'"
    with psycopg.connect(url, autocommit=True) as server:
        while not pids <= {pid for (pid,) in server.execute(query)}:
            assert time.monotonic() < deadline_s, "not every bot was heard"
            time.sleep(0.1)


def test_each_living_bot_is_told_of(tmp_path: Path, fresh_postgres_url: str) -> None:
    folder = tmp_path / "lib" / "background_jobs"
    folder.mkdir(parents=True)
    folder.joinpath("yearly.py").write_text(JOB)
    tmp_path.joinpath("pinstripe.toml").write_text(f'workers = 3\n[ledger]\nurl = "{fresh_postgres_url}"\n')
    with bots_of(tmp_path) as start:
        bots = [start() for _ in range(3)]
        for bot in bots:
            bot.wait_for("bot_started")
        pids = {bot.process.pid for bot in bots}
        wait_until_heard(fresh_postgres_url, pids)

        page = CliRunner().invoke(main, ["status", "--project", str(tmp_path)]).output
        told = CliRunner().invoke(main, ["status", "--json", "--project", str(tmp_path)]).output
        project = Project.load(tmp_path, environ={})
        with open_history(ledger_place(project.config, tmp_path)) as history:
            assert history is not None
            visit = Visit(project, SystemClock().now(), history)
            system = system_facts(visit, stand(visit))

    assert all(f"pid {pid}" in page for pid in pids)
    assert page.count("0 of 3 workers busy") == 3
    alive = [bot for bot in msgspec.json.decode(told)["bots"] if bot["is_alive"]]
    assert {bot["pid"] for bot in alive} == pids
    assert all(abs(bot["stats"]["clock_offset_ms"]) < 1000 for bot in alive)
    assert {bot["pid"] for bot in system["bots"]} == pids
    assert system["told"] == "3 bots, alive."
    assert [bot["work"] for bot in system["bots"]] == ["0 of 3"] * 3
    assert system["workers"]["busy"] == "0 of 9"
