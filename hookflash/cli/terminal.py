"""What all commands share: how they speak to a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

USAGE = 2
"""The exit status for input that can't be used."""


def terminal() -> Console:
    """Where people read: coloured where a terminal is, never cut short where none is."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


def plain(text: str) -> str:
    """Text in which nothing is markup, and nothing steers a terminal."""
    return escape("".join(c if c.isprintable() or c == "\n" else "�" for c in text))


def table_of(*columns: str) -> Table:
    """A table without lines: the first column to the left, numbers to the right."""
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table
