from __future__ import annotations

from collections.abc import Iterator

import pytest
from bots import PATIENCE_S, Ears, job
from isolated import Isolated, isolated, wait_for_end_of

from pinstripe_bot.control import RunControl
from pinstripe_bot.occurrence import Reason

HEAD = "import logging, os, signal, subprocess, sys, threading, warnings"

SURROUNDINGS = """
return {
    "stdin": sys.stdin.read(),
    "group": os.getpgid(0) == os.getpid(),
    "inherited": sorted(fd for fd in range(3, 200) if is_inheritable(fd)),
    "signals": [signal.getsignal(number) is signal.SIG_IGN for number in (signal.SIGINT, signal.SIGTERM)],
    "tty": sys.stdout.isatty(),
    "numbers": [sys.stdout.fileno(), sys.stderr.fileno()],
}
"""

INHERITABLE = """
def is_inheritable(fd):
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False
"""

FORKED = """
child = os.fork()
print("twice")
if child:
    os.waitpid(child, 0)
return child != 0
"""

JOBS = {
    "adds": job("return a + b", takes="a: int = 0, b: int = 0", head=HEAD),
    "asynchronous": job("await asyncio.sleep(0)\nreturn 5", head=HEAD),
    "surroundings": job(SURROUNDINGS, head=HEAD + INHERITABLE),
    "prints": job("print('one'); sys.stderr.write('two\\n'); print('half', end='')", head=HEAD),
    "prints_raw": job("os.write(1, b'raw\\n'); subprocess.run(['echo', 'from a program'])", head=HEAD),
    "prints_in_thread": job("one = threading.Thread(target=print, args=('two',)); one.start(); one.join()", head=HEAD),
    "prints_long": job("print('x' * 200_000); print('end')", head=HEAD),
    "forks": job(FORKED, head=HEAD),
    "logs": job("workspace.logger.warning('stock_low', left=3, path=object)\nlogging.error('plain')", head=HEAD),
    "warns": job("warnings.warn('careful')", head=HEAD),
    "progresses": job("workspace.progress(1, 4); workspace.progress(3, 4)", head=HEAD),
    "logs_odd_lines": job("workspace.logger.info('one\\u2028line\\x85only')", head=HEAD),
    "shows_odd_progress": job("workspace.progress('half', object())\nreturn 1", head=HEAD),
    "leaves": job("return subprocess.Popen(['sleep', '60']).pid", head=HEAD),
    "calls": job("run = workspace.run_background_job('adds', a=1, b=2)\nreturn [run.state, run.result]", head=HEAD),
    "calls_async": job(
        "one, two = await asyncio.gather(*(workspace.run_background_job_async('adds', a=1, b=n) for n in (1, 2)))\n"
        "return [one.result, two.result]",
        head=HEAD,
    ),
    "fails": job("1 / 0", head=HEAD),
    "calls_failing": job("workspace.run_background_job('fails')", head=HEAD),
    "calls_unknown": job("workspace.run_background_job('addz')", head=HEAD),
    "listens": job("print('begun')\nwhile not workspace.cancelled: threading.Event().wait(0.01)\nreturn 'tidy'"),
    "checks": job("print('begun')\nwhile True: workspace.checkpoint(); threading.Event().wait(0.01)"),
    "awaits": job(f"print('begun')\nawait asyncio.sleep({3 * PATIENCE_S})"),
    "reaches": job("workspace.bot.stop()"),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Isolated]:
    with isolated(tmp_path_factory.mktemp("shop"), **JOBS) as shop:
        yield shop


def test_a_child_performs_the_run_with_its_parameters(shop: Isolated) -> None:
    run = shop.perform("adds", {"a": 1, "b": 2})

    assert (run.state, run.result) == ("succeeded", 3)


def test_an_async_job_runs_to_its_end(shop: Isolated) -> None:
    run = shop.perform("asynchronous")

    assert (run.state, run.result) == ("succeeded", 5)


def test_a_child_has_surroundings_of_its_own(shop: Isolated) -> None:
    run = shop.perform("surroundings")

    assert run.result == {
        "stdin": "",
        "group": True,
        "inherited": [],
        "signals": [False, False],
        "tty": False,
        "numbers": [1, 2],
    }


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("prints", "one\ntwo\nhalf\n"),
        ("prints_raw", "raw\nfrom a program\n"),
        ("prints_in_thread", "two\n"),
        ("forks", "twice\ntwice\n"),
    ],
)
def test_whatever_a_job_writes_is_its_output(shop: Isolated, name: str, output: str) -> None:
    run = shop.perform(name)

    assert (run.state, run.output) == ("succeeded", output)


def test_of_much_output_the_end_is_kept(shop: Isolated) -> None:
    run = shop.perform("prints_long")

    assert run.output.startswith("[")
    assert run.output.endswith("xxx\nend\n")
    assert len(run.output) < 70_000


def test_each_line_is_logged(shop: Isolated) -> None:
    with Ears() as ears:
        shop.perform("prints")

    assert [event["line"] for event in ears.heard if event["event"] == "run_printed"] == ["one", "two", "half"]


def test_what_a_job_logs_is_logged_by_the_bot_with_the_keys_of_the_run(shop: Isolated) -> None:
    with Ears() as ears:
        shop.perform("logs")

    structured, plain = ears.wait_for("stock_low"), ears.wait_for("plain")
    assert (structured["job"], structured["run_id"], structured["left"]) == ("logs", 7, 3)
    assert structured["path"] == "<class 'object'>"
    assert (plain["job"], plain["logger"]) == ("logs", "root")


def test_a_line_that_holds_other_ends_of_lines_is_logged_whole(shop: Isolated) -> None:
    with Ears() as ears:
        shop.perform("logs_odd_lines")

    assert ears.wait_for("one\u2028line\x85only")["job"] == "logs-odd-lines"


def test_a_warning_is_output(shop: Isolated) -> None:
    run = shop.perform("warns")

    assert "UserWarning: careful" in run.output


def test_progress_arrives(shop: Isolated) -> None:
    control = RunControl()

    shop.perform_run(shop.run_of("progresses"), control)

    assert control.progress == (3, 4)


def test_progress_that_is_no_number_harms_nothing(shop: Isolated) -> None:
    run = shop.perform("shows_odd_progress")

    assert run.state == "succeeded"


def test_what_a_job_leaves_behind_ends_with_it(shop: Isolated) -> None:
    run = shop.perform("leaves")

    wait_for_end_of(run.result)


def test_a_job_calls_another_one(shop: Isolated) -> None:
    run = shop.perform("calls")

    assert run.result == ["succeeded", 3]
    assert shop.called[-1] == ("adds", {"a": 1, "b": 2})


def test_an_async_job_calls_two_at_once(shop: Isolated) -> None:
    run = shop.perform("calls_async")

    assert run.result == [2, 3]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("calls_failing", "RunFailed", "division by zero"),
        ("calls_unknown", "UnknownJob", "did you mean 'adds'"),
    ],
)
def test_a_call_that_fails_raises_what_was_told(shop: Isolated, name: str, kind: str, message: str) -> None:
    run = shop.perform(name)

    assert run.error is not None
    assert (run.state, run.error.type) == ("failed", kind)
    assert message in run.error.message


def test_the_bot_itself_is_out_of_reach(shop: Isolated) -> None:
    run = shop.perform("reaches")

    assert run.error is not None
    assert "self.bot.stop cannot be used here" in run.error.message


@pytest.mark.parametrize(
    ("name", "state", "result"),
    [("checks", "timed_out", None), ("awaits", "timed_out", None), ("listens", "succeeded", "tidy")],
)
def test_a_job_that_listens_ends_when_it_is_told(shop: Isolated, name: str, state: str, result: str | None) -> None:
    with Ears() as ears:
        control, end = shop.begin(name)
        ears.wait_for("run_printed")

        control.cancel(Reason.TIMEOUT)

        run, _error = end.result(PATIENCE_S)
    assert (run.state, run.result) == (state, result)
