from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import ModuleType

import pytest

from pinstripe_bot import cron
from pinstripe_bot.failure import describe_error
from pinstripe_bot.occurrence import RunError

JOB = "lib/background_jobs/flaky.py"


@pytest.fixture
def module(write_project):
    """Compiles this text as a file of the project; `path` may lead out of it."""

    def module(text: str, path: str = JOB) -> ModuleType:
        file = write_project({path: text}) / path
        module = ModuleType("flaky")
        exec(compile(file.read_text(), str(file), "exec"), vars(module))
        return module

    return module


def described(function, root: Path, **arguments) -> RunError:
    try:
        function(**arguments)
    except BaseException as error:  # noqa: BLE001 - a job raises anything
        return describe_error(error, root)
    raise AssertionError("nothing was raised")


def test_an_error_has_type_message_and_place(module, tmp_path):
    run = module("def run():\n    raise ValueError('no stamps')").run

    error = described(run, tmp_path / "project")

    assert (error.type, error.message, error.place) == ("ValueError", "no stamps", f"{JOB}:2 in run")


def test_the_traceback_begins_with_the_authors_first_frame(module, tmp_path):
    run = module("def run():\n    raise ValueError('no stamps')").run

    error = described(run, tmp_path / "project")

    assert error.traceback.splitlines() == [
        "Traceback (most recent call last):",
        f'  File "{tmp_path}/project/{JOB}", line 2, in run',
        "    raise ValueError('no stamps')",
        "ValueError: no stamps",
    ]


def test_the_place_is_the_innermost_line_of_the_project(module, tmp_path):
    run = module("import json\ndef run():\n    read()\ndef read():\n    json.loads('{')").run

    error = described(run, tmp_path / "project")

    assert error.place == f"{JOB}:5 in read"
    assert json.__file__ not in error.place
    assert "in raw_decode" in error.traceback


def test_a_library_in_a_virtual_environment_of_the_project_is_not_its_own_code(module, tmp_path):
    library = module("def read(): raise ValueError('no stamps')", ".venv/lib/python3.11/site-packages/stamps.py")
    run = module("def run(read):\n    read()").run

    error = described(run, tmp_path / "project", read=library.read)

    assert error.place == f"{JOB}:2 in run"


def test_a_library_that_calls_the_job_is_not_where_the_traceback_begins(module, tmp_path):
    library = module("def call(job): job()", ".venv/lib/python3.11/site-packages/stamps.py")
    run = module("def run():\n    raise ValueError").run

    error = described(library.call, tmp_path / "project", job=run)

    assert "stamps.py" not in error.traceback


def test_our_own_code_is_not_the_projects_where_it_lies_below_its_root():
    root = Path(cron.__file__).parent.parent

    error = described(lambda: cron.parse("61 * * * *"), root)

    assert error.place.startswith("tests/test_failure.py:")


def test_a_job_outside_of_the_root_keeps_its_frames_and_loses_ours(module, tmp_path):
    run = module("async def run():\n    raise ValueError('no stamps')", "../elsewhere/flaky.py").run

    def perform():
        asyncio.run(run())

    error = described(perform, tmp_path / "nowhere")

    assert error.place == f"{tmp_path}/project/../elsewhere/flaky.py:2 in run"


def test_an_error_without_a_traceback_has_no_place(tmp_path):
    assert describe_error(ValueError("no stamps"), tmp_path) == RunError(
        "ValueError", "no stamps", "", "ValueError: no stamps"
    )


def test_the_cause_of_an_error_is_told_before_it(module, tmp_path):
    text = "def run():\n    try: 1 / 0\n    except ArithmeticError as error: raise ValueError('no stamps') from error"

    error = described(module(text).run, tmp_path / "project")

    assert "direct cause" in error.traceback
    assert error.traceback.index("ZeroDivisionError") < error.traceback.index("ValueError: no stamps")


def test_an_error_that_cannot_speak_is_told_all_the_same(module, tmp_path):
    text = "class Mute(Exception):\n    def __str__(self): raise KeyError\ndef run(): raise Mute"

    error = described(module(text).run, tmp_path / "project")

    assert (error.type, error.message) == ("Mute", "<exception str() failed>")


def test_an_exit_is_an_error_like_any_other(module, tmp_path):
    error = described(module("import sys\ndef run():\n    sys.exit(3)").run, tmp_path / "project")

    assert (error.type, error.message, error.place) == ("SystemExit", "3", f"{JOB}:3 in run")
