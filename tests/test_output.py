from __future__ import annotations

import asyncio
import sys
import threading
import warnings

import pytest
from structlog.testing import capture_logs

from pinstripe_bot.output import OUTPUT_LIMIT, RunOutput, capture, print_capture, real_stream

# What is kept


def test_the_last_64_kib_are_kept_with_a_note() -> None:
    output = RunOutput()

    for _ in range(30):
        output.append("x" * 10_000)
    output.append("the end")

    note, kept = output.text().split("\n")
    assert note == f"[{300_007 - OUTPUT_LIMIT} earlier bytes are not kept]"
    assert (len(kept), kept[-8:]) == (OUTPUT_LIMIT, "xthe end")


def test_what_fits_is_kept_whole() -> None:
    output = RunOutput()

    output.append("x" * OUTPUT_LIMIT)

    assert output.text() == "x" * OUTPUT_LIMIT


def test_one_huge_text_is_cut_too() -> None:
    output = RunOutput()

    output.append("ä" * OUTPUT_LIMIT + "!")

    assert output.text().startswith(f"[{OUTPUT_LIMIT + 1} earlier bytes are not kept]\n")
    assert output.text().endswith("ää!")


def test_half_characters_and_zeros_do_not_break_a_text() -> None:
    output = RunOutput()

    output.append("a\0b\ud800")

    assert output.text() == "a\N{SYMBOL FOR NULL}b\\ud800"


def test_the_size_tells_that_something_came() -> None:
    output = RunOutput()

    output.append("ä")

    assert output.size == 2


# Prints


def printed(*texts: str) -> list[str]:
    """The lines that a run's log shows after it wrote these texts to stdout."""
    with capture_logs() as events, print_capture(), capture(RunOutput()):
        for text in texts:
            sys.stdout.write(text)
    return [event["line"] for event in events if event["event"] == "run_printed"]


def test_a_line_is_logged_when_it_is_complete() -> None:
    assert printed("one ", "two\nthr", "ee\n") == ["one two", "three"]


def test_an_unfinished_line_is_finished_with_the_run() -> None:
    assert printed("one\n", "two") == ["one", "two"]


def test_an_unfinished_line_shows_in_the_output_of_a_run_that_still_runs() -> None:
    output = RunOutput()

    with capture_logs(), print_capture(), capture(output):
        print("one\ntwo", end="")

        assert output.text() == "one\ntwo"


def test_a_run_inside_a_run_has_its_own_output() -> None:
    outer, inner = RunOutput(), RunOutput()

    with capture_logs(), print_capture(), capture(outer):
        print("outer", end=" ")
        with capture(inner):
            print("inner")
        print("again")

    assert (outer.text(), inner.text()) == ("outer again\n", "inner\n")


def test_blank_lines_are_kept_but_not_logged() -> None:
    output = RunOutput()

    with capture_logs() as events, print_capture(), capture(output):
        print("one\n\ntwo")

    assert [event["line"] for event in events] == ["one", "two"]
    assert output.text() == "one\n\ntwo\n"


def test_a_progress_bar_is_one_line_as_on_a_terminal() -> None:
    assert printed("\r 10 %", "\r 50 %", "\r100 %", "\n", "windows\r\n") == ["100 %", "windows"]


def test_a_line_without_end_is_logged_in_pieces() -> None:
    pieces = printed(*["." * 1000] * 20)

    assert sum(map(len, pieces)) == 20_000
    assert max(map(len, pieces)) < 10_000


def test_stderr_is_captured_apart_from_stdout() -> None:
    with capture_logs() as events, print_capture(), capture(RunOutput()):
        print("to ", end="")
        print("to stderr", file=sys.stderr)
        print("stdout")

    assert [event["line"] for event in events] == ["to stderr", "to stdout"]


def test_outside_a_run_prints_go_where_they_always_went(capsys: pytest.CaptureFixture[str]) -> None:
    with capture_logs() as events, print_capture():
        print("hello")
        print("there", file=sys.stderr)

    assert capsys.readouterr() == ("hello\n", "there\n")
    assert events == []


def test_a_thread_outside_the_run_is_not_captured(capsys: pytest.CaptureFixture[str]) -> None:
    output = RunOutput()

    with print_capture(), capture(output):
        thread = threading.Thread(target=print, args=("hello",))
        thread.start()
        thread.join()

    assert (output.text(), capsys.readouterr().out) == ("", "hello\n")


def test_coroutines_of_a_run_are_captured() -> None:
    output = RunOutput()

    async def run() -> None:
        await asyncio.gather(asyncio.to_thread(print, "thread"))
        print("coroutine")

    with capture_logs(), print_capture(), capture(output):
        asyncio.run(run())

    assert output.text() == "thread\ncoroutine\n"


def test_without_a_configured_log_a_print_is_still_kept() -> None:
    output = RunOutput()

    with print_capture(), capture(output):
        print("hello")

    assert output.text() == "hello\n"


def test_the_streams_are_put_back_at_the_end() -> None:
    before = sys.stdout, sys.stderr

    with print_capture():
        assert sys.stdout is not before[0]

    assert (sys.stdout, sys.stderr) == before


def test_a_stream_that_somebody_else_has_replaced_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    other = open("/dev/null", "w")  # noqa: SIM115

    with other, monkeypatch.context() as patch:
        with print_capture():
            patch.setattr("sys.stdout", other)

        assert sys.stdout is other


def test_captures_may_be_nested() -> None:
    before, output = sys.stdout, RunOutput()

    with capture_logs(), print_capture(), print_capture(), capture(output):
        print("hello")
        assert real_stream(sys.stdout) is before

    assert output.text() == "hello\n"


def test_a_process_without_streams_is_left_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)

    with print_capture(), capture(RunOutput()):
        print("hello")

        assert sys.stdout is None


# The stand-in behaves as a text stream


def test_a_captured_stream_answers_as_a_text_stream_does() -> None:
    with capture_logs(), print_capture(), capture(RunOutput()):
        assert sys.stdout.write("hello") == 5
        assert sys.stdout.writable()
        assert sys.stdout.encoding == real_stream(sys.stdout).encoding
        assert sys.stdout.buffer is real_stream(sys.stdout).buffer
        assert not sys.stdout.isatty()
        sys.stdout.writelines(["a\n", "b\n"])
        sys.stdout.flush()


def test_a_captured_stream_refuses_bytes_as_a_text_stream_does() -> None:
    with print_capture(), capture(RunOutput()), pytest.raises(TypeError, match="must be str, not bytes"):
        sys.stdout.write(b"hello")  # type: ignore[arg-type]


def test_a_run_cannot_close_the_real_stream(capsys: pytest.CaptureFixture[str]) -> None:
    with print_capture():
        with capture(RunOutput()):
            sys.stdout.close()
        print("still here")

    assert capsys.readouterr().out == "still here\n"


def test_two_threads_of_one_run_do_not_mix_their_lines() -> None:
    output = RunOutput()

    async def run() -> None:
        await asyncio.gather(*(asyncio.to_thread(say, name) for name in "ab"))

    def say(name: str) -> None:
        for _ in range(200):
            sys.stdout.write(name * 3)
            sys.stdout.write(name * 3 + "\n")

    with capture_logs(), print_capture(), capture(output):
        asyncio.run(run())

    assert sorted(output.text().split()) == ["aaaaaa"] * 200 + ["bbbbbb"] * 200


# Warnings


def test_each_run_is_told_of_a_warning_once(recwarn: pytest.WarningsRecorder) -> None:
    for _ in range(2):
        with capture(RunOutput()):
            for _ in range(3):
                warnings.warn("this is old", UserWarning, stacklevel=1)

    assert len(recwarn) == 2


def test_a_warning_that_the_author_ignores_stays_unheard(recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("ignore")

    with capture(RunOutput()):
        warnings.warn("this is old", UserWarning, stacklevel=1)

    assert len(recwarn) == 0
