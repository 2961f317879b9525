"""Real processes of `pinstripe start-server`: what they answer, and how they end at a signal."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from conftest import WriteProject
from daemons import Daemon

# Each runs once `go` is touched, or until it is cancelled; it says when it has begun.
PATIENT = """
    import time
    from pathlib import Path
    from pinstripe_bot import background_job

    @background_job("* * * * * *")
    def patient(workspace):
        print("begun")
        while not Path("go").exists():
            workspace.checkpoint()
            time.sleep(0.01)
    """

DEAF = PATIENT.replace("workspace.checkpoint()", "pass")

EVERY_SECOND = """
    from pinstripe_bot import background_job

    @background_job("* * * * * *")
    def tick(workspace): ...
    """


StartServer = Callable[..., Daemon]


@pytest.fixture
def start_server(write_project: WriteProject) -> Iterator[StartServer]:
    """Write a project of these job files and start its server on a free port; it is ended after the test."""
    started: list[Daemon] = []

    def start(*flags: str, **jobs: str) -> Daemon:
        files = {f"lib/background_jobs/{name}.py": text for name, text in jobs.items()}
        root = write_project({"pinstripe.toml": 'timezone = "UTC"', **files})
        started.append(Daemon(root, "start-server", "--host", "127.0.0.1:0", *flags))
        return started[-1]

    yield start
    for daemon in started:
        daemon.end()


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file for which the patient job waits."""
    return tmp_path / "project" / "go"


def test_a_server_answers_while_its_bot_runs_jobs(start_server: StartServer) -> None:
    daemon = start_server(tick=EVERY_SECOND)
    run = daemon.wait_for("run_succeeded", job="tick")

    answers = [daemon.get(path) for path in ("/livez", "/readyz", "/_pinstripe/livez", "/_pinstripe/readyz")]
    daemon.signal(signal.SIGTERM)

    assert answers == [(200, {"status": "ok"})] * 4
    assert run["lateness_ms"] < 1000
    assert daemon.exit_code() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_lets_a_running_job_end(start_server: StartServer, go: Path, number: signal.Signals) -> None:
    daemon = start_server(patient=PATIENT)
    daemon.wait_for("run_printed", line="begun")

    daemon.signal(number)
    stopping = daemon.wait_for("bot_stopping")
    ready, told = daemon.get("/readyz"), daemon.get("/_pinstripe/readyz")
    go.touch()

    assert daemon.exit_code() == 0
    assert stopping["running"] == 1
    assert ready == (503, {"status": "failing"})
    assert told == (503, {"status": "failing", "reasons": ["the bot is stopping"]})
    assert daemon.events()[-2:] == ["run_succeeded", "bot_stopped"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_second_signal_cancels_running_jobs(start_server: StartServer, number: signal.Signals, code: int) -> None:
    daemon = start_server(patient=PATIENT)
    daemon.wait_for("run_printed", line="begun")

    daemon.signal(number)
    daemon.wait_for("bot_stopping")
    daemon.signal(number)

    assert daemon.exit_code() == code
    assert daemon.events()[-3:] == ["runs_cancelled", "run_interrupted", "bot_stopped"]


def test_the_third_signal_exits_at_once(start_server: StartServer) -> None:
    daemon = start_server(deaf=DEAF)
    daemon.wait_for("run_printed", line="begun")

    daemon.signal(signal.SIGTERM)
    daemon.wait_for("bot_stopping")
    daemon.signal(signal.SIGTERM)
    daemon.wait_for("runs_cancelled")
    daemon.signal(signal.SIGTERM)

    assert daemon.exit_code() == 143
    assert daemon.lines[-1] == "exiting at once: the next start records the runs as interrupted\n"
    assert "bot_stopped" not in daemon.events()


def test_when_its_time_to_end_is_over_a_job_is_cut_off(start_server: StartServer) -> None:
    daemon = start_server("--shutdown-timeout", "50ms", patient=PATIENT)
    daemon.wait_for("run_printed", line="begun")

    daemon.signal(signal.SIGTERM)

    assert daemon.exit_code() == 143
    assert daemon.events()[-3:] == ["runs_cancelled", "run_interrupted", "bot_stopped"]


def test_without_a_bot_it_only_serves(start_server: StartServer, tmp_path: Path) -> None:
    daemon = start_server("--without-bot", tick=EVERY_SECOND)
    answers = [daemon.get(path) for path in ("/livez", "/readyz")]

    daemon.signal(signal.SIGTERM)

    assert daemon.exit_code() == 0
    assert answers == [(200, {"status": "ok"})] * 2
    assert daemon.events() == ["server_started"]
    assert [file.name for file in (tmp_path / "project/.pinstripe").iterdir()] == ["console.key"]


def test_it_starts_with_the_sound_jobs_and_says_loudly_what_is_broken(start_server: StartServer) -> None:
    daemon = start_server(tick=EVERY_SECOND, broken="import nothing_of_this_name", empty="")

    daemon.wait_for("run_succeeded", job="tick")

    logged = [json.loads(line) for line in daemon.lines]
    broken = [(event["level"], event["place"]) for event in logged if event["event"] == "job_broken"]
    assert broken == [
        ("error", "lib/background_jobs/broken.py:1"),
        ("error", "lib/background_jobs/empty.py:1"),
    ]
    assert daemon.wait_for("bot_started")["jobs"] == 1


def test_with_require_all_it_refuses_to_start(start_server: StartServer) -> None:
    daemon = start_server("--require-all", tick=EVERY_SECOND, broken="import nothing_of_this_name")

    assert daemon.exit_code() == 2
    assert daemon.lines[0] == "pinstripe: --require-all, and the project is not whole:\n"
    assert daemon.lines[1].startswith("  lib/background_jobs/broken.py:1: ModuleNotFoundError")


def test_a_given_port_that_is_taken_is_one_sentence(start_server: StartServer) -> None:
    address = start_server(tick=EVERY_SECOND).wait_for("server_started")["url"].removeprefix("http://")

    second = start_server("--host", address, tick=EVERY_SECOND)

    assert second.exit_code() == 3
    assert second.lines == [
        f"pinstripe: {address} is taken by another program: stop it, or give another address with --host\n"
    ]


def test_with_reload_it_starts_again_after_a_change_and_stops_at_a_signal(
    start_server: StartServer, tmp_path: Path
) -> None:
    daemon = start_server("--reload", tick=EVERY_SECOND)
    daemon.wait_for("run_succeeded", job="tick")
    before = len(daemon.lines)

    (tmp_path / "project/lib/background_jobs/tock.py").write_text(dedent(EVERY_SECOND))
    daemon.wait_for_text("tock.py changed: starting again")
    daemon.wait_for("run_succeeded", after=before, job="tock")
    ready = daemon.get("/readyz", after=before)
    daemon.signal(signal.SIGTERM)

    assert daemon.exit_code() == 0
    assert ready == (200, {"status": "ok"})
    assert daemon.events().count("bot_stopped") == 2
