"""The hooks: which functions of a project's `lib/hooks.py` are called, and what is wrong with the others."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pinstripe_bot.loader import LoadedFile
from pinstripe_bot.options import did_you_mean
from pinstripe_bot.schedule import Place

HOOKS = {
    "before_run": "run",
    "after_run": "run",
    "on_failure": "run",
    "on_skip": "occurrence",
    "on_miss": "occurrence",
    "before_server_start": "",
    "after_server_start": "",
    "before_server_stop": "",
}
"""Every hook, and the argument that it takes."""

ServerHook = Literal["before_server_start", "after_server_start", "before_server_stop"]

_HOOK_LIKE = ("before_", "after_", "on_")


@dataclass(frozen=True, slots=True)
class HookDefinitions:
    """The sound hooks of a project by name, and what is wrong with the others."""

    functions: Mapping[str, Callable[..., object]]
    problems: tuple[tuple[Place, str], ...] = ()


def define_hooks(loaded: LoadedFile) -> HookDefinitions:
    """Check a hooks file. A broken hook keeps no sound one from being called: nobody wants to lose an alert."""
    members = vars(loaded.module)
    wrong = {name: _wrong_with(name, members[name]) for name in HOOKS if name in members}
    wrong |= {name: _wrong_name(name) for name, value in members.items() if _is_misnamed(name, value, loaded)}
    return HookDefinitions(
        functions={name: members[name] for name, message in wrong.items() if message is None},
        problems=tuple((loaded.place_of(name), message) for name, message in wrong.items() if message is not None),
    )


def _wrong_with(name: str, function: Any) -> str | None:
    argument = HOOKS[name]
    wanted = f"write `def {name}({argument})`"
    if not callable(function):
        return f"{name} is no function: {wanted}"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return f"{name}() is async: write it as a plain function, which may call asyncio.run(...)"
    if inspect.isgeneratorfunction(function):
        return f"{name}() contains `yield`, and would never begin: write it as a plain function"
    try:
        inspect.signature(function).bind(*[None] * bool(argument))
    except TypeError:
        return f"{name}() takes {'one argument' if argument else 'no argument'}: {wanted}"
    except ValueError:
        return None  # written in C: it shows no signature
    return None


def _is_misnamed(name: str, value: Any, loaded: LoadedFile) -> bool:
    """Whether this is a public function of the file itself that looks like a hook and is none."""
    if name in HOOKS or name.startswith("_") or not inspect.isfunction(value):
        return False
    is_like = name.startswith(_HOOK_LIKE) or bool(difflib.get_close_matches(name, HOOKS, n=1, cutoff=0.8))
    return is_like and value.__module__ == loaded.module.__name__


def _wrong_name(name: str) -> str:
    return f"there is no hook {name!r}, and the name of any other function begins with _: {did_you_mean(name, HOOKS)}"
