"""Settings as people wrote them, checked against the Struct that declares them: every problem at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from pinstripe_bot.durations import parse_duration
from pinstripe_bot.options import did_you_mean
from pinstripe_bot.redaction import redact, redact_no_url

Shape = type[msgspec.Struct]
S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Source:
    """Settings from one origin: a file, one variable, one flag."""

    origin: str
    table: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)  # {dotted key: line}, where they are known

    def place(self, key: str) -> str:
        """Where `key` was written, for a message: "pinstripe.toml, line 3"."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{self.origin}, line {self.lines[key]}" if key else self.origin


@dataclass(frozen=True, slots=True)
class Written:
    """One value, and who wrote it where."""

    value: Any
    origin: str
    place: str


Tree = dict[str, Any]
"""Nested names, with a Written at each end."""


def setting(wanted: str, *, check: Callable[[Any], object] | None = None, **limits: Any) -> msgspec.Meta:
    """Describe a field: what finishes "write ...", a check (raises ValueError), msgspec's own limits."""
    return msgspec.Meta(description=wanted, extra={"check": check}, **limits)


def keys_of(shape: Shape, prefix: str = "") -> tuple[str, ...]:
    """All settings that `shape` declares, as dotted keys in their order."""
    keys: list[str] = []
    for known in msgspec.structs.fields(shape):
        section = _section(known.type)
        keys += keys_of(section, f"{prefix}{known.name}.") if section else [prefix + known.name]
    return tuple(keys)


def nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    """`value` below the names of `path`: (("a", "b"), 1) gives {"a": {"b": 1}}."""
    for name in reversed(path):
        value = {name: value}
    return dict(value)


def merge(sources: Sequence[Source]) -> Tree:
    """All sources in one tree, key by key; a later one wins."""
    tree: Tree = {}
    for source in sources:
        _merge_into(tree, _tree(source, source.table))
    return tree


def _tree(source: Source, table: Mapping[str, Any], prefix: str = "") -> Tree:
    tree: Tree = {}
    for name, value in table.items():
        key = prefix + name
        leaf = Written(value, source.origin, source.place(key))
        tree[name] = _tree(source, value, key + ".") if isinstance(value, Mapping) else leaf
    return tree


def _merge_into(tree: Tree, winner: Tree) -> None:
    for name, value in winner.items():
        if isinstance(value, dict) and isinstance(tree.get(name), dict):
            _merge_into(tree[name], value)
        else:
            tree[name] = value


def unknown_settings(shape: Shape, source: Source) -> list[str]:
    """A sentence for every key of `source` that `shape` does not declare."""
    known = [
        *keys_of(shape),
        *(known.name for known in msgspec.structs.fields(shape) if _section(known.type)),
    ]
    return [
        f"{source.place(key)}: unknown setting {key!r}: {did_you_mean(key, known)}"
        for key in _unknown_keys(shape, source.table, "")
    ]


def _unknown_keys(shape: Shape, table: Mapping[str, Any], prefix: str) -> Iterator[str]:
    types = {known.name: known.type for known in msgspec.structs.fields(shape)}
    for name, value in table.items():
        if name not in types:
            yield prefix + name
        elif (section := _section(types[name])) and isinstance(value, Mapping):
            yield from _unknown_keys(section, value, f"{prefix}{name}.")


def convert(shape: type[S], tree: Tree, problems: list[str], prefix: str = "") -> S:
    """Build a `shape` from the values of `tree`; for each that does not fit, a sentence in `problems`."""
    values: dict[str, Any] = {}
    for known in msgspec.structs.fields(shape):
        if known.name not in tree:
            continue
        key, written, section = prefix + known.name, tree[known.name], _section(known.type)
        if section and isinstance(written, dict):
            values[known.name] = convert(section, written, problems, key + ".")
        elif section:
            problems.append(_refusal(key, written, "it as a table, such as " + keys_of(section, key + ".")[0]))
        else:
            _convert_value(known, key, written, values, problems)
    return shape(**values)


def _convert_value(
    known: msgspec.structs.FieldInfo, key: str, written: Any, values: dict[str, Any], problems: list[str]
) -> None:
    """Put the value of one field into `values`, or the reason why it cannot be into `problems`."""
    meta = get_args(known.type)[-1]  # behind those of the type itself, such as a shortest length
    try:
        value = _read(known.type, meta, _plain(written))
    except msgspec.ValidationError:
        problems.append(_refusal(key, written, meta.description))
    except ValueError as error:
        problems.append(f"{_place(written)}: {key}: {error}")
    else:
        values[known.name] = value


def _read(declared: Any, meta: msgspec.Meta, value: Any) -> Any:
    # msgspec reads a timedelta only as ISO 8601
    if get_args(declared)[0] is timedelta:
        return parse_duration(value)
    if get_origin(get_args(declared)[0]) is tuple and isinstance(value, str):
        value = value.split()  # a variable is text: several are separated by blanks
    read = msgspec.convert(value, declared, strict=False)
    check = (meta.extra or {}).get("check")
    if check and read is not None:
        check(read)
    return read


def _refusal(key: str, written: Any, wanted: str | None) -> str:
    value = redact(key, _plain(written))
    value = redact_no_url(value) if key.endswith("url") and isinstance(value, str) else value
    shown = msgspec.json.encode(value, enc_hook=str).decode()
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return f"{_place(written)}: {key} = {shown} is not accepted: write {wanted}"


def place_of(tree: Tree, key: str) -> str:
    """Where the value of a dotted key was written, for a message."""
    written: Any = tree
    for part in key.split("."):
        written = written[part]
    return _place(written)


def _place(written: Any) -> str:
    while isinstance(written, dict):
        written = next(iter(written.values()), None)
    return written.place if isinstance(written, Written) else "settings"


def _plain(written: Any) -> Any:
    if isinstance(written, Written):
        return written.value
    return {name: _plain(value) for name, value in written.items()}


def _section(declared: Any) -> Shape | None:
    return declared if isinstance(declared, type) and issubclass(declared, msgspec.Struct) else None


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every end of a Struct, a table or a tree with its dotted key; an empty table is an end too."""
    if isinstance(node, msgspec.Struct):
        node = msgspec.structs.asdict(node)
    if isinstance(node, dict) and (node or not prefix):
        for name, value in node.items():
            yield from leaves(value, f"{prefix}.{name}" if prefix else name)
    else:
        yield prefix, node


_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?")
_KEY = re.compile(r"""\s*([\w\-."' \t]+?)\s*=""")


def lines_of(text: str) -> dict[str, int]:
    """The line of each dotted key of a TOML text, as far as a glance can tell: {"ledger.url": 3}."""
    lines: dict[str, int] = {}
    header = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if table := _HEADER.fullmatch(line):
            header = _dotted(table[1])
            lines.setdefault(header, number)
        elif key := _KEY.match(line):
            lines.setdefault(f"{header}.{_dotted(key[1])}".lstrip("."), number)
    return lines


def _dotted(written: str) -> str:
    return ".".join(part.strip(" \t\"'") for part in written.split("."))
