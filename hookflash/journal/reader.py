"""Reads a journal that another process writes."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import trio

from hookflash.errors import InputError
from hookflash.journal.database import JournalError, open_for_reading
from hookflash.journal.rows import JournalConnection
from hookflash.journal.threads import InThread, in_thread

Found = TypeVar("Found")

READS_AT_ONCE: Final = 8
"""Threads that read, or wait for each other, of one connection."""


class JournalReader:
    """A connection for reading, opened when it is first used; again, if the file is replaced."""

    def __init__(self, file: Path, *, now: Callable[[], float], run: InThread = in_thread) -> None:
        self.now = now
        """The time of day, in seconds since 1970."""
        self._file = file
        self._run = run
        self._some = trio.Semaphore(READS_AT_ONCE)
        self._one = threading.Lock()
        """The threads wait for each other: tasks would wait for the scheduler each time."""
        self._connection: JournalConnection | None = None
        self._inode: tuple[int, int] | None = None

    async def read(self, look: Callable[[sqlite3.Connection], Found]) -> Found:
        """Run a query.

        Raises:
            JournalError: the journal, or something in it, can't be read.
        """
        async with self._some:
            try:
                return await self._run(partial(self._read, look))
            except (OSError, sqlite3.Error) as error:
                raise JournalError(f"the journal can't be read: {error}") from error
            except InputError as error:
                raise JournalError(f"{self._file}: {error}") from error

    def _read(self, look: Callable[[sqlite3.Connection], Found]) -> Found:
        with self._one:
            return look(self._current())

    def close(self) -> None:
        """Close the connection. Nobody must be reading."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _current(self) -> sqlite3.Connection:
        found = os.stat(self._file)  # noqa: PTH116 - as cheap as it gets: at each query
        inode = (found.st_dev, found.st_ino)
        known = self._connection
        # where no -shm could be made, SQLite does not see what others write: look again
        if known is not None and inode == self._inode and not known.is_frozen:
            return known
        self.close()
        self._connection = opened = open_for_reading(self._file)
        self._inode = inode
        return opened
