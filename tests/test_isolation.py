from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bots import PATIENCE_S, Ears, job
from isolated import Isolated, isolated
from sqlalchemy import create_engine, text

from pinstripe_bot.control import RunControl
from pinstripe_bot.errors import RunCancelled, RunFailed
from pinstripe_bot.occurrence import Reason

MIB = 2**20
DIED = "the job's process"
HEAD = "import ctypes, os, signal, stat, subprocess, sys\n"

SCRIBBLE = """
connection = next(fd for fd in range(3, 100) if is_socket(fd))
os.write(connection, b"nonsense\\n")
signal.pause()
"""

IS_SOCKET = """
def is_socket(fd):
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False
"""

WRITES = """
workspace.database.notes.insert(text="first")
print("written")
while not workspace.control.is_cancelled: threading.Event().wait(0.01)
workspace.database.notes.insert(text="second")
"""

HOLDS = """
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("begun")
ctypes.PyDLL(None).sleep(60)
"""
"""C code that keeps the interpreter's lock: no thread of Python runs meanwhile."""

JOBS = {
    "fine": job("print('fine')\nreturn 1", head=HEAD),
    "raises": job("print('before')\n1 / 0", head=HEAD),
    "leaves": job("sys.exit(4)", head=HEAD),
    "exits": job("print('before'); os._exit(3)", head=HEAD),
    "exits_well": job("os._exit(0)", head=HEAD),
    "crashes": job("print('before'); ctypes.string_at(0)", head=HEAD),
    "is_killed": job("os.kill(os.getpid(), signal.SIGKILL)", head=HEAD),
    "half_a_line": job("os.write(1, b'no end'); os._exit(3)", head=HEAD),
    "scribbles": job(SCRIBBLE, head=HEAD + IS_SOCKET),
    "closes_all": job("os.closerange(3, 200)\nsignal.pause()", head=HEAD),
    "takes": job("return len(bytearray(mib * 2 ** 20))", takes="mib: int = 1", head=HEAD),
    "deaf": job("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('begun')\nwhile True: pass", head=HEAD),
    "holds_the_lock": job(HOLDS, head=HEAD),
    "writes": job(WRITES, head=HEAD),
    "writes_atomically": job(WRITES, "'* * * * *', atomic=True", head=HEAD),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Isolated]:
    root = tmp_path_factory.mktemp("shop")
    with isolated(root, {"database.url": "sqlite:///shop.db"}, **JOBS) as shop:
        yield shop


@pytest.fixture
def notes(shop: Isolated) -> Iterator[list[str]]:
    """What is written into the table of notes, once the test has ended its run."""
    engine = create_engine(f"sqlite:///{shop.project.root}/shop.db")
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS notes"))
        connection.execute(text("CREATE TABLE notes (text TEXT)"))

    class Notes(list[str]):
        def __eq__(self, other: object) -> bool:
            with engine.begin() as connection:
                return list(connection.execute(text("SELECT text FROM notes")).scalars()) == other

        __hash__ = None  # type: ignore[assignment]

    yield Notes()
    engine.dispose()


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("raises", "ZeroDivisionError", "division by zero"),
        ("leaves", "SystemExit", "4"),
        ("exits", "ProcessDied", f"{DIED} ended with exit code 3 before the job had ended"),
        ("exits_well", "ProcessDied", f"{DIED} ended with exit code 0 before the job had ended"),
        (
            "crashes",
            "ProcessDied",
            "the job's process was ended by SIGSEGV (segmentation fault) before the job had ended",
        ),
        ("is_killed", "ProcessDied", "the job's process was ended by SIGKILL (killed) before the job had ended"),
        ("closes_all", "ProcessDied", "the job's process was ended by SIGKILL (killed) before the job had ended"),
    ],
)
def test_however_a_process_ends_it_is_a_recorded_failure_and_the_next_run_works(
    shop: Isolated, name: str, kind: str, message: str
) -> None:
    run, error = shop.perform_run(shop.run_of(name), RunControl())
    after = shop.perform("fine")

    assert run.error is not None
    assert (run.state, run.error.type, run.error.message) == ("failed", kind, message)
    assert isinstance(error, RunFailed)
    assert after.state == "succeeded"


def test_an_error_has_its_place_and_traceback(shop: Isolated) -> None:
    run = shop.perform("raises")

    assert run.error is not None
    assert run.error.place.startswith("lib/background_jobs/raises.py:")
    assert "1 / 0" in run.error.traceback


@pytest.mark.parametrize(
    ("name", "output"), [("raises", "before\n"), ("exits", "before\n"), ("half_a_line", "no end\n"), ("fine", "fine\n")]
)
def test_the_output_up_to_the_end_is_kept(shop: Isolated, name: str, output: str) -> None:
    run = shop.perform(name)

    assert run.output == output


def test_the_output_of_a_crash_says_where_it_happened(shop: Isolated) -> None:
    run = shop.perform("crashes")

    assert run.output.startswith("before\nFatal Python error: Segmentation fault")
    assert "background_jobs/crashes.py" in run.output


def test_a_process_that_scribbles_on_its_line_is_a_recorded_failure(shop: Isolated) -> None:
    run = shop.perform("scribbles")

    assert run.error is not None
    assert (run.state, run.error.type) == ("failed", "ProcessGarbled")


def test_a_run_may_take_what_its_limit_allows(shop: Isolated) -> None:
    run = shop.perform("takes", {"mib": 50}, max_memory=100 * MIB)

    assert run.result == 50 * MIB


def test_a_run_that_takes_more_than_its_limit_fails_and_names_it(shop: Isolated) -> None:
    run = shop.perform("takes", {"mib": 200}, max_memory=100 * MIB)

    assert run.error is not None
    assert (run.state, run.error.type) == ("failed", "MemoryError")
    assert run.error.message == "not enough memory: max_memory is 100MiB"


@pytest.mark.parametrize("name", ["deaf", "holds_the_lock"])
def test_a_job_that_does_not_listen_is_killed(shop: Isolated, name: str) -> None:
    with Ears() as ears:
        control, end = shop.begin(name, kill_after_s=0.2)
        ears.wait_for("run_printed")

        control.cancel(Reason.TIMEOUT)

        run, error = end.result(PATIENCE_S)
    assert (run.state, run.reason, run.output.startswith("begun\n")) == ("timed_out", "timeout", True)
    assert isinstance(error, RunCancelled)
    assert ears.names("process_killed") == ["process_killed"]


@pytest.mark.parametrize(
    ("reason", "state"),
    [(Reason.TIMEOUT, "timed_out"), (Reason.CANCELLED, "cancelled"), (Reason.SHUTDOWN, "interrupted")],
)
def test_a_run_that_was_told_to_end_ends_as_why_it_was_told(shop: Isolated, reason: Reason, state: str) -> None:
    control = RunControl()
    control.cancel(reason)

    run, _error = shop.perform_run(shop.run_of("deaf"), control, kill_after_s=0.05)

    assert (run.state, run.reason) == (state, reason)


@pytest.mark.parametrize(("name", "kept"), [("writes", ["first"]), ("writes_atomically", [])])
def test_a_run_whose_end_is_recorded_commits_nothing_any_more(
    shop: Isolated, notes: list[str], name: str, kept: list[str]
) -> None:
    with Ears() as ears:
        control, end = shop.begin(name)
        ears.wait_for("run_printed")

        control.has_ended = True
        control.cancel(Reason.SHUTDOWN)

        run, _error = end.result(PATIENCE_S)
    assert run.state == "interrupted"
    assert notes == kept


def test_an_atomic_run_commits_at_its_end(shop: Isolated, notes: list[str]) -> None:
    with Ears() as ears:
        control, end = shop.begin("writes_atomically")
        ears.wait_for("run_printed")

        control.cancel(Reason.SHUTDOWN)

        run, _error = end.result(PATIENCE_S)
    assert run.state == "succeeded"
    assert notes == ["first", "second"]


def test_an_atomic_run_of_a_bot_that_was_taken_for_dead_commits_nothing(
    shop: Isolated, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop, "is_alive", False)
    control = RunControl()
    control.cancel(Reason.SHUTDOWN)

    run, _error = shop.perform_run(shop.run_of("writes_atomically"), control)

    assert (run.state, run.output) == ("interrupted", "written\n")
    assert notes == []


def test_after_the_end_of_the_bot_nothing_starts(tmp_path: Path) -> None:
    with isolated(tmp_path, fine=job()) as other:
        other.isolation.close()

        run = other.perform("fine")

    assert run.error is not None
    assert (run.state, run.error.type) == ("failed", "ProcessNotStarted")


def test_a_job_that_is_gone_when_the_project_is_loaded_again_fails_with_a_sentence(tmp_path: Path) -> None:
    with isolated(tmp_path, fine=job(), other=job()) as shop:
        (tmp_path / "lib/background_jobs/fine.py").unlink()

        run = shop.perform("fine")

    assert run.error is not None
    assert (run.error.type, run.error.message.startswith("there is no job 'fine'")) == ("UnknownJob", True)


@contextmanager
def descriptors_left(number: int) -> Iterator[None]:
    """This process may open so many further descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers = [os.open(os.devnull, os.O_RDONLY) for _ in range(64)]  # so that there are no gaps below the limit
    top = fillers[-1] + 1
    for filler in fillers[len(fillers) - number :]:
        os.close(filler)
    resource.setrlimit(resource.RLIMIT_NOFILE, (top, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers[: len(fillers) - number]:
            os.close(filler)


def open_descriptors() -> set[tuple[str, str]]:
    """(number, what it leads to) of each; a test before may have left some to close by themselves."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of this very listing
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return found


@pytest.mark.parametrize("free", range(13))
def test_however_few_descriptors_are_left_a_run_is_recorded_and_keeps_none(shop: Isolated, free: int) -> None:
    shop.perform("fine")
    before = open_descriptors()

    with descriptors_left(free):
        run = shop.perform("fine")

    assert open_descriptors() <= before
    assert (run.state, run.error and run.error.type) in [("succeeded", None), ("failed", "ProcessNotStarted")]
    assert shop.perform("fine").state == "succeeded"


@pytest.mark.parametrize("free", [0, 1, 3, 5, 6])
def test_a_fork_server_for_which_too_few_descriptors_are_left_keeps_none(tmp_path: Path, free: int) -> None:
    with isolated(tmp_path, fine=job()) as shop:
        before = open_descriptors()

        with descriptors_left(free):
            run = shop.perform("fine")

        shop.isolation.close()
        assert open_descriptors() <= before
        assert (run.state, run.error and run.error.type) == ("failed", "ProcessNotStarted")


def test_a_process_that_the_system_refuses_harms_no_other_one(tmp_path: Path) -> None:
    refused = tmp_path / "refused"
    head = f"""
        import os

        def fork(fork=os.fork):
            if os.path.exists({str(refused)!r}):
                raise BlockingIOError(11, "Resource temporarily unavailable")
            return fork()

        if os.getpid() != {os.getpid()}:
            os.fork = fork
    """
    waits = "print('begun')\nwhile not workspace.control.is_cancelled: threading.Event().wait(0.01)\nreturn 7"
    with isolated(tmp_path, waits=job(waits, head=head), other=job()) as shop:
        with Ears() as ears:
            control, end = shop.begin("waits")
            ears.wait_for("run_printed")
        refused.touch()

        other = shop.perform("other")

        control.cancel(Reason.SHUTDOWN)
        run, _error = end.result(PATIENCE_S)
    assert other.error is not None
    assert (other.error.type, "no further process" in other.error.message) == ("ProcessNotStarted", True)
    assert (run.state, run.result) == ("succeeded", 7)
