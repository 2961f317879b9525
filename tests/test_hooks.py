from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import WriteProject

from pinstripe_bot.hooks import HOOKS, HookDefinitions, define_hooks
from pinstripe_bot.loader import Loader

Define = Callable[[str], HookDefinitions]


@pytest.fixture
def define(write_project: WriteProject) -> Define:
    """The hooks of a project whose `lib/hooks.py` has this text."""

    def define(text: str) -> HookDefinitions:
        root: Path = write_project({"lib/hooks.py": text})
        return define_hooks(Loader(root).load(root / "lib/hooks.py", root / "lib", "lib"))

    return define


@pytest.fixture
def problem(define: Define) -> Callable[[str], tuple[str, str]]:
    """Where the one problem of such a file is, and what it is."""

    def problem(text: str) -> tuple[str, str]:
        ((place, message),) = define(text).problems
        return (str(place), message)

    return problem


def test_a_file_without_hooks_is_fine(define: Define) -> None:
    assert define("import os\n") == HookDefinitions({})


@pytest.mark.parametrize(("name", "argument"), HOOKS.items())
def test_each_hook_is_found_under_its_name(define: Define, name: str, argument: str) -> None:
    hooks = define(f"def {name}({argument}):\n    return {name!r}\n")

    assert hooks.problems == ()
    assert {hook: function.__name__ for hook, function in hooks.functions.items()} == {name: name}


@pytest.mark.parametrize(
    "text",
    [
        "def on_failure(run, *, channel='alerts'): pass",
        "def on_failure(*runs): pass",
        "on_failure = lambda run: None",
        "from functools import partial\non_failure = partial(print, 'failed')",
        "on_failure = print",
        "class Alert:\n    def __call__(self, run): pass\non_failure = Alert()",
    ],
)
def test_a_hook_is_whatever_can_be_called_with_its_argument(define: Define, text: str) -> None:
    hooks = define(text)

    assert (list(hooks.functions), hooks.problems) == (["on_failure"], ())


def test_a_hook_may_come_from_another_file(define: Define, write_project: WriteProject) -> None:
    write_project({"lib/_alerts.py": "def on_failure(run): pass\ndef on_anything(run): pass\n"})

    hooks = define("from ._alerts import on_anything, on_failure\n")

    assert (list(hooks.functions), hooks.problems) == (["on_failure"], ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\ndef on_failure(): pass", "on_failure() takes one argument: write `def on_failure(run)`"),
        ("\ndef on_skip(job, due_at): pass", "on_skip() takes one argument: write `def on_skip(occurrence)`"),
        (
            "\ndef before_server_start(server): pass",
            "before_server_start() takes no argument: write `def before_server_start()`",
        ),
        (
            "\nasync def after_run(run): pass",
            "after_run() is async: write it as a plain function, which may call asyncio.run(...)",
        ),
        (
            "\ndef after_run(run): yield",
            "after_run() contains `yield`, and would never begin: write it as a plain function",
        ),
    ],
)
def test_a_hook_that_cannot_be_called_is_a_problem(
    problem: Callable[[str], tuple[str, str]], text: str, message: str
) -> None:
    assert problem(text) == ("lib/hooks.py:2", message)


def test_a_hook_that_is_no_function_is_a_problem(problem: Callable[[str], tuple[str, str]]) -> None:
    assert problem("on_failure = 'mail'")[1] == "on_failure is no function: write `def on_failure(run)`"


@pytest.mark.parametrize("name", ["on_failur", "on_failed", "after_runs", "before_sever_start", "on_misses"])
def test_a_misspelt_hook_is_a_problem_that_names_the_right_one(
    problem: Callable[[str], tuple[str, str]], name: str
) -> None:
    place, message = problem(f"\ndef {name}(run): pass")

    assert place == "lib/hooks.py:2"
    assert message.startswith(f"there is no hook {name!r}, and the name of any other function begins with _: did you")


def test_a_function_that_is_named_like_a_hook_is_a_problem(problem: Callable[[str], tuple[str, str]]) -> None:
    assert "there is no hook 'on_tuesday'" in problem("def on_tuesday(run): pass")[1]


@pytest.mark.parametrize("name", ["_on_failed", "send_mail", "alert"])
def test_other_functions_are_the_authors_own(define: Define, name: str) -> None:
    assert define(f"def {name}(run): pass") == HookDefinitions({})


def test_a_broken_hook_keeps_no_sound_one_from_being_called(define: Define) -> None:
    hooks = define("def on_failure(run): pass\ndef on_skip(): pass\ndef on_mis(occurrence): pass\n")

    assert list(hooks.functions) == ["on_failure"]
    assert [place.line for place, _ in hooks.problems] == [2, 3]
