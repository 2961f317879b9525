from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars
from structlog.testing import capture_logs

from pinstripe_bot.logs import configure_logs, in_one_write
from pinstripe_bot.output import RunOutput, capture, print_capture


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored_logs() -> Iterator[None]:
    """Put structlog and the root logger back as they were."""
    before, root = structlog.get_config(), logging.getLogger()
    processors, handlers, level = list(before["processors"]), list(root.handlers), root.level
    yield
    before["processors"][:] = processors
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_away_from_a_terminal_each_event_is_one_json_object(stream: io.StringIO) -> None:
    configure_logs(stream=stream)

    structlog.get_logger().info("run_succeeded", duration_ms=5)
    structlog.get_logger().warning("ledger_locked")

    assert [line["event"] for line in lines(stream)] == ["run_succeeded", "ledger_locked"]


def test_what_a_run_logs_does_not_tell_its_secrets(stream: io.StringIO) -> None:
    configure_logs(stream=stream)
    output = RunOutput(frozenset({"open sesame"}))

    with capture(output):
        structlog.get_logger().info("asked", url="https://shop.example/?code=open sesame", all=[{"a": "open sesame"}])

    (line,) = lines(stream)
    assert (line["url"], line["all"]) == ("https://shop.example/?code=redacted", [{"a": "redacted"}])
    assert "open sesame" not in output.text()


def test_on_a_terminal_each_event_is_one_readable_line() -> None:
    stream = Terminal()
    configure_logs(stream=stream, colors=False)

    structlog.get_logger().info("run_succeeded", duration_ms=5)

    assert stream.getvalue()[8:] == " info     run_succeeded            duration_ms=5\n"


def test_a_terminal_shows_colours() -> None:
    stream = Terminal()
    configure_logs(stream=stream)

    structlog.get_logger().info("run_succeeded")

    assert "\033[32minfo" in stream.getvalue()


def test_colours_never_reach_a_file(stream: io.StringIO) -> None:
    configure_logs("console", stream=stream)

    structlog.get_logger().info("run_succeeded")

    assert "\033" not in stream.getvalue()


def test_json_can_be_asked_for_on_a_terminal() -> None:
    stream = Terminal()
    configure_logs("json", stream=stream)

    structlog.get_logger().info("run_succeeded")

    assert lines(stream)[0]["event"] == "run_succeeded"


def test_what_is_below_the_level_is_not_written(stream: io.StringIO) -> None:
    configure_logs(level="warning", stream=stream)

    structlog.get_logger().info("run_succeeded")
    logging.getLogger("shop").info("sold")
    structlog.get_logger().error("run_failed")

    assert [line["event"] for line in lines(stream)] == ["run_failed"]


def test_the_keys_bound_around_a_run_are_on_its_lines(stream: io.StringIO) -> None:
    configure_logs(stream=stream)

    with bound_contextvars(job="sweep", tenant="acme"):
        structlog.get_logger().info("mail_sent", to=3)

    assert lines(stream)[0].items() >= {"job": "sweep", "tenant": "acme", "to": 3}.items()


def test_records_of_the_standard_library_look_the_same(stream: io.StringIO) -> None:
    configure_logs(stream=stream)

    with bound_contextvars(job="sweep"):
        logging.getLogger("shop").warning("sold %d", 3, extra={"shop": "north"})

    assert (
        lines(stream)[0].items()
        >= {
            "level": "warning",
            "event": "sold 3",
            "logger": "shop",
            "job": "sweep",
            "shop": "north",
        }.items()
    )


def test_the_logger_of_a_job_has_the_name_that_its_author_knows(stream: io.StringIO) -> None:
    configure_logs(stream=stream)

    logging.getLogger("_pinstripe_0123456789ab.background_jobs.printer").warning("sold")

    assert lines(stream)[0]["logger"] == "background_jobs.printer"


@pytest.mark.parametrize(("number", "level"), [(10, "debug"), (25, "info"), (35, "warning"), (99, "critical")])
def test_a_level_between_the_usual_ones_is_the_lower_one(stream: io.StringIO, number: int, level: str) -> None:
    configure_logs(level="debug", stream=stream)

    logging.getLogger("shop").log(number, "sold")

    assert lines(stream)[0]["level"] == level


@pytest.mark.parametrize("name", ["uvicorn.error", "sqlalchemy.engine"])
def test_libraries_that_say_much_are_heard_from_warning_on(stream: io.StringIO, name: str) -> None:
    configure_logs(level="debug", stream=stream)

    logging.getLogger(name).info("GET /")
    logging.getLogger(name).warning("odd")

    assert [line["event"] for line in lines(stream)] == ["odd"]


def test_configuring_again_moves_loggers_that_are_in_use(stream: io.StringIO) -> None:
    log, later = structlog.get_logger(), io.StringIO()
    configure_logs(stream=stream)
    log.info("bot_started")

    configure_logs(stream=later)
    log.info("bot_stopped")
    logging.getLogger("shop").info("closed")

    assert [line["event"] for line in lines(stream)] == ["bot_started"]
    assert [line["event"] for line in lines(later)] == ["bot_stopped", "closed"]


def test_structlogs_own_test_helper_sees_all_events(stream: io.StringIO) -> None:
    configure_logs(stream=stream)

    with capture_logs() as events:
        structlog.get_logger().info("bot_started")
        logging.getLogger("shop").info("opened")

    assert [event["event"] for event in events] == ["bot_started", "opened"]
    assert stream.getvalue() == ""


# Errors


def boom() -> None:
    raise ValueError("no such shop")


def test_an_exception_becomes_a_traceback_in_json(stream: io.StringIO) -> None:
    configure_logs(stream=stream)

    try:
        boom()
    except ValueError:
        structlog.get_logger().exception("mail_failed")
        logging.getLogger("shop").exception("mail lost")

    assert [line["traceback"].splitlines()[-1] for line in lines(stream)] == ["ValueError: no such shop"] * 2
    assert [line["level"] for line in lines(stream)] == ["error", "error"]


def test_a_traceback_that_is_given_stands_below_its_line_on_the_console(stream: io.StringIO) -> None:
    configure_logs("console", stream=stream)

    structlog.get_logger().error("run_failed", traceback="Traceback:\n  ValueError: no such shop\n", attempt=2)

    first, *others = stream.getvalue().splitlines()
    assert first.endswith("run_failed               attempt=2")
    assert others == ["Traceback:", "  ValueError: no such shop"]


def test_exc_info_outside_an_exception_is_no_error(stream: io.StringIO) -> None:
    configure_logs(stream=stream)

    structlog.get_logger().info("bot_started", exc_info=True)

    assert "traceback" not in lines(stream)[0]


# What must not harm a job


def test_a_reader_that_has_gone_harms_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    configure_logs(stream=stream)

    structlog.get_logger().info("run_succeeded")
    logging.getLogger("shop").info("sold")

    with contextlib.suppress(BrokenPipeError):
        stream.close()


def test_a_closed_stream_harms_nobody(stream: io.StringIO) -> None:
    configure_logs(stream=stream)
    stream.close()

    structlog.get_logger().info("run_succeeded")


def test_a_process_without_stderr_logs_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    configure_logs()

    structlog.get_logger().info("run_succeeded")


def test_a_character_that_the_stream_cannot_show_is_escaped(tmp_path: Path) -> None:
    with open(tmp_path / "log", "w", encoding="ascii") as stream:
        configure_logs("console", stream=stream)

        structlog.get_logger().info("mail_sent", name="Zoë")

    assert "name=Zo\\xeb" in (tmp_path / "log").read_text(encoding="ascii")


def test_a_record_that_does_not_fit_its_format_harms_nobody(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(stream=stream)
    logging.getLogger().handlers[:-1] = []  # pytest's own would raise

    logging.getLogger("shop").info("sold %d", "three")

    assert stream.getvalue() == ""
    assert "sold %d" in capsys.readouterr().err


def test_lines_of_threads_never_mix(tmp_path: Path) -> None:
    with open(tmp_path / "log", "w", encoding="utf-8") as stream:
        configure_logs(stream=stream)
        log, filler = structlog.get_logger(), "x" * 3000
        threads = [
            threading.Thread(target=lambda: [log.info("mail_sent", number=n, filler=filler) for n in range(200)])
            for _ in range(4)
        ]

        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    written = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert sorted(json.loads(line)["number"] for line in written) == sorted([*range(200)] * 4)


def test_lines_of_threads_never_mix_in_a_pipe_of_an_unbuffered_process() -> None:
    reader, writer = os.pipe()
    unbuffered = io.TextIOWrapper(io.FileIO(writer, "w"), "utf-8", write_through=True)  # as PYTHONUNBUFFERED has it
    configure_logs(stream=unbuffered)
    log, filler = structlog.get_logger(), "x" * 3000

    def write_blocks() -> None:
        for _ in range(10):
            with in_one_write():
                for number in range(40):
                    log.info("mail_sent", number=number, filler=filler)

    threads = [threading.Thread(target=write_blocks) for _ in range(4)]
    for thread in threads:
        thread.start()
    with open(reader, encoding="utf-8") as written:
        numbers = Counter(json.loads(written.readline())["number"] for _ in range(4 * 10 * 40))
        for thread in threads:
            thread.join()

    unbuffered.close()
    assert numbers == dict.fromkeys(range(40), 40)


# Inside a run


def test_what_a_run_logs_is_kept_with_its_output(stream: io.StringIO) -> None:
    configure_logs(stream=stream)
    output = RunOutput()

    with bound_contextvars(job="sweep", run_id="r1"), capture(output):
        structlog.get_logger().info("mail_sent", to="two people")
        logging.getLogger("shop").warning("sold out")

    first, second = output.text().splitlines()
    assert first[10:11] == "T"
    assert first.endswith("Z info mail_sent to='two people'")
    assert second.endswith("Z warning sold out logger=shop")


def test_what_is_logged_outside_a_run_is_kept_nowhere(stream: io.StringIO) -> None:
    configure_logs(stream=stream)
    output = RunOutput()

    with capture(output):
        pass
    structlog.get_logger().info("bot_stopped")

    assert output.text() == ""


def test_what_a_run_prints_is_logged_with_its_keys_and_kept(stream: io.StringIO) -> None:
    configure_logs(stream=stream)
    output = RunOutput()

    with print_capture(), bound_contextvars(job="sweep"), capture(output):
        print("hello", "world")

    assert lines(stream)[0].items() >= {"event": "run_printed", "line": "hello world", "job": "sweep"}.items()
    assert output.text() == "hello world\n"


def test_the_log_of_a_captured_stderr_goes_to_the_real_one(capsys: pytest.CaptureFixture[str]) -> None:
    with print_capture():
        configure_logs("json")
        with capture(RunOutput()):
            structlog.get_logger().info("mail_sent")

    assert json.loads(capsys.readouterr().err)["event"] == "mail_sent"


def test_prints_of_two_runs_never_mix(stream: io.StringIO) -> None:
    configure_logs(stream=stream)
    outputs, together = {name: RunOutput() for name in ("a", "b")}, threading.Barrier(2)

    def run(name: str) -> None:
        with bound_contextvars(run_id=name), capture(outputs[name]):
            together.wait()
            for number in range(300):
                print(name, end=" ")
                print(number)

    with print_capture():
        threads = [threading.Thread(target=run, args=(name,)) for name in outputs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for name, output in outputs.items():
        expected = [f"{name} {number}" for number in range(300)]
        assert output.text().splitlines() == expected
        assert [line["line"] for line in lines(stream) if line["run_id"] == name] == expected
