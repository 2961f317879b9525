"""Where settings come from: the machine, the project's files, the environment, flags."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pinstripe_bot.options import did_you_mean
from pinstripe_bot.settings import Source, lines_of, nested

_SERVICE = r"(.*_)?(SERVICE_(HOST|PORT(_.*)?)=.*|PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?=.*|PORT=\w+://.*)"
_NOT_OURS = re.compile(rf"PINSTRIPE_((PROJECT|TEST_.*)=.*|(?![^=]*__){_SERVICE})", re.DOTALL)
"""No settings: the root's variable, our tests' own, and those of a Kubernetes service named "pinstripe"."""


def files(root: Path, problems: list[str]) -> list[Source]:
    """The settings in pyproject.toml and pinstripe.toml, the weaker first."""
    found = [
        _file(root / "pyproject.toml", "tool.pinstripe.", problems),
        _file(root / "pinstripe.toml", "", problems),
    ]
    return [source for source in found if source]


def _file(path: Path, prefix: str, problems: list[str]) -> Source | None:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        table: Any = tomllib.loads(text)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problems.append(f"{path} cannot be read: {error}: repair it")
        return None
    for part in prefix.split(".")[:-1]:
        table = table.get(part, {}) if isinstance(table, dict) else table
    if not isinstance(table, dict):
        problems.append(f"{path.name}: tool.pinstripe is {table!r}: write it as a table, [tool.pinstripe]")
        return None
    lines = {key.removeprefix(prefix): n for key, n in lines_of(text).items() if key.startswith(prefix)}
    return Source(path.name, table, lines)


_OUR_HEADER = re.compile(rb"^\s*\[\s*tool\s*\.\s*pinstripe\s*[.\]]", re.MULTILINE)


def is_project(folder: Path, jobs: str) -> bool:
    """Whether the folder has a pinstripe.toml, a [tool.pinstripe] in its pyproject.toml, or `jobs`."""
    if (folder / "pinstripe.toml").is_file() or (folder / jobs).is_dir():
        return True
    try:
        # Not parsed: a broken file is still ours, and loading the project says what is wrong with it.
        return _OUR_HEADER.search((folder / "pyproject.toml").read_bytes()) is not None
    except OSError:
        return False


def variable_of(key: str) -> str:
    """The environment variable of a setting: "ledger.url" gives "PINSTRIPE_LEDGER__URL"."""
    return "PINSTRIPE_" + key.replace(".", "__").upper()


def variables(
    environ: Mapping[str, str], keys: Mapping[str, str], free: Sequence[str], problems: list[str]
) -> list[Source]:
    """The settings in the environment, the weaker first; an empty variable counts as not set.

    `keys` says which variable sets which key; below the tables in `free` every name is taken.
    A variable with our prefix that sets nothing is a problem.
    """
    found = []
    for name in sorted(environ, key=len):  # PINSTRIPE_SERVER__HOST after PINSTRIPE_HOST, and X__Y after X
        if not name.startswith("PINSTRIPE_") or not environ[name]:
            continue
        if name.startswith(tuple(variable_of(table) + "__" for table in free)):
            path = name.removeprefix("PINSTRIPE_").lower().split("__")
            found.append(Source(name, nested(path, environ[name])))
        elif name in keys:
            found.append(Source(name, nested(keys[name].split("."), environ[name])))
        elif not _NOT_OURS.fullmatch(f"{name}={environ[name]}"):
            problems.append(f"unknown variable {name}: {did_you_mean(name, keys)}")
    return found


def flags(overrides: Mapping[str, Any], short_names: Mapping[str, str]) -> list[Source]:
    """The settings given as flags, {dotted key: value}; None is one not given."""
    return [
        Source("--" + re.sub(r"[._]", "-", short_names.get(key, key)), nested(key.split("."), value))
        for key, value in overrides.items()
        if value is not None
    ]


def machine(environ: Mapping[str, str], etc: Path = Path("/etc")) -> Source:
    """The machine's time zone: TZ, else the link /etc/localtime, else /etc/timezone, else UTC."""
    told = environ.get("TZ", ":/etc/localtime").removeprefix(":")
    if told != "/etc/localtime":
        return Source("TZ", {"timezone": _zone_name(told) or "UTC"})
    # The link before the text: the C library, and so every other program here, goes by the link.
    link, text = etc / "localtime", etc / "timezone"
    for _ in range(8):  # a link may lead to a link, as on NixOS
        target = os.readlink(link) if link.is_symlink() else ""
        if "zoneinfo/" in target:
            return Source("/etc/localtime", {"timezone": _zone_name(target)})
        link = link.parent / target
    if text.is_file() and (name := text.read_text(encoding="utf-8", errors="replace").strip()):
        return Source("/etc/timezone", {"timezone": name})
    return Source("default", {"timezone": "UTC"})


def _zone_name(written: str) -> str:
    return re.sub(r".*zoneinfo/(posix/|right/)?", "", written)
