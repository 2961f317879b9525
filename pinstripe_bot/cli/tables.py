"""How commands show tables and JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec
from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from pinstripe_bot.escapes import escape_controls

WIDTH_WITHOUT_TERMINAL = 200

LEAST_WRAPPED = 10
"""A column that wraps gets no narrower."""

COLUMN_GAP = 2


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


def print_json(value: Any) -> None:
    """The value as indented JSON on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2))
