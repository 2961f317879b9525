"""How the commands that look draw: titles, grids and tables with quiet colours; plain text where it is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pinstripe_bot.cli.tables import WIDTH_WITHOUT_TERMINAL

Cell = str | Text

STYLES = {
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "interrupted": "red",
    "missed": "yellow",
    "late": "yellow",
    "cancelled": "yellow",
    "skipped": "dim",
    "queued": "dim",
    "running": "cyan",
}
"""The colour of each state, of a run or of an instant."""


def state_cell(state: str) -> Text:
    """A state in words and in its colour: "timed out"."""
    return Text(str(state).replace("_", " "), style=STYLES.get(state, ""))


class Page:
    """Draws on stdout, as wide as the terminal."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
        self._console = Console(width=width, markup=False, highlight=False)
        self._is_empty = True

    def say(self, text: Cell, style: str = "", *, indent: int = 0) -> None:
        """A line, or more where it is long; what wraps stays behind the indent."""
        drawn = Text(text, style=style) if isinstance(text, str) else text
        self._draw(Padding(drawn, (0, 0, 0, indent)))

    def title(self, text: str) -> None:
        """What stands above a section."""
        if not self._is_empty:
            click.echo()
        self.say(text, "bold")

    def grid(self, rows: Sequence[Sequence[Cell]], *, indent: int = 2) -> None:
        """Aligned rows without a head; where it gets narrow the last column has more lines."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        for number, _ in enumerate(rows[0] if rows else ()):
            grid.add_column(no_wrap=number < len(rows[0]) - 1, overflow="fold")
        for row in rows:
            grid.add_row(*row)
        self._draw(Padding(grid, (0, 0, 0, indent)))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, wraps: str, right: str = "") -> None:
        """A table with a head, as `tables.print_table` draws it; the columns named in `right` stand to the right."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1), pad_edge=False, header_style="bold")
        shown = [index for index, _ in enumerate(columns) if any(row[index] for row in rows)]
        for index in shown:
            name = columns[index]
            justify = "right" if name in right.split() else "left"
            table.add_column(name, no_wrap=name != wraps, overflow="fold", justify=justify)  # type: ignore[arg-type]
        for row in rows:
            table.add_row(*(row[index] for index in shown))
        self._draw(table)

    def _draw(self, drawing: RenderableType) -> None:
        with self._console.capture() as drawn:
            self._console.print(drawing)
        for line in drawn.get().splitlines():
            click.echo(line.rstrip())
        self._is_empty = False
