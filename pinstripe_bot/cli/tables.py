"""How commands show tables, instants and schedules."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click
import cron_descriptor
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

WIDTH_WITHOUT_TERMINAL = 200


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, wraps: str) -> None:
    """A plain table on stdout, as wide as the terminal; in a narrow one the column `wraps` gets more lines.

    A column in which no row has anything is left out.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1), pad_edge=False, header_style="bold")
    shown = [index for index, _ in enumerate(columns) if any(row[index] for row in rows)]
    for index in shown:
        is_wrapped = columns[index] == wraps
        table.add_column(columns[index], no_wrap=not is_wrapped, overflow="fold")
    for row in rows:
        table.add_row(*(row[index] for index in shown))
    console = Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL, markup=False, highlight=False)
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().splitlines():
        click.echo(line.rstrip())


def print_json(value: Any) -> None:
    """The value as indented JSON on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2))


def in_words(expression: str) -> str:
    """A cron expression in English; empty where the library finds no words."""
    options = cron_descriptor.Options()
    options.use_24hour_time_format = True
    try:
        return str(cron_descriptor.ExpressionDescriptor(expression.upper(), options).get_description())
    except cron_descriptor.FormatError:
        return ""
