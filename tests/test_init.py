from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import pinstripe_bot


def declared_for_type_checkers() -> dict[str, str]:
    """{name: room} of the imports in the TYPE_CHECKING block."""
    tree = ast.parse(Path(pinstripe_bot.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    return {
        alias.name: statement.module.removeprefix("pinstripe_bot.")
        for statement in block.body
        for alias in statement.names
    }


def test_the_type_checker_sees_the_names_that_load_on_first_use():
    assert declared_for_type_checkers() == pinstripe_bot._ROOMS


def test_the_public_names_are_those_that_load_on_first_use():
    assert pinstripe_bot.__all__ == sorted(pinstripe_bot._ROOMS)


@pytest.mark.parametrize("name", sorted(pinstripe_bot._ROOMS))
def test_a_public_name_comes_from_its_room(name):
    room = importlib.import_module(f"pinstripe_bot.{pinstripe_bot._ROOMS[name]}")

    assert getattr(pinstripe_bot, name) is getattr(room, name)


def test_the_public_names_are_listed():
    assert set(pinstripe_bot.__all__) <= set(dir(pinstripe_bot))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'pinstripe_bot' has no attribute 'Bott'"):
        pinstripe_bot.Bott  # noqa: B018


def test_importing_the_package_loads_no_room():
    program = "import sys, pinstripe_bot; print([name for name in sys.modules if name.startswith('pinstripe_bot.')])"

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"
