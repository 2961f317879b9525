"""How the commands that look draw: titles, grids and tables with quiet colours; plain text where it is no terminal."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pinstripe_bot.cli.tables import COLUMN_GAP, LEAST_WRAPPED, make_table, print_drawing, terminal_console, widest
from pinstripe_bot.escapes import escape_controls

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
        self._is_empty = True

    def say(self, text: Cell, style: str = "", *, indent: int = 0) -> None:
        """A line, or more where it is long; what wraps stays behind the indent."""
        self._draw(Padding(_drawn(text, style), (0, 0, 0, indent)))

    def title(self, text: str) -> None:
        """What stands above a section."""
        if not self._is_empty:
            click.echo()
        self.say(text, "bold")

    def grid(self, rows: Sequence[Sequence[Cell]], *, indent: int = 2) -> None:
        """Aligned rows without a head; where it gets narrow the last column has more lines."""
        drawn = [[_drawn(cell) for cell in row] for row in rows]
        grid = Table.grid(padding=(0, COLUMN_GAP, 0, 0))
        needed = indent
        for number, column in enumerate(zip(*drawn, strict=True)):
            is_last = number == len(drawn[0]) - 1
            width = min(widest(column), LEAST_WRAPPED) if is_last else widest(column)
            grid.add_column(min_width=width, no_wrap=not is_last, overflow="fold")
            needed += width + COLUMN_GAP
        for row in drawn:
            grid.add_row(*row)
        self._draw(Padding(grid, (0, 0, 0, indent)), needed)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, drops: Sequence[str] = (), right: str = ""
    ) -> None:
        """A table with a head; the columns named in `right` stand to the right.

        Where it is wider than the terminal it does without the columns `drops`, as many as it has to, the first first.
        """
        drawn = [[_drawn(cell) for cell in row] for row in rows]
        shown = [index for index, _ in enumerate(columns) if any(row[index] for row in drawn)]
        width = terminal_console().width
        for dropped in (None, *drops):
            shown = [index for index in shown if columns[index] != dropped]
            names = [columns[index] for index in shown]
            cells = [[row[index] for index in shown] for row in drawn]
            table, needed = make_table(names, cells, right=right.split())
            if needed <= width:
                break
        self._draw(table, needed)

    def _draw(self, drawing: RenderableType, needed: int = 0) -> None:
        print_drawing(drawing, needed)
        self._is_empty = False


def _drawn(cell: Cell, style: str = "") -> Text:
    """A cell as a terminal may show it."""
    if isinstance(cell, str):
        return Text(escape_controls(cell), style=style)
    safe = escape_controls(cell.plain)
    return cell if safe == cell.plain else Text(safe, style=cell.style)
