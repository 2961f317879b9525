"""How commands show tables, instants and schedules."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import cron_descriptor
import msgspec
from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 200

LEAST_WRAPPED = 10
"""A column that wraps gets no narrower."""

COLUMN_GAP = 2

# Also those that change the direction of writing: they make a line read as what it is not.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, wraps: str) -> None:
    """A plain table on stdout, as wide as the terminal; in a narrow one the column `wraps` gets more lines.

    A column in which no row has anything is left out.
    """
    shown = [index for index, _ in enumerate(columns) if any(row[index] for row in rows)]
    cells = [[Text(escape_controls(row[index])) for index in shown] for row in rows]
    table, needed = make_table([columns[index] for index in shown], cells, wraps=wraps)
    print_drawing(table, needed)


def make_table(
    columns: Sequence[str], rows: Sequence[Sequence[Text]], *, wraps: str = "", right: Sequence[str] = ()
) -> tuple[Table, int]:
    """A table with a head, and how many characters it needs: only the column `wraps` may get narrower than it is."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1), pad_edge=False, header_style="bold")
    needed = 0
    for index, name in enumerate(columns):
        width = widest([Text(name), *(row[index] for row in rows)])
        width = min(width, LEAST_WRAPPED) if name == wraps else width
        justify: JustifyMethod = "right" if name in right else "left"
        table.add_column(name, min_width=width, no_wrap=name != wraps, overflow="fold", justify=justify)
        needed += width + COLUMN_GAP
    for row in rows:
        table.add_row(*row)
    return table, needed


def widest(cells: Iterable[Text]) -> int:
    """How many places on the screen the widest line takes."""
    return max((cell_len(line) for cell in cells for line in cell.plain.splitlines()), default=0)


def terminal_console() -> Console:
    """As wide as the terminal, or as `WIDTH_WITHOUT_TERMINAL`."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL, markup=False, highlight=False)


def print_drawing(drawing: RenderableType, needed: int = 0) -> None:
    """Draw on stdout; what needs more room than the terminal has, the terminal wraps: nothing is cut."""
    console = terminal_console()
    console.width = max(console.width, needed)
    with console.capture() as drawn:
        console.print(drawing)
    for line in drawn.get().splitlines():
        click.echo(line.rstrip())


def escape_controls(text: str, *, keeps: str = "\n\t") -> str:
    """The text without what a terminal would obey: each control character stands there as Python writes it."""
    return _CONTROLS.sub(lambda match: _escaped(match[0], keeps), text.replace("\r\n", "\n"))


def escape_line(text: str) -> str:
    """The same, on one line."""
    return escape_controls(text, keeps="")


def _escaped(character: str, keeps: str) -> str:
    return character if character in keeps else character.encode("unicode_escape").decode()


def print_json(value: Any) -> None:
    """The value as indented JSON on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2))


def in_words(expression: str) -> str:
    """A cron expression in English; empty where the library finds no words."""
    options = cron_descriptor.Options(use_24hour_time_format=True, locale_code="en_US")  # whatever the machine speaks
    try:
        return str(cron_descriptor.ExpressionDescriptor(_evenly(expression.upper()), options).get_description())
    except cron_descriptor.FormatError:
        return ""


def _evenly(expression: str) -> str:
    """The expression with every step that does not go evenly into its range written as a list.

    The library calls `*/45` "every 45 minutes", but it is due at 0 and 45 past each hour.
    """
    fields = expression.split()
    wholes = [range(60), range(60), range(24), None, range(1, 13), None][-len(fields) :]
    return " ".join(map(_listed_if_uneven, fields, wholes))


def _listed_if_uneven(field: str, whole: range | None) -> str:
    step = field.removeprefix("*/")
    if whole is None or step == field or not step.isdecimal() or not len(whole) % int(step):
        return field
    return ",".join(map(str, whole[:: int(step)]))
