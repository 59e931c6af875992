"""Output to a terminal, shared by all commands."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

USAGE = 2
"""The exit status for invalid input."""


def terminal() -> Console:
    """The standard output: coloured on a terminal, else 120 columns of plain text."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


def plain(text: str) -> str:
    """Escape markup, and replace control characters."""
    return escape(printable(text))


def printable(text: str) -> str:
    """Replace control characters: they could change a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def counted(number: int, what: str) -> str:
    """A number with its noun: `1 step`, `2 steps`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def table_of(*columns: str) -> Table:
    """A table without lines: the first column left-aligned, the others right-aligned."""
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table
