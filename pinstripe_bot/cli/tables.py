"""How commands show tables, instants and schedules."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import cron_descriptor
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

WIDTH_WITHOUT_TERMINAL = 200


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A plain table on stdout, as wide as the terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
    Console(width=width, markup=False, highlight=False).print(table)


def print_json(value: Any) -> None:
    """The value as indented JSON on stdout."""
    print(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())  # noqa: T201


def in_words(expression: str) -> str:
    """A cron expression in English; empty where the library finds no words."""
    options = cron_descriptor.Options()
    options.use_24hour_time_format = True
    try:
        return str(cron_descriptor.ExpressionDescriptor(expression, options).get_description())
    except cron_descriptor.FormatError:
        return ""
