"""Rows that can't be read: each is left out, counted and logged, and nothing else stops for it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from hookflash.errors import InputError

log = structlog.wrap_logger(logging.getLogger("hookflash.journal"))

Found = TypeVar("Found")


class JournalConnection(sqlite3.Connection):
    """A connection that remembers which rows this release could not read."""

    unreadable: dict[str, str]
    """What was wrong, by row."""
    is_frozen: bool = False
    """Whether it takes the file for one that nobody changes."""


MOST_UNREADABLE: Final = 10_000


MOST_SAID: Final = 200
"""Characters of a row's name, and of what is wrong with it: both may be damaged."""


def read_or_skip(
    connection: sqlite3.Connection, row: str, read: Callable[[], Found]
) -> Found | None:
    """Read a row; one that can't be read, for any reason, is left out.

    Args:
        connection: to the file; it remembers which rows were left out.
        row: what to call it.
        read: reads what came from the file.
    """
    try:
        return read()
    except sqlite3.Error:  # it is the file
        raise
    except Exception as error:  # noqa: BLE001 - nobody foresees all that can be wrong in a row
        skip_unreadable(connection, row, str(error) or type(error).__name__)
        return None


def skip_unreadable(connection: sqlite3.Connection, row: str, why: str) -> None:
    """Count a row that can't be read, and log it the first time. Nothing else stops for it."""
    row, why = row[:MOST_SAID], why[:MOST_SAID]
    known = connection.unreadable if isinstance(connection, JournalConnection) else {}
    if row not in known and len(known) < MOST_UNREADABLE:
        known[row] = why
        log.warning("journal.row_unreadable", row=row, why=why, effect="it is left out")


LAST_TIME: Final = 253_402_300_799.0
"""The end of the year 9999, in seconds since 1970: later ones can't be written as text."""


def is_time(at: object) -> bool:
    """Whether a stored value can be a time, in seconds since 1970."""
    return isinstance(at, float) and 0.0 <= at <= LAST_TIME


def check_times(*stored: object) -> None:
    """Check stored times; `None` is one that is not known yet.

    Raises:
        InputError: one of them is no time.
    """
    for at in stored:
        if at is not None and not is_time(at):
            raise InputError(f"{at!r} is not a time in seconds since 1970")
