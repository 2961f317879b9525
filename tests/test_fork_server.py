from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from bots import PATIENCE_S, Ears, job
from isolated import Isolated, isolated, wait_for_end_of

from pinstripe_bot.child_messages import Exited, Forked, FromForkServer, LineReader, Refused
from pinstripe_bot.fork_server_process import ChildEnds, ForkServerProcess

SETTINGS = """
[app]
opened = 2026-01-02
title = "shop"
"""

JOBS = {
    "settings": job("config = workspace.config\nreturn [type(config.app['opened']).__name__, config.workers]"),
    "warm": job("return [os.getppid(), threading.active_count()]", head="import os"),
    "numbers": job("return random.random()", head="import random"),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Isolated]:
    root = tmp_path_factory.mktemp("shop")
    (root / "pinstripe.toml").write_text(SETTINGS)
    with isolated(root, {"workers": 3}, **JOBS) as shop:
        yield shop


def first_word_on(ends: ChildEnds) -> FromForkServer:
    """What the fork server says of this child as soon as it has loaded the project."""
    ends.watch.settimeout(PATIENCE_S)
    (said,) = LineReader[FromForkServer](FromForkServer).take(ends.watch.recv(4096))
    return said


def words_on(ends: ChildEnds) -> list[FromForkServer]:
    """All that the fork server says of this child until it lets go of its watch."""
    ends.watch.settimeout(PATIENCE_S)
    reader: LineReader[FromForkServer] = LineReader(FromForkServer)
    said: list[FromForkServer] = []
    while received := ends.watch.recv(4096):
        said += reader.take(received)
    return said


def test_the_settings_of_the_bot_arrive_exactly(shop: Isolated) -> None:
    run = shop.perform("settings")

    assert run.result == ["date", 3]


def test_all_runs_are_children_of_one_server_that_is_warm(shop: Isolated) -> None:
    first, second = shop.perform("warm").result, shop.perform("warm").result

    assert first == second == [first[0], 2]  # the job's thread, and the one that hears the bot


def test_children_do_not_share_their_random_numbers(shop: Isolated) -> None:
    numbers = {shop.perform("numbers").result for _ in range(3)}

    assert len(numbers) == 3


def test_a_server_ends_when_the_bot_lets_go_of_it(shop: Isolated) -> None:
    server = ForkServerProcess(shop.project)
    ends = server.fork()
    forked = first_word_on(ends)

    code = server.close()

    assert isinstance(forked, Forked)
    assert (code, words_on(ends)) == (0, [Exited(-signal.SIGKILL)])
    ends.close()


def test_a_server_ends_also_while_an_import_of_the_project_hangs(tmp_path: Path, shop: Isolated) -> None:
    with isolated(tmp_path, quick=job()) as other:
        fifo = tmp_path / "importing"
        os.mkfifo(fifo)
        file = f"import time\nopen({str(fifo)!r}, 'w').close()\ntime.sleep({3 * PATIENCE_S})"
        (tmp_path / "lib/background_jobs/hanging.py").write_text(file)
        server = ForkServerProcess(other.project)
        fifo.read_text()

        code = server.close()

    assert code == -signal.SIGIO


def test_why_a_project_cannot_be_loaded_again_is_told(tmp_path: Path) -> None:
    with isolated(tmp_path, quick=job()) as other:
        shutil.rmtree(tmp_path)
        server = ForkServerProcess(other.project)
        ends = server.fork()

        (refused,) = words_on(ends)

        assert isinstance(refused, Refused)
        assert "is no folder" in refused.message
        ends.close()
        server.close()


def test_a_child_whose_bot_lets_go_of_it_is_killed(shop: Isolated) -> None:
    server = ForkServerProcess(shop.project)
    ends = server.fork()
    forked = first_word_on(ends)
    assert isinstance(forked, Forked)

    ends.watch.close()

    wait_for_end_of(forked.pid)
    ends.close()
    server.close()


def test_a_server_that_died_is_started_again_and_its_end_is_told(shop: Isolated) -> None:
    (before, _threads) = shop.perform("warm").result
    os.kill(before, signal.SIGKILL)
    wait_for_end_of(before)

    with Ears() as ears:
        run = shop.perform("warm")

    assert run.state == "succeeded"
    assert run.result[0] != before
    assert ears.wait_for("fork_server_died")["ended"] == "was ended by SIGKILL (killed)"


def test_a_process_that_the_bot_forks_does_not_keep_the_server_alive(shop: Isolated) -> None:
    server = ForkServerProcess(shop.project)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)  # until the test has ended
        os._exit(0)

    server.let_go()

    wait_for_end_of(server.pid)
    server.wait()
    os.close(writer)
    os.close(reader)
    os.waitpid(pid, 0)
